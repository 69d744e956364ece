"""Salvage: everything that can still be read around the bad blocks of a database.

A read that meets a bad block stops, so the rest is approached from the other side,
and what lies between two bad blocks is looked for by halving the gap, a bounded
number of times. Whether what was read is true is for the caller to prove. This file
knows nothing of databases, only of reads that may fail.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from nestmate.errors import StoreError

Pair = tuple[bytes, bytes]

RANGES_MAX: Final = 256


class Read(Protocol):
    """Pairs from ``low`` up to, not with, ``high``; StoreError at a bad block."""

    def __call__(
        self, low: bytes, high: bytes | None, *, reverse: bool
    ) -> Iterator[Pair]:
        """Read on until the end of the range or the first bad block."""
        ...


def salvage(read: Read) -> Iterator[Pair]:
    """All pairs that can be reached, each once, in no particular order."""
    ranges: deque[tuple[bytes, bytes | None]] = deque([(b"", None)])
    for _ in range(RANGES_MAX):
        if not ranges:
            return
        low, high = ranges.popleft()
        try:
            for key, value in read(low, high, reverse=False):
                yield key, value
                low = key + b"\0"
            continue
        except StoreError:
            pass
        try:
            for key, value in read(low, high, reverse=True):
                yield key, value
                high = key
        except StoreError:
            middle = _between(low, high)
            if middle is not None:
                ranges += [(low, middle), (middle, high)]


def _between(low: bytes, high: bytes | None) -> bytes | None:
    """A key about half way, or None where there is no room."""
    size = max(len(low), len(high or b"")) + 1
    bottom = int.from_bytes(low.ljust(size, b"\0"))
    top = int.from_bytes(high.ljust(size, b"\0")) if high else (1 << 8 * size) - 1
    middle = ((bottom + top) // 2).to_bytes(size)
    return middle if low < middle and (high is None or middle < high) else None
