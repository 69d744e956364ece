"""One simulated machine: a disk that may lose its tail, and two clocks that are off.

The disk keeps batches that were not asked to be durable in a pending half; a crash
keeps only some first part of it, as a write-ahead log does. The clocks run a little too
fast or too slow, the wall clock stands wrong, and the monotonic one starts anywhere at
each boot. This file knows nothing of what is stored or timed.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from nestmate_protocol.clocks import Moment
from nestmate_protocol.simulation.dice import Dice

WALL_START_MS = 1_800_000_000_000
_MILLION = 1_000_000
_MONO_START_MS_MAX = 1 << 40

Batch = tuple[tuple[bytes, bytes | None], ...]


class Disk:
    """Ordered bytes to bytes; a durable half and a pending half."""

    def __init__(self) -> None:
        self._durable: dict[bytes, bytes] = {}
        self._now: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._pending: list[Batch] = []
        self.lost_batches = 0

    def get(self, key: bytes) -> bytes | None:
        """The value under a key, durable or not."""
        return self._now.get(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """All pairs under a prefix in key order, optionally from ``start`` on."""
        low = bisect_left(self._keys, prefix)
        high = bisect_left(self._keys, prefix + b"\xff" * 64)
        if start is not None and reverse:
            high = min(high, bisect_right(self._keys, start))
        elif start is not None:
            low = max(low, bisect_left(self._keys, start))
        keys = self._keys[low:high]
        for key in reversed(keys) if reverse else keys:
            yield key, self._now[key]

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """All keys from ``low`` up to, not with, ``high``, in order."""
        first, last = bisect_left(self._keys, low), bisect_left(self._keys, high)
        return iter(self._keys[first:last])

    def write(self, writes: Batch, *, durable: bool) -> None:
        """Apply one batch; a durable one takes every batch before it along."""
        self._show(writes)
        self._pending.append(writes)
        if durable:
            for batch in self._pending:
                _apply(self._durable, batch)
            self._pending.clear()

    def crash(self, dice: Dice) -> None:
        """Lose what was pending, from some batch on."""
        kept = dice.between(0, len(self._pending))
        self.lost_batches += len(self._pending) - kept
        for batch in self._pending[:kept]:
            _apply(self._durable, batch)
        self._pending.clear()
        self._now = dict(self._durable)
        self._keys = sorted(self._now)

    def _show(self, writes: Batch) -> None:
        for key, value in writes:
            if value is not None and key not in self._now:
                insort(self._keys, key)
            elif value is None and key in self._now:
                del self._keys[bisect_left(self._keys, key)]
            _apply(self._now, ((key, value),))


def _apply(pairs: dict[bytes, bytes], batch: Batch) -> None:
    for key, value in batch:
        if value is None:
            pairs.pop(key, None)
        else:
            pairs[key] = value


class SkewedClock:
    """Both clocks of one machine, as functions of the world's time.

    ``drift_ppm`` is how many millionths both run too fast.
    """

    def __init__(self, drift_ppm: int = 0) -> None:
        self._rate = _MILLION + drift_ppm
        self._offset_ms = 0
        self._booted_ms = 0
        self._mono_start_ms = 0

    def boot(self, world_ms: int, dice: Dice) -> None:
        """Start the monotonic clock again, anywhere."""
        self._booted_ms = world_ms
        self._mono_start_ms = dice.below(_MONO_START_MS_MAX)

    def set_off(self, offset_ms: int) -> None:
        """Let the wall clock stand wrong by so much from now on."""
        self._offset_ms = offset_ms

    def moment(self, world_ms: int) -> Moment:
        """What both clocks say at a time of the world."""
        since_boot_ms = (world_ms - self._booted_ms) * self._rate // _MILLION
        wall_ms = WALL_START_MS + world_ms * self._rate // _MILLION + self._offset_ms
        return Moment(wall_ms, self._mono_start_ms + since_boot_ms)

    def world_ms(self, mono_ms: int) -> int:
        """The first time of the world at which the monotonic clock says so."""
        since_boot_ms = mono_ms - self._mono_start_ms
        return self._booted_ms - (-since_boot_ms * _MILLION // self._rate)
