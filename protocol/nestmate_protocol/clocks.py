"""Clocks: the two times a machine is told, and hybrid logical timestamps.

The core never asks what time it is; every input arrives with a ``Moment``. Ages and
leases use its monotonic half, expiry written into signed records uses its wall half.
This file knows nothing of who keeps the clocks.
"""

from dataclasses import dataclass
from math import isfinite

from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.limits import ASK_SECONDS_MAX, SKEW_MS_MAX

COUNTER_BITS = 16


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """What both clocks of one machine say: Unix time, and ms since some start."""

    wall_ms: int
    mono_ms: int

    def later(self, milliseconds: int) -> "Moment":
        """Both clocks, moved on by the given milliseconds."""
        return Moment(self.wall_ms + milliseconds, self.mono_ms + milliseconds)


def patience_ms(seconds: float) -> int:
    """How long somebody is willing to wait, ASK_SECONDS_MAX at most."""
    if not isfinite(seconds) or seconds < 0:
        raise LocalError(f"{seconds} is no time to wait", "give seconds, from 0 on")
    return int(min(seconds, ASK_SECONDS_MAX) * 1_000)


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A hybrid logical timestamp: wall milliseconds, then a counter for ties.

    Source: Kulkarni et al., Logical Physical Clocks, 2014.
    """

    wall_ms: int
    counter: int

    def to_int(self) -> int:
        """One integer with the same order, as it travels on the wire."""
        return self.wall_ms << COUNTER_BITS | self.counter

    @classmethod
    def from_int(cls, value: int) -> "Timestamp":
        """The timestamp an integer from the wire stands for."""
        return cls(value >> COUNTER_BITS, value & (1 << COUNTER_BITS) - 1)


class HybridClock:
    """Hands out timestamps that never repeat and never fall behind what was seen."""

    def __init__(self, last: Timestamp = Timestamp(0, 0)) -> None:
        self._last = last

    def __repr__(self) -> str:
        return f"<HybridClock {self._last.wall_ms}+{self._last.counter}>"

    def tick(self, now: Moment) -> Timestamp:
        """The next timestamp of this machine."""
        return self._advance(Timestamp(now.wall_ms, 0))

    def witness(self, seen: Timestamp, now: Moment) -> None:
        """Take note of a foreign timestamp; one from the far future is refused.

        Raises RemoteError with FROM_THE_FUTURE beyond SKEW_MS_MAX milliseconds.
        """
        if seen.wall_ms > now.wall_ms + SKEW_MS_MAX:
            raise RemoteError(Fault.FROM_THE_FUTURE, "timestamp")
        self._last = max(self._last, seen)

    def follow(self, seen: Timestamp) -> None:
        """What comes next is later than this, which was checked when it came in."""
        self._last = max(self._last, seen)

    def _advance(self, candidate: Timestamp) -> Timestamp:
        if candidate <= self._last:
            candidate = Timestamp(self._last.wall_ms, self._last.counter + 1)
        if candidate.counter >= 1 << COUNTER_BITS:
            candidate = Timestamp(candidate.wall_ms + 1, 0)
        self._last = candidate
        return candidate
