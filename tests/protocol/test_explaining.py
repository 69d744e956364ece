"""Explaining: a node says why it claims a task or not, and what it says comes true."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestmate_protocol.effects import Code
from nestmate_protocol.ids import TaskId
from nestmate_protocol.limits import CLAIMS_HELD_MAX
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.explaining import SETTLED
from nestmate_protocol.signals.judgement import Outlook
from nestmate_protocol.signals.requests import (
    ClaimView,
    DepositTask,
    ExplainClaim,
    FailClaim,
    FinishClaim,
    Prospect,
    SpeedSource,
    TakeTask,
    WithdrawTask,
)

JOB = DepositTask("dig", 0.1, b"a hole", size_seconds=10)
DIG = TakeTask(skill="dig", wait_seconds=290)
SLOW = replace(DIG, speed=0.5)
LATER = {Prospect.HELD, Prospect.RIPE}


def explained(agent, task):
    return agent.ask(ExplainClaim(task))


def test_what_is_held_back_is_claimed_when_the_explanation_said_so(town, ann, bob):
    request = town.ask_later(bob, SLOW)
    task = ann.ask(JOB).task
    said = explained(bob, task)
    assert said.prospect is Prospect.HELD
    assert said.ready_seconds == pytest.approx(said.estimate.hold, abs=0.001)
    expected = f"Would be claimed in {said.ready_seconds:.1f} s"
    assert said.sentence == f"{expected}, if it is still open then."
    town.wait(said.ready_seconds - 0.002)
    assert request not in bob.replies
    town.wait(0.003)
    assert bob.replies[request].task == task


def test_the_explanation_gives_every_figure_of_the_rule(town, ann, bob):
    town.ask_later(bob, SLOW)
    said = explained(bob, ann.ask(JOB).task)
    found = said.estimate
    assert (found.speed, found.source) == (0.5, SpeedSource.DECLARED)
    assert found.service == found.size / 0.5 == 2 * found.good
    assert (found.reference, found.percentile) == (1.0, 85)
    assert found.loss == found.hold == found.service - found.good > found.margin
    assert (said.trust, said.waiting, said.idle, said.room) == (1.0, 1, 1, True)
    assert said.urgency == said.urgency_counted == 0.1


def test_where_nobody_waits_the_explanation_says_so(town, ann, bob):
    task = ann.ask(JOB).task
    said = explained(bob, task)
    assert said.prospect is Prospect.UNWANTED
    assert said.sentence == "Not claimed: nobody here waits for skill 'dig'."
    assert said.estimate.source is SpeedSource.UNKNOWN
    bob.ask(DIG)
    said = explained(bob, ann.ask(JOB).task)
    assert said.sentence.endswith("; another task of it is being worked on.")


def test_a_claim_is_explained_from_the_first_word_to_the_last(town, ann, bob):
    task = ann.ask(JOB).task
    town.delay_ms = 100
    town.ask_later(bob, DIG)
    assert explained(bob, task).prospect is Prospect.ASKED
    town.wait(1)
    said = explained(bob, task)
    assert (said.prospect, said.lease_seconds) == (Prospect.CLAIMED, 14.0)
    assert said.sentence == "Claimed: the lease has 14.0 s left, more if it is renewed."
    bob.ask(FinishClaim(task))
    assert explained(bob, task).prospect is Prospect.FINISHED
    town.wait(1)
    assert explained(bob, task).prospect is Prospect.CONFIRMED


def test_a_silent_issuer_is_named_with_the_time_of_the_next_try(town, ann, bob):
    task = ann.ask(replace(JOB, exclusive=True)).task
    ann.away = True
    town.ask_later(bob, DIG)
    town.wait(2.5)
    said = explained(bob, task)
    assert said.prospect is Prospect.SILENT
    assert said.shunned_seconds == said.ready_seconds
    assert "has not answered, tried again in" in said.sentence
    claims = bob.count(Kind.CLAIM)
    town.wait(said.ready_seconds - 0.002)
    assert bob.count(Kind.CLAIM) == claims
    town.wait(0.003)
    assert bob.count(Kind.CLAIM) == claims + 1


def test_work_that_goes_on_without_its_issuer_is_explained_on_both_sides(
    town, ann, bob, cid
):
    task = ann.ask(JOB).task
    ann.away = True
    town.ask_later(bob, DIG)
    town.ask_later(cid, SLOW)
    town.wait(5)
    assert explained(bob, task).sentence == SETTLED
    said = explained(cid, task)
    assert said.prospect is Prospect.TAKEN
    assert said.sentence.startswith("Not claimed: another agent holds it; free in")


def test_what_others_hold_or_nobody_wants_is_explained(town, ann, bob, cid):
    task = ann.ask(JOB).task
    cid.ask(TakeTask(task=task))
    town.wait(2)
    assert "another agent holds it; free in" in explained(bob, task).sentence
    cid.ask(FinishClaim(task))
    town.wait(2)
    assert explained(bob, task).sentence == "Not claimed: another agent has done it."
    other = ann.ask(JOB).task
    ann.ask(WithdrawTask(other))
    assert explained(bob, other).sentence == "Not claimed: its issuer called it off."


def test_what_is_over_or_has_faded_is_explained(town, ann, bob):
    short = ann.ask(replace(JOB, ttl_seconds=3)).task
    faint = ann.ask(replace(JOB, half_life_seconds=1)).task
    ann.away = bob.away = True
    town.wait(10)
    assert explained(bob, short).sentence == "Not claimed: its time is over."
    assert "it has faded" in explained(bob, faint).sentence


def test_what_failed_here_and_who_is_blocked_is_explained(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(TakeTask(task=task))
    bob.ask(FailClaim(task, "no spade"))
    town.ask_later(bob, DIG)
    said = explained(bob, task)
    assert said.prospect is Prospect.PAUSED
    assert said.sentence.startswith("Not claimed: it failed here before, tried again")
    bob.trust = 0.0
    assert explained(bob, task).sentence == "Not claimed: its issuer is blocked here."


def test_who_is_busy_and_makes_way_only_for_urgent_work_says_so(town, ann, bob):
    town.ask_later(bob, replace(DIG, min_urgency=0.5))
    said = explained(bob, ann.ask(JOB).task)
    assert (said.prospect, said.ready_seconds) == (Prospect.RELAXED, None)
    assert "makes way only for what is more urgent" in said.sentence


def test_a_node_without_room_says_so(town, ann, bob):
    tasks = [ann.ask(JOB).task for _ in range(3)]
    bob.board._worker.tenures |= {bytes([n]): None for n in range(CLAIMS_HELD_MAX)}
    town.ask_later(bob, DIG)
    said = explained(bob, tasks[0])
    assert (said.prospect, said.room) == (Prospect.FULL, False)


def test_a_task_that_comes_first_is_named(town, ann, bob):
    town.ask_later(bob, SLOW)
    first = ann.ask(replace(JOB, size_seconds=5)).task
    second = ann.ask(JOB).task
    said = explained(bob, second)
    assert said.rival.task == first
    assert said.rival.ready_seconds < said.ready_seconds
    assert f"{first.short}, which comes first" in said.sentence
    assert first.short not in explained(bob, first).sentence


def test_what_ends_before_it_would_be_claimed_is_not_promised(town, ann, bob):
    town.ask_later(bob, SLOW)
    said = explained(bob, ann.ask(replace(JOB, ttl_seconds=3)).task)
    assert said.sentence.startswith("Not claimed: it is held back here for")


def test_a_task_never_heard_of_is_not_explained(bob):
    assert bob.ask(ExplainClaim(TaskId(b"?" * 32))).code is Code.NOT_FOUND


def test_every_outlook_of_the_judge_has_a_word_for_people():
    words = {each.value for each in Prospect}
    assert {each.value for each in Outlook} - {Outlook.ENGAGED.value} <= words


speeds = st.one_of(st.just(0.0), st.floats(0.1, 8))
jobs = st.builds(
    DepositTask,
    skill=st.just("dig"),
    urgency=st.floats(0, 1),
    size_seconds=st.floats(1, 60),
)


def taught(agent, doublings):
    """An agent that knows speeds: first its own, then some others'."""
    for number, each in enumerate(doublings):
        name = sha256(b"%d" % number).digest() if number else agent.address.raw
        agent.board._speeds.learn(type(agent.address)(name), "dig", 2.0**each, 1)


