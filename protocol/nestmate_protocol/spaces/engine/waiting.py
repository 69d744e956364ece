"""Waiting: ops that cannot be judged yet, in memory, bounded, and lost with it.

An op waits for another one that it rests on, or for its own time to come. Whoever sent
it will offer it again if it has to be dropped here. This file knows no rights.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush

from nestmate_protocol.clocks import COUNTER_BITS
from nestmate_protocol.limits import SKEW_MS_MAX
from nestmate_protocol.spaces.ops import Op


class Pending:
    """Ops that rest on others which are not here; the oldest are dropped first."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._ops: OrderedDict[bytes, tuple[Op, bytes]] = OrderedDict()
        self._after: dict[bytes, list[bytes]] = {}
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<Pending {len(self._ops)} ops>"

    def __len__(self) -> int:
        return len(self._ops)

    def __contains__(self, op: bytes) -> bool:
        return op in self._ops

    def put(self, op: Op, missing: bytes) -> None:
        """Keep an op until another one is here."""
        raw = op.id.raw
        if raw in self._ops:
            self._ops.move_to_end(raw)
            return
        self._ops[raw] = op, missing
        self._after.setdefault(missing, []).append(raw)
        self.bytes += len(op.data)
        while self.bytes > self._bytes_max:
            self._forget(next(iter(self._ops)))

    def take(self, arrived: bytes) -> list[Op]:
        """The ops that waited for this one."""
        waiting = self._after.get(arrived)
        if waiting is None:
            return []
        return [self._forget(raw) for raw in tuple(waiting)]

    def discard(self, refused: bytes) -> None:
        """Drop all that rests on an op that will never be here."""
        gone = [refused]
        while gone:
            gone += [op.id.raw for op in self.take(gone.pop())]

    def missing(self) -> list[bytes]:
        """The ops that others wait for."""
        return list(self._after)

    def _forget(self, raw: bytes) -> Op:
        op, missing = self._ops.pop(raw)
        self.bytes -= len(op.data)
        waiting = self._after[missing]
        waiting.remove(raw)
        if not waiting:
            del self._after[missing]
        return op


class Parked:
    """Ops from the future, until it has come; the furthest ahead are dropped first."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._ops: dict[bytes, Op] = {}
        self._due: list[tuple[int, bytes]] = []
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<Parked {len(self._ops)} ops>"

    def __len__(self) -> int:
        return len(self._ops)

    def __contains__(self, op: bytes) -> bool:
        return op in self._ops

    def put(self, op: Op) -> None:
        """Keep an op until its time is less than SKEW_MS_MAX ahead."""
        raw = op.id.raw
        if raw in self._ops:
            return
        self._ops[raw] = op
        heappush(self._due, (due_ms(op), raw))
        self.bytes += len(op.data)
        while self.bytes > self._bytes_max:
            last = max(self._due)
            self._due.remove(last)
            self._due.sort()
            self.bytes -= len(self._ops.pop(last[1]).data)

    def take(self, now_ms: int) -> Iterator[Op]:
        """The ops whose time has come."""
        while self._due and self._due[0][0] <= now_ms:
            op = self._ops.pop(heappop(self._due)[1])
            self.bytes -= len(op.data)
            yield op

    @property
    def next_ms(self) -> int | None:
        """When the next one is due, Unix ms."""
        return self._due[0][0] if self._due else None


def due_ms(op: Op) -> int:
    """When an op stops being from the future, Unix ms."""
    return (op.place.hlc >> COUNTER_BITS) - SKEW_MS_MAX
