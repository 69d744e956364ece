"""Kademlia's arithmetic: how far a peer is from a key, and who is known to be near.

The distance of two names is the XOR of their SHA-256, as everywhere in libp2p. Only
peers this node has been connected with get into the table, so nobody fills it with
names; each bucket keeps the twenty that proved alive last. This file sends nothing.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from nestmate.network.libp2p.addresses import Place, peer_octets
from nestmate_protocol.ids import PeerId

BUCKET_PEERS_MAX: Final = 20
_BITS: Final = 256
_SPOTS_KEPT: Final = 8_192


def spot(octets: bytes) -> int:
    """Where a key or a peer id lies in the key space."""
    return int.from_bytes(hashlib.sha256(octets).digest())


@lru_cache(maxsize=_SPOTS_KEPT)
def peer_spot(peer: PeerId) -> int:
    """Where a peer lies."""
    return spot(peer_octets(peer))


@dataclass(frozen=True, slots=True)
class Contact:
    """A peer and where it says it can be reached."""

    peer: PeerId
    places: tuple[Place, ...]


def nearest(contacts: Iterable[Contact], target: int, count: int) -> list[Contact]:
    """The contacts nearest to a spot, nearest first."""
    return sorted(contacts, key=lambda each: peer_spot(each.peer) ^ target)[:count]


class Table:
    """The peers this node knows to take part in the DHT."""

    def __init__(self, own: PeerId) -> None:
        self._own = peer_spot(own)
        self._buckets: dict[int, dict[PeerId, Contact]] = {}

    def __repr__(self) -> str:
        return f"<Table of {len(self)}>"

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets.values())

    def met(self, contact: Contact) -> None:
        """A peer proved to be alive; in a full bucket the longest unseen one goes."""
        bucket = self._buckets.setdefault(self._depth(contact.peer), {})
        bucket.pop(contact.peer, None)
        bucket[contact.peer] = contact
        if len(bucket) > BUCKET_PEERS_MAX:
            del bucket[next(iter(bucket))]

    def lost(self, peer: PeerId) -> None:
        """A peer could not be reached."""
        self._buckets.get(self._depth(peer), {}).pop(peer, None)

    def near(self, target: int, count: int = BUCKET_PEERS_MAX) -> list[Contact]:
        """The known peers nearest to a spot."""
        everybody = (
            each for bucket in self._buckets.values() for each in bucket.values()
        )
        return nearest(everybody, target, count)

    def _depth(self, peer: PeerId) -> int:
        return _BITS - (peer_spot(peer) ^ self._own).bit_length()
