"""A store that is read ahead of its disk: what was promised to it is seen at once.

The core hands out writes and goes on; they reach the disk a moment later, in one batch
with those of others. Until then it must find them where it put them, or else two
inputs of one round would not see each other's effects. What the disk has refused stays
promised until it takes it. Knows nothing of what is written.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from operator import itemgetter

from nestmate.store.base import KeyValue, Write, key_range

Pair = tuple[bytes, bytes]


class Ahead:
    """Reads of a store, with the writes that are still on their way to it."""

    def __init__(self, store: KeyValue) -> None:
        self._store = store
        self._promised: dict[bytes, bytes | None] = {}
        self._keys: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Ahead {len(self._keys)} keys ahead of {self._store!r}>"

    def promise(self, writes: Iterable[Write]) -> None:
        """Show these writes from now on."""
        for key, value in writes:
            if key not in self._promised:
                insort(self._keys, key)
            self._promised[key] = value

    def kept(self) -> None:
        """All that was promised is in the store now."""
        self._promised.clear()
        self._keys.clear()

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        if key in self._promised:
            return self._promised[key]
        return self._store.get(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[Pair]:
        """All pairs under a prefix in key order, as ``KeyValue.scan`` gives them."""
        below = self._store.scan(prefix, start=start, reverse=reverse)
        keys = self._between(prefix, start, reverse=reverse)
        if not keys:
            return below
        return _merged(below, keys, self._promised, reverse=reverse)

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """All keys of a stretch in order, as ``KeyValue.keys`` gives them."""
        below = self._store.keys(low, high)
        first, last = bisect_left(self._keys, low), bisect_left(self._keys, high)
        if first == last:
            return below
        promised = self._keys[first:last]
        above = [key for key in promised if self._promised[key] is not None]
        hidden = set(promised)
        return merge((key for key in below if key not in hidden), above)

    def _between(
        self, prefix: bytes, start: bytes | None, *, reverse: bool
    ) -> list[bytes]:
        low, high = key_range(prefix)
        first = bisect_left(self._keys, low)
        last = len(self._keys) if high is None else bisect_left(self._keys, high)
        if start is not None and reverse:
            last = min(last, bisect_right(self._keys, start))
        elif start is not None:
            first = max(first, bisect_left(self._keys, start))
        keys = self._keys[first:last]
        return keys[::-1] if reverse else keys


def _merged(
    below: Iterator[Pair],
    keys: list[bytes],
    promised: Mapping[bytes, bytes | None],
    *,
    reverse: bool,
) -> Iterator[Pair]:
    """Two orders made one; where both have a key, the promise holds."""
    above = [(key, value) for key in keys if (value := promised[key]) is not None]
    hidden = set(keys)
    left = (pair for pair in below if pair[0] not in hidden)
    return merge(left, above, key=itemgetter(0), reverse=reverse)
