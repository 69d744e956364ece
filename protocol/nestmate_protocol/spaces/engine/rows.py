"""Rows: everything the engine keeps on disk, under which keys, and not yet written.

One op makes all its rows in one batch, so that a crash leaves all of them or none.
Every row except those of the ops themselves can be made anew from them. Reads see what
was put here since the last batch was handed out. This file knows the layout of keys
and nothing of what the rows mean.

Keys begin with the prefix of the space, then one letter:

- ``o`` op id -> the op (``Stored``)
- ``a`` lane, author, branch, seq -> its place in a chain (``chains``)
- ``b`` lane, author, branch -> the branch
- ``g`` dot -> how many offered ops act under a grant
- ``t`` lane, hlc, op id -> nothing; the offered ops in the order sync wants
- ``k`` path, type, dot -> a live entry
- ``d`` path, type, dot, dot -> nothing; the first is superseded by the second
- ``e`` op id -> nothing; superseded before it came
- ``f`` path, type -> nothing; an object in conflict
- ``x`` author, path, type -> the ephemeral op that is latest there
- ``w`` due, what -> what is to happen then
- ``m`` -> version and counts
"""

from collections.abc import Iterator
from typing import Final, Protocol

Pair = tuple[bytes, bytes]
Write = tuple[bytes, bytes | None]

VERSION: Final = 1

_LIMIT: Final = b"\xff"


class Reader(Protocol):
    """Ordered keys as they are, with every write that was handed out before."""

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        ...

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[Pair]:
        """All pairs under a prefix in key order, from ``start`` on if it is given."""
        ...


class Rows:
    """The rows of one space: those on disk, and over them those not yet handed out.

    Keys are given without the prefix of the space.
    """

    def __init__(self, reader: Reader, prefix: bytes) -> None:
        self._reader = reader
        self._prefix = prefix
        self._pending: dict[bytes, bytes | None] = {}

    def __repr__(self) -> str:
        return f"<Rows {self._prefix!r} {len(self._pending)} pending>"

    def __len__(self) -> int:
        return len(self._pending)

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        pending = self._pending
        if key in pending:
            return pending[key]
        return self._reader.get(self._prefix + key)

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value under a key."""
        self._pending[key] = value

    def delete(self, key: bytes) -> None:
        """Keep nothing under a key any more."""
        self._pending[key] = None

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[Pair]:
        """All pairs under a prefix in key order, from ``start`` on if it is given."""
        cut = len(self._prefix)
        first = None if start is None else self._prefix + start
        found = self._reader.scan(self._prefix + prefix, start=first, reverse=reverse)
        below = ((key[cut:], value) for key, value in found)
        over = [
            pair
            for pair in self._pending.items()
            if pair[0].startswith(prefix)
            and (start is None or (pair[0] <= start if reverse else pair[0] >= start))
        ]
        if not over:
            return below
        over.sort(reverse=reverse)
        return _merged(below, over, reverse=reverse)

    def below(self, prefix: bytes) -> Iterator[Pair]:
        """As ``scan``, where nothing has been put since the last batch."""
        cut = len(self._prefix)
        found = self._reader.scan(self._prefix + prefix)
        return ((key[cut:], value) for key, value in found)

    def drain(self) -> tuple[Write, ...]:
        """All that was put since the last time, for one batch."""
        prefix = self._prefix
        writes = tuple([(prefix + k, v) for k, v in self._pending.items()])
        self._pending = {}
        return writes


def _merged(
    below: Iterator[Pair], over: list[Write], *, reverse: bool
) -> Iterator[Pair]:
    """Both in one order; where a key is in both, ``over`` holds."""
    pair = next(below, None)
    for key, value in over:
        while pair is not None and (pair[0] > key if reverse else pair[0] < key):
            yield pair
            pair = next(below, None)
        if pair is not None and pair[0] == key:
            pair = next(below, None)
        if value is not None:
            yield key, value
    while pair is not None:
        yield pair
        pair = next(below, None)
