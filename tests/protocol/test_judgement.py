"""Judgement: one value says whether a task is claimed from here, and when."""

from dataclasses import replace
from hashlib import sha256

import pytest

from nestmate_protocol.effects import Code
from nestmate_protocol.signals.judgement import Outlook
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.requests import (
    DepositTask,
    FailClaim,
    SpeedSource,
    TakeTask,
    WithdrawTask,
)

JOB = DepositTask("dig", 0.1, b"a hole", size_seconds=10)
DIG = TakeTask(skill="dig", wait_seconds=200)


def judgement(town, agent, task, taker=0):
    takers, cell = agent.board._takers, agent.board._field.get(task)
    waiting = list(takers._takers.values())[taker]
    return takers._judge.judge(waiting, cell, town.now)


@pytest.fixture
def slow(town, bob):
    """Half as fast as others, and waiting."""
    return town.ask_later(bob, replace(DIG, speed=0.5))


def test_a_task_is_held_until_its_age_is_the_loss_and_claimed_then(
    town, ann, bob, slow
):
    task = ann.ask(JOB).task
    held = judgement(town, bob, task)
    assert held.outlook is Outlook.HELD
    assert held.ready_ms == town.now.mono_ms + round(1_000 * held.estimate.loss)
    town.wait((held.ready_ms - town.now.mono_ms - 1) / 1_000)
    assert slow not in bob.replies
    town.wait(0.001)
    assert bob.replies[slow].task == task


def test_the_estimate_says_where_the_speed_came_from(town, ann, bob):
    task = ann.ask(JOB).task
    cell, judge = bob.board._field.get(task), bob.board._takers._judge
    declared, own = {"dig": 0.5}, {"dig": 0.0}
    town.ask_later(bob, replace(DIG, skill="fly"))
    taker = next(iter(bob.board._takers._takers.values()))
    found = judge.estimate(replace(taker, speeds=declared), cell)
    assert (found.speed, found.source) == (0.5, SpeedSource.DECLARED)
    found = judge.estimate(replace(taker, speeds=own), cell)
    assert (found.speed, found.source) == (1.0, SpeedSource.UNKNOWN)
    bob.board._speeds.learn(bob.address, "dig", 4, 1)
    found = judge.estimate(replace(taker, speeds=own), cell)
    assert (found.speed, found.source) == (2.0, SpeedSource.LEARNED)


def test_a_task_that_failed_here_is_tried_again_after_growing_pauses(town, ann, bob):
    task = ann.ask(JOB).task
    pauses = []
    for _ in range(RULE.failed_retries_max):
        bob.ask(TakeTask(task=task))
        bob.ask(FailClaim(task, "no spade"))
        request = town.ask_later(bob, replace(DIG, wait_seconds=0.1))
        paused = judgement(town, bob, task)
        assert paused.outlook is Outlook.PAUSED
        pauses.append((paused.ready_ms - town.now.mono_ms) / 1_000)
        town.wait(1)
        assert bob.replies[request].code is Code.TIMED_OUT
    assert pauses == [8, 16, 32, 64, 128]


def test_a_task_that_failed_here_too_often_is_left_to_others(town, ann, bob):
    task = ann.ask(JOB).task
    for _ in range(RULE.failed_retries_max + 1):
        assert bob.ask(TakeTask(task=task)).task == task
        bob.ask(FailClaim(task, "no spade"))
    town.ask_later(bob, DIG)
    assert judgement(town, bob, task).outlook is Outlook.FAILED


def test_what_is_less_urgent_than_a_reserve_wants_is_nothing_for_it(town, ann, bob):
    tasks = [ann.ask(replace(JOB, urgency=urgency)).task for urgency in (0.4, 0.5)]
    town.ask_later(bob, replace(DIG, min_urgency=0.5))
    alert, flash = (judgement(town, bob, task) for task in tasks)
    assert alert.outlook is Outlook.RELAXED
    assert flash.outlook is Outlook.HELD
    assert flash.estimate.hold == RULE.reserve_hold_seconds


def test_an_issuer_that_does_not_answer_is_left_alone_for_a_while(town, ann, bob):
    task = ann.ask(replace(JOB, exclusive=True)).task
    ann.away = True
    town.ask_later(bob, DIG)
    assert judgement(town, bob, task).outlook is Outlook.ENGAGED
    town.wait(2.5)
    silent = judgement(town, bob, task)
    assert silent.outlook is Outlook.SILENT
    ann.away = False
    town.wait((silent.ready_ms - town.now.mono_ms) / 1_000)
    assert not bob.board._takers._takers


def test_what_is_withdrawn_or_of_somebody_blocked_is_not_claimed(town, ann, bob, slow):
    task = ann.ask(JOB).task
    bob.trust = 0.0
    assert judgement(town, bob, task).outlook is Outlook.DISTRUSTED
    bob.trust = 1.0
    ann.ask(WithdrawTask(task))
    assert judgement(town, bob, task).outlook is Outlook.CLOSED


def test_what_has_faded_is_not_claimed(town, ann, bob, slow):
    task = ann.ask(replace(JOB, ttl_seconds=3)).task
    bob.away = ann.away = True
    town.wait(4)
    assert judgement(town, bob, task).outlook is Outlook.GONE


def test_a_flash_task_is_measured_against_better_agents(town, ann, bob, slow):
    for number in range(41):
        other = type(bob.address)(sha256(b"%d" % number).digest())
        bob.board._speeds.learn(other, "dig", 2.0 ** (number / 10), 1)
    tasks = [ann.ask(replace(JOB, urgency=urgency)).task for urgency in (0.1, 0.6)]
    calm, flash = (judgement(town, bob, task).estimate for task in tasks)
    assert (calm.percentile, flash.percentile) == (85, 90)
    assert flash.reference > calm.reference
