"""Reception: what is done about a frame of the CARDS channel.

A hello proves which agent is at a peer and is answered with introductions; questions
are answered from the cards known, within each peer's ration; cards that were neither
asked for nor within what a newcomer may hand over are not even opened. This file
starts no search and answers no local agent.
"""

from collections.abc import Iterable
from typing import Final, assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.cards_known import Known
from nestmate_protocol.directory.frames import (
    Cards,
    Echo,
    Hello,
    Ping,
    WantAddress,
    WantDevice,
    WantSkill,
    Who,
    pack,
    unpack,
)
from nestmate_protocol.directory.links import WHO_AFTER_MS, Link
from nestmate_protocol.directory.neighbours import Neighbours
from nestmate_protocol.directory.outcomes import AgentUp, Lapse, Outcome, Skilled
from nestmate_protocol.directory.topics import skill_key
from nestmate_protocol.effects import Channel, Effect, HangUp, Notify, Send, Strike
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.identity.cards import Card, open_card
from nestmate_protocol.ids import Address, DeviceKey, PeerId
from nestmate_protocol.limits import FRAME_BYTES_MAX, PEERS_INTRODUCED_MAX

OUT_OF_TIME: Final = frozenset({Fault.EXPIRED, Fault.FROM_THE_FUTURE})
_ANSWER_BYTES_MAX: Final = FRAME_BYTES_MAX // 2

Heard = Cards | Echo


