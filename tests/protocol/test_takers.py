"""Takers: whoever waits for work gets the best task there is, or is told why not."""

from dataclasses import replace
from hashlib import sha256

import pytest

from nestmate_protocol.effects import Code, Notify, Reply, Save
from nestmate_protocol.limits import (
    ASK_SECONDS_MAX,
    TAKERS_WAITING_MAX,
)
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.claims import Lease
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.preemption import Work, makes_way
from nestmate_protocol.signals.requests import (
    Ability,
    ClaimView,
    DepositTask,
    FailClaim,
    FinishClaim,
    ListClaims,
    ReleaseClaim,
    ShowTask,
    TakeTask,
)

JOB = DepositTask("dig", 0.6, b"a hole", size_seconds=10)
DIG = TakeTask(skill="dig", wait_seconds=60)


def status(agent, task):
    return agent.ask(ShowTask(task)).status


def work_on(claim):
    return Work(0, claim.urgency, claim.generation, claim.exclusive, 0.0)


def test_a_taker_gets_the_task_that_is_there_already(ann, bob):
    task = ann.ask(JOB).task
    claim = bob.ask(DIG)
    assert isinstance(claim, ClaimView)
    assert (claim.task, claim.generation, claim.body) == (task, 1, b"a hole")
    assert bob.kinds() == ["signal.sensed", "claim.granted"]


def test_a_taker_that_waits_gets_the_first_task_that_comes(town, ann, bob):
    request = town.ask_later(bob, DIG)
    town.wait(30)
    task = ann.ask(JOB).task
    assert bob.replies[request].task == task


def test_a_lease_is_saved_before_it_is_shown(town, ann, bob):
    town.lose(Kind.LEASE)
    task = ann.ask(JOB).task
    town.ask_later(bob, DIG)
    lease = next(r for r in ann.sent if r.kind == Kind.LEASE)
    outcomes = bob.board.admit(lease, ann.address, 0, town.now)
    assert [type(each) for each in outcomes] == [Save, Notify, Reply]
    assert outcomes[0].durable
    assert outcomes[2].response.task == task


def test_of_two_takers_on_one_node_each_gets_its_own_task(town, ann, bob):
    first, second = town.ask_later(bob, DIG), town.ask_later(bob, DIG)
    tasks = {ann.ask(JOB).task, ann.ask(JOB).task}
    assert {bob.replies[first].task, bob.replies[second].task} == tasks


def test_of_two_workers_one_gets_the_task_and_the_other_goes_on_waiting(
    town, ann, bob, cid
):
    requests = [(agent, town.ask_later(agent, DIG)) for agent in (bob, cid)]
    ann.ask(JOB)
    answers = [agent.replies.get(request) for agent, request in requests]
    assert sum(isinstance(answer, ClaimView) for answer in answers) == 1
    ann.ask(JOB)
    assert all(request in agent.replies for agent, request in requests)


def test_the_urgent_task_is_taken_first_and_the_short_one_before_the_long_one(ann, bob):
    jobs = [(0.1, 10), (0.6, 10), (0.6, 100)]
    tasks = [ann.ask(replace(JOB, urgency=u, size_seconds=s)).task for u, s in jobs]
    taken = [bob.ask(DIG).task for _ in jobs]
    assert taken == [tasks[1], tasks[2], tasks[0]]


def test_a_slow_agent_holds_back_until_the_task_is_as_old_as_its_loss(town, ann, bob):
    bob.board._speeds.learn(bob.address, "dig", 1, 4)  # half as fast as unknown ones
    for number in range(5):
        other = type(bob.address)(sha256(b"%d" % number).digest())
        bob.board._speeds.learn(other, "dig", 1, 1)
    request = town.ask_later(bob, DIG)
    ann.ask(JOB)  # 10 s at speed one, 20 s here
    town.wait(9)
    assert request not in bob.replies
    town.wait(2)
    assert isinstance(bob.replies[request], ClaimView)


def test_a_named_task_can_be_taken_if_it_is_open_and_known(ann, bob, cid):
    task = ann.ask(JOB).task
    assert bob.ask(TakeTask(task=task)).task == task
    assert cid.ask(TakeTask(task=task)).code is Code.CONFLICT
    missing = type(task)(b"?" * 32)
    assert cid.ask(TakeTask(task=missing)).code is Code.NOT_FOUND


