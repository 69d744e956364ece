"""Sessions: what one node says about spaces to every peer it is connected to.

Whoever owns the ops drives it: peers come and go, frames arrive, time passes, ops are
new; what comes back is carried out in order. Nothing is said to anybody about a space
whose id it has not shown to know, and no op is given to anybody without a key that may
have it. This file routes; greetings are its own, runs and pushes are rooms below.
"""

from collections.abc import Callable, Sequence

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import NetworkId, PeerId, RecordId, SpaceId
from nestmate_protocol.limits import SPACES_MAX
from nestmate_protocol.spaces.ops import Dot
from nestmate_protocol.spaces.sync.company import Company
from nestmate_protocol.spaces.sync.floor import Floor, Offered, Outcome, send
from nestmate_protocol.spaces.sync.frames import (
    SALT_BYTES,
    AskOps,
    Credit,
    Done,
    Hello,
    LeavesOf,
    Offer,
    Ops,
    Proof,
    Ranges,
    SpacesFrame,
    State,
    Tags,
    unpack,
)
from nestmate_protocol.spaces.sync.greeting import Salted, check, prove, tag_of
from nestmate_protocol.spaces.sync.link import Link
from nestmate_protocol.spaces.sync.ports import Replica
from nestmate_protocol.spaces.sync.pushing import Pushing
from nestmate_protocol.spaces.sync.receiving import Receiving
from nestmate_protocol.spaces.sync.resting import Resting
from nestmate_protocol.spaces.sync.runs import Runs
from nestmate_protocol.spaces.sync.timetable import Timetable


