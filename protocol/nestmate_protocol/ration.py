"""Ration: what one peer may cost, as a debt that time pays off.

This file knows nothing of what is paid for.
"""

from nestmate_protocol.clocks import Moment

_SECOND_MS = 1_000


class Ration:
    """So much at once, and so much more every second."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._debt = 0.0
        self._at_ms: int | None = None

    def __repr__(self) -> str:
        return f"<Ration {self._debt:.0f} of {self._burst:.0f} drawn>"

    def take(self, now: Moment, cost: float = 1.0) -> bool:
        """Draw so much, if there is so much."""
        self._pay_off(now)
        if self._debt + cost > self._burst:
            return False
        self._debt += cost
        return True

    def draw(self, now: Moment, cost: float) -> None:
        """Draw so much, whatever there is."""
        self._pay_off(now)
        self._debt += cost

    def free_ms(self, now: Moment) -> int:
        """When there will be something again, monotonic; ``now`` if there is."""
        self._pay_off(now)
        over = self._debt - self._burst
        if over < 0:
            return now.mono_ms
        return now.mono_ms + 1 + int(over / self._per_second * _SECOND_MS)

    def _pay_off(self, now: Moment) -> None:
        if self._at_ms is not None:
            passed = max(0, now.mono_ms - self._at_ms)
            self._debt = max(0.0, self._debt - passed * self._per_second / _SECOND_MS)
        self._at_ms = now.mono_ms
