"""Links: the connections that stand, and what each peer may cost us in answers.

A peer's host key is proved by the connection; which agent it is, only by that agent's
card, said over this very connection. What a peer may ask and hand us is rationed here,
so that the work it causes stays small beside the work it does. This file knows no
card and no wire.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, DeviceKey, PeerId
from nestmate_protocol.limits import PEERS_INTRODUCED_MAX

ANSWERS_BURST: Final = 32
ANSWER_EVERY_MS: Final = 250
WHO_AFTER_MS: Final = 5_000
WHO_TIMES_MAX: Final = 4
CARDS_UNASKED_MAX: Final = 4 * PEERS_INTRODUCED_MAX


@dataclass(slots=True)
class Ration:
    """So many at once, and one more every so often."""

    burst: int
    every_ms: int
    _debt_ms: int = 0
    _at_ms: int | None = None

    def take(self, now: Moment) -> bool:
        """Whether one more is granted."""
        passed = 0 if self._at_ms is None else now.mono_ms - self._at_ms
        self._at_ms = now.mono_ms
        self._debt_ms = max(0, self._debt_ms - max(0, passed))
        if self._debt_ms > (self.burst - 1) * self.every_ms:
            return False
        self._debt_ms += self.every_ms
        return True


@dataclass(slots=True)
class Link:
    """One connected peer; ``since_ms`` is Unix ms, ``address`` None until its hello.

    ``who_ms`` is when to ask again for the hello, monotonic, and ``asked_who`` how
    often that was done. ``device`` is the key that said so; ``late`` is a hello that
    did not fit its time; ``cards_left`` is how many cards the peer may still hand us.
    """

    peer: PeerId
    multiaddr: str
    inbound: bool
    since_ms: int
    who_ms: int
    asked_who: int = 0
    address: Address | None = None
    device: DeviceKey | None = None
    late: bytes = b""
    cards_left: int = CARDS_UNASKED_MAX
    answers: Ration = field(
        default_factory=lambda: Ration(ANSWERS_BURST, ANSWER_EVERY_MS)
    )


class Links:
    """Connected peers, in the order in which they came."""

    def __init__(self) -> None:
        self._links: dict[PeerId, Link] = {}
        self._by_address: dict[Address, dict[PeerId, None]] = {}

    def __repr__(self) -> str:
        return f"<Links {len(self._links)}>"

    def __len__(self) -> int:
        return len(self._links)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._links

    def all(self) -> list[Link]:
        """Every connection, oldest first."""
        return list(self._links.values())

    def get(self, peer: PeerId) -> Link | None:
        """The connection with a peer."""
        return self._links.get(peer)

    def up(self, peer: PeerId, multiaddr: str, now: Moment, *, inbound: bool) -> bool:
        """A connection stands; False if one with this peer did already."""
        if peer in self._links:
            return False
        who_ms = now.mono_ms + WHO_AFTER_MS
        self._links[peer] = Link(peer, multiaddr, inbound, now.wall_ms, who_ms)
        return True

    def down(self, peer: PeerId) -> Link | None:
        """The connection is gone."""
        link = self._links.pop(peer, None)
        if link is not None:
            self._unindex(link)
        return link

    def prove(self, link: Link, address: Address, device: DeviceKey) -> bool:
        """A peer's hello has named its agent; True if that is news."""
        link.device = device
        if link.address is not None:
            return False
        link.address = address
        self._by_address.setdefault(address, {})[link.peer] = None
        return True

    def entitle(self, address: Address, devices: Collection[DeviceKey]) -> None:
        """Only these devices speak for an agent now; others are nobody's node."""
        for peer in list(self._by_address.get(address, ())):
            link = self._links[peer]
            if link.device not in devices:
                self._unindex(link)
                link.address = link.device = None

    def peer_of(self, address: Address) -> PeerId | None:
        """A connected peer that proved to be this agent's; the latest that came."""
        return next(reversed(self._by_address.get(address, {})), None)

    def strangers(self) -> list[Link]:
        """Connections whose hello is overdue or soon will be, oldest first."""
        return [
            link
            for link in self._links.values()
            if link.address is None and link.asked_who < WHO_TIMES_MAX
        ]

    def peers_at(self, address: Address) -> list[PeerId]:
        """Every connected peer that proved to be this agent's."""
        return list(self._by_address.get(address, ()))

    def agents(self) -> list[Address]:
        """Every agent whose node is connected, oldest connection first."""
        return list(self._by_address)

    def _unindex(self, link: Link) -> None:
        if link.address is not None:
            peers = self._by_address[link.address]
            del peers[link.peer]
            if not peers:
                del self._by_address[link.address]
