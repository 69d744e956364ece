"""Details: who was told of a task, who came, and what can honestly be said of why."""

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.claims import Claim
from nestmate_protocol.signals.details import LISTED_MAX
from nestmate_protocol.signals.requests import (
    DepositTask,
    FinishClaim,
    ListSignals,
    ReinforceTask,
    ReleaseClaim,
    ShowTask,
    TakeTask,
    WithdrawTask,
)
from nestmate_protocol.signals.turnout import ATTEMPTS_PER_TASK_MAX, TASKS_MAX, Turnout

JOB = DepositTask("dig", 0.1, b"a hole", size_seconds=10)


def detail(agent, task):
    return agent.ask(ShowTask(task)).detail


def crowd(count):
    return [Address(bytes([number]) * 32) for number in range(1, count + 1)]


def test_the_parts_of_a_strength_make_the_strength(town, ann, bob, cid):
    task = ann.ask(JOB).task
    town.wait(30)
    cid.ask(ReinforceTask(task))
    for agent in (ann, bob):
        view = agent.ask(ShowTask(task))
        parts = view.detail.strength
        assert parts.weight * parts.growth * parts.freshness == view.strength
        assert [each.agent for each in parts.deposits] == [ann.address, cid.address]
        assert parts.half_life_seconds == 12 * 3_600


def test_an_issuer_sees_whom_it_told_and_when_it_says_so_again(town, ann):
    ann.able["dig"] = crowd(30)
    task = ann.ask(JOB).task
    telling = detail(ann, task).telling
    assert (telling.said, telling.able, telling.told) == (1, 30, 8)
    assert (telling.again_seconds, telling.topic) == (8.0, False)
    assert len({each.agent for each in telling.listeners}) == 8
    town.wait(8)
    telling = detail(ann, task).telling
    assert (telling.said, telling.told) == (2, 24)
    assert len(telling.listeners) == LISTED_MAX
    assert "told 24 agents; none has claimed it yet" in detail(ann, task).why


def test_what_an_issuer_guesses_of_a_listener_comes_from_receipts(ann):
    quick, slow, stranger = ann.able["dig"] = crowd(3)
    for agent, seconds in ((quick, 1), (slow, 16)):
        for _ in range(9):
            ann.board._speeds.learn(agent, "dig", 4, seconds)
    listeners = detail(ann, ann.ask(JOB).task).telling.listeners
    found = {each.agent: each for each in listeners}
    assert found[quick].speed > 2
    assert found[slow].speed < 1
    assert found[quick].hold_seconds == 0 < found[slow].hold_seconds
    assert found[stranger].speed is None


def test_who_claimed_and_who_came_too_late_is_remembered(town, ann, bob, cid):
    task = ann.ask(JOB).task
    town.delay_ms = 10
    for agent in (bob, cid):
        town.ask_later(agent, TakeTask(task=task))
    town.wait(1)
    came = [(each.agent, each.granted) for each in detail(ann, task).attempts]
    assert came == [(bob.address, True), (cid.address, False)]
    assert detail(ann, task).why.endswith("1 other came too late.")
    assert detail(bob, task).attempts == ()


def test_what_is_given_away_calls_no_more_and_was_still_told(town, ann, bob):
    ann.able["dig"] = crowd(3)
    task = ann.ask(JOB).task
    bob.ask(TakeTask(task=task))
    found = detail(ann, task)
    assert found.strength is None
    assert (found.telling.said, found.telling.again_seconds) == (1, None)
    assert found.telling.told == 3


def test_every_generation_has_its_own_attempts(town, ann, bob, cid):
    task = ann.ask(JOB).task
    bob.ask(TakeTask(task=task))
    bob.ask(ReleaseClaim(task, "tired"))
    assert "opened again: released: tired" in detail(ann, task).why
    cid.ask(TakeTask(task=task))
    came = [(each.agent, each.generation) for each in detail(ann, task).attempts]
    assert came == [(bob.address, 1), (cid.address, 2)]


def test_an_issuer_says_in_words_how_its_task_stands(town, ann, bob):
    task = ann.ask(JOB).task
    assert "no agent is known here to have skill 'dig'" in detail(ann, task).why
    bob.ask(TakeTask(task=task))
    assert detail(ann, task).why == "Given to the first who claimed it."
    bob.ask(FinishClaim(task))
    assert detail(ann, task).why == "Done: its result is here."
    other = ann.ask(JOB).task
    ann.ask(WithdrawTask(other))
    assert detail(ann, other).why == "Over: withdrawn."


def test_a_worker_is_shown_how_long_it_holds_back(town, ann, bob):
    town.ask_later(bob, TakeTask(skill="dig", speed=0.5, wait_seconds=60))
    found = detail(bob, ann.ask(JOB).task)
    assert 9 < found.ready_seconds < 11
    assert found.why.startswith("Would be claimed in ")
    assert found.telling is None


def test_a_list_of_signals_carries_no_details(ann):
    ann.ask(JOB)
    assert ann.ask(ListSignals()).tasks[0].detail is None


def test_a_turnout_is_bounded_in_tasks_and_in_agents(town):
    turnout, tasks = Turnout(), [TaskId(n.to_bytes(32)) for n in range(TASKS_MAX + 1)]
    for task in tasks:
        turnout.note(claim(task, 1), town.now, granted=True)
    assert turnout.of(tasks[0]) == ()
    for number in range(1, ATTEMPTS_PER_TASK_MAX + 3):
        turnout.note(claim(tasks[-1], number), town.now, granted=False)
    assert len(turnout.of(tasks[-1])) == ATTEMPTS_PER_TASK_MAX
    assert turnout.of(tasks[-1])[0].granted


def test_a_claim_of_another_fence_is_no_attempt_at_this_one(town, ann, bob):
    task = ann.ask(JOB).task
    town.deliver(ann, town.sign("bob", Claim(task, bob.address, 99, 0, 15)), "bob")
    assert detail(ann, task).attempts == ()


def claim(task, number):
    return Claim(task, Address(number.to_bytes(32)), 1, 0, 15)