class Sessions:
    """Sync with everybody connected."""

    def __init__(
        self,
        me: PeerId,
        network: NetworkId,
        replica: Replica,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._floor = Floor(me, network, replica, entropy, Timetable(entropy))
        self._pushing = Pushing(self._floor)
        self._runs = Runs(self._floor, self._pushing)
        self.company = Company(self._floor, self._runs)
        self.resting = Resting(self._floor, self._runs)
        self._receiving = Receiving(self._floor, self._pushing, self._runs)

    def __repr__(self) -> str:
        return f"<Sessions with {len(self._floor.links)} peers, {self._runs!r}>"

    # --- peers and spaces

    def peer_up(self, peer: PeerId, now: Moment) -> list[Outcome]:
        """A connection stands; who has no space says nothing."""
        if peer in self._floor.links:
            return []
        link = self._floor.links[peer] = Link(peer)
        spaces = list(self._floor.replica.spaces())
        for space in spaces:
            self._floor.timetable.add(space, now)
        return self._hello(link, spaces, now)

    def peer_down(self, peer: PeerId) -> None:
        """A connection is gone; what was going on begins anew with the next one."""
        self._floor.links.pop(peer, None)
        self._floor.timetable.forget(peer)

    def joined(self, space: SpaceId, now: Moment) -> list[Outcome]:
        """This node takes part in a space from now on."""
        self._floor.timetable.add(space, now)
        outcomes: list[Outcome] = []
        spaces = list(self._floor.replica.spaces())
        for link in self._floor.links.values():
            if link.us is None:
                outcomes += self._hello(link, spaces, now)
            else:
                outcomes.append(send(link, Tags((tag_of(space, link.us.salt),))))
            outcomes += self._prove(link, [space])
        return outcomes

    def left(self, space: SpaceId) -> None:
        """This node takes part in a space no more."""
        self._floor.timetable.drop(space)
        for link in self._floor.links.values():
            link.leave(space)

    # --- what happens

    def arrived(
        self, peer: PeerId, said: bytes | SpacesFrame, now: Moment
    ) -> list[Outcome]:
        """One frame of the SPACES channel, as bytes or read already.

        RemoteError if no honest node sends it.
        """
        link = self._floor.links.get(peer)
        if link is None:
            return []
        frame = unpack(said) if isinstance(said, bytes) else said
        if link.them is None and not isinstance(frame, Hello | Offer):
            return []  # it belongs to a connection that we do not have any more
        runs, receiving = self._runs, self._receiving
        match frame:
            case Hello() | Tags():
                return self._greeted(link, frame, now)
            case Proof():
                return self._proved(link, frame, now)
            case State():
                return runs.hear_state(link, frame, now)
            case Ranges():
                return runs.hear_ranges(link, frame, now)
            case Ops():
                return receiving.hear_ops(link, frame, now)
            case Done():
                return runs.hear_done(link, frame, now)
            case Credit():
                return receiving.hear_credit(link, frame, now)
            case AskOps():
                return receiving.hear_ask(link, frame, now)
            case LeavesOf():
                return runs.hear_leaves(link, frame, now)
            case Offer(space, name, grant):
                if not link.offers.take(now):
                    raise RemoteError(Fault.OVER_LIMIT, "offers")
                return [Offered(peer, space, name, grant)]

    def told(
        self, space: SpaceId, ops: Sequence[RecordId], now: Moment
    ) -> list[Outcome]:
        """Ops of our own are new, and safe on disk: let others have them."""
        return self._pushing.tell(space, ops, now)

    def rights_changed(self, space: SpaceId, now: Moment) -> None:
        """Others may have, or not have, the ops of a space now."""
        self._runs.spread(space, None, now)

    def offer(
        self, peer: PeerId, space: SpaceId, name: str, grant: Dot
    ) -> list[Outcome]:
        """Tell a peer that there is a space for it."""
        link = self._floor.links.get(peer)
        return [] if link is None else [send(link, Offer(space, name, grant))]

    def wake(self, now: Moment) -> list[Outcome]:
        """Do whatever is due."""
        outcomes: list[Outcome] = []
        for space, peer in self._floor.timetable.due(now):
            link = self._any(space) if peer is None else self._floor.links.get(peer)
            if link is not None:
                outcomes += self._runs.begin(link, space, now)
        return [*outcomes, *self._greet_again(now), *self._runs.wake(now)]

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        if not self._floor.links:
            return None
        times = [self._floor.timetable.next_wakeup(), self._runs.next_wakeup()]
        times += [link.greeting_due for link in self._floor.links.values()]
        return min((time for time in times if time is not None), default=None)

    # --- greetings

    def _any(self, space: SpaceId) -> Link | None:
        """One member by chance with whom nothing is going on."""
        links = [
            link
            for link in self._floor.sharing(space)
            if space not in link.runs and self._floor.may_talk(link, space)
        ]
        if not links:
            return None
        return links[self._floor.timetable.chance(len(links))]

    def _hello(
        self, link: Link, spaces: Sequence[SpaceId], now: Moment
    ) -> list[Outcome]:
        if link.us is not None or not spaces:
            return []
        link.us = Salted(self._floor.me, self._floor.entropy(SALT_BYTES))
        link.greeted(now)
        return [_hello_of(link, link.us, spaces)]

    def _greeted(self, link: Link, said: Hello | Tags, now: Moment) -> list[Outcome]:
        """The peer has named spaces; prove ourselves for those we know."""
        if not link.greetings.take(now, len(said.tags)):
            raise RemoteError(Fault.OVER_LIMIT, "greetings")
        again = False
        if isinstance(said, Hello):
            again = link.them is not None
            if link.them is not None and link.them.salt != said.salt:
                link = self._floor.links[link.peer] = link.anew()
            link.them = Salted(link.peer, said.salt)
        link.tags |= set(said.tags)
        if len(link.tags) > SPACES_MAX * 4:
            raise RemoteError(Fault.OVER_LIMIT, "tags")
        spaces = list(self._floor.replica.spaces())
        hello = self._hello(link, spaces, now)
        if again and not hello and link.may_repeat(now):
            hello = self._repeat(link, spaces)
        return [*hello, *self._prove(link, spaces)]

    def _repeat(self, link: Link, spaces: Sequence[SpaceId]) -> list[Outcome]:
        """Say again what may have been lost on its way: our hello, and all proofs."""
        if link.us is None:
            return []
        for space in spaces:
            link.runs.pop(space, None)  # the peer cannot have followed it
            link.our_numbers.pop(space, None)
        return [_hello_of(link, link.us, spaces)]

    def _greet_again(self, now: Moment) -> list[Outcome]:
        """Greet those again whose greeting, or part of it, seems to be lost.

        Whoever has no space never greets back, so that this has an end.
        """
        outcomes: list[Outcome] = []
        spaces = list(self._floor.replica.spaces())
        for link in self._floor.links.values():
            due_ms = link.greeting_due
            if link.us is not None and due_ms is not None and due_ms <= now.mono_ms:
                link.greeted(now)
                outcomes.append(_hello_of(link, link.us, spaces))
        return outcomes

    def _prove(self, link: Link, spaces: Sequence[SpaceId]) -> list[Outcome]:
        """Show our keys for those of these spaces that the peer has named."""
        us, them, network = link.us, link.them, self._floor.network
        if us is None or them is None:
            return []
        outcomes: list[Outcome] = []
        for space in link.meet(spaces):
            keys = self._floor.replica.proving(space)
            signed = [(k.public, prove(k, network, space, us, them)) for k in keys]
            number = link.last_number = link.last_number + 1
            link.our_numbers[space] = number
            tag = tag_of(space, us.salt)
            outcomes.append(send(link, Proof(number, tag, tuple(signed))))
        return outcomes

    def _proved(self, link: Link, said: Proof, now: Moment) -> list[Outcome]:
        """The peer has shown keys for a space."""
        us, them = link.us, link.them
        if not link.greetings.take(now, len(said.proofs) + 1):
            raise RemoteError(Fault.OVER_LIMIT, "proofs")
        if said.number in link.their_numbers:
            raise RemoteError(Fault.REPLAYED, "proof")
        space = link.known_tags.get(said.tag)
        if us is None or them is None or space is None:
            return []  # the greeting before it was lost, or we have left the space
        anew = space in link.proved  # it has left the space and come back
        for proof in said.proofs:
            check(proof, self._floor.network, space, them, us)
        link.their_numbers[said.number] = space
        link.proved[space] = tuple(key for key, _ in said.proofs)
        outcomes: list[Outcome] = []
        if anew and link.may_repeat(now):
            link.runs.pop(space, None)  # it has forgotten what was going on
            link.our_numbers.pop(space, None)
            outcomes += self._prove(link, [space])
        if self._floor.me < link.peer or not self._floor.may_have(link, space):
            outcomes += self._runs.begin(link, space, now)
        return outcomes


def _hello_of(link: Link, us: Salted, spaces: Sequence[SpaceId]) -> Outcome:
    """Our greeting: our salt, and how each of our spaces is named under it."""
    tags = tuple(sorted(tag_of(space, us.salt) for space in spaces))
    return send(link, Hello(us.salt, tags))
