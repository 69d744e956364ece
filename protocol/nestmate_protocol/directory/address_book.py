"""Address book: where peers can be reached, kept across restarts.

A peer's addresses come from its agent's signed card or are mere hints: what a
connection proved, an invite named or the DHT claimed. Hints never push out what was
signed. The book is bounded and forgets first whoever it never or longest ago reached.
It knows no card, no name and no trust, and does not decide whom to dial.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.codec import Value, decode, encode
from nestmate_protocol.effects import Effect, Save
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import (
    HOST_ADDRESSES_MAX,
    MULTIADDR_CHARS_MAX,
    PEERS_KNOWN_MAX,
)

PREFIX: Final = b"d/book/"
HINTS_MAX: Final = HOST_ADDRESSES_MAX
_VERSION: Final = 1


@dataclass(slots=True)
class Entry:
    """One peer; ``ok_ms`` is Unix ms of the last connection, 0 for never.

    A ``held`` peer is left alone until its owner asks for it again.
    """

    signed: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    ok_ms: int = 0
    held: bool = False

    @property
    def multiaddrs(self) -> tuple[str, ...]:
        """Everywhere this peer might be, the best-founded places first."""
        return tuple(dict.fromkeys(self.signed + self.hints))[:HOST_ADDRESSES_MAX]


class AddressBook:
    """Peers by host key, and where they might be."""

    def __init__(self, own: PeerId, needed: Callable[[PeerId], bool]) -> None:
        """``needed`` says of a peer that it must not be forgotten now."""
        self._own = own
        self._needed = needed
        self._entries: dict[PeerId, Entry] = {}
        self.changes = 0

    def __repr__(self) -> str:
        return f"<AddressBook {len(self._entries)} peers>"

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[PeerId]:
        return iter(self._entries)

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what an earlier run saved; what cannot be read is left out."""
        for key, value in pairs:
            try:
                self._entries[PeerId(key[len(PREFIX) :])] = _unpack(value)
            except (LocalError, RemoteError):
                continue
        self.changes += 1

    def get(self, peer: PeerId) -> Entry | None:
        """What is known about a peer, to be read only."""
        return self._entries.get(peer)

    def multiaddrs(self, peer: PeerId) -> tuple[str, ...]:
        """Where a peer might be; empty if nobody ever said."""
        entry = self._entries.get(peer)
        return entry.multiaddrs if entry else ()

    def learn_signed(self, peer: PeerId, multiaddrs: Sequence[str]) -> list[Effect]:
        """Take a peer's addresses from its agent's card; they replace the last ones."""
        signed = tuple(multiaddrs)[:HOST_ADDRESSES_MAX]
        entry = self._open(peer)
        if entry is None or entry.signed == signed:
            return []
        entry.signed = signed
        return self._save(peer, entry)

    def learn_hints(self, peer: PeerId, multiaddrs: Sequence[str]) -> list[Effect]:
        """Take addresses somebody only claims; the newest of them are kept."""
        fitting = [text for text in multiaddrs if 0 < len(text) <= MULTIADDR_CHARS_MAX]
        entry = self._open(peer) if fitting else None
        if entry is None:
            return []
        hints = tuple(dict.fromkeys((*fitting, *entry.hints)))[:HINTS_MAX]
        if set(hints) == set(entry.hints):
            return []
        entry.hints = hints
        return self._save(peer, entry)

    def reached(self, peer: PeerId, multiaddr: str, wall_ms: int) -> list[Effect]:
        """A connection stands; an outbound one proves ``multiaddr``, else empty."""
        entry = self._open(peer)
        if entry is None:
            return []
        entry.ok_ms = wall_ms
        if multiaddr and multiaddr not in entry.signed:
            entry.hints = tuple(dict.fromkeys((multiaddr, *entry.hints)))[:HINTS_MAX]
        return self._save(peer, entry)

    def hold(self, peer: PeerId, *, held: bool) -> list[Effect]:
        """Leave a peer alone until its owner asks for it, or no longer."""
        entry = self._entries.get(peer)
        if entry is None or entry.held == held:
            return []
        entry.held = held
        return self._save(peer, entry)

    def _open(self, peer: PeerId) -> Entry | None:
        """The peer's entry, made if there is room; never one for ourselves."""
        entry = self._entries.get(peer)
        if entry is None and peer != self._own:
            entry = self._entries[peer] = Entry()
            self.changes += 1
        return entry

    def _save(self, peer: PeerId, entry: Entry) -> list[Effect]:
        self.changes += 1
        writes: list[tuple[bytes, bytes | None]] = [(PREFIX + peer.raw, _pack(entry))]
        if len(self._entries) > PEERS_KNOWN_MAX:
            writes += [(PREFIX + gone.raw, None) for gone in self._forget_one(peer)]
        return [Save(tuple(writes), durable=False)]

    def _forget_one(self, newest: PeerId) -> list[PeerId]:
        """Drop whoever was never or longest ago reached; the newest if all count."""
        spare = [p for p in self._entries if p != newest and not self._needed(p)]
        oldest = min(spare, key=lambda p: (self._entries[p].ok_ms, p), default=newest)
        del self._entries[oldest]
        return [oldest]


def _pack(entry: Entry) -> bytes:
    return encode([_VERSION, entry.signed, entry.hints, entry.ok_ms, entry.held])


def _unpack(value: bytes) -> Entry:
    match decode(value):
        case [_, list(signed), list(hints), int(ok_ms), bool(held)]:
            return Entry(_texts(signed), _texts(hints), ok_ms, held)
        case _:
            raise LocalError("not an entry of the address book")


def _texts(items: list[Value]) -> tuple[str, ...]:
    return tuple(item for item in items if isinstance(item, str))
