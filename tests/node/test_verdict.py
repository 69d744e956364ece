"""The verdict of the demo: each promise that is broken is called broken, and no other.

A verdict that cannot be bad proves nothing, so each test breaks one thing in a story
that went well. Knows nothing of nodes: the one that is asked is a fake.
"""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from nestmate.operations.events import Event
from nestmate.testnet.crew import CRAFTS, same
from nestmate.testnet.demo import _orders
from nestmate.testnet.stage import Stage
from nestmate.testnet.story import URGENCIES, Death, Job, Restart, Story

ONCE, RIGHT, PASSED, CAUGHT, OVERTOOK = range(5)


@dataclass
class FakeNode:
    """A member of a testnet that answers what the test has laid out."""

    number: int
    address: str
    peers: int = 3
    view: object = None

    @property
    def client(self):
        return SimpleNamespace(
            status=lambda: SimpleNamespace(peers=self.peers),
            signal=SimpleNamespace(show=lambda _: self.view),
        )


@pytest.fixture
def story():
    """Six tasks, all done once and rightly; node 2 died at one, node 1 came back."""
    asker, victim, heir = (FakeNode(n, f"nest1{n}") for n in (1, 2, 3))
    jobs = {}
    for at, (level, craft) in enumerate(_orders(6, 2)):
        waited = 1.0 if level == "flash" else 9.0
        job = Job(asker, craft, level, "b\na\n", f"task{at}", 100.0, 100.0 + waited)
        job.holder, job.fence, job.ends, job.right = heir.address, 1, 1, True
        jobs[job.task] = job
    jobs["task0"].fence = 2
    return Story(
        SimpleNamespace(members=[asker, victim, heir]),
        jobs=jobs,
        death=Death(victim, jobs["task0"], 1),
        restart=Restart(asker, (jobs["task5"],)),
    )


def broken(story) -> set[int]:
    return {at for at, (_, held, _) in enumerate(story.verdict()) if not held}


def test_a_story_that_went_well_breaks_nothing(story):
    assert broken(story) == set()


def twice(story):
    story.jobs["task3"].ends = 2


def never(story):
    story.jobs["task3"].ends = 0


def wrong(story):
    story.jobs["task3"].right = False


def same_fence(story):
    story.jobs["task0"].fence = 1


def same_holder(story):
    story.jobs["task0"].holder = story.death.victim.address


def nobody_died(story):
    story.death = None


def alone(story):
    story.restart.member.peers = 0


def nothing_left(story):
    story.restart = replace(story.restart, left=())


def urgent_last(story):
    for job in story.jobs.values():
        job.granted = job.asked + (9.0 if job.level == "flash" else 1.0)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (twice, {ONCE}),
        (never, {ONCE}),
        (wrong, {RIGHT}),
        (same_fence, {PASSED}),
        (same_holder, {PASSED}),
        (nobody_died, {PASSED}),
        (alone, {CAUGHT}),
        (nothing_left, {CAUGHT}),
        (urgent_last, {OVERTOOK}),
    ],
)
def test_what_is_broken_is_found_and_nothing_else(story, spoil, found):
    spoil(story)
    assert broken(story) == found


def event(kind: str, **details) -> Event:
    at = "2026-01-01T00:00:01.500Z"
    return Event(seq=1, type=kind, at=at, author=None, ref="task1", details=details)


def test_a_job_counts_every_end_and_keeps_its_first_grant(story):
    job = Job(story.restart.member, CRAFTS[1], "slow", "three small words", "t", 0.0)
    job.asker.view = SimpleNamespace(generation=2, holder="nest13", result=3)
    job.note(event("task.granted", holder="nest12"))
    first = job.granted
    assert (job.holder, job.ends) == ("nest12", 0)
    job.note(event("task.reopened"))
    assert job.holder == ""
    for _ in range(2):
        job.note(event("task.done"))
    assert (job.ends, job.fence, job.holder, job.right) == (2, 2, "nest13", True)
    assert job.granted == first > 0


@pytest.mark.parametrize("craft", CRAFTS, ids=lambda craft: craft.skill)
def test_an_answer_is_compared_with_what_was_computed_again(craft):
    assert same(craft, "b\na\n", craft.answer("b\na\n") + "\n")
    assert not same(craft, "b\na\n", craft.answer("c c c\n"))


@pytest.mark.parametrize("tasks", [18, 30, 31, 120])
def test_every_worker_is_busy_before_a_slow_task_comes_and_urgent_ones_come_last(tasks):
    orders = [level for level, _ in _orders(tasks, 6)]
    assert len(orders) == tasks
    assert set(orders[:6]) == {"alert"}
    assert orders.index("flash") > max(
        at for at, level in enumerate(orders) if level != "flash"
    )
    assert all(orders.count(level) >= tasks // 3 for level in URGENCIES)


def test_a_bad_verdict_is_told_to_programs_as_well(story, capsys):
    twice(story)
    assert not Stage(as_json=True).verdict(story.verdict(), 1.0)
    said = json.loads(capsys.readouterr().out)
    assert [check["held"] for check in said["checks"]] == [
        False,
        True,
        True,
        True,
        True,
    ]
    assert not said["held"]
    assert not Stage(as_json=True).verdict((), 1.0, "The story broke off")
    assert json.loads(capsys.readouterr().out)["failure"] == "The story broke off"
