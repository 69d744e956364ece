"""Digest: news nobody waits for goes together, to those who heard the call."""

from dataclasses import replace

import pytest

from nestmate_protocol.ids import NetworkId
from nestmate_protocol.records import Kind, open_record
from nestmate_protocol.signals.outcomes import ToAgent, ToTopic
from nestmate_protocol.signals.requests import (
    DepositTask,
    FailClaim,
    FinishClaim,
    ShowTask,
    TakeTask,
    TaskStatus,
    WithdrawTask,
)

NETWORK = NetworkId(b"\x06" * 32)
JOB = DepositTask("dig", 0.1, b"a hole")
DIG = TakeTask(skill="dig", wait_seconds=20)


@pytest.fixture
def few(town, ann, monkeypatch):
    """The topic is silent, and nine agents are known to be able: eight are told."""
    names = [f"a{number}" for number in range(9)]
    ann.able["dig"] = [agent.address for agent in town.add(*names)]
    post = town.post

    def straight_only(sender, data, age_ms, to):
        if to is not None:
            post(sender, data, age_ms, to)

    monkeypatch.setattr(town, "post", straight_only)
    return [town.agents[name] for name in names]


def kinds_to(outcomes, kind):
    return [
        type(each)
        for each in outcomes
        if isinstance(each, ToAgent | ToTopic)
        and open_record(each.record, NETWORK).kind is kind
    ]


def sensing(agents, task):
    return [agent for agent in agents if agent.board._field.get(task)]


def test_those_who_were_told_of_a_task_hear_that_it_is_held(town, ann, few):
    task = ann.ask(JOB).task
    told = sensing(few, task)
    assert len(told) == 8
    told[0].ask(DIG)
    assert told[1].ask(ShowTask(task)).status is TaskStatus.OPEN
    town.wait(1)
    assert told[1].ask(ShowTask(task)).status is TaskStatus.GRANTED
    assert sensing(few, task) == told


def test_what_is_said_within_a_second_is_said_once(town, ann, few):
    task = ann.ask(JOB).task
    worker = sensing(few, task)[0]
    worker.ask(DIG)
    worker.ask(FinishClaim(task))
    town.now = town.now.later(1_000)
    outcomes = ann.board.wake(town.now)
    assert kinds_to(outcomes, Kind.LEASE) == []
    assert kinds_to(outcomes, Kind.RECEIPT) == [ToAgent] * 7


def test_a_lease_that_is_over_before_it_is_told_is_not_told(town, ann, few):
    task = ann.ask(JOB).task
    worker = sensing(few, task)[0]
    worker.ask(DIG)
    worker.ask(FailClaim(task, "no spade"))
    assert ann.board._digest.next_wakeup() is not None
    town.now = town.now.later(1_000)
    assert kinds_to(ann.board.wake(town.now), Kind.LEASE) == []


def test_a_withdrawn_task_is_over_at_once_for_those_who_were_told(ann, few):
    task = ann.ask(JOB).task
    told = sensing(few, task)
    ann.ask(WithdrawTask(task))
    states = {agent.ask(ShowTask(task)).status for agent in told}
    assert states == {TaskStatus.CANCELLED}


def test_tasks_of_one_topic_leave_the_digest_together(town, ann, bob):
    tasks = [ann.ask(replace(JOB, key=b"%d" % number)).task for number in range(3)]
    for _ in tasks:
        bob.ask(DIG)
    town.now = town.now.later(1_000)
    outcomes = ann.board.wake(town.now)
    assert kinds_to(outcomes, Kind.LEASE) == [ToTopic] * 3
    assert ann.board._digest.next_wakeup() is None