class Reception:
    """Answers peers, and hands on what they answered us."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    def arrived(
        self, peer: PeerId, data: bytes, now: Moment
    ) -> tuple[list[Outcome], Heard | None]:
        """What follows from a frame, and the frame itself if it answers a question.

        Raises RemoteError for whatever no honest node would send.
        """
        link = self._neighbours.links.get(peer)
        if link is None:
            return [], None
        frame = unpack(data)
        match frame:
            case Hello(card):
                return self._hello(link, card, now), None
            case Cards(cards):
                return self._cards(link, cards, now), frame
            case Echo():
                return [], frame
            case Who():
                answered = link.answers.take(now)
                return [*self.greet(peer)] if answered else [], None
            case Ping(number):
                return [*self._answer(link, pack(Echo(number)), now)], None
            case WantAddress(raw):
                known = self._known(Address(raw))
                return [*self._tell(link, raw, known, now)], None
            case WantDevice(raw):
                author = self._neighbours.cards.author_of(DeviceKey(raw))
                own = self._neighbours.own.me
                author = own.address if raw == own.key.public.raw else author
                known = self._known(author) if author else []
                return [*self._tell(link, raw, known, now)], None
            case WantSkill(name):
                known = self._offering(name, now)
                return [*self._tell(link, skill_key(name), known, now)], None
            case _:
                assert_never(frame)

    def greet(self, peer: PeerId) -> list[Effect]:
        """Tell a peer who we are."""
        card = self._neighbours.own.card
        if card is None:
            return []
        return [Send(peer, Channel.CARDS, pack(Hello(card.data)))]

    def greet_all(self) -> list[Effect]:
        """Tell every connected peer who we are now."""
        links = self._neighbours.links.all()
        return [effect for link in links for effect in self.greet(link.peer)]

    def wake(self, now: Moment) -> list[Effect]:
        """Ask those who have not said hello who they are; a stream may have died."""
        effects: list[Effect] = []
        for link in self._neighbours.links.strangers():
            if link.who_ms <= now.mono_ms:
                link.asked_who += 1
                link.who_ms = now.mono_ms + (WHO_AFTER_MS << link.asked_who)
                effects.append(Send(link.peer, Channel.CARDS, pack(Who())))
        return effects

    def next_wakeup(self) -> int | None:
        """When somebody is to be asked who they are; monotonic ms."""
        strangers = self._neighbours.links.strangers()
        return min((link.who_ms for link in strangers), default=None)

    def ask_whose(self, device: DeviceKey, peer: PeerId) -> list[Effect]:
        """Ask a peer for the card that a device key speaks for."""
        link = self._neighbours.links.get(peer)
        if link is None or link.address is None:
            return []
        link.cards_left += 1
        return [Send(peer, Channel.CARDS, pack(WantDevice(device.raw)))]

    def _hello(self, link: Link, data: bytes, now: Moment) -> list[Outcome]:
        neighbours = self._neighbours
        try:
            card = self._open(data, now)
        except RemoteError as error:
            if error.fault in OUT_OF_TIME:
                link.late = pack(Hello(data))
            return [_blamed(link.peer, error.fault)]
        link.late = b""
        if neighbours.people.is_blocked(card.address):
            return [HangUp(link.peer)]
        if all(host.peer != link.peer for host in card.hosts):
            raise RemoteError(Fault.NOT_ENTITLED, "card of another node")
        if link.address not in {None, card.address}:
            raise RemoteError(Fault.NOT_ENTITLED, "card of another agent")
        if card.address == neighbours.own.me.address:
            return neighbours.take(card, now)
        had = {
            offer.name for known in self._known(card.address) for offer in known.skills
        }
        outcomes, current = self._take(link, card, now)
        if not current:
            return outcomes
        if neighbours.links.prove(link, card.address, card.author):
            outcomes += neighbours.saw(card.address, now)
            outcomes += self._introduce(link, now)
            details = {"peer": link.peer.text, "multiaddr": link.multiaddr}
            outcomes.append(Notify("peer.up", None, card.address, details))
            outcomes.append(AgentUp(card.address, link.peer))
            return outcomes
        new = tuple(offer.name for offer in card.skills if offer.name not in had)
        if new and link.answers.take(now):
            outcomes.append(Skilled(card.address, new))
        return outcomes

    def _take(self, link: Link, card: Card, now: Moment) -> tuple[list[Outcome], bool]:
        """Believe a peer about itself; whoever lags behind is told of it."""
        try:
            outcomes, current = self._neighbours.take(card, now), True
        except RemoteError:
            outcomes, current = [], False
        current = current and not card.log.retired
        newest = self._known(card.address)
        if any(known.rank > card.rank for known in newest):
            outcomes += self._tell(link, card.address.raw, newest, now)
        return outcomes, current

    def _cards(self, link: Link, cards: Iterable[bytes], now: Moment) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for data in cards:
            if link.cards_left == 0:
                break
            link.cards_left -= 1
            try:
                outcomes += self._neighbours.take(self._open(data, now), now)
            except RemoteError as error:
                outcomes.append(_blamed(link.peer, error.fault))
        return outcomes

    def _introduce(self, link: Link, now: Moment) -> list[Effect]:
        """Up to sixteen agents seen of late, so that nobody depends on us alone."""
        people, cards = self._neighbours.people, self._neighbours.cards
        recent: list[Card] = []
        for known in cards.latest_first():
            card = known.card
            shown = not (known.forked or people.is_blocked(card.address))
            if shown and card.address != link.address and _is_valid(card, now):
                recent.append(card)
            if len(recent) == PEERS_INTRODUCED_MAX:
                break
        return [_cards_to(link.peer, recent, b"")] if recent else []

    def _known(self, address: Address) -> list[Card]:
        """The newest card of an address, be it our own."""
        own = self._neighbours.own
        if address == own.me.address:
            return [own.card] if own.card else []
        known = self._neighbours.cards.get(address)
        return [known.card] if known else []

    def _offering(self, skill: str, now: Moment) -> list[Card]:
        """Cards that offer a skill: our own, then whoever gave a sign of life last."""
        own = self._neighbours.own.card
        first = [own] if own and any(s.name == skill for s in own.skills) else []
        offering = self._neighbours.cards.offering(skill, now.wall_ms)
        offering.sort(key=_latest_first)
        people = self._neighbours.people
        others = [k.card for k in offering if not people.is_blocked(k.card.address)]
        return first + others

    def _tell(
        self, link: Link, about: bytes, cards: Iterable[Card], now: Moment
    ) -> list[Effect]:
        """Answer a question with cards, also if there are none."""
        valid = [card for card in cards if _is_valid(card, now)]
        if not link.answers.take(now):
            return []
        return [_cards_to(link.peer, valid, about)]

    def _answer(self, link: Link, data: bytes, now: Moment) -> list[Effect]:
        if not link.answers.take(now):
            return []
        return [Send(link.peer, Channel.CARDS, data)]

    def _open(self, data: bytes, now: Moment) -> Card:
        """A card that is valid now; one of our own may be ahead of our clock."""
        me = self._neighbours.own.me
        opened = self._neighbours.cards.opened(data, now.wall_ms)
        if opened is not None:
            return opened
        try:
            return open_card(data, me.network, now.wall_ms)
        except RemoteError as error:
            if error.fault is Fault.FROM_THE_FUTURE:
                card = open_card(data, me.network, None)
                if card.address == me.address:
                    return card
            raise


def _cards_to(peer: PeerId, cards: Iterable[Card], about: bytes) -> Send:
    """As many cards as one frame takes."""
    chosen: list[bytes] = []
    room = _ANSWER_BYTES_MAX
    for card in cards:
        room -= len(card.data)
        if room < 0 or len(chosen) == PEERS_INTRODUCED_MAX:
            break
        chosen.append(card.data)
    return Send(peer, Channel.CARDS, pack(Cards(tuple(chosen), about)))


def _blamed(peer: PeerId, fault: Fault) -> Strike | Lapse:
    """Cards out of their time come from wrong clocks; anything else is made."""
    if fault in OUT_OF_TIME:
        return Lapse(fault)
    return Strike(peer, fault)


def _is_valid(card: Card, now: Moment) -> bool:
    return card.valid_until_ms > now.wall_ms


def _latest_first(known: Known) -> tuple[int, Address]:
    return -known.seen_ms, known.card.address
