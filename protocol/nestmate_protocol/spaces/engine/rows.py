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
- ``y`` lane, author, incarnation, seq, op id -> nothing; it proves a fork
- ``v`` path, type, author, incarnation, seq, dot -> a write of that writer
- ``q`` since, lane, author, branch -> nothing; a branch that ends in quarantine
- ``n`` lane, seq, op id -> bytes of an op, while rows are made anew
- ``u`` name of a secret, op id -> nothing; an op that cannot be read without it
- ``m`` -> version and counts
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from heapq import merge
from typing import Final, Protocol

Pair = tuple[bytes, bytes]
Write = tuple[bytes, bytes | None]

VERSION: Final = 1
ASIDE: Final = b"n"

_BEYOND: Final = b"\xff" * 400  # longer than any key, and after all that begin alike


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

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """The keys from ``low`` up to, not with, ``high``, in order, without values."""
        ...


class Rows:
    """The rows of one space: those on disk, and over them those not yet handed out.

    Keys are given without the prefix of the space. Those not yet handed out are put
    in order, letter by letter, only once somebody asks for a range.
    """

    def __init__(self, reader: Reader, prefix: bytes) -> None:
        self._reader = reader
        self._prefix = prefix
        self._pending: dict[bytes, bytes | None] = {}
        self._orders: dict[int, list[bytes]] = {}

    def __repr__(self) -> str:
        return f"<Rows {self._prefix!r} {len(self._pending)} pending>"

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def cut(self) -> int:
        """How many bytes of the prefix of the space ``keys`` has in front."""
        return len(self._prefix)

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        pending = self._pending
        if key in pending:
            return pending[key]
        return self._reader.get(self._prefix + key)

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value under a key."""
        if self._orders:
            self._note(key)
        self._pending[key] = value

    def delete(self, key: bytes) -> None:
        """Keep nothing under a key any more."""
        if self._orders:
            self._note(key)
        self._pending[key] = None

    def _note(self, key: bytes) -> None:
        order = self._orders.get(key[0])
        if order is not None and key not in self._pending:
            insort(order, key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[Pair]:
        """All pairs under a prefix in key order, from ``start`` on if it is given."""
        below = self.below(prefix, start=start, reverse=reverse)
        if not self._pending:
            return below
        keys = self._between(prefix, start, reverse=reverse)
        if not keys:
            return below
        over = [(key, self._pending[key]) for key in keys]
        return _merged(below, over, reverse=reverse)

    def _between(
        self, prefix: bytes, start: bytes | None, *, reverse: bool
    ) -> list[bytes]:
        """The keys of a range that were not yet handed out, in order."""
        order = self._ordered(prefix[0])
        first, last = bisect_left(order, prefix), bisect_left(order, prefix + _BEYOND)
        if start is not None and reverse:
            last = min(last, bisect_right(order, start))
        elif start is not None:
            first = max(first, bisect_left(order, start))
        keys = order[first:last]
        return keys[::-1] if reverse else keys

    def _ordered(self, letter: int) -> list[bytes]:
        """All keys of a letter that were not yet handed out, in order."""
        order = self._orders.get(letter)
        if order is None:
            order = sorted([key for key in self._pending if key[0] == letter])
            self._orders[letter] = order
        return order

    def below(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[Pair]:
        """As ``scan``, where nothing has been put since the last batch."""
        cut = len(self._prefix)
        first = None if start is None else self._prefix + start
        found = self._reader.scan(self._prefix + prefix, start=first, reverse=reverse)
        return ((key[cut:], value) for key, value in found)

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """All keys of one letter from ``low`` up to, not with, ``high``, in order.

        They come with the prefix of the space in front, for a million of them would be
        cut for nothing.
        """
        prefix = self._prefix
        below = self._reader.keys(prefix + low, prefix + high)
        if not self._pending:
            return below
        order = self._ordered(low[0])
        over = order[bisect_left(order, low) : bisect_left(order, high)]
        if not over:
            return below
        there = [prefix + key for key in over if self._pending[key] is not None]
        hidden = {prefix + key for key in over}
        return merge((key for key in below if key not in hidden), there)

    def drain(self) -> tuple[Write, ...]:
        """All that was put since the last time, for one batch."""
        prefix = self._prefix
        writes = tuple([(prefix + k, v) for k, v in self._pending.items()])
        self._pending = {}
        self._orders = {}
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
