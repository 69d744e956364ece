"""Scoring: what a run was worth, by one set of formulas for every rule.

The measure is the urgency-weighted delay, ``UWD = sum of w delay / sum of w``, over the
tasks born in the middle four fifths of the horizon; a task that is never done is
charged until the end of the run. This file only reads what the crew has counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nestmate.bench.allocation.crew import NEVER
from nestmate.bench.allocation.stage import Halftime, Stage
from nestmate.bench.allocation.worlds import Counts, Flags, Floats

SCORED_FROM, SCORED_TO = 0.1, 0.9


@dataclass(frozen=True, slots=True)
class Score:
    """One run in figures; seconds, shares of 100 where the name says percent.

    ``records`` counts transmissions per task as the study does, beats and results
    left out; ``records_all`` has everything. ``extra`` is what only some rules have.
    """

    uwd: float
    mean: float
    flash_p50: float
    flash_p99: float
    slow_p99: float
    records: float
    duplicate_percent: float
    crashed_seconds: float
    idle_percent: float
    setups: float
    window_percent: float
    lost: int
    gini: float
    uwd_honest: float
    uwd_liars: float
    exclusive_twice: int
    extra: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, float]:
        """All figures under their names."""
        names = [name for name in self.__slots__ if name != "extra"]
        return {**{name: getattr(self, name) for name in names}, **self.extra}


def urgency_weighted_delay(delay: Floats, worth: Floats, counted: Flags) -> float:
    """``sum of w delay / sum of w`` over the counted tasks; nan over none."""
    total = float(worth[counted].sum())
    return float((worth * delay)[counted].sum()) / total if total else float("nan")


def gini(shares: Floats) -> float:
    """How unequal shares are, from 0 for all the same to almost 1."""
    ordered = np.sort(shares)
    total = float(ordered.sum())
    if not total:
        return 0.0
    count = len(ordered)
    ranks = np.arange(1, count + 1)
    return float(2 * (ranks * ordered).sum() / (count * total) - (count + 1) / count)


def percentile(values: Floats, percent: float) -> float:
    """A percentile, interpolated; nan of nothing."""
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def window_percent(born: Floats, done: Floats, start: float, end: float) -> float:
    """How many were done for each hundred that came up from ``start`` to ``end``."""
    finished = int(((done > start) & (done <= end)).sum())
    return 100.0 * finished / max(int(((born > start) & (born <= end)).sum()), 1)


def score(
    stage: Stage, halftime: Halftime, extra: Mapping[str, float] | None = None
) -> Score:
    """What a stage that has been played to its end is worth."""
    world, crew = stage.world, stage.crew
    terms, horizon, born = world.terms, world.horizon, world.born
    counted = (born > SCORED_FROM * horizon) & (born < SCORED_TO * horizon)
    lost = crew.done == NEVER
    delay = np.where(lost, stage.now, crew.done) - born
    worth = world.worth
    flash = counted & (worth == max(terms.urgencies)) & ~lost
    slow = counted & (worth == min(terms.urgencies)) & ~lost
    lied = np.isin(world.origin, world.liars)
    first, last = terms.window
    return Score(
        uwd=urgency_weighted_delay(delay, worth, counted),
        mean=float(delay[counted].mean()),
        flash_p50=percentile(delay[flash], 50),
        flash_p99=percentile(delay[flash], 99),
        slow_p99=percentile(delay[slow], 99),
        records=stage.links.messages / terms.tasks,
        duplicate_percent=100 * crew.wasted / max(crew.useful, 1e-9),
        crashed_seconds=crew.crashed,
        idle_percent=100 * (1 - halftime.busy_seconds / halftime.up_seconds),
        setups=crew.setups / max(int(crew.starts.sum()), 1),
        window_percent=window_percent(born, crew.done, first * horizon, last * horizon),
        lost=int(lost.sum()),
        gini=gini(crew.worked),
        uwd_honest=urgency_weighted_delay(delay, worth, counted & ~lied),
        uwd_liars=urgency_weighted_delay(delay, worth, counted & lied),
        exclusive_twice=_twice(crew.starts, world.exclusive),
        extra=dict(extra or {}),
    )


def _twice(starts: Counts, exclusive: Flags) -> int:
    """Exclusive tasks that were begun more than once."""
    return int((starts[exclusive] > 1).sum())
