"""The timeline: what happens next in a world, in seconds of that world.

A heap of (time, number, action); what is due at one time happens in the order in which
it was planned. This file knows nothing of what happens.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Action = Callable[..., object]


class Timeline:
    """The time that is, and all that is planned."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.events = 0
        self._heap: list[tuple[float, int, Action, tuple[Any, ...]]] = []
        self._planned = 0

    def __repr__(self) -> str:
        return f"<Timeline {self.now:.3f} with {len(self._heap)} planned>"

    def at(self, seconds: float, action: Action, *arguments: Any) -> None:
        """Let something happen at a time of the world."""
        self._planned += 1
        heappush(self._heap, (seconds, self._planned, action, arguments))

    def after(self, delay: float, action: Action, *arguments: Any) -> None:
        """Let something happen so many seconds from now."""
        self.at(self.now + delay, action, *arguments)

    def next(self) -> float | None:
        """When the next thing happens; None for never."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Let the next thing happen."""
        self.now, _, action, arguments = heappop(self._heap)
        self.events += 1
        action(*arguments)
