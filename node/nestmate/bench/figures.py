"""Figures: one measured value, the raw limit beside it, and what it should reach.

Also the little arithmetic all benches share: medians, percentiles, processor time.
This file measures nothing.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final

ROUNDS: Final = 5
_PERCENT: Final = 100


@unique
class Unit(StrEnum):
    """What a figure is counted in."""

    PER_SECOND = "/s"
    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "µs"
    MEBIBYTES = "MiB"
    MEBIBYTES_PER_SECOND = "MiB/s"
    PERCENT = "%"
    BYTES = "B"
    BYTES_EACH = "B each"
    ROUND_TRIPS = "RTT"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should reach, in words and as a judgement of the figure."""

    words: str
    holds: Callable[["Figure"], bool]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: ``ours`` beside ``raw``, both medians, in one unit.

    ``ratio`` is the median of the ratios of the rounds, which is steadier than the
    ratio of the medians; None where raw and ours were not measured in rounds.
    """

    name: str
    unit: Unit
    raw: float
    ours: float
    target: Target | None = None
    rounds_ratio: float | None = None

    @property
    def ratio(self) -> float:
        """Ours over raw."""
        if self.rounds_ratio is not None:
            return self.rounds_ratio
        return self.ours / self.raw if self.raw else math.nan

    def as_dict(self, *, judged: bool) -> dict[str, Any]:
        """The row as JSON has it; ``held`` is null where nothing is judged."""
        target = self.target
        return {
            "name": self.name,
            "unit": self.unit.value,
            "raw": round(self.raw, 3),
            "ours": round(self.ours, 3),
            "ratio": None if math.isnan(self.ratio) else round(self.ratio, 3),
            "target": target.words if target else "",
            "held": target.holds(self) if target and judged else None,
        }


def in_rounds(
    name: str,
    unit: Unit,
    rounds: Sequence[tuple[float, float]],
    target: Target | None = None,
) -> Figure:
    """The figure of several rounds, each a pair of raw and ours."""
    return Figure(
        name,
        unit,
        raw=statistics.median(raw for raw, _ in rounds),
        ours=statistics.median(ours for _, ours in rounds),
        target=target,
        rounds_ratio=statistics.median(ours / raw for raw, ours in rounds),
    )


def at_least_share(percent: int) -> Target:
    """So many per cent of the raw limit."""
    return Target(
        f"≥ {percent} % of raw", lambda figure: figure.ratio >= percent / _PERCENT
    )


def at_most(bound: float, unit: Unit) -> Target:
    """No more than so much, whatever the raw limit."""
    return Target(f"≤ {bound:g} {unit}", lambda figure: figure.ours <= bound)


def at_most_more(bound: float, unit: Unit) -> Target:
    """No more than so much on top of the raw limit."""
    return Target(
        f"≤ raw + {bound:g} {unit}", lambda figure: figure.ours <= figure.raw + bound
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many per cent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / _PERCENT) - 1)]
