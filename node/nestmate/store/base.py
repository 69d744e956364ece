"""The store port: ordered keys, atomic batches, and honesty about what was lost.

Nothing here knows LevelDB, and nothing above here may. Both twins pass the suite in
``tests/node/store_contract.py``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Write = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class BootReport:
    """What opening the store found out; an empty ``lost_batches`` is good news.

    ``incarnation`` is 16 fresh random bytes of this boot. ``lost_batches`` counts
    batches the head file vouches for that the database no longer holds.
    """

    incarnation: bytes
    batches: int
    lost_batches: int
    repaired: bool


class KeyValue(Protocol):
    """Ordered bytes to bytes; one writer; a batch is whole or not there."""

    @property
    def report(self) -> BootReport:
        """What opening found out."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        ...

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """All pairs under a prefix in key order, optionally from ``start`` on."""
        ...

    def write(self, writes: Iterable[Write], *, durable: bool) -> None:
        """Apply one atomic batch; with ``durable`` it survives a power cut.

        Raises StoreError when the disk refuses; nothing of the batch is then seen.
        """
        ...

    def export(self, path: Path) -> int:
        """Write a consistent snapshot to a new file; returns the number of pairs."""
        ...

    def close(self) -> None:
        """Give the lock back; idempotent."""
        ...
