"""Twins: the engine of spaces, as convergence leads it through a history.

Its disk is a dictionary, its clock stands still far ahead of all ops, so that none is
parked and none that is of the data lane runs out. This file judges nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import RecordId, SpaceId
from nestmate_protocol.simulation.convergence import Seen
from nestmate_protocol.simulation.scribes import START_MS
from nestmate_protocol.spaces.engine.whole import Engine
from nestmate_protocol.spaces.ops import Lane, Op

YEAR_MS: Final = 365 * 24 * 3_600_000

_NOW: Final = Moment(START_MS + YEAR_MS, 1)
_PREFIX: Final = b"s/1/"
_LASTING: Final = (Lane.AUTH, Lane.DATA)


class Rows:
    """Ordered keys in memory."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Rows {len(self._keys)}>"

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        return self._pairs.get(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """All pairs under a prefix in key order, from ``start`` on if it is given."""
        first = bisect_left(self._keys, prefix if start is None else start)
        end = bisect_left(self._keys, prefix + b"\xff" * 300)
        if reverse:
            first = bisect_left(self._keys, prefix)
            if start is not None:
                end = bisect_left(self._keys, start + b"\0")
        found = self._keys[first:end]
        for key in reversed(found) if reverse else found:
            yield key, self._pairs[key]

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """All keys from ``low`` up to, not with, ``high``, in order."""
        first, last = bisect_left(self._keys, low), bisect_left(self._keys, high)
        return iter(self._keys[first:last])

    def write(self, writes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write a batch; None deletes."""
        for key, value in writes:
            if value is not None:
                if key not in self._pairs:
                    insort(self._keys, key)
                self._pairs[key] = value
            elif self._pairs.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]


class EngineTwin:
    """An engine with a disk; ``take`` commits after every op, or now and then."""

    def __init__(self, space: SpaceId) -> None:
        self._space = space
        self._rows = Rows()
        self._engine = Engine(space, self._rows, _PREFIX)

    def __repr__(self) -> str:
        return f"<EngineTwin {self._engine!r}>"

    def take(self, op: Op) -> None:
        """Take in one op."""
        self._engine.admit(op, _NOW)

    def restart(self) -> None:
        """Begin anew from what is on the disk."""
        self._rows.write(self._engine.drain())
        self._engine = Engine(self._space, self._rows, _PREFIX)

    def seen(self) -> Seen:
        """What the engine makes of all ops so far."""
        views = self._engine.views
        live: dict[tuple[str, int], list[bytes]] = {}
        for (path, kind), entry in views.entries():
            live.setdefault((path, int(kind)), []).append(entry.dot)
        ops = self._engine.ops
        standings = [ops.standing(each) for each in ops.held()]
        return Seen(
            valid=frozenset(
                each.op
                for each in standings
                if each is not None and each.valid and each.lane in _LASTING
            ),
            offered=frozenset(
                RecordId(key[8:]) for lane in _LASTING for key in ops.offered(lane)
            ),
            live={key: tuple(dots) for key, dots in live.items()},
            hash=views.state_hash(),
        )
