"""What blobs need to know about agents, peers and spaces that are not theirs to keep.

The ports stand here because their users do; who fills them is decided where the
subjects are put together.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from nestmate_protocol.ids import Address, PeerId, SpaceId


class Audience(Protocol):
    """Who is connected, and for whom a peer stands."""

    def peers(self) -> Iterable[PeerId]:
        """Everybody connected."""
        ...

    def peer_of(self, address: Address) -> PeerId | None:
        """The connected peer at which an agent is, proved by its card."""
        ...

    def agent_at(self, peer: PeerId) -> Address | None:
        """The agent at a connected peer, proved by its card."""
        ...

    def readers(self, space: SpaceId) -> Iterable[PeerId]:
        """Everybody connected who has proved that it may read in a space."""
        ...

    def keepers(self, space: SpaceId) -> Iterable[PeerId]:
        """These, and who may hold and pass on what it cannot read."""
        ...


class Reader(Protocol):
    """What is on disk in key order, and what was asked to be saved besides."""

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All pairs whose key starts with ``prefix``, in key order."""
        ...
