"""Summary: how many ops lie between two keys and what their ids add up to, in memory.

The keys themselves stay in the store, in order; per bucket of some hundred of them only
the first key, the count and the sum of the ids are kept here, which is about a megabyte
for a million ops and is made anew at start. Few buckets are read in at a time. This
file knows neither ops nor messages.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice, repeat
from operator import itemgetter
from typing import Final, Literal, Protocol

from nestmate_protocol.ids import ID_BYTES
from nestmate_protocol.limits import SUMMARY_BUCKET_KEYS, SUMMARY_LEAVES_MAX

KEY_BYTES: Final = 8 + ID_BYTES
START: Final = b""
END: Final = b"\xff" * (KEY_BYTES + 1)
"""Below and above every key; any beginning of a key is a bound as well."""

_MASK: Final = (1 << 8 * ID_BYTES) - 1
_ID: Final = itemgetter(slice(-ID_BYTES, None))
_LITTLE: "Final[repeat[Literal['little']]]" = repeat("little")


class Rows(Protocol):
    """The keys in the store: eight bytes of time, big-endian, and the id of an op."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[bytes]:
        """Every key from ``start`` on and below ``stop``, in order.

        What comes may have more in front, so that rows of a store need not be cut.
        """
        ...


def sum_of(keys: Iterable[bytes]) -> int:
    """What the ids in these keys add up to, as little-endian numbers modulo 2^256."""
    return sum(_numbers(keys)) & _MASK


def _numbers(keys: Iterable[bytes]) -> Iterator[int]:
    """The ids as numbers, without a step of Python for each of a million."""
    return map(int.from_bytes, map(_ID, keys), _LITTLE)


@dataclass(slots=True)
class _Leaf:
    """The keys of one bucket, and sums of the first ones once they are needed."""

    keys: list[bytes]
    sums: list[int] | None = None

    def sum_of_first(self, count: int) -> int:
        """What the first so many ids add up to."""
        if self.sums is None:
            self.sums = list(accumulate(_numbers(self.keys), initial=0))
        return self.sums[count]


class Leaves:
    """Buckets that were read in, for all summaries of a node together; bounded."""

    def __init__(self, leaves_max: int = SUMMARY_LEAVES_MAX) -> None:
        self._leaves_max = leaves_max
        self._leaves: dict[tuple[object, bytes], _Leaf] = {}

    def __repr__(self) -> str:
        return f"<Leaves {len(self._leaves)} of {self._leaves_max}>"

    def __len__(self) -> int:
        return len(self._leaves)

    def get(self, owner: object, first: bytes) -> _Leaf | None:
        """A bucket that is still here, which makes it the latest used."""
        leaf = self._leaves.pop((owner, first), None)
        if leaf is not None:
            self._leaves[owner, first] = leaf
        return leaf

    def put(self, owner: object, first: bytes, leaf: _Leaf) -> None:
        """Keep a bucket instead of the one that was not used for longest."""
        self._leaves[owner, first] = leaf
        if len(self._leaves) > self._leaves_max:
            del self._leaves[next(iter(self._leaves))]

    def drop(self, owner: object, first: bytes) -> None:
        """A bucket has changed."""
        self._leaves.pop((owner, first), None)