def test_whoever_names_a_task_that_another_gets_is_told_so(town, ann, bob, cid):
    task = ann.ask(JOB).task
    town.delay_ms = 10
    first = town.ask_later(bob, TakeTask(task=task))
    second = town.ask_later(cid, TakeTask(task=task))
    town.wait(1)
    assert isinstance(bob.replies[first], ClaimView)
    assert cid.replies[second].code is Code.CONFLICT


@pytest.mark.parametrize(
    "wrong",
    [TakeTask(), TakeTask(skill="a\nb"), replace(DIG, task="?", skill="dig")],
)
def test_a_taker_that_does_not_say_what_it_wants_is_refused(bob, wrong):
    assert bob.ask(wrong).code is Code.INVALID


def test_a_taker_whose_time_is_up_is_told_so(town, bob):
    request = town.ask_later(bob, replace(DIG, wait_seconds=5))
    town.wait(4.9)
    assert request not in bob.replies
    town.wait(0.2)
    assert bob.replies[request].code is Code.TIMED_OUT


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, float("nan"), -1.0])
def test_no_taker_waits_for_ever_or_for_nothing_at_all(town, bob, seconds):
    request = town.ask_later(bob, replace(DIG, wait_seconds=seconds))
    town.wait(ASK_SECONDS_MAX)
    assert bob.replies[request].code is Code.TIMED_OUT


def test_only_so_many_takers_wait_at_once(town, bob):
    for _ in range(TAKERS_WAITING_MAX):
        town.ask_later(bob, DIG)
    assert bob.ask(DIG).code is Code.BUSY


def test_a_claim_without_answer_makes_room_for_the_next_task(town, ann, bob, cid):
    urgent = ann.ask(replace(JOB, urgency=1.0, exclusive=True)).task
    other = cid.ask(replace(JOB, urgency=0.1)).task
    ann.away = True
    request = town.ask_later(bob, DIG)
    town.wait(1.9)
    assert request not in bob.replies
    town.wait(0.2)
    assert bob.replies[request].task == other
    assert urgent != other


def test_a_named_claim_is_said_again_with_growing_pauses(town, ann, bob):
    task = ann.ask(replace(JOB, exclusive=True)).task
    ann.away = True
    town.ask_later(bob, TakeTask(task=task, wait_seconds=40))
    town.wait(31)
    assert bob.count(Kind.CLAIM) == 6  # after 0, 1, 2, 4, 8 and 16 seconds
    town.wait(10)
    assert list(bob.replies.values())[-1].code is Code.TIMED_OUT


def test_a_lease_that_comes_late_goes_to_whoever_still_waits(town, ann, bob):
    task = ann.ask(JOB).task
    town.lose(Kind.LEASE)
    request = town.ask_later(bob, DIG)
    town.wait(2.5)
    assert request not in bob.replies
    lease = next(r for r in ann.sent if r.kind == Kind.LEASE)
    town.deliver(bob, lease, "ann")
    assert bob.replies[request].task == task


def test_a_lease_nobody_waits_for_any_more_is_given_back(town, ann, bob):
    task = ann.ask(JOB).task
    town.delay_ms = 100
    request = town.ask_later(bob, DIG)
    bob.carry_out(bob.board.abandon(request, town.now))
    town.wait(1)
    assert request not in bob.replies
    assert bob.count(Kind.RELEASE) == 1
    assert (status(ann, task), ann.ask(ShowTask(task)).generation) == ("open", 2)


def test_a_lease_nobody_asked_for_is_given_back(town, ann, bob):
    task = ann.ask(JOB).task
    lease = town.sign("ann", Lease(task, 1, bob.address, 15, 0, None, 0))
    town.deliver(bob, lease, "ann")
    assert bob.count(Kind.RELEASE) == 1
    assert bob.ask(ListClaims()).claims == ()


# --- what a taker says of itself


