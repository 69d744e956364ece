"""Desk: what local agents ask of the directory, and who answers it.

What is known here is answered here; what has to be searched for is handed to the
finder. Names are looked up among our own contacts, never among what agents call
themselves. This file sends nothing to anybody.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from nestmate_protocol.clocks import Moment, patience_ms
from nestmate_protocol.directory.finder import Aim, Finder, Waiter
from nestmate_protocol.directory.neighbours import Neighbours
from nestmate_protocol.directory.outcomes import Outcome
from nestmate_protocol.directory.requests import (
    AddSkill,
    ConnectPeer,
    DisconnectPeer,
    Done,
    FindSkill,
    ListPeers,
    ListSkills,
    PingAgent,
    Pong,
    RemoveSkill,
    ShowSelf,
    SkillViews,
    WhoIs,
)
from nestmate_protocol.directory.topics import skill_key
from nestmate_protocol.directory.views import SELF, peer_views, self_view
from nestmate_protocol.effects import Code, Effect, HangUp, Refusal, Reply
from nestmate_protocol.errors import LocalError
from nestmate_protocol.ids import Address, PeerId
from nestmate_protocol.limits import MULTIADDR_CHARS_MAX, SKILL_CHARS_MAX

DeskRequest = (
    ShowSelf
    | WhoIs
    | PingAgent
    | ListPeers
    | ConnectPeer
    | DisconnectPeer
    | ListSkills
    | AddSkill
    | RemoveSkill
    | FindSkill
)
_PEER_MARK: Final = "/p2p/"


@dataclass(frozen=True, slots=True)
class _Call:
    """Somebody waits for a connection; ``until_ms`` is monotonic."""

    request: int
    peer: PeerId
    until_ms: int


class Desk:
    """Takes requests about agents, peers and skills."""

    def __init__(self, neighbours: Neighbours, finder: Finder) -> None:
        self._neighbours = neighbours
        self._finder = finder
        self._calls: dict[int, _Call] = {}

    def __repr__(self) -> str:
        return f"<Desk {len(self._calls)} calls>"

    def ask(self, request: int, body: DeskRequest, now: Moment) -> list[Outcome]:
        """One request; LocalError if it makes no sense as it stands."""
        own = self._neighbours.own
        match body:
            case ShowSelf(card):
                view = self_view(self._neighbours, now, card=card)
                return [Reply(request, view)]
            case WhoIs() | PingAgent():
                return [*self._reach(request, body, now)]
            case ListPeers():
                return [Reply(request, peer_views(self._neighbours))]
            case ConnectPeer():
                return [*self._connect(request, body, now)]
            case DisconnectPeer(peer):
                return [*self._disconnect(request, peer)]
            case ListSkills():
                return [Reply(request, SkillViews(own.skills))]
            case AddSkill(skill):
                return [*own.add(skill, now), Reply(request, Done())]
            case RemoveSkill(name):
                if all(skill.name != name for skill in own.skills):
                    return [Reply(request, _no_skill(name))]
                return [*own.remove(name, now), Reply(request, Done())]
            case FindSkill():
                return [*self._find(request, body, now)]
            case _:
                assert_never(body)

    def abandon(self, request: int) -> None:
        """Nobody waits for this request's answer any more."""
        self._calls.pop(request, None)

    def peer_up(self, peer: PeerId) -> list[Effect]:
        """A connection stands."""
        return self._end(peer, Done())

    def dial_failed(self, peer: PeerId) -> list[Effect]:
        """Nobody answered where this peer was called."""
        return self._end(peer, _NO_ANSWER)

    def wake(self, now: Moment) -> list[Effect]:
        """Give up what took too long."""
        late = [c for c in self._calls.values() if c.until_ms <= now.mono_ms]
        for call in late:
            del self._calls[call.request]
        return [Reply(call.request, _NO_ANSWER) for call in late]

    def next_wakeup(self) -> int | None:
        """When the first call takes too long; monotonic ms."""
        return min((call.until_ms for call in self._calls.values()), default=None)

    def _reach(
        self, request: int, body: WhoIs | PingAgent, now: Moment
    ) -> list[Effect]:
        until_ms = now.mono_ms + patience_ms(body.wait_seconds)
        address = self._address(body.who)
        card = isinstance(body, WhoIs) and body.card
        if address is None:
            return [Reply(request, _nobody(body.who))]
        if address == self._neighbours.own.me.address:
            if isinstance(body, PingAgent):
                return [Reply(request, Pong(address, 0.0))]
            return [Reply(request, self_view(self._neighbours, now, card=card))]
        aim = Aim.CARD if isinstance(body, WhoIs) else Aim.PING
        waiter = Waiter(request, aim, address.raw, until_ms, card=card)
        return self._finder.ask(waiter, now)

    def _address(self, who: str) -> Address | None:
        """Whom a text names; LocalError if it is a mistyped address."""
        who = who.strip()
        if who.casefold() == SELF:
            return self._neighbours.own.me.address
        if who.startswith(f"{Address.prefix}1"):
            return Address.parse(who)
        return self._neighbours.people.address_of(who)

    def _find(self, request: int, body: FindSkill, now: Moment) -> list[Effect]:
        if not 0 < len(body.name) <= SKILL_CHARS_MAX:
            raise LocalError(
                f"a skill's name has 1 to {SKILL_CHARS_MAX} characters",
                "give the name as its agent offers it, such as translate",
            )
        if body.limit < 1:
            raise LocalError("a search finds at least one", "give a limit from 1 on")
        try:
            about = skill_key(body.name)
        except UnicodeEncodeError:
            raise LocalError(
                "this text holds half a character", "write it as whole Unicode text"
            ) from None
        until_ms = now.mono_ms + patience_ms(body.wait_seconds)
        waiter = Waiter(request, Aim.SKILL, about, until_ms, body.name, body.limit)
        return self._finder.ask(waiter, now)

    def _connect(self, request: int, body: ConnectPeer, now: Moment) -> list[Effect]:
        multiaddr, peer = _parsed(body.multiaddr)
        until_ms = now.mono_ms + patience_ms(body.wait_seconds)
        if peer == self._neighbours.own.me.peer:
            raise LocalError(
                "this is the address of this very node",
                "give the multiaddr of another; `nestmate id` shows your own",
            )
        if peer in self._neighbours.links:
            return [Reply(request, Done())]
        dialling = self._neighbours.dialling
        effects = dialling.book.learn_hints(peer, [multiaddr])
        effects += dialling.book.hold(peer, held=False)
        effects += dialling.dial(peer, now)
        if not dialling.is_dialling(peer):
            return [*effects, Reply(request, _SHUNNED)]
        self._calls[request] = _Call(request, peer, until_ms)
        return effects

    def _disconnect(self, request: int, peer: PeerId) -> list[Effect]:
        if peer not in self._neighbours.links:
            return [Reply(request, _NOT_CONNECTED)]
        held = self._neighbours.dialling.book.hold(peer, held=True)
        return [*held, HangUp(peer), Reply(request, Done())]

    def _end(self, peer: PeerId, response: object) -> list[Effect]:
        ended = [call for call in self._calls.values() if call.peer == peer]
        for call in ended:
            del self._calls[call.request]
        return [Reply(call.request, response) for call in ended]


