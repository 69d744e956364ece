"""What the core needs of others: a disk to read, chance, and parts that can be woken.

The ports stand here because more than the core uses them; this file knows no subject.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

Entropy = Callable[[int], bytes]


class Reader(Protocol):
    """What is on disk in key order, and what the core has asked to save besides."""

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        ...

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """All pairs whose key starts with ``prefix``, in key order from ``start``."""
        ...

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """The keys from ``low`` up to, not with, ``high``, in order, without values."""
        ...


class Sleeper(Protocol):
    """A part that wants to be woken now and then."""

    def next_wakeup(self) -> int | None:
        """When, on the monotonic clock in ms; None for never."""
        ...
