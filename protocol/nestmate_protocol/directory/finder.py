"""Finder: reaches agents and finds skills, for local agents and for the node itself.

What is known answers at once; else what is known is dialled, and the DHT and connected
peers are asked. Whatever they say is only a hint: an answer counts when a card proves
it. Everyone who waits is answered once, in time, and with what can be done.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.frames import (
    Cards,
    Echo,
    WantAddress,
    WantSkill,
    pack,
)
from nestmate_protocol.directory.links import Link
from nestmate_protocol.directory.neighbours import Neighbours
from nestmate_protocol.directory.pings import Pings
from nestmate_protocol.directory.requests import SkillResult, SkillResults
from nestmate_protocol.directory.searches import (
    PEERS_ASKED_MAX,
    PEERS_TRIED_MAX,
    Search,
    Searches,
)
from nestmate_protocol.directory.topics import skill_key
from nestmate_protocol.directory.views import agent_view, own_result, skill_results
from nestmate_protocol.effects import (
    Channel,
    Code,
    Effect,
    Find,
    Refusal,
    Reply,
    Resolve,
    Send,
)
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.identity.cards import open_presence
from nestmate_protocol.ids import Address, PeerId
from nestmate_protocol.limits import PEERS_INTRODUCED_MAX

SKILL_SEEK_MS: Final = 10_000
SKILL_SEEK_AGAIN_MS: Final = 30_000
_SKILLS_SOUGHT_MAX: Final = 256


@unique
class Aim(Enum):
    """What somebody waits for."""

    CARD = "card"
    PING = "ping"
    SKILL = "skill"


@dataclass(frozen=True, slots=True)
class Waiter:
    """An open request; ``about`` names the agent or the skill as in ``Search``."""

    request: int
    aim: Aim
    about: bytes
    until_ms: int
    skill: str = ""
    limit: int = 0
    card: bool = False


class Finder:
    """Open searches, and whoever waits for what they bring."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours
        self._searches = Searches()
        self._pings = Pings()
        self._waiters: dict[int, Waiter] = {}
        self._skills_sought: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Finder {self._searches!r}, {len(self._waiters)} waiting>"

    def ask(self, waiter: Waiter, now: Moment) -> list[Effect]:
        """Answer from what is known, or search until it is or time is up."""
        answer = self._answer(waiter, now, settled=False, heard=False)
        if answer is None and waiter.until_ms <= now.mono_ms:
            answer = self._give_up(waiter, now, heard=False)
        if answer is not None:
            return answer
        effects: list[Effect] = []
        for peer in (
            () if waiter.skill else self._neighbours.hosts(Address(waiter.about))
        ):
            effects += self._neighbours.dialling.book.hold(peer, held=False)
        effects += self._open(waiter.about, waiter.skill, waiter.until_ms, now)
        if self._searches.get(waiter.about) is None:
            return [Reply(waiter.request, _TOO_MANY)]
        self._waiters[waiter.request] = waiter
        return effects

    def seek(
        self,
        address: Address,
        until_ms: int,
        now: Moment,
        places: tuple[PeerId, ...] = (),
    ) -> list[Effect]:
        """Bring an agent's node into reach, with nobody to answer.

        ``places`` are peers that are said to be the agent's.
        """
        if self._neighbours.peer_of(address) is not None:
            return []
        effects = self._open(address.raw, "", until_ms, now, places)
        search = self._searches.get(address.raw)
        if search is not None:
            search.kept_ms = max(search.kept_ms, until_ms)
        return effects

    def seek_skill(self, skill: str, now: Moment) -> list[Effect]:
        """Get to know more agents that offer a skill, now and then."""
        last = self._skills_sought.pop(skill, None)
        if last is not None and now.mono_ms - last < SKILL_SEEK_AGAIN_MS:
            self._skills_sought[skill] = last
            return []
        self._skills_sought[skill] = now.mono_ms
        while len(self._skills_sought) > _SKILLS_SOUGHT_MAX:
            del self._skills_sought[next(iter(self._skills_sought))]
        until_ms = now.mono_ms + SKILL_SEEK_MS
        return self._open(skill_key(skill), skill, until_ms, now)

    def abandon(self, request: int) -> None:
        """Nobody waits for this request's answer any more."""
        self._waiters.pop(request, None)
        self._pings.abandon(request)

    def found(
        self,
        key: bytes,
        providers: Sequence[tuple[PeerId, tuple[str, ...]]],
        now: Moment,
    ) -> list[Effect]:
        """What the DHT said about a key: peers to try, and nothing more."""
        search = self._searches.get(key)
        if search is None or not search.looking:
            return []
        search.looking = False
        search.heard = search.heard or len(self._neighbours.links) > 0
        effects: list[Effect] = []
        for peer, multiaddrs in providers[:PEERS_INTRODUCED_MAX]:
            effects += self._neighbours.dialling.book.learn_hints(peer, multiaddrs)
        effects += self._try(search, [peer for peer, _ in providers], now)
        return effects + self._advance(search, now)

    def resolved(
        self, address: Address, record: bytes | None, now: Moment
    ) -> list[Effect]:
        """What the DHT said about an address: a presence, if it proves itself."""
        search = self._searches.get(address.raw)
        if search is None or not search.looking:
            return []
        search.looking = False
        search.heard = search.heard or len(self._neighbours.links) > 0
        neighbours = self._neighbours
        effects: list[Effect] = []
        for peer, multiaddrs in _whereabouts(neighbours, address, record or b"", now):
            effects += neighbours.dialling.book.learn_hints(peer, multiaddrs)
            effects += self._try(search, [peer], now)
        return effects + self._advance(search, now)

    def heard(self, peer: PeerId, frame: Cards | Echo, now: Moment) -> list[Effect]:
        """A peer has answered; the cards in its answer are already taken."""
        if isinstance(frame, Echo):
            return self._pings.echoed(peer, frame.number, now)
        search = self._searches.get(frame.about)
        if search is not None:
            search.asked.discard(peer)
            search.heard = True
        effects: list[Effect] = []
        for each in self._searches.all():
            effects += self._try(each, _places(self._neighbours, each), now)
            effects += self._advance(each, now)
        return effects

    def agent_up(self, peer: PeerId, now: Moment) -> list[Effect]:
        """A peer has proved whose node it is; it may be the one, or know more."""
        self._searches.reached(peer)
        link = self._neighbours.links.get(peer)
        effects: list[Effect] = []
        for search in self._searches.all():
            effects += self._advance(search, now)
            if self._searches.get(search.about) is search and search.widened and link:
                effects += self._ask(search, [link])
        return effects

    def peer_gone(self, peer: PeerId, now: Moment) -> list[Effect]:
        """A dial failed or a connection is gone."""
        effects: list[Effect] = []
        for search in self._searches.forget_peer(peer):
            effects += self._advance(search, now)
            if not search.dialling and not search.widened:
                search.widen_ms = now.mono_ms  # what was known did not help
        for flight in self._pings.lost(peer):
            about, until_ms = flight.address.raw, flight.until_ms
            waiter = Waiter(flight.request, Aim.PING, about, until_ms)
            effects += self.ask(waiter, now)
        return effects

    def wake(self, now: Moment) -> list[Effect]:
        """Answer whoever has waited long enough, and ask more widely for the rest."""
        effects = self._pings.wake(now)
        for search in self._searches.due(now):
            effects += self._advance(search, now)
        for waiter in list(self._waiters.values()):
            if waiter.until_ms <= now.mono_ms:
                del self._waiters[waiter.request]
                under_way = self._searches.get(waiter.about)
                heard = under_way is not None and under_way.heard
                effects += self._give_up(waiter, now, heard=heard)
        for search in self._searches.due(now):
            if search.until_ms <= now.mono_ms:
                self._searches.end(search)
            else:
                effects += self._widen(search, now)
        return effects

    def next_wakeup(self) -> int | None:
        """When something is due, on the monotonic clock in ms."""
        waits = [waiter.until_ms for waiter in self._waiters.values()]
        times = (*waits, self._searches.next_wakeup(), self._pings.next_wakeup())
        return min((time for time in times if time is not None), default=None)

    def _open(
        self,
        about: bytes,
        skill: str,
        until_ms: int,
        now: Moment,
        places: tuple[PeerId, ...] = (),
    ) -> list[Effect]:
        """Start a search, or let one that is open go on for longer."""
        opened = self._searches.start(about, skill, until_ms, now)
        if opened is None:
            return []
        search, is_new = opened
        search.places = places or search.places
        effects = self._try(search, _places(self._neighbours, search), now)
        if search.dialling or not is_new:
            return effects
        return effects + self._widen(search, now)

    def _widen(self, search: Search, now: Moment) -> list[Effect]:
        """Dial once more what is known, and ask the DHT and connected peers."""
        search.widened = True
        search.widen_ms = now.mono_ms + search.again_ms
        search.again_ms *= 2
        search.asked.clear()
        effects = self._try(search, _places(self._neighbours, search), now)
        if not search.looking:
            search.looking = True
            address = search.address
            effects.append(Resolve(address) if address else Find(search.about))
        return effects + self._ask(search, self._neighbours.links.all())

    def _ask(self, search: Search, links: Iterable[Link]) -> list[Effect]:
        """Ask connected agents, friends first, a handful of them."""
        friend = self._neighbours.people.is_friend
        able = [
            link for link in links if link.address and link.peer not in search.asked
        ]
        able.sort(key=lambda link: not (link.address and friend(link.address)))
        frame = WantSkill(search.skill) if search.skill else WantAddress(search.about)
        effects: list[Effect] = []
        for link in able[: max(0, PEERS_ASKED_MAX - len(search.asked))]:
            search.asked.add(link.peer)
            link.cards_left += PEERS_INTRODUCED_MAX
            effects.append(Send(link.peer, Channel.CARDS, pack(frame)))
        return effects

    def _try(
        self, search: Search, peers: Iterable[PeerId], now: Moment
    ) -> list[Effect]:
        """Dial peers that might be, or know, whom this search is for."""
        neighbours = self._neighbours
        effects: list[Effect] = []
        for peer in peers:
            if len(search.dialling) >= PEERS_TRIED_MAX:
                break
            if peer not in neighbours.links:
                effects += neighbours.dialling.dial(peer, now)
                if neighbours.dialling.is_dialling(peer):
                    search.dialling.add(peer)
        return effects

    def _advance(self, search: Search, now: Moment) -> list[Effect]:
        """Answer whom this search can answer by now; end it if nobody needs it."""
        settled = search.is_settled(now)
        effects: list[Effect] = []
        waiting = False
        for waiter in list(self._waiters.values()):
            if waiter.about != search.about:
                continue
            answer = self._answer(waiter, now, settled=settled, heard=search.heard)
            if answer is None:
                waiting = True
            else:
                del self._waiters[waiter.request]
                effects += answer
        address = search.address
        reached = address is not None and self._neighbours.peer_of(address) is not None
        spent = settled and search.kept_ms <= now.mono_ms
        if not waiting and (reached or spent):
            self._searches.end(search)
        return effects

    def _answer(
        self, waiter: Waiter, now: Moment, *, settled: bool, heard: bool
    ) -> list[Effect] | None:
        """The answer as far as it is certain; None while it may still get better."""
        neighbours = self._neighbours
        request = waiter.request
        match waiter.aim:
            case Aim.SKILL:
                others = skill_results(neighbours, waiter.skill, now)
                if len(others) >= waiter.limit or (settled and others):
                    return [Reply(request, _offers(neighbours, waiter, others))]
                return None
            case Aim.PING:
                address = Address(waiter.about)
                peer = neighbours.peer_of(address)
                if peer is not None:
                    return self._pings.send(
                        request, address, peer, waiter.until_ms, now
                    )
            case Aim.CARD:
                address = Address(waiter.about)
                known = neighbours.cards.get(address)
                up = neighbours.peer_of(address) is not None
                valid = known is not None and known.card.valid_until_ms > now.wall_ms
                if known is not None and (up or valid or settled):
                    view = agent_view(neighbours, known, now, with_card=waiter.card)
                    return [Reply(request, view)]
            case _:
                assert_never(waiter.aim)
        unknown = neighbours.cards.get(address) is None
        return [Reply(request, _UNKNOWN)] if settled and heard and unknown else None

    def _give_up(self, waiter: Waiter, now: Moment, *, heard: bool) -> list[Effect]:
        """Time is up: answer what there is, or why there is nothing."""
        request = waiter.request
        if waiter.aim is Aim.SKILL:
            others = skill_results(self._neighbours, waiter.skill, now)
            return [Reply(request, _offers(self._neighbours, waiter, others))]
        known = self._neighbours.cards.get(Address(waiter.about))
        if known is not None and waiter.aim is Aim.CARD:
            view = agent_view(self._neighbours, known, now, with_card=waiter.card)
            return [Reply(request, view)]
        if known is not None:
            return [Reply(request, _AWAY)]
        return [Reply(request, _UNKNOWN if heard else _ALONE)]


