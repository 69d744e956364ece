"""Goals: what the rule has promised to reach, and whether it has.

Each goal has bounds; a bound is on the mean of one figure over the seeds of a scenario,
or on its ratio to the same figure of another rule in the same worlds (``over``), or to
the same rule's in another scenario (``than``). This file runs nothing.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from math import isnan
from statistics import fmean
from typing import Any, Final

from nestmate.bench.allocation.rules import Row

FILE: Final = files("nestmate.bench.allocation") / "goals.toml"


@dataclass(frozen=True, slots=True)
class Bound:
    """One inequality; exactly one of ``at_most`` and ``at_least`` is set."""

    goal: str
    scenario: str
    rule: str
    figure: str
    over: str = ""
    than: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def subject(self) -> str:
        """What is bounded, in words."""
        words = f"{self.figure} of {self.rule} in {self.scenario}"
        if self.over:
            words += f" / of {self.over}"
        return words + (f" / in {self.than}" if self.than else "")

    @property
    def asked(self) -> str:
        """The bound itself, in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bound, and what was measured; None where nothing was run."""

    bound: Bound
    value: float | None

    @property
    def held(self) -> bool:
        """Whether it is as it should be."""
        value, bound = self.value, self.bound
        if value is None or isnan(value):
            return False
        if bound.at_most is not None and value > bound.at_most:
            return False
        return bound.at_least is None or value >= bound.at_least


class Results:
    """Rows by scenario, rule and seed."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[tuple[str, str], dict[int, Mapping[str, float]]] = {}
        for row in rows:
            of_rule = self._rows.setdefault((row.scenario, row.rule), {})
            of_rule[row.seed] = row.figures

    def __repr__(self) -> str:
        return f"<Results of {len(self._rows)}>"

    def scenarios(self) -> tuple[str, ...]:
        """Which were played, in the order of their rows."""
        return tuple(dict.fromkeys(scenario for scenario, _ in self._rows))

    def rules(self, scenario: str) -> tuple[str, ...]:
        """Who played one."""
        return tuple(rule for where, rule in self._rows if where == scenario)

    def figures(self, scenario: str, rule: str) -> list[str]:
        """What was measured of one rule."""
        seeds = self._rows.get((scenario, rule), {})
        return list(next(iter(seeds.values()), {}))

    def values(self, scenario: str, rule: str, figure: str) -> dict[int, float]:
        """A figure by seed; empty if it was not measured."""
        seeds = self._rows.get((scenario, rule), {})
        return {seed: f[figure] for seed, f in seeds.items() if figure in f}

    def mean(self, scenario: str, rule: str, figure: str) -> float | None:
        """A figure's mean over the seeds."""
        values = self.values(scenario, rule, figure)
        return fmean(values.values()) if values else None

    def ratios(self, scenario: str, rule: str, figure: str, over: str) -> list[float]:
        """Ratios of a figure to another rule's, seed by seed.

        Published figures have one seed and are compared with every one of ours.
        """
        mine = self.values(scenario, rule, figure)
        theirs = self.values(scenario, over, figure)
        only = next(iter(theirs.values())) if len(theirs) == 1 else None
        return [
            value / base
            for seed, value in mine.items()
            if (base := theirs.get(seed, only)) is not None and base
        ]


def read_goals(text: str | None = None) -> tuple[Bound, ...]:
    """All bounds of all goals, in the order of the file."""
    document = tomllib.loads(FILE.read_text() if text is None else text)
    return tuple(
        _bound(goal, entry)
        for goal, table in document.items()
        for entry in table["bounds"]
    )


def judge(bound: Bound, results: Results) -> Verdict:
    """What a bound's subject measures."""
    scenario, rule, figure = bound.scenario, bound.rule, bound.figure
    if bound.over:
        ratios = results.ratios(scenario, rule, figure, bound.over)
        return Verdict(bound, fmean(ratios) if ratios else None)
    value = results.mean(scenario, rule, figure)
    if not bound.than or value is None:
        return Verdict(bound, value)
    base = results.mean(bound.than, rule, figure)
    return Verdict(bound, value / base if base else None)


def _bound(goal: str, entry: Mapping[str, Any]) -> Bound:
    bound = Bound(goal, **{"rule": "signals", **entry})
    if (bound.at_most is None) == (bound.at_least is None):
        raise ValueError(f"{goal}: {bound.subject} has no bound, or two")
    return bound