def test_a_taker_of_several_skills_takes_the_best_task_of_any(ann, bob):
    ann.ask(replace(JOB, urgency=0.1))
    best = ann.ask(replace(JOB, urgency=0.9, skill="fly")).task
    both = replace(DIG, also=(Ability("fly"), Ability("swim")))
    assert bob.ask(both).task == best


def test_a_taker_that_says_it_is_slow_holds_back(town, ann, bob):
    request = town.ask_later(bob, replace(DIG, speed=0.5))
    ann.ask(JOB)  # 10 s at speed one, 20 s here
    town.wait(9)
    assert request not in bob.replies
    town.wait(2)
    assert isinstance(bob.replies[request], ClaimView)


def test_a_task_that_opens_again_is_held_back_from_anew(town, ann, bob, cid):
    task = ann.ask(replace(JOB, lease_seconds=60)).task
    assert cid.ask(TakeTask(skill="dig", wait_seconds=5)).task == task
    town.wait(50)
    cid.ask(ReleaseClaim(task, "no spade"))
    slow = town.ask_later(bob, TakeTask(skill="dig", speed=0.5, wait_seconds=60))
    town.wait(9.9)
    assert slow not in bob.replies
    town.wait(0.2)
    assert bob.replies[slow].generation == 2


def test_of_two_takers_the_one_that_loses_less_gets_the_task(town, ann, bob):
    slow = town.ask_later(bob, replace(DIG, speed=0.5))
    fast = town.ask_later(bob, DIG)
    ann.ask(JOB)
    assert fast in bob.replies
    assert slow not in bob.replies


def test_setting_up_counts_until_the_skill_is_the_last_one_worked_on(town, ann, bob):
    work = replace(DIG, setup_seconds=5)
    request = town.ask_later(bob, work)
    first = ann.ask(JOB).task
    town.wait(4)
    assert request not in bob.replies
    town.wait(2)
    assert bob.replies[request].task == first
    bob.ask(FinishClaim(first))
    assert ann.ask(JOB)
    assert isinstance(bob.ask(work), ClaimView)


def test_a_flash_task_is_held_back_for_by_a_higher_percentile(town, ann, bob):
    for number in range(41):
        other = type(bob.address)(sha256(b"%d" % number).digest())
        bob.board._speeds.learn(other, "dig", 2.0 ** (number / 10), 1)
    tasks = [ann.ask(replace(JOB, urgency=urgency)).task for urgency in (0.1, 0.6)]
    cells = [bob.board._field.get(task) for task in tasks]
    town.ask_later(bob, replace(DIG, speed=1.0))
    takers = bob.board._takers
    taker = next(iter(takers._takers.values()))
    slow, flash = (takers._judge.judge(taker, cell, town.now) for cell in cells)
    assert flash.ready_ms > slow.ready_ms > town.now.mono_ms


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": -1.0},
        {"speed": float("nan")},
        {"setup_seconds": -1.0},
        {"setup_seconds": float("inf")},
        {"also": (Ability(" "),)},
        {"min_urgency": 1.01},
        {"min_urgency": float("nan")},
    ],
)
def test_a_taker_that_says_the_impossible_of_itself_is_refused(bob, wrong):
    assert bob.ask(replace(DIG, **wrong)).code is Code.INVALID


# --- several slots of one agent


def test_slots_of_one_agent_claim_each_task_once(town, ann, bob):
    slots = [town.ask_later(bob, DIG) for _ in range(4)]
    town.delay_ms = 50
    tasks = {ann.ask(JOB).task for _ in range(3)}
    town.wait(1)
    got = [bob.replies[slot].task for slot in slots if slot in bob.replies]
    assert (len(got), set(got)) == (3, tasks)
    assert bob.count(Kind.CLAIM) == 3


def test_of_two_slots_the_one_that_is_set_up_for_the_skill_takes_the_task(
    town, ann, bob
):
    work = replace(DIG, also=(Ability("fly"),), setup_seconds=5)
    flies = town.ask_later(bob, replace(work, context="fly"))
    digs = town.ask_later(bob, replace(work, context="dig"))
    ann.ask(JOB)
    assert digs in bob.replies
    assert flies not in bob.replies


