"""Work that depends on work: it waits for its inputs, gets them, and ends with them."""

from dataclasses import replace

import pytest

from nestmate_protocol.effects import Code
from nestmate_protocol.ids import TaskId
from nestmate_protocol.limits import RESULT_BYTES_MAX, TASK_INPUTS_MAX
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.requests import (
    DepositTask,
    FinishClaim,
    ListClaims,
    ListSignals,
    ReinforceTask,
    ShowTask,
    TakeTask,
    TaskStatus,
    WithdrawTask,
)
from nestmate_protocol.signals.yields import InputResult

DIG = DepositTask("dig", 0.6, b"a hole", size_seconds=10)
FILL = DepositTask("fill", 0.6, size_seconds=10)
LARGE = b"x" * RESULT_BYTES_MAX


def deposit(agent, job, *inputs, **extra):
    return agent.ask(replace(job, inputs=inputs, **extra)).task


def take(agent, skill):
    return agent.ask(TakeTask(skill=skill, wait_seconds=30))


def work(agent, skill, result):
    """Take the best task of a skill and finish it."""
    claim = take(agent, skill)
    agent.ask(FinishClaim(claim.task, result))
    return claim


def show(agent, task):
    return agent.ask(ShowTask(task))


def restart(town, agent):
    town.wait(1)
    agent.boot()
    town.settle()


def test_a_task_waits_until_its_inputs_exist(town, ann, bob):
    first = deposit(ann, DIG)
    second = deposit(ann, FILL, first)
    town.wait(60)
    assert not bob.ask(ListSignals("fill")).tasks
    view = show(ann, second)
    assert view.status is TaskStatus.OPEN
    assert view.reason == f"it waits for the result of {first.short}"
    assert [(each.task, each.is_here) for each in view.inputs] == [(first, False)]
    work(bob, "dig", b"a deep one")
    assert [view.task for view in bob.ask(ListSignals("fill")).tasks] == [second]
    assert show(ann, second).reason == ""


def test_whoever_takes_it_gets_the_results_in_order(town, ann, bob, cid):
    parts = [deposit(ann, DIG, key=b"%d" % n) for n in range(3)]
    last = deposit(ann, FILL, *parts[::-1])
    for _ in parts:
        claim = take(bob, "dig")
        bob.ask(FinishClaim(claim.task, claim.task.raw))
    claim = take(cid, "fill")
    assert claim.task == last
    assert claim.inputs == tuple(InputResult(t, t.raw) for t in parts[::-1])


def test_a_task_whose_inputs_exist_already_is_called_out_at_once(town, ann, bob):
    first = deposit(ann, DIG)
    work(bob, "dig", b"deep")
    deposit(ann, FILL, first)
    assert take(bob, "fill").inputs == (InputResult(first, b"deep"),)


def test_its_age_begins_when_its_inputs_are_there_and_its_time_does_not(town, ann, bob):
    second = deposit(ann, FILL, deposit(ann, DIG), ttl_seconds=100)
    town.wait(60)
    work(bob, "dig", b"deep")
    assert bob.ask(ListSignals("fill")).tasks[0].age_seconds == 0
    town.wait(41)
    assert show(ann, second).status is TaskStatus.CANCELLED
    assert not bob.ask(ListSignals("fill")).tasks


def test_a_task_that_waits_too_long_ends(town, ann):
    second = deposit(ann, FILL, deposit(ann, DIG, ttl_seconds=900), ttl_seconds=60)
    town.wait(61)
    assert show(ann, second).status is TaskStatus.CANCELLED


def test_a_task_ends_with_the_input_it_will_never_have(town, ann):
    first = deposit(ann, DIG)
    second = deposit(ann, FILL, first)
    third = deposit(ann, FILL, second, body=b"3")
    ann.ask(WithdrawTask(first))
    for task, lacked in ((second, first), (third, second)):
        view = show(ann, task)
        assert view.status is TaskStatus.CANCELLED
        assert view.reason.startswith(f"its input {lacked.short} was cancelled")


def test_a_task_on_a_cancelled_input_ends_at_once(ann):
    first = deposit(ann, DIG)
    ann.ask(WithdrawTask(first))
    assert show(ann, deposit(ann, FILL, first)).status is TaskStatus.CANCELLED


def test_a_chain_runs_to_its_end_whoever_works(town, ann, bob, cid):
    first = deposit(ann, DIG)
    second = deposit(ann, FILL, first)
    third = deposit(ann, replace(FILL, skill="pave"), second)
    work(bob, "dig", b"1")
    work(cid, "fill", b"2")
    assert work(bob, "pave", b"3").inputs == (InputResult(second, b"2"),)
    assert show(ann, third).result == b"3"


