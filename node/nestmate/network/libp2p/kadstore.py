"""What this node keeps for others in the DHT: who provides what, and presences.

Everything has an owner that may be told apart (a provider names only itself, a
presence is signed), a time to end, and a bound per peer and in all; when the room is
full, what is nearest to this node stays. This file sends nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nestmate.network.libp2p.addresses import Place
from nestmate.network.libp2p.kadtable import peer_spot, spot
from nestmate.network.presence import judged_presence
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.identity.cards import Presence
from nestmate_protocol.ids import Address, NetworkId, PeerId

PROVIDED_SECONDS: Final = 48 * 3_600.0
PROVIDER_KEYS_MAX: Final = 8_192
PROVIDERS_PER_KEY_MAX: Final = 64
KEYS_PER_PROVIDER_MAX: Final = 256
PROVIDER_KEY_BYTES_MAX: Final = 80
VALUE_BYTES_MAX: Final = 16 * 1024 * 1024
VALUES_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class _Provider:
    """Where a provider is reached, and until when that is believed."""

    places: tuple[Place, ...]
    until: float


class Providers:
    """Who says to have something to say under which key; times in seconds."""

    def __init__(self, own: PeerId, now: Callable[[], float]) -> None:
        self._own = peer_spot(own)
        self._now = now
        self._by_key: dict[bytes, dict[PeerId, _Provider]] = {}
        self._keys_of: dict[PeerId, int] = {}
        self._distances: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<Providers of {len(self._by_key)} keys>"

    def add(self, key: bytes, peer: PeerId, places: tuple[Place, ...]) -> None:
        """Believe a provider; RemoteError if it is one key too many."""
        if not 0 < len(key) <= PROVIDER_KEY_BYTES_MAX:
            raise RemoteError(Fault.BAD_FIELD, "provider key")
        known = self._by_key.get(key, {})
        if peer not in known:
            if self._keys_of.get(peer, 0) >= KEYS_PER_PROVIDER_MAX:
                raise RemoteError(Fault.OVER_LIMIT, "keys of one provider")
            if key not in self._by_key and len(self._by_key) >= PROVIDER_KEYS_MAX:
                self._drop_key(max(self._by_key, key=self._distances.__getitem__))
            if len(known) >= PROVIDERS_PER_KEY_MAX:
                self._drop(key, next(iter(known)))
            self._keys_of[peer] = self._keys_of.get(peer, 0) + 1
        else:
            del known[peer]
        until = self._now() + PROVIDED_SECONDS
        self._distances[key] = spot(key) ^ self._own
        self._by_key.setdefault(key, {})[peer] = _Provider(places, until)

    def of(self, key: bytes) -> list[tuple[PeerId, tuple[Place, ...]]]:
        """The providers of a key, latest first."""
        known = self._by_key.get(key, {})
        for peer in [p for p, each in known.items() if each.until <= self._now()]:
            self._drop(key, peer)
        known = self._by_key.get(key, {})
        return [(peer, each.places) for peer, each in reversed(known.items())]

    def _drop_key(self, key: bytes) -> None:
        for peer in list(self._by_key[key]):
            self._drop(key, peer)

    def _drop(self, key: bytes, peer: PeerId) -> None:
        del self._by_key[key][peer]
        if not self._by_key[key]:
            del self._by_key[key], self._distances[key]
        self._keys_of[peer] -= 1
        if not self._keys_of[peer]:
            del self._keys_of[peer]


class Presences:
    """The best presence of each address that was entrusted to this node."""

    def __init__(self, network: NetworkId, own: PeerId) -> None:
        self._network = network
        self._own = peer_spot(own)
        self._kept: dict[Address, Presence] = {}
        self._distances: dict[Address, int] = {}
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Presences of {len(self._kept)}, {self._bytes} bytes>"

    def put(self, address: Address, record: bytes) -> Presence:
        """Keep a record if it is good and the best; returns the one that is kept.

        Raises RemoteError if it is not a presence of ``address``.
        """
        known = self._kept.get(address)
        if known is not None and known.data == record:
            return known
        presence = judged_presence(address, record, self._network)
        if known is None or presence.rank >= known.rank:
            self._remove(address)
            self._kept[address] = presence
            self._distances[address] = spot(address.raw) ^ self._own
            self._bytes += len(record)
            self._make_room()
        return self._kept.get(address, presence)

    def get(self, address: Address) -> bytes | None:
        """The record that is kept, unless it has expired."""
        known = self._kept.get(address)
        if known is not None and known.valid_until_ms <= time.time() * 1000:
            self._remove(address)
            return None
        return known.data if known else None

    def _make_room(self) -> None:
        while self._bytes > VALUE_BYTES_MAX or len(self._kept) > VALUES_MAX:
            self._remove(max(self._kept, key=self._distances.__getitem__))

    def _remove(self, address: Address) -> None:
        known = self._kept.pop(address, None)
        if known is not None:
            del self._distances[address]
            self._bytes -= len(known.data)
