"""The bench at a shell: plays scenarios, prints tables, and judges goals.

Runs are independent of each other and take turns on as many cores as they are given;
their order and the machine change no figure but those of time. This file knows neither
world nor rule.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nestmate.bench.allocation.goals import Results, judge, read_goals
from nestmate.bench.allocation.plots import charts
from nestmate.bench.allocation.report import from_line, goal_table, tables, to_line
from nestmate.bench.allocation.rules import RULES, Row, play
from nestmate.bench.allocation.scenarios import (
    QUICK,
    STREAM,
    Scenario,
    quick,
    read_scenario,
    scenario_names,
)
from nestmate.errors import NodeError

LINES_FILE: Final = "results.jsonl"
TABLES_FILE: Final = "tables.md"
FAILED: Final = 1
MISUSED: Final = 2


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made."""

    scenario: Scenario
    rule: str
    seed: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the arguments say; what a shell should be told of it."""
    wanted = _parser().parse_args(arguments)
    try:
        jobs = list(_jobs(wanted))
    except NodeError as wrong:
        sys.stderr.write(f"{wrong}\n{wrong.hint}\n")
        return MISUSED
    rows = [*_read(wanted.results)]
    for row in _play(jobs, wanted.cores):
        rows.append(row)
        if wanted.json:
            sys.stdout.write(f"{to_line(row)}\n")
        elif sys.stderr.isatty():
            sys.stderr.write(f"{len(rows)} of {len(jobs)}: {row.scenario} {row.rule}\n")
    results = Results(_in_order(rows))
    text = "\n".join(tables(results))
    if not wanted.json:
        sys.stdout.write(text)
    if wanted.out:
        _write(wanted.out, rows, text, results)
    broken = [row for row in rows if row.figures.get("broken")]
    missed = _check(results, whole=not wanted.quick) if wanted.check else 0
    return FAILED if broken or missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench allocation",
        description="Who does which task when: the signals rule beside others.",
    )
    say = parser.add_argument
    say("scenarios", nargs="*", help=f"of: {', '.join(scenario_names())}")
    say("--rules", help=f"only these, with commas: {', '.join(RULES)}")
    say("--seeds", help="such as 1-5 or 101-108")
    say("--tasks", type=int, help="so many in each run")
    say("--quick", action="store_true", help=f"small: {', '.join(QUICK)}")
    say("--sign", action="store_true", help="every node verifies every record itself")
    say("--cores", type=int, default=multiprocessing.cpu_count(), help="at once")
    say("--results", type=Path, help="JSON lines of earlier runs, to be counted in")
    say("--out", type=Path, help="a folder for JSON lines, tables and plots")
    say("--check", action="store_true", help="judge the goals; exit 1 on a miss")
    say("--json", action="store_true", help="JSON lines instead of tables")
    return parser


def _jobs(wanted: argparse.Namespace) -> Iterator[Job]:
    """All runs that are wanted; none where results are only read."""
    names: Iterable[str] = wanted.scenarios
    if not names and not wanted.results:
        names = QUICK if wanted.quick else scenario_names()
    for name in names:
        scenario = read_scenario(name)
        if wanted.quick:
            scenario = quick(scenario)
        if wanted.seeds:
            scenario = replace(scenario, seeds=_seeds(wanted.seeds))
        if wanted.tasks:
            terms = replace(scenario.terms, tasks=wanted.tasks)
            scenario = replace(scenario, terms=terms)
        rules = wanted.rules.split(",") if wanted.rules else scenario.rules
        for rule in rules:
            played = "strict" if wanted.sign and rule == "signals" else rule
            seeds = scenario.seeds
            if scenario.kind != STREAM and rule not in RULES:
                seeds = seeds[:1]  # what is published has no seeds
            yield from (Job(scenario, played, seed) for seed in seeds)


def _seeds(text: str) -> tuple[int, ...]:
    first, _, last = text.partition("-")
    return tuple(range(int(first), int(last or first) + 1))


def _play(jobs: list[Job], cores: int) -> Iterator[Row]:
    """Rows as they come; long runs first, so that no core waits at the end."""
    order = sorted(jobs, key=_weight, reverse=True)
    if cores <= 1 or len(order) <= 1:
        yield from map(_play_one, order)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(cores, len(order))) as pool:
        yield from pool.imap_unordered(_play_one, order)


def _play_one(job: Job) -> Row:
    return play(job.scenario, job.rule, job.seed)


def _weight(job: Job) -> tuple[bool, int]:
    shipping = job.rule in ("signals", "signals16", "strict", "cores")
    return shipping, job.scenario.terms.tasks


def _in_order(rows: list[Row]) -> list[Row]:
    names, rules = scenario_names(), list(RULES)
    return sorted(
        rows,
        key=lambda row: (
            names.index(row.scenario),
            rules.index(row.rule) if row.rule in rules else len(rules),
            row.rule,
            row.seed,
        ),
    )


def _read(path: Path | None) -> Iterator[Row]:
    if path is not None:
        yield from (from_line(line) for line in path.read_text().splitlines())


def _write(folder: Path, rows: list[Row], text: str, results: Results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{to_line(row)}\n" for row in _in_order(rows))
    (folder / LINES_FILE).write_text(lines)
    (folder / TABLES_FILE).write_text(text)
    for name, drawing in charts(results).items():
        (folder / name).write_text(drawing)


def _check(results: Results, *, whole: bool) -> int:
    """Judge what was played, and print it; how many bounds were missed.

    A first look leaves out rules on purpose, so that only a ``whole`` run misses what
    was not played.
    """
    played = set(results.scenarios())
    bounds = [bound for bound in read_goals() if bound.scenario in played]
    verdicts = [judge(bound, results) for bound in bounds]
    shown = [each for each in verdicts if whole or each.value is not None]
    sys.stdout.write("\n".join(goal_table(shown)) + "\n")
    return sum(not verdict.held for verdict in shown)