class Summary:
    """Counts and sums over the keys of one lane of one space.

    Whoever writes a key to the store says so here, once; whenever something is asked
    the store must show what was said, no more and no less.
    """

    def __init__(self, rows: Rows, leaves: Leaves | None = None) -> None:
        self._rows = rows
        self._mark = object()
        self._leaves = leaves if leaves is not None else Leaves()
        self._firsts: list[bytes] = []
        self._counts: list[int] = []
        self._sums: list[int] = []
        self._count = 0
        for first, count, total in _buckets(rows.scan(START, END)):
            self._add(first, count, total)
        if not self._firsts:
            self._add(START, 0, 0)
        self._firsts[0] = START
        self._count = sum(self._counts)
        self._grown: set[bytes] = set()
        self._settled = False

    def __repr__(self) -> str:
        return f"<Summary {self._count} keys in {len(self._firsts)} buckets>"

    def __len__(self) -> int:
        return self._count

    def insert(self, key: bytes) -> None:
        """A key that was not there is in the store now, or will be when next asked."""
        self._change(key, 1)

    def remove(self, key: bytes) -> None:
        """A key that was there is not any more."""
        self._change(key, -1)

    def rank(self, bound: bytes) -> int:
        """How many keys lie below a bound; a key, any beginning of one, or END."""
        if bound >= END:
            return self._count
        self._settle()
        at = bisect_right(self._firsts, bound) - 1
        if bound == self._firsts[at]:
            return self._ranks[at]
        return self._ranks[at] + bisect_left(self._leaf(at).keys, bound)

    def total(self, low: int, high: int) -> int:
        """What the ids add up to, from rank ``low`` to below rank ``high``."""
        return (self._sum_below(high) - self._sum_below(low)) & _MASK

    def keys(self, low: int, high: int) -> list[bytes]:
        """The keys from rank ``low`` to below rank ``high``, in order."""
        self._settle()
        found: list[bytes] = []
        at = bisect_right(self._ranks, low) - 1
        while low < high and at < len(self._firsts):
            start = low - self._ranks[at]
            found += self._leaf(at).keys[start : start + high - low]
            at += 1
            low = max(low, self._ranks[at])
        return found

    def _add(self, first: bytes, count: int, total: int) -> None:
        self._firsts.append(first)
        self._counts.append(count)
        self._sums.append(total)

    def _change(self, key: bytes, by: int) -> None:
        at = bisect_right(self._firsts, key) - 1
        first = self._firsts[at]
        self._counts[at] += by
        self._sums[at] += by * int.from_bytes(key[8:], "little")
        self._count += by
        self._settled = False
        self._leaves.drop(self._mark, first)
        if not 0 < self._counts[at] <= 2 * SUMMARY_BUCKET_KEYS:
            self._grown.add(first)

    def _settle(self) -> None:
        """Part buckets that have grown, drop empty ones, and count anew."""
        if self._settled:
            return
        for first in self._grown:
            self._part(bisect_left(self._firsts, first))
        self._grown.clear()
        self._ranks = list(accumulate(self._counts, initial=0))
        self._sums_below = list(accumulate(self._sums, initial=0))
        self._settled = True

    def _part(self, at: int) -> None:
        if 0 < self._counts[at] <= 2 * SUMMARY_BUCKET_KEYS:
            return
        parts = list(_buckets(self._rows.scan(*self._span(at))))
        if at == 0:
            parts = [(START, *parts[0][1:]), *parts[1:]] if parts else [(START, 0, 0)]
        elif parts:
            parts[0] = (self._firsts[at], *parts[0][1:])
        self._firsts[at : at + 1] = [first for first, _, _ in parts]
        self._counts[at : at + 1] = [count for _, count, _ in parts]
        self._sums[at : at + 1] = [total for _, _, total in parts]

    def _span(self, at: int) -> tuple[bytes, bytes]:
        last = at + 1 == len(self._firsts)
        return self._firsts[at], END if last else self._firsts[at + 1]

    def _leaf(self, at: int) -> _Leaf:
        first = self._firsts[at]
        leaf = self._leaves.get(self._mark, first)
        if leaf is None:
            rows = self._rows.scan(*self._span(at))
            leaf = _Leaf([row[-KEY_BYTES:] for row in rows])
            self._leaves.put(self._mark, first, leaf)
        return leaf

    def _sum_below(self, rank: int) -> int:
        self._settle()
        at = bisect_right(self._ranks, rank) - 1
        below = self._sums_below[at]
        inside = rank - self._ranks[at]
        return below + self._leaf(at).sum_of_first(inside) if inside else below


def _buckets(rows: Iterator[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """First key, count and sum of one bucket after the other."""
    while bucket := list(islice(rows, SUMMARY_BUCKET_KEYS)):
        yield bucket[0][-KEY_BYTES:], len(bucket), sum_of(bucket)
