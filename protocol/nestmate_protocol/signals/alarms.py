"""Alarms: which key is due when, on the monotonic clock.

A key has at most one alarm; keys due at the same time come in the order in which they
were set. This file knows nothing of what is done when one rings.
"""

from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

from nestmate_protocol.limits import ASK_SECONDS_MAX

_SLACK: Final = 64
_Key = TypeVar("_Key")


class Alarms(Generic[_Key]):
    """One time in ms per key; setting again moves it."""

    def __init__(self) -> None:
        self._due: dict[_Key, tuple[int, int]] = {}
        self._heap: list[tuple[int, int, _Key]] = []
        self._count = 0

    def __repr__(self) -> str:
        return f"<Alarms {len(self._due)} next {self.next()}>"

    def set(self, key: _Key, due_ms: int) -> None:
        """Let ``key`` ring at ``due_ms`` and not at any earlier set time."""
        self._count += 1
        self._due[key] = (due_ms, self._count)
        heappush(self._heap, (due_ms, self._count, key))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [(due, n, key) for key, (due, n) in self._due.items()]
            heapify(self._heap)

    def sooner(self, key: _Key, due_ms: int) -> None:
        """As ``set``, unless the key rings earlier anyway."""
        known = self._due.get(key)
        if known is None or due_ms < known[0]:
            self.set(key, due_ms)

    def clear(self, key: _Key) -> None:
        """Let ``key`` not ring; fine if it was not set."""
        self._due.pop(key, None)

    def due(self, key: _Key) -> int | None:
        """When ``key`` rings, in ms; None if it does not."""
        known = self._due.get(key)
        return None if known is None else known[0]

    def ring(self, now_ms: int) -> list[_Key]:
        """The keys that are due, first due first; their alarms are spent."""
        keys: list[_Key] = []
        while self._heap and self._heap[0][0] <= now_ms:
            _, count, key = heappop(self._heap)
            if self._due.get(key, (0, 0))[1] == count:
                del self._due[key]
                keys.append(key)
        return keys

    def next(self) -> int | None:
        """When the first alarm rings, in ms; None without any."""
        while self._heap:
            due, count, key = self._heap[0]
            if self._due.get(key, (0, 0))[1] == count:
                return due
            heappop(self._heap)
        return None


def wait_ms(seconds: float) -> int:
    """How long a caller may wait at most, whatever it asked for, in ms."""
    return round(1_000 * min(ASK_SECONDS_MAX, max(0.0, seconds)))