def test_inputs_too_large_for_a_lease_are_fetched_and_then_shown(town, ann, bob, cid):
    parts = [deposit(ann, DIG, key=b"%d" % n) for n in range(TASK_INPUTS_MAX)]
    last = deposit(ann, FILL, *parts)
    results = {work(bob, "dig", bytes([n]) + LARGE[1:]).task for n in range(8)}
    assert results == set(parts)
    claim = take(cid, "fill")
    assert [each.task for each in claim.inputs] == parts
    assert {each.result[:1] for each in claim.inputs} == {bytes([n]) for n in range(8)}
    assert cid.count(Kind.FETCH) == TASK_INPUTS_MAX - 1
    cid.ask(FinishClaim(last, b"all"))
    assert show(ann, last).result == b"all"


def test_a_fetch_that_got_lost_is_made_again(town, ann, bob, cid):
    parts = [deposit(ann, DIG, key=b"%d" % n) for n in range(2)]
    deposit(ann, FILL, *parts)
    for _ in parts:
        work(bob, "dig", LARGE)
    town.lose(Kind.RESULT)
    request = town.ask_later(cid, TakeTask(skill="fill", wait_seconds=30))
    town.wait(1)
    assert request not in cid.replies
    assert not cid.ask(ListClaims()).claims
    town.lose()
    town.wait(5)
    assert [each.result for each in cid.replies[request].inputs] == [LARGE, LARGE]


def test_only_who_holds_the_lease_may_fetch_its_inputs(town, ann, bob, cid):
    first = deposit(ann, DIG)
    deposit(ann, FILL, first)
    work(bob, "dig", b"secret")
    second = deposit(cid, DIG, first)
    town.wait(5)
    view = show(cid, second)
    assert view.status is TaskStatus.CANCELLED
    assert view.reason.endswith("it is not for you")


def test_another_agents_shared_result_is_learnt_from_its_issuer(town, ann, bob, cid):
    first = deposit(ann, DIG, shared=True)
    second = deposit(cid, FILL, first)
    town.wait(20)
    work(bob, "dig", b"deep")
    town.wait(2)
    assert take(bob, "fill").inputs == (InputResult(first, b"deep"),)
    assert show(cid, second).status is TaskStatus.GRANTED


def test_a_learnt_result_outlives_a_restart_and_is_forgotten_in_the_end(
    town, ann, bob, cid
):
    first = deposit(ann, DIG, shared=True)
    second = deposit(cid, FILL, first)
    work(bob, "dig", b"deep")
    town.wait(2)
    restart(town, cid)
    ann.away = True
    town.wait(20)
    assert work(bob, "fill", b"flat").inputs == (InputResult(first, b"deep"),)
    assert show(cid, second).result == b"flat"
    assert not [key for key in cid.disk.pairs if key.startswith(b"s/i/")]


def test_a_waiting_task_outlives_a_restart(town, ann, bob):
    first = deposit(ann, DIG)
    second = deposit(ann, FILL, first)
    restart(town, ann)
    town.wait(9)
    assert show(ann, second).reason.startswith("it waits for")
    work(bob, "dig", b"deep")
    restart(town, ann)
    town.wait(9)
    assert work(bob, "fill", b"flat").inputs == (InputResult(first, b"deep"),)


def test_a_task_given_back_keeps_its_inputs(town, ann, bob, cid):
    first = deposit(ann, DIG)
    second = deposit(ann, FILL, first)
    work(bob, "dig", b"deep")
    assert take(bob, "fill").task == second
    bob.away = True
    town.wait(60)
    claim = take(cid, "fill")
    assert (claim.generation, claim.inputs) == (2, (InputResult(first, b"deep"),))


@pytest.mark.parametrize("count", [1, TASK_INPUTS_MAX + 1])
def test_inputs_that_cannot_be_are_refused_with_a_sentence(ann, count):
    answer = ann.ask(replace(FILL, inputs=(TaskId(b"\x09" * 32),) * count))
    assert answer.code is (Code.NOT_FOUND if count == 1 else Code.INVALID)


def test_tasks_of_one_agent_cannot_wait_for_each_other(ann):
    first = deposit(ann, DIG, key=b"1")
    second = deposit(ann, FILL, first, key=b"2")
    answer = ann.ask(replace(DIG, key=b"1", inputs=(second,)))
    assert answer.code is Code.CONFLICT


def test_a_deposit_with_inputs_can_be_repeated(ann):
    job = replace(FILL, key=b"once", inputs=(deposit(ann, DIG),))
    assert ann.ask(job) == ann.ask(job)


def test_what_waits_for_its_inputs_cannot_be_reinforced_or_claimed(town, ann, bob):
    second = deposit(ann, FILL, deposit(ann, DIG), key=b"2")
    assert ann.ask(ReinforceTask(second)).code is Code.CONFLICT
    assert bob.ask(TakeTask(second)).code is Code.NOT_FOUND