def comes_true(town, bob, tasks, said):
    """Wait for what is said to come first; the tasks it may be, best last."""
    waits = [each.ready_seconds for each in said.values() if each.prospect in LATER]
    claims, soonest = bob.count(Kind.CLAIM), min(waits, default=None)
    town.wait(5 if soonest is None else max(0, soonest - 0.001))
    assert bob.count(Kind.CLAIM) == claims or soonest == 0
    if soonest is None:
        return []
    town.wait(0.001)
    assert bob.count(Kind.CLAIM) > claims
    ripe = [task for task in tasks if said[task].ready_seconds == soonest]
    return sorted(ripe, key=lambda task: (said[task].preference, task.raw))


@settings(max_examples=60, deadline=None)
@given(
    jobs=st.lists(jobs, min_size=1, max_size=4),
    takers=st.lists(st.tuples(speeds, st.floats(0, 30)), min_size=1, max_size=2),
    known=st.lists(st.floats(-3, 3), max_size=6),
    trust=st.sampled_from((0.0, 0.3, 1.0)),
)
def test_what_is_explained_and_what_is_done_cannot_differ(
    new_town, jobs, takers, known, trust
):
    town = new_town()
    ann, bob = town.add("ann", "bob")
    taught(bob, known)
    tasks = [ann.ask(job).task for job in jobs]
    bob.trust = trust
    for speed, setup in takers:
        town.ask_later(bob, replace(DIG, speed=speed, setup_seconds=setup))
    ripe = tasks
    while ripe:
        said = {task: explained(bob, task) for task in tasks}
        ripe = comes_true(town, bob, tasks, said)
        if len(takers) == 1 and ripe:
            assert explained(bob, ripe[-1]).prospect is Prospect.CLAIMED


@pytest.mark.parametrize("number", range(2))
def test_explaining_changes_nothing(town, ann, bob, number):
    request = town.ask_later(bob, SLOW)
    task = ann.ask(JOB).task
    for _ in range(number * 5):
        explained(bob, task)
        town.wait(0.1)
    town.wait(20)
    assert isinstance(bob.replies[request], ClaimView)


def test_a_task_of_a_silent_issuer_is_said_to_come_after_others(town, ann, bob, cid):
    orphan = ann.ask(JOB).task
    ann.away = True
    town.ask_later(bob, DIG)
    town.wait(1)
    cid.ask(JOB)
    town.wait(1.5)
    said = explained(bob, orphan)
    assert said.sentence.endswith(
        "Its issuer is silent: tasks of others come before it."
    )
    assert 0 < said.preference < 1e-6
