"""Rules by name, and one run of one of them.

The name stands in scenarios, goals and results; the title is for people. This file
knows who plays, not what is played.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from nestmate.bench.allocation import agreement, morley
from nestmate.bench.allocation.boards import Boards
from nestmate.bench.allocation.cores import GATHER_SECONDS, Cores
from nestmate.bench.allocation.oracle import Dispatcher, Oracle
from nestmate.bench.allocation.pulling import LateBinding, RandomPull
from nestmate.bench.allocation.pushing import ContractNet, Stealing
from nestmate.bench.allocation.scenarios import AGREEMENT, MORLEY, Scenario
from nestmate.bench.allocation.scoring import score
from nestmate.bench.allocation.stage import Rule, Stage
from nestmate.bench.allocation.worlds import make_world
from nestmate_protocol.signals.parameters import RULE

# Twice as many are told at once, of a flash no more than of others, and all have twice
# as long to answer before more are told.
WIDE: Final = replace(
    RULE,
    reach_min=2 * RULE.reach_min,
    flash_reach=1,
    reinforce_ms_min=2 * RULE.reinforce_ms_min,
    reinforce_size_share=2 * RULE.reinforce_size_share,
)
LATE_RESERVATIONS: Final = 8
ANNOUNCED: Final = 10
TWO: Final = 2


@dataclass(frozen=True, slots=True)
class Player:
    """One rule: what people call it, how it is made, and how early it begins."""

    title: str
    make: Callable[[], Rule]
    start: float = 0.0


RULES: Final = {
    "oracle": Player("oracle", Oracle),
    "central": Player("central dispatcher", Dispatcher),
    "signals": Player("signals", Boards),
    "signals16": Player("signals, F 16", lambda: Boards(WIDE)),
    "ranked": Player(
        "signals, by rank", lambda: Boards(replace(RULE, urgency_by_rank=True))
    ),
    "strict": Player("signals, each node verifies", lambda: Boards(strict=True)),
    "cores": Player("signals, whole cores", Cores, -GATHER_SECONDS),
    "net10": Player("contract net, 10", lambda: ContractNet(ANNOUNCED)),
    "netall": Player("contract net, all", ContractNet),
    "net10steal": Player("contract net, 10 + stealing", lambda: Stealing(ANNOUNCED)),
    "netallsteal": Player("contract net, all + stealing", Stealing),
    "two": Player("two choices", lambda: ContractNet(TWO)),
    "late8": Player("late binding, 8", lambda: LateBinding(LATE_RESERVATIONS)),
    "pull": Player("random pull", RandomPull),
}
PUBLISHED_TITLES: Final = {
    "r-wasps": "R-Wasps, published",
    "morley": "Morley's rule, published",
    "campos1": "Campos et al. 1, published",
    "campos2": "Campos et al. 2, published",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One run: who played which seed of what, and its figures."""

    scenario: str
    rule: str
    seed: int
    figures: dict[str, float]


def title_of(rule: str) -> str:
    """What people call a rule."""
    return RULES[rule].title if rule in RULES else PUBLISHED_TITLES[rule]


def play(scenario: Scenario, rule: str, seed: int) -> Row:
    """One run, with the processor time it took."""
    began = time.process_time()
    if scenario.kind == AGREEMENT:
        figures = dict(agreement.agree(seed, scenario.half_life_seconds))
    elif scenario.kind == MORLEY:
        if rule in morley.PUBLISHED:
            figures = dict(morley.published(rule, scenario.problem))
        else:
            figures = dict(morley.paint(scenario.problem, seed))
    else:
        figures = _play_stream(scenario, rule, seed)
    figures["cpu_seconds"] = time.process_time() - began
    return Row(scenario.name, rule, seed, figures)


def _play_stream(scenario: Scenario, rule: str, seed: int) -> dict[str, float]:
    player = RULES[rule]
    made = player.make()
    stage = Stage(make_world(scenario.terms, seed), made, player.start)
    began = time.process_time()
    halftime = stage.run()
    took = time.process_time() - began
    if not isinstance(made, Boards | Cores):
        return score(stage, halftime).as_dict()
    figures = score(stage, halftime, made.figures()).as_dict()
    delivered = figures["delivered"] * scenario.terms.tasks
    figures["ms_per_record"] = 1_000 * took / max(delivered, 1.0)
    for words in made.watcher.broken:
        sys.stderr.write(f"{scenario.name}, {rule}, seed {seed}: {words}\n")
    return figures
