"""Reports: results as JSON lines, and as tables in markdown for people.

A line is one run; it can be read back, so that tables, plots and goals can be made of
results that took a night. This file judges nothing.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isnan, sqrt
from statistics import fmean, stdev
from typing import Final

from nestmate.bench.allocation.goals import Results, Verdict
from nestmate.bench.allocation.rules import Row, title_of
from nestmate.bench.allocation.scenarios import Scenario, read_scenario

ORACLE: Final = "oracle"
_Z95: Final = 1.96


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table of runs; nothing is shown where nothing was measured."""

    title: str
    figures: tuple[str, ...]
    form: str


COLUMNS: Final = (
    Column("UWD s", ("uwd",), "{:.1f}"),
    Column("flash p50 / p99 s", ("flash_p50", "flash_p99"), "{:.1f} / {:.0f}"),
    Column("slow p99 s", ("slow_p99",), "{:.0f}"),
    Column("records", ("records",), "{:.1f}"),
    Column("all records", ("records_all",), "{:.1f}"),
    Column("kB", ("bytes",), "{:.1f}"),
    Column("denied", ("denied",), "{:.2f}"),
    Column("duplicate", ("duplicate_percent",), "{:.2f} %"),
    Column("idle", ("idle_percent",), "{:.0f} %"),
    Column("set-ups", ("setups",), "{:.2f}"),
    Column("done", ("window_percent",), "{:.0f} %"),
    Column("lost", ("lost",), "{:.1f}"),
    Column("Gini", ("gini",), "{:.2f}"),
)
_KILO: Final = {"bytes": 1_000}


def to_line(row: Row) -> str:
    """One run as one line of JSON; what has no value is null."""
    figures = {key: _or_none(value) for key, value in row.figures.items()}
    return json.dumps(
        {"scenario": row.scenario, "rule": row.rule, "seed": row.seed, **figures}
    )


def from_line(line: str) -> Row:
    """The run in a line."""
    found = json.loads(line)
    scenario, rule, seed = (found.pop(key) for key in ("scenario", "rule", "seed"))
    figures = {k: float("nan") if v is None else float(v) for k, v in found.items()}
    return Row(scenario, rule, seed, figures)


def tables(results: Results) -> Iterator[str]:
    """A table in markdown for each scenario there are results of, line by line."""
    for name in results.scenarios():
        scenario = read_scenario(name)
        yield f"### {name}"
        yield ""
        yield f"{scenario.says[0].upper()}{scenario.says[1:]}."
        yield ""
        yield from _table(scenario, results)
        yield ""


def goal_table(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Bounds and what was measured, in markdown."""
    yield "| goal | what | asked | measured | |"
    yield "|---|---|---|---|---|"
    for verdict in verdicts:
        bound, value = verdict.bound, verdict.value
        shown = "not run" if value is None else f"{value:.3g}"
        held = "held" if verdict.held else "**missed**"
        yield f"| {bound.goal} | {bound.subject} | {bound.asked} | {shown} | {held} |"


def excess(ratios: list[float]) -> str:
    """The mean of ratios as an excess in per cent, with its 95 % interval."""
    percents = [100 * (ratio - 1) for ratio in ratios]
    if len(percents) < 2:  # noqa: PLR2004 - an interval takes two
        return f"{fmean(percents):+.1f} %" if percents else ""
    interval = _Z95 * stdev(percents) / sqrt(len(percents))
    return f"{fmean(percents):+.1f} ± {interval:.1f} %"


def _table(scenario: Scenario, results: Results) -> Iterator[str]:
    name = scenario.name
    if "uwd" not in _figures(results, name):
        yield from _plain_table(name, results)
        return
    yield "| rule | over oracle | " + " | ".join(c.title for c in COLUMNS) + " |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for rule in results.rules(name):
        over = excess(results.ratios(name, rule, "uwd", ORACLE))
        cells = [_shown(results, name, rule, column) for column in COLUMNS]
        yield f"| {title_of(rule)} | {over} | " + " | ".join(cells) + " |"


def _plain_table(name: str, results: Results) -> Iterator[str]:
    """All figures there are, for scenarios of another kind."""
    figures = [f for f in _figures(results, name) if f != "cpu_seconds"]
    yield "| rule | " + " | ".join(f.replace("_", " ") for f in figures) + " |"
    yield "|---" * (len(figures) + 1) + "|"
    for rule in results.rules(name):
        cells = [
            _shown(results, name, rule, Column("", (f,), "{:.2f}")) for f in figures
        ]
        yield f"| {title_of(rule)} | " + " | ".join(cells) + " |"


def _figures(results: Results, name: str) -> list[str]:
    first = results.rules(name)[0]
    return results.figures(name, first)


def _shown(results: Results, name: str, rule: str, column: Column) -> str:
    values = [results.mean(name, rule, figure) for figure in column.figures]
    known = [value for value in values if value is not None and not isnan(value)]
    if len(known) < len(values):
        return ""
    scaled = [
        value / _KILO.get(figure, 1)
        for value, figure in zip(known, column.figures, strict=True)
    ]
    return column.form.format(*scaled)


def _or_none(value: float) -> float | None:
    return None if isnan(value) else round(value, 6)
