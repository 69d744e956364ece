"""Scores by hand: the formulas of the allocation bench on cases one can add up.

Knows no rule but one that starts what it is told to start.
"""

import numpy as np
import pytest

from nestmate.bench.allocation.crew import NEVER, NOTHING, Crew
from nestmate.bench.allocation.oracle import Oracle
from nestmate.bench.allocation.scoring import (
    gini,
    percentile,
    urgency_weighted_delay,
    window_percent,
)
from nestmate.bench.allocation.worlds import Terms, make_world

ALL = np.array([True, True, True])


@pytest.fixture
def crew():
    return Crew(make_world(Terms(agents=8, tasks=20), 1))


def pair(crew):
    """An agent, and the first task of its skills."""
    able = crew.world.able[int(crew.world.kind[0])]
    return int(able[0]), 0


def test_delay_is_weighted_by_urgency():
    delay, worth = np.array([10.0, 20.0, 1.0]), np.array([1.0, 4.0, 16.0])
    assert urgency_weighted_delay(delay, worth, ALL) == pytest.approx(106 / 21)
    assert urgency_weighted_delay(delay, worth, worth < 16) == pytest.approx(18)


def test_delay_of_no_task_is_no_number():
    assert np.isnan(urgency_weighted_delay(np.ones(3), np.ones(3), ~ALL))


def test_equal_shares_have_gini_zero_and_one_owner_almost_one():
    assert gini(np.full(10, 3.0)) == pytest.approx(0)
    assert gini(np.array([0.0] * 9 + [5.0])) == pytest.approx(0.9)
    assert gini(np.array([1.0, 3.0])) == pytest.approx(0.25)
    assert gini(np.zeros(4)) == 0


def test_a_percentile_lies_between_its_neighbours():
    assert percentile(np.array([1.0, 2.0, 3.0]), 50) == 2
    assert percentile(np.array([0.0, 10.0]), 99) == pytest.approx(9.9)
    assert np.isnan(percentile(np.array([]), 50))


def test_throughput_counts_what_is_done_for_what_came_up_in_a_window():
    born, done = np.array([1.0, 5.0, 6.0, 7.0]), np.array([6.0, 8.0, NEVER, 30.0])
    assert window_percent(born, done, 4, 8) == pytest.approx(200 / 3)


def test_a_set_up_is_paid_for_a_change_of_skill_only(crew):
    agent, task = pair(crew)
    skill = crew.world.kind[task]
    bare = crew.world.work[task] / crew.world.speeds[agent, skill]
    assert crew.start(agent, task, 0.0) == pytest.approx(bare + 4)
    crew.finish(agent, bare + 4)
    assert crew.service_seconds(agent, task) == pytest.approx(bare)
    assert crew.setups == 1


def test_a_second_run_of_a_task_is_waste_and_the_first_counts(crew):
    agent, task = pair(crew)
    end = crew.start(agent, task, 0.0)
    crew.finish(agent, end)
    again = crew.start(agent, task, 100.0)
    crew.finish(agent, again)
    assert crew.done[task] == end
    assert crew.useful == pytest.approx(end)
    assert crew.wasted == pytest.approx(again - 100)


def test_a_crash_loses_the_work_and_what_was_loaded(crew):
    agent, task = pair(crew)
    crew.start(agent, task, 0.0)
    assert crew.crash(agent, 3.0) == task
    assert crew.crashed == 3
    assert crew.loaded[agent] == NOTHING
    assert not crew.is_idle(agent)
    with pytest.raises(ValueError, match="cannot start"):
        crew.start(agent, task, 4.0)


def test_who_was_down_was_not_idle(crew):
    crew.crash(0, 2.0)
    crew.revive(0, 5.0)
    assert crew.up_seconds(10.0) == pytest.approx(8 * 10 - 3)


def test_a_task_that_is_never_done_is_charged_until_the_end(play):
    stage, score = play(Oracle(), killed=0.9, killed_at=0.5, drain_seconds=50.0)
    lost = stage.crew.done == NEVER
    assert score.lost == lost.sum() > 0
    counted = (stage.world.born > 0.1 * stage.world.horizon) & (
        stage.world.born < 0.9 * stage.world.horizon
    )
    end = np.where(lost, stage.now, stage.crew.done)
    worth = stage.world.worth[counted]
    by_hand = (worth * (end - stage.world.born)[counted]).sum() / worth.sum()
    assert score.uwd == pytest.approx(by_hand)