def test_a_slot_that_is_set_up_for_nothing_counts_the_set_up(town, ann, bob):
    first = ann.ask(JOB).task
    assert bob.ask(DIG).task == first
    assert bob.ask(FinishClaim(first))  # the node remembers digging
    work = replace(DIG, setup_seconds=5)
    fresh = town.ask_later(bob, replace(work, context=""))
    ann.ask(JOB)
    town.wait(4)
    assert fresh not in bob.replies
    assert isinstance(bob.ask(work), ClaimView)


# --- a reserve for what is urgent


def test_a_reserve_gets_flash_tasks_only(town, ann, bob):
    reserve = town.ask_later(bob, replace(DIG, min_urgency=0.5))
    for urgency in (0.1, 0.4):
        ann.ask(replace(JOB, urgency=urgency))
    town.wait(30)
    assert reserve not in bob.replies
    flash = ann.ask(replace(JOB, urgency=0.5)).task
    town.wait(2)
    assert bob.replies[reserve].task == flash


@pytest.mark.parametrize("idle_first", [True, False])
def test_an_idle_slot_goes_before_a_reserve(town, ann, bob, idle_first):
    wishes = [DIG, replace(DIG, min_urgency=0.5)]
    asked = {
        wish.min_urgency: town.ask_later(bob, wish)
        for wish in (wishes if idle_first else wishes[::-1])
    }
    ann.ask(JOB)
    town.wait(2)
    assert asked[0.0] in bob.replies
    assert asked[0.5] not in bob.replies


def test_a_reserve_leaves_a_flash_task_to_an_idle_agent(town, ann, bob, cid):
    reserve = town.ask_later(bob, replace(DIG, min_urgency=0.5))
    idle = town.ask_later(cid, DIG)
    town.delay_ms = 200
    ann.ask(JOB)
    town.wait(3)
    assert idle in cid.replies
    assert reserve not in bob.replies


def test_a_lease_that_comes_late_does_not_go_to_a_reserve_for_better(town, ann, bob):
    ann.ask(replace(JOB, urgency=0.1))
    town.delay_ms = 100
    gone = town.ask_later(bob, DIG)
    reserve = town.ask_later(bob, replace(DIG, min_urgency=0.5))
    bob.carry_out(bob.board.abandon(gone, town.now))
    town.wait(1)
    assert reserve not in bob.replies
    assert bob.count(Kind.RELEASE) == 1


def test_a_slow_task_that_made_way_twice_is_finished_by_its_third_holder(
    town, ann, bob
):
    task = ann.ask(replace(JOB, urgency=0.1)).task
    for fence in (1, 2):
        claim = bob.ask(DIG)
        assert (claim.generation, makes_way(work_on(claim))) == (fence, True)
        bob.ask(ReleaseClaim(task, "made way", b"step %d" % fence))
    last = bob.ask(DIG)
    assert (last.generation, last.partial) == (3, b"step 2")
    assert not makes_way(work_on(last))


# --- what failed here


def test_a_task_that_failed_here_goes_to_another_first(town, ann, bob, cid):
    request = town.ask_later(bob, DIG)
    task = ann.ask(JOB).task
    bob.ask(FailClaim(task, "no spade"))
    again, other = town.ask_later(bob, DIG), town.ask_later(cid, DIG)
    town.wait(1)
    assert bob.replies[request].task == cid.replies[other].task == task
    assert again not in bob.replies


def test_a_worker_alone_tries_again_what_failed_by_bad_luck(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(TakeTask(task=task))
    bob.ask(FailClaim(task, "no spade"))
    request = town.ask_later(bob, DIG)
    town.wait(7.9)
    assert request not in bob.replies
    town.wait(0.2)
    assert bob.replies[request].task == task
    bob.ask(FinishClaim(task, b"dug"))
    assert status(ann, task) == "done"


def test_a_task_that_always_fails_is_tried_so_often_and_no_more(town, ann, bob):
    task = ann.ask(replace(JOB, ttl_seconds=3_600)).task
    tries = 0
    for _ in range(40):
        claim = bob.ask(DIG)
        if claim is not None:
            assert bob.ask(FailClaim(task, "no spade"))
            tries += 1
        town.wait(60.5)
    assert tries == 1 + RULE.failed_retries_max
