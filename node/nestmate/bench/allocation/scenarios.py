"""Scenarios: which worlds are played by which rules, one small TOML file each.

A file says in a sentence what happens, how many seeds are played by whom, and in what
the world differs from the usual one. This file plays nothing.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from typing import Any, Final

from nestmate.bench.allocation.worlds import Terms
from nestmate.errors import NotFoundError, UsageError

FOLDER: Final = files("nestmate.bench.allocation") / "scenarios"
STREAM, MORLEY, AGREEMENT = "stream", "morley", "agreement"
QUICK: Final = ("load08", "kill30", "cut")
QUICK_TASKS: Final = 1_000
QUICK_SEEDS: Final = 2
QUICK_RULES: Final = ("oracle", "signals")
_ENDING: Final = ".toml"
_KEYS: Final = frozenset(
    ("says", "kind", "seeds", "rules", "terms", "problem", "half_life_seconds")
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One family of worlds; ``problem`` and ``half_life_seconds`` are for two kinds."""

    name: str
    says: str
    seeds: tuple[int, ...]
    rules: tuple[str, ...]
    terms: Terms
    kind: str = STREAM
    problem: int = 0
    half_life_seconds: int = 0


def scenario_names() -> tuple[str, ...]:
    """All there are."""
    names = (each.name for each in FOLDER.iterdir())
    return tuple(sorted(n.removesuffix(_ENDING) for n in names if n.endswith(_ENDING)))


def read_scenario(name: str) -> Scenario:
    """The scenario in a file; NotFoundError if there is none."""
    if name not in scenario_names():
        known = ", ".join(scenario_names())
        raise NotFoundError(f"There is no scenario {name!r}.", f"There are: {known}.")
    return parse_scenario(name, (FOLDER / f"{name}{_ENDING}").read_text())


def parse_scenario(name: str, text: str) -> Scenario:
    """The scenario in a text; UsageError for what it should not say."""
    document = tomllib.loads(text)
    _only(name, document, _KEYS)
    terms = document.get("terms", {})
    _only(name, terms, {each.name for each in fields(Terms)})
    return Scenario(
        name=name,
        says=document["says"],
        seeds=tuple(range(1, 1 + document["seeds"])),
        rules=tuple(document["rules"]),
        terms=Terms(**{key: _value(value) for key, value in terms.items()}),
        kind=document.get("kind", STREAM),
        problem=document.get("problem", 0),
        half_life_seconds=document.get("half_life_seconds", 0),
    )


def quick(scenario: Scenario) -> Scenario:
    """The same, as small as a first look wants it."""
    return replace(
        scenario,
        seeds=scenario.seeds[:QUICK_SEEDS],
        rules=tuple(rule for rule in scenario.rules if rule in QUICK_RULES),
        terms=replace(scenario.terms, tasks=min(QUICK_TASKS, scenario.terms.tasks)),
    )


def _only(name: str, table: dict[str, Any], known: Iterable[str]) -> None:
    strange = sorted(set(table) - set(known))
    if strange:
        raise UsageError(f"Scenario {name} says {', '.join(strange)}: what is that?")


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
