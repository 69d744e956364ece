"""What the tests of spaces share: entries of one object, made by hand, and a disk."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import pytest

from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.spaces.ops import Dot, digest_of
from nestmate_protocol.spaces.types import Entry


def author_of(name: str) -> DeviceKey:
    return DeviceKey(sha256(b"key of " + name.encode()).digest())


def dot_named(name: str, n: int = 0) -> Dot:
    return Dot(sha256(name.encode()).digest() + bytes([n]))


class Pen:
    """Writes entries; each author's seq and the time go up by themselves."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, who: str, value: bytes | None = None, **other: object) -> Entry:
        self.count += 1
        chosen = {
            "dot": dot_named(f"op {self.count}"),
            "author": author_of(who),
            "incarnation": b"\x31" * 16,
            "seq": self.count,
            "hlc": self.count << 16,
            "action": 0,
            "digest": digest_of(value),
            "value": value,
            "arg": None,
        }
        return Entry(**{**chosen, **other})


@pytest.fixture
def pen() -> Pen:
    """Writes entries: ``pen("ann", b"value")``."""
    return Pen()


@pytest.fixture(scope="session")
def key() -> Callable[[str], DeviceKey]:
    """The key an author's entries are signed with."""
    return author_of


class Disk:
    """Pairs in memory, read in order."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, bytes] = {}
        self.order: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        return self.pairs.get(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        low = bisect_left(self.order, prefix)
        high = bisect_left(self.order, prefix + b"\xff" * 300)
        if start is not None and reverse:
            high = min(high, bisect_right(self.order, start))
        elif start is not None:
            low = max(low, bisect_left(self.order, start))
        found = [(key, self.pairs[key]) for key in self.order[low:high]]
        return iter(found[::-1] if reverse else found)

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        return iter(
            self.order[bisect_left(self.order, low) : bisect_left(self.order, high)]
        )

    def write(self, writes: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in writes:
            if value is not None:
                if key not in self.pairs:
                    insort(self.order, key)
                self.pairs[key] = value
            elif self.pairs.pop(key, None) is not None:
                del self.order[bisect_left(self.order, key)]


@pytest.fixture
def disk() -> Disk:
    """A disk with nothing on it."""
    return Disk()


@pytest.fixture
def make_disk() -> Callable[[], Disk]:
    """Makes disks with nothing on them."""
    return Disk