def _parsed(text: str) -> tuple[str, PeerId]:
    """A full multiaddr's two halves: where, and which peer."""
    text = text.strip()
    where, mark, peer = text.rpartition(_PEER_MARK)
    fits = len(where) <= MULTIADDR_CHARS_MAX and where.isascii()
    if not mark or not where.startswith("/") or not fits or not where.isprintable():
        raise LocalError(
            f"{text[:80]!r} is not a full multiaddr",
            "write it like /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…",
        )
    return where, PeerId.parse(peer)


def _nobody(who: str) -> Refusal:
    return Refusal(
        Code.NOT_FOUND,
        f"there is no contact {who[:80]!r}",
        "give an address (nest1…), or see who there is: `nestmate contact ls`",
    )


def _no_skill(name: str) -> Refusal:
    return Refusal(
        Code.NOT_FOUND,
        f"this node offers no skill {name[:80]!r}",
        "see what it offers: `nestmate skill ls`",
    )


_NO_ANSWER: Final = Refusal(
    Code.TIMED_OUT,
    "nobody answered there as this peer",
    "is the node up, and on a network that this machine can reach?",
)
_SHUNNED: Final = Refusal(
    Code.DENIED,
    "this is the node of an agent you have blocked",
    "to let it in again: `nestmate contact trust WHO known`",
)
_NOT_CONNECTED: Final = Refusal(
    Code.NOT_FOUND, "there is no connection with this peer", "see `nestmate peer ls`"
)
