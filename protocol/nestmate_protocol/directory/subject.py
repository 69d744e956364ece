"""Directory: who is out there, where, and what they offer.

Puts the parts together: neighbours (what is known), reception (what peers ask), finder
(what is searched for), desk (what local agents ask), and the times at which to dial,
to search for friends who are away and to announce. It knows nothing of invites and of
signals; names and trust come through the port ``People``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.announcing import Announcing
from nestmate_protocol.directory.desk import Desk, DeskRequest
from nestmate_protocol.directory.finder import Finder
from nestmate_protocol.directory.neighbours import Neighbours
from nestmate_protocol.directory.outcomes import AgentUp, Entitled, Outcome
from nestmate_protocol.directory.own_card import Me, OwnCard
from nestmate_protocol.directory.ports import People
from nestmate_protocol.directory.reception import Reception
from nestmate_protocol.directory.sought import Sought
from nestmate_protocol.directory.topics import Topics, skill_key
from nestmate_protocol.directory.views import skill_results
from nestmate_protocol.effects import (
    Announce,
    Effect,
    HangUp,
    Notify,
    Provide,
    Strike,
)
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.identity.cards import Card
from nestmate_protocol.ids import Address, PeerId

PREFIX: Final = b"d/"
FRIEND_SEEK_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Meeting:
    """An agent to be reached, where its node is said to be, and until when to try.

    ``until_ms`` is monotonic.
    """

    address: Address
    peer: PeerId
    multiaddrs: tuple[str, ...]
    until_ms: int


class Directory:
    """Everything one node does about agents, peers and skills."""

    def __init__(
        self,
        me: Me,
        people: People,
        entropy: Callable[[int], bytes],
        *,
        peers_wanted: int,
        carry: bool,
    ) -> None:
        self.neighbours = Neighbours(me, people, peers_wanted, entropy)
        self.topics = Topics(me.network)
        self._carry = carry
        self.finder = Finder(self.neighbours)
        self._desk = Desk(self.neighbours, self.finder)
        self.reception = Reception(self.neighbours)
        self._sought = Sought(entropy)
        self._announcing = Announcing()
        self._shown: Card | None = None

    def __repr__(self) -> str:
        return f"<Directory {self.neighbours!r} {self.finder!r}>"

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what an earlier run saved under PREFIX."""
        self.neighbours.restore(pairs)

    def listening(self, multiaddrs: tuple[str, ...], now: Moment) -> list[Outcome]:
        """The network is up: make the card, treat everybody as befits them, dial."""
        effects = self.neighbours.own.listen(multiaddrs, now)
        outcomes: list[Outcome] = [*effects, *self.neighbours.start()]
        for address in self.neighbours.people.friends():
            if self.neighbours.peer_of(address) is None:
                self._sought.miss(address, now)
        for known in self.neighbours.cards.latest_first():
            outcomes += self._carry_skills(known.card)
        return [*outcomes, *self._show(now), *self.neighbours.dialling.wake(now)]

    def ask(self, request: int, body: DeskRequest, now: Moment) -> list[Outcome]:
        """A local agent's request; LocalError if it makes no sense as it stands."""
        outcomes = self._desk.ask(request, body, now)
        return [*outcomes, *self._show(now)]

    def abandon(self, request: int) -> None:
        """Nobody waits for this request's answer any more."""
        self._desk.abandon(request)
        self.finder.abandon(request)

    def peer_up(
        self, peer: PeerId, multiaddr: str, now: Moment, *, inbound: bool
    ) -> list[Outcome]:
        """A connection stands; who is at its end is yet to be proved."""
        neighbours = self.neighbours
        refreshed = self._refresh(now)
        if not neighbours.links.up(peer, multiaddr, now, inbound=inbound):
            return [*refreshed]
        neighbours.dialling.up(peer, now)
        if neighbours.is_shunned(peer):
            return [*refreshed, HangUp(peer)]
        proved = "" if inbound else multiaddr
        reached = neighbours.dialling.book.reached(peer, proved, now.wall_ms)
        greeting = self.reception.greet(peer)
        return [*refreshed, *reached, *greeting, *self._desk.peer_up(peer)]

    def peer_down(self, peer: PeerId, now: Moment) -> list[Outcome]:
        """A connection is gone."""
        neighbours = self.neighbours
        link = neighbours.links.down(peer)
        neighbours.dialling.down(peer, now)
        outcomes: list[Outcome] = [*self.finder.peer_gone(peer, now)]
        if len(neighbours.links) == 0:
            self._announcing.stop()
        if link is None or link.address is None:
            return outcomes
        if neighbours.peer_of(link.address) is None:
            if neighbours.people.is_friend(link.address):
                self._sought.miss(link.address, now)
            details = {"peer": peer.text}
            outcomes.append(Notify("peer.down", None, link.address, details))
        return outcomes

    def dialled(self, peer: PeerId, now: Moment, *, connected: bool) -> list[Outcome]:
        """A dial has ended; a connection that came of it is up already."""
        if connected:
            return []
        self.neighbours.dialling.failed(peer, now)
        return [*self.finder.peer_gone(peer, now), *self._desk.dial_failed(peer)]

    def sighted(
        self, peer: PeerId, multiaddrs: Sequence[str], now: Moment
    ) -> list[Outcome]:
        """Somebody nearby claims to be a node of ours: worth a try, if we need one."""
        dialling = self.neighbours.dialling
        effects = dialling.book.learn_hints(peer, multiaddrs)
        if dialling.is_friend(peer):
            return [*effects, *dialling.dial(peer, now)]
        return [*effects, *dialling.wake(now)]

    def arrived(self, peer: PeerId, data: bytes, now: Moment) -> list[Outcome]:
        """One frame of the CARDS channel; RemoteError if no honest node sends it."""
        received, answer = self.reception.arrived(peer, data, now)
        outcomes: list[Outcome] = []
        for outcome in received:
            outcomes.append(outcome)
            match outcome:
                case AgentUp(address, at):
                    self._sought.found(address)
                    if len(self.neighbours.links.agents()) == 1:
                        self._announcing.soon(now)
                    outcomes += self.finder.agent_up(at, now)
                case Entitled(_, card):
                    outcomes += self._carry_skills(card)
                case _:
                    pass
        if answer is not None:
            outcomes += self.finder.heard(peer, answer, now)
        return [*outcomes, *self._show(now)]

    def meet(self, meeting: Meeting, now: Moment) -> list[Outcome]:
        """Bring an agent's node into reach, starting where it is said to be."""
        dialling = self.neighbours.dialling
        effects = dialling.book.learn_hints(meeting.peer, meeting.multiaddrs)
        effects += dialling.book.hold(meeting.peer, held=False)
        places = (meeting.peer,)
        sought = self.finder.seek(meeting.address, meeting.until_ms, now, places)
        return [*effects, *sought]

    def regard(self, address: Address, now: Moment) -> list[Outcome]:
        """What its owner thinks of an agent has changed."""
        away = self.neighbours.peer_of(address) is None
        if away and self.neighbours.people.is_friend(address):
            self._sought.miss(address, now)
        else:
            self._sought.found(address)
        return [*self.neighbours.regard(address)]

    def able(self, skill: str, now: Moment) -> list[Address]:
        """The others who are known to offer a skill."""
        return [each.address for each in skill_results(self.neighbours, skill, now)]

    def wake(self, now: Moment) -> list[Outcome]:
        """Do whatever is due."""
        own = self.neighbours.own
        outcomes: list[Outcome] = []
        if own.look_ms is not None and own.look_ms <= now.mono_ms:
            outcomes += [*self._refresh(now), *self._hear_again(now)]
        for address in self._sought.due(now):
            until_ms = now.mono_ms + FRIEND_SEEK_MS
            outcomes += self.finder.seek(address, until_ms, now)
        outcomes += self.finder.wake(now)
        outcomes += self._desk.wake(now)
        outcomes += self.reception.wake(now)
        outcomes += self.neighbours.dialling.wake(now)
        if self._announcing.is_due(now):
            outcomes += _announcement(own, now)
        return [*outcomes, *self._show(now)]

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        times = (
            self.neighbours.own.look_ms,
            self._sought.next_wakeup(),
            self.finder.next_wakeup(),
            self._desk.next_wakeup(),
            self.reception.next_wakeup(),
            self.neighbours.dialling.next_wakeup(),
            self._announcing.next_wakeup(),
        )
        return min((time for time in times if time is not None), default=None)

    def _hear_again(self, now: Moment) -> list[Outcome]:
        """Take hellos that were out of their time, should they fit it by now."""
        outcomes: list[Outcome] = []
        for link in self.neighbours.links.all():
            late, link.late = link.late, b""
            try:
                outcomes += self.arrived(link.peer, late, now) if late else []
            except RemoteError as error:
                outcomes.append(Strike(link.peer, error.fault))
        return outcomes

    def _refresh(self, now: Moment) -> list[Effect]:
        """Show a new card if the last one does not fit the time."""
        return [*self.neighbours.own.refresh(now), *self._show(now)]

    def _show(self, now: Moment) -> list[Effect]:
        """Show a card that has changed to everyone connected, and soon to the DHT."""
        own = self.neighbours.own
        if own.card is None or own.card is self._shown:
            return []
        self._shown = own.card
        if len(self.neighbours.links) > 0:
            self._announcing.soon(now)
        skills = [skill.name for skill in own.skills]
        return [*self.topics.offer(skills), *self.reception.greet_all()]

    def _carry_skills(self, card: Card) -> list[Effect]:
        if not self._carry:
            return []
        return self.topics.carry(skill.name for skill in card.skills)


def _announcement(own: OwnCard, now: Moment) -> list[Effect]:
    """Where we are and what we offer, as the DHT is told."""
    presence = own.presence(now)
    if presence is None:
        return []
    effects: list[Effect] = [Announce(own.me.address, presence)]
    return effects + [Provide(skill_key(skill.name)) for skill in own.skills]
