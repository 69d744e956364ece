"""The rules the signals are compared with: they are the study's, to the last digit.

Knows nothing of boards.
"""

import pytest

from nestmate.bench.allocation.oracle import Dispatcher, Oracle
from nestmate.bench.allocation.pulling import LateBinding, RandomPull
from nestmate.bench.allocation.pushing import ContractNet, Stealing

RULES = {
    "oracle": Oracle,
    "central": Dispatcher,
    "contract net, 10": lambda: ContractNet(10),
    "contract net, all": ContractNet,
    "contract net, 10 + stealing": lambda: Stealing(10),
    "two choices": lambda: ContractNet(2),
    "late binding, 8": lambda: LateBinding(8),
    "random pull": RandomPull,
}
# What the study's own simulator says of these worlds: UWD and messages per task.
STUDY = {
    "oracle": (15.8107, 0.0),
    "central": (17.3446, 3.0),
    "contract net, 10": (19.1483, 20.52),
    "contract net, all": (19.0110, 30.09),
    "contract net, 10 + stealing": (18.5035, 39.77),
    "two choices": (34.9180, 4.88),
    "late binding, 8": (25.3205, 24.66),
    "random pull": (61.1738, 40.81),
}
TERMS = {"agents": 40, "tasks": 600, "load": 0.8, "drain_seconds": 3_000.0}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_does_in_the_studys_world_what_it_did_in_the_study(name, play):
    _, score = play(RULES[name](), **TERMS)
    uwd, messages = STUDY[name]
    assert score.uwd == pytest.approx(uwd, abs=1e-4)
    assert score.records == pytest.approx(messages, abs=0.006)
    assert score.lost == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_oracle_is_no_worse_than_any_other(seed, play):
    terms = {"agents": 40, "tasks": 300, "load": 0.8}
    _, best = play(Oracle(), seed, **terms)
    for name, make in RULES.items():
        assert play(make(), seed, **terms)[1].uwd >= best.uwd, name


@pytest.mark.parametrize("name", RULES)
def test_a_rule_plays_the_same_game_twice(name, play):
    faults = {"up_seconds": 100.0, "cut": (0.4, 0.6)}
    first, second = (play(RULES[name](), **faults)[1] for _ in range(2))
    assert repr(first) == repr(second)


def test_a_dispatcher_that_is_down_dispatches_nothing(play):
    stage, score = play(Dispatcher(), outage=(0.2, 0.9), tasks=200)
    assert score.window_percent < 25
    assert play(Oracle(), outage=(0.2, 0.9), tasks=200)[1].uwd < score.uwd / 2
    assert stage.crew.starts.sum() == 200


def test_a_dispatcher_cannot_reach_over_a_cut(play):
    calm = play(Dispatcher(), tasks=200)[1]
    assert play(Dispatcher(), cut=(0.2, 0.8), tasks=200)[1].uwd > 1.5 * calm.uwd


def test_what_the_dead_were_at_is_done_by_others(play):
    stage, score = play(Oracle(), killed=0.3, tasks=200)
    assert score.lost == 0
    assert score.crashed_seconds > 0
    assert not stage.crew.alive[stage.world.doomed].any()