def _places(neighbours: Neighbours, search: Search) -> tuple[PeerId, ...]:
    """Where whom a search is for might be."""
    address = search.address
    hosts = () if address is None else neighbours.hosts(address)
    return (*search.places, *hosts)


def _offers(
    neighbours: Neighbours, waiter: Waiter, others: Sequence[SkillResult]
) -> SkillResults:
    """Who offers a skill; we come last, because others are what was asked for."""
    own = own_result(neighbours, waiter.skill)
    return SkillResults(tuple([*others, *own][: waiter.limit]))


def _whereabouts(
    neighbours: Neighbours, address: Address, record: bytes, now: Moment
) -> list[tuple[PeerId, tuple[str, ...]]]:
    """Where a presence puts an agent; nothing if an older device signed it."""
    try:
        presence = open_presence(record, neighbours.own.me.network, now.wall_ms)
    except RemoteError:
        return []
    known = neighbours.cards.get(address)
    stale = known is not None and presence.log.rank < known.card.log.rank
    if presence.address != address or stale:
        return []
    return [(host.peer, host.multiaddrs) for host in presence.hosts]


_UNKNOWN: Final = Refusal(
    Code.NOT_FOUND,
    "nobody this node can reach knows this agent",
    "check the address, or ask its owner for an invite",
)
_ALONE: Final = Refusal(
    Code.NOT_FOUND,
    "this agent is not known here, and no other node could be asked",
    "connect to a friend first: `nestmate join INVITE`",
)
_AWAY: Final = Refusal(
    Code.TIMED_OUT,
    "the agent's node could not be reached in time",
    "its node may be down or asleep; this node keeps trying if it is a friend",
)
_TOO_MANY: Final = Refusal(
    Code.BUSY, "too many searches are open", "try again in a few seconds"
)
