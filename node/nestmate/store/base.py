"""The store port: ordered keys, atomic batches, and honesty about what was lost.

Keys are 1 to 1,024 bytes and do not begin with a zero byte, which the store keeps for
itself. Nothing here knows LevelDB, and nothing above here may. Both twins pass the
suite in ``tests/node/store_contract.py``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from nestmate.errors import StoreError

Write = tuple[bytes, bytes | None]

KEY_BYTES_MAX: Final = 1_024
RESERVED: Final = b"\0"


@dataclass(frozen=True, slots=True)
class BootReport:
    """What opening the store found out; an empty ``lost_batches`` is good news.

    ``incarnation`` is 16 fresh random bytes of this boot. ``lost_batches`` counts
    batches the head file vouches for that the database no longer holds; when the
    database was ``repaired`` it is the least that is missing.
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
        """All pairs under a prefix in key order, as they are at this moment.

        ``start`` is the first key to come if it exists, also when going in
        ``reverse``, from the highest key down.
        """
        ...

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """All keys from ``low`` up to, not with, ``high``, in order, as of this moment.

        Three times as fast as a scan, because no value is read or proved.
        """
        ...

    def write(self, writes: Iterable[Write], *, durable: bool) -> None:
        """Apply one atomic batch; with ``durable`` it survives a power cut.

        Raises StoreError when the disk refuses; nothing of the batch is then seen.
        """
        ...

    def vouch(self) -> None:
        """Bring the head up to date with the last durable batch.

        Durable writes do so at most once a second; a node calls this when it rests,
        so that the last writes of a burst are vouched for too.
        """
        ...

    def export(self, path: Path) -> int:
        """Write a consistent snapshot to a new file; returns the number of pairs."""
        ...

    def close(self) -> None:
        """Give the lock back; idempotent."""
        ...


def check_key(key: bytes) -> None:
    """Raise StoreError for a key no store takes."""
    if not 0 < len(key) <= KEY_BYTES_MAX or key.startswith(RESERVED):
        raise StoreError(f"{key[:32]!r} is no key for a store.")


def key_range(prefix: bytes) -> tuple[bytes, bytes | None]:
    """The first key under a prefix and the first one after it, None for no such."""
    if not prefix:
        return b"\1", None
    trimmed = prefix.rstrip(b"\xff")
    if not trimmed:
        return prefix, None
    return prefix, trimmed[:-1] + bytes([trimmed[-1] + 1])
