"""What the tests of spaces share: entries of one object, made by hand."""

from collections.abc import Callable
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
