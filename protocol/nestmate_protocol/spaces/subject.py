"""Spaces: the subject as the core sees it.

Requests of local agents and frames of peers go in, outcomes come out. It puts the parts
together: the catalogue of spaces, the copies of their ops, sync with the members, and
the desk that answers. Everything one input causes is one batch, durable where something
of our own is in it, before anybody hears of it. Which agent is at which peer it asks
through the port ``Agents``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nestmate_protocol.clocks import Moment, patience_ms
from nestmate_protocol.codec import plain
from nestmate_protocol.effects import Code, Effect, Notify, Refusal, Reply, Strike
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.grants import Rights
from nestmate_protocol.identity.log import IdentityLog
from nestmate_protocol.ids import Address, NetworkId, PeerId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import OPS_PER_STEP_MAX
from nestmate_protocol.spaces import catalogue as listings_kept
from nestmate_protocol.spaces.belonging import Belonging
from nestmate_protocol.spaces.catalogue import Catalogue, Listing
from nestmate_protocol.spaces.comparing import Comparisons
from nestmate_protocol.spaces.conflicts import settlements
from nestmate_protocol.spaces.copies import Copies, Copy
from nestmate_protocol.spaces.desk import Answered, Desk
from nestmate_protocol.spaces.documents import Documents
from nestmate_protocol.spaces.engine.changes import Change, Granted, Ungranted
from nestmate_protocol.spaces.engine.rows import Reader
from nestmate_protocol.spaces.epochs import Epochs
from nestmate_protocol.spaces.letting import Letting
from nestmate_protocol.spaces.losses import Losses
from nestmate_protocol.spaces.members import names_in
from nestmate_protocol.spaces.outcomes import Outcome
from nestmate_protocol.spaces.pen import Pen
from nestmate_protocol.spaces.ports import Agents
from nestmate_protocol.spaces.replica import Held
from nestmate_protocol.spaces.requests import (
    SpacesRequest,
    Standing,
    SyncSpace,
)
from nestmate_protocol.spaces.seeking import Seeking
from nestmate_protocol.spaces.sweeping import STEP_MS
from nestmate_protocol.spaces.sync.floor import Offered
from nestmate_protocol.spaces.sync.frames import Ops, SpacesFrame, unpack
from nestmate_protocol.spaces.sync.sessions import Sessions
from nestmate_protocol.spaces.telling import notices


@dataclass(frozen=True, slots=True)
class Me:
    """Who writes here: key, identity log, peer, network and this boot."""

    key: SigningKey
    log: IdentityLog
    peer: PeerId
    network: NetworkId
    incarnation: bytes

    @property
    def address(self) -> Address:
        """This agent."""
        return self.log.address


class Spaces:
    """Everything one node does about spaces."""

    def __init__(
        self,
        me: Me,
        agents: Agents,
        entropy: Callable[[int], bytes],
        reader: Reader,
    ) -> None:
        """Restore what is on disk; raises LocalError if it cannot be read."""
        self._me = me
        self._agents = agents
        self._catalogue = Catalogue()
        self._copies = copies = Copies(reader, me.key, me.network)
        held = Held(copies, me.key, me.network)
        self._sessions = Sessions(me.peer, me.network, held, entropy)
        self.resting = self._sessions.resting
        company = self._sessions.company
        self._seeking = Seeking(
            me.peer, me.network, lambda space: not company.members(space)
        )
        self._losses = Losses(me.key.public)
        self._comparisons = Comparisons(self._sessions.company.compared)
        pen = Pen(me.key, me.network, me.incarnation, copies.clock, entropy)
        self._epochs = epochs = Epochs(pen, copies)
        self._belonging = Belonging(
            me.log, pen, self._catalogue, copies, epochs, company=self._company
        )
        self._letting = Letting(pen, copies, epochs, agents, me.peer)
        documents = Documents(pen, copies, epochs)
        self._desk = Desk(documents, self._belonging, self._letting)
        used = copies.sweep.last
        self._catalogue.restore(reader.scan(listings_kept.PREFIX), used)
        for listing in self._catalogue:
            if listing.standing is not Standing.OFFERED:
                copies.restore(listing)

    def __repr__(self) -> str:
        return f"<Spaces {self._catalogue!r}>"

    def __len__(self) -> int:
        return sum(1 for _ in self._copies)

    def start(self, now: Moment) -> list[Outcome]:
        """Go on with what an earlier run has begun."""
        self._copies.now = now
        for copy in self._copies:
            self._seeking.add(copy.listing.space, now)
            self._belonging.go_on(copy, now)
            self._letting.tend(copy, now)
        told = [_of("space.rebuilding", each) for each in self._copies.remaking]
        return [*self._settle(now), *told]

    def ask(self, request: int, body: SpacesRequest, now: Moment) -> list[Outcome]:
        """A local agent's request; LocalError if it makes no sense as it stands.

        What was taken in before that was seen is saved all the same.
        """
        self._copies.now = now
        if isinstance(body, SyncSpace):
            return self._compare(request, body, now)
        try:
            answered = self._desk.answer(body, now)
        except LocalError as error:
            refusal = Refusal(Code.INVALID, str(error), error.hint)
            return [*self._settle(now), Reply(request, refusal)]
        outcomes = [*answered.outcomes, *self._carry(answered, now)]
        return [*outcomes, *self._settle(now), Reply(request, answered.response)]

    def abandon(self, request: int) -> None:
        """Nobody waits for this request's answer any more."""
        self._comparisons.abandon(request)

    def arrived(
        self, peer: PeerId, said: bytes | SpacesFrame, now: Moment
    ) -> list[Outcome]:
        """One frame of the SPACES channel, as bytes or read already.

        RemoteError if no honest node sends it.
        """
        self._copies.now = now
        outcomes: list[Outcome] = []
        for told in self._sessions.arrived(peer, said, now):
            outcomes += self._offered(told) if isinstance(told, Offered) else [told]
        return [*outcomes, *self._settle(now)]

    def peer_up(self, peer: PeerId, now: Moment) -> list[Outcome]:
        """A connection stands."""
        self._copies.now = now
        return _effects(self._sessions.peer_up(peer, now))

    def peer_down(self, peer: PeerId) -> None:
        """The last connection with a peer is gone."""
        self._sessions.peer_down(peer)

    def agent_up(self, address: Address, peer: PeerId) -> list[Outcome]:
        """A connected peer has proved to be an agent's: offer what it was granted."""
        return [
            effect
            for space, name, grant in self._letting.offers_for(address)
            for effect in _effects(self._sessions.offer(peer, space, name, grant))
        ]

    def entitled(self, space: SpaceId, *to_any: Rights) -> list[PeerId]:
        """Everybody connected who has proved a key with one of these rights there."""
        copy, now = self._copies.get(space), self._copies.now
        if copy is None or now is None:
            return []
        rights = copy.engine.rights
        return [
            peer
            for peer, keys in self._sessions.company.proved(space)
            if any(
                rights.is_entitled(key, right, now) for key in keys for right in to_any
            )
        ]

    def found(
        self, key: bytes, providers: Iterable[tuple[PeerId, tuple[str, ...]]]
    ) -> list[Outcome]:
        """What the DHT said about a key; nothing if it is none of a space."""
        return [*self._seeking.found(key, providers)]

    def wake(self, now: Moment) -> list[Outcome]:
        """Do whatever is due."""
        self._copies.now = now
        self._copies.wake(now)
        self._epochs.wake(now)
        self._letting.wake(now)
        outcomes = _effects(self._sessions.wake(now))
        for copy in self._copies.reopened():
            self._seeking.add(copy.listing.space, now)
            self._belonging.go_on(copy, now)
            outcomes += _effects(self._sessions.joined(copy.listing.space, now))
            outcomes.append(_of("space.rebuilt", copy.listing))
        return [*outcomes, *self._seeking.wake(now), *self._settle(now)]

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        parts = (
            *(self._sessions, self._seeking, self._comparisons),
            *(self._epochs, self._letting),
        )
        times = [part.next_wakeup() for part in parts]
        now = self._copies.now
        if now is not None:
            due = [copy.engine.next_wakeup_ms() for copy in self._copies]
            times += [
                now.mono_ms + max(0, wall_ms - now.wall_ms)
                for wall_ms in due
                if wall_ms is not None
            ]
            if self._copies.sweep or self._copies.remaking:
                times.append(now.mono_ms + STEP_MS)
        return min((time for time in times if time is not None), default=None)

    # --- what follows from a change

    def _settle(self, now: Moment) -> list[Outcome]:
        """Bring on disk, tell, and pass on whatever has changed."""
        outcomes: list[Outcome] = []
        while changed := self._copies.changed():
            for copy, changes in changed:
                outcomes += self._told(copy, changes, now)
        for space, ops in self._copies.written():
            outcomes += _effects(self._sessions.told(space, ops, now))
        return [*self._copies.collect(), *outcomes, *self._comparisons.answers(now)]

    def _told(
        self, copy: Copy, changes: Sequence[Change], now: Moment
    ) -> list[Outcome]:
        """What the changes in one copy are worth; more may come of them."""
        names = names_in(copy)
        outcomes: list[Outcome] = [*notices(copy, changes, names)]
        outcomes += self._losses.notices(copy, changes, names, now)
        outcomes += settlements(copy, changes, self._me.key.public, now)
        if any(isinstance(each, Granted | Ungranted) for each in changes):
            self._sessions.rights_changed(copy.listing.space, now)
            self._belonging.succeed(copy, now)
            self._letting.tend(copy, now)
        if self._belonging.arrived(copy, now):
            outcomes.append(_of("space.joined", copy.listing))
        self._epochs.tend(copy, now)
        return outcomes

    def _carry(self, answered: Answered, now: Moment) -> list[Outcome]:
        """What a request means for sync."""
        outcomes: list[Outcome] = []
        if answered.joined is not None:
            outcomes += _effects(self._sessions.joined(answered.joined, now))
            self._seeking.add(answered.joined, now)
            outcomes += self._seeking.wake(now)
        if answered.left is not None:
            self._sessions.left(answered.left)
            self._seeking.drop(answered.left)
        if answered.granted is not None:
            peer = self._agents.peer_of(answered.granted)
            if peer is not None:
                outcomes += self.agent_up(answered.granted, peer)
        return outcomes

    def _offered(self, told: Offered) -> list[Outcome]:
        """Somebody says that a space holds a grant for this agent."""
        by = self._agents.agent_at(told.peer)
        if by is None or self._catalogue.get(told.space) is not None:
            return []
        name = plain(told.name)
        listing = Listing(told.space, 0, Standing.OFFERED, name, by=by)
        if not self._belonging.list_offer(listing):
            return []
        details = {"space": told.space.text, "name": name}
        return [Notify("space.offered", None, by, details)]

    def _compare(self, request: int, body: SyncSpace, now: Moment) -> list[Outcome]:
        """Compare with every member that is connected, and answer when that is done."""
        space = self._belonging.copy_of(body.space).listing.space
        peers = len(self._sessions.company.members(space))
        wait_ms = patience_ms(body.wait_seconds)
        self._comparisons.begin(request, space, peers, now, wait_ms)
        return [
            *_effects(self._sessions.company.compare(space, now)),
            *self._settle(now),
        ]

    def _company(self, space: SpaceId, now: Moment) -> tuple[int, int]:
        """How many members are connected, and when one last held the same."""
        agreed_ms = self._sessions.company.agreed_ms(space)
        synced_ms = 0 if agreed_ms is None else now.wall_ms - now.mono_ms + agreed_ms
        return len(self._sessions.company.members(space)), synced_ms


def arrived_in_steps(
    spaces: Spaces, peer: PeerId, data: bytes, now: Moment
) -> Iterator[list[Outcome]]:
    """What ``Spaces.arrived`` does, but many ops are taken in a few at a time.

    A frame no honest node sends is a strike, and but one whatever is wrong in it.
    """
    struck = False
    try:
        frame = unpack(data)
        parts = frame.parts(OPS_PER_STEP_MAX) if isinstance(frame, Ops) else [frame]
        for part in parts:
            outcomes = spaces.arrived(peer, part, now)
            if struck:
                outcomes = [each for each in outcomes if not isinstance(each, Strike)]
            struck = struck or any(isinstance(each, Strike) for each in outcomes)
            yield outcomes
    except RemoteError as error:
        yield [] if struck else [Strike(peer, error.fault)]


def _effects(told: Iterable[Effect | Offered]) -> list[Outcome]:
    """What sync wants done; what it was offered it tells only when frames arrive."""
    return [each for each in told if not isinstance(each, Offered)]


def _of(kind: str, listing: Listing) -> Notify:
    """An event that is about a space as a whole."""
    details = {"space": listing.space.text, "name": listing.name}
    return Notify(kind, details=details)
