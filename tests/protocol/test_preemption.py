"""Preemption: what makes way for a flash task, and what never does."""

import pytest

from nestmate_protocol.signals.preemption import Work, choose, makes_way

SLOW = Work(0, urgency=0.1, generation=1, exclusive=False, busy_seconds=60)


def test_a_slow_task_makes_way():
    assert makes_way(SLOW)
    assert choose([SLOW]) == SLOW


@pytest.mark.parametrize(
    "stays",
    [
        SLOW._replace(urgency=0.25),
        SLOW._replace(urgency=1.0),
        SLOW._replace(exclusive=True),
        SLOW._replace(generation=3),
    ],
)
def test_urgent_exclusive_and_often_interrupted_tasks_go_on(stays):
    assert not makes_way(stays)
    assert choose([stays]) is None
    assert choose([stays, SLOW]) == SLOW


def test_the_least_urgent_makes_way_first_and_then_the_one_with_least_progress():
    calm = SLOW._replace(slot=1, urgency=0.05, busy_seconds=900)
    fresh = SLOW._replace(slot=2, busy_seconds=1)
    assert choose([SLOW, fresh, calm]) == calm
    assert choose([SLOW, fresh]) == fresh


def test_of_equal_tasks_the_first_makes_way_and_of_none_none():
    assert choose([SLOW._replace(slot=1), SLOW]) == SLOW
    assert choose([]) is None
