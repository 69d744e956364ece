"""Splitting a task: its parts complete it, whatever becomes of the one who split it."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from nestmate_protocol.effects import Code
from nestmate_protocol.limits import TASK_CHILDREN_MAX
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.requests import (
    ClaimView,
    DepositTask,
    FailClaim,
    FinishClaim,
    ListClaims,
    ShowTask,
    TakeTask,
    TaskStatus,
    WithdrawTask,
)
from nestmate_protocol.signals.yields import AwaitResult

HOUSE = DepositTask("house", 0.6, b"a big one", size_seconds=10, lease_seconds=5)
WALL = DepositTask("wall", 0.6, size_seconds=10, ttl_seconds=600)
ROOF = DepositTask("roof", 0.6, size_seconds=10, ttl_seconds=600)


def take(agent, skill):
    """The claim an agent gets by and by, or None within half a minute."""
    town = agent.town
    request = town.ask_later(agent, TakeTask(skill=skill, wait_seconds=29.5))
    for _ in range(30):
        if request in agent.replies:
            break
        town.wait(1)
    claim = agent.replies.get(request)
    return claim if isinstance(claim, ClaimView) else None


def work(agent, skill, result):
    claim = take(agent, skill)
    agent.ask(FinishClaim(claim.task, result))
    return claim.task


def show(agent, task):
    return agent.ask(ShowTask(task))


def split(agent, task, *bodies, **extra):
    """Deposit a wall for each body as a part of a task."""
    job = replace(WALL, parent=task, **extra)
    return [agent.ask(replace(job, body=body)).task for body in bodies]


def gather(agent, task):
    return agent.ask(FinishClaim(task, parts=True))


@pytest.fixture
def house(ann, bob):
    """A task of Ann's that Bob holds."""
    task = ann.ask(HOUSE).task
    assert take(bob, "house").task == task
    return task


def test_a_task_is_done_once_all_its_parts_are(town, ann, bob, cid, house):
    parts = split(bob, house, b"1", b"2")
    gather(bob, house)
    work(cid, "wall", b"one")
    assert show(ann, house).status is TaskStatus.GRANTED
    work(cid, "wall", b"two")
    result = json.loads(show(ann, house).result)
    assert result["issuer"] == bob.address.text
    assert [each["task"] for each in result["results"]] == [t.text for t in parts]
    digests = {sha256(each).hexdigest() for each in (b"one", b"two")}
    assert {each["sha256"] for each in result["results"]} == digests


def test_whoever_asked_for_the_whole_may_fetch_what_the_parts_came_to(
    ann, bob, cid, house
):
    part = split(bob, house, b"1")[0]
    work(cid, "wall", b"one")
    gather(bob, house)
    assert ann.ask(AwaitResult(part, bob.address)).result == b"one"
    assert cid.ask(AwaitResult(part, bob.address)).code is Code.CONFLICT


def test_a_part_that_takes_all_the_others_speaks_for_the_whole(
    town, ann, bob, cid, house
):
    walls = split(bob, house, b"1", b"2")
    bob.ask(replace(ROOF, parent=house, inputs=tuple(walls)))
    gather(bob, house)
    for skill in ("wall", "wall", "roof"):
        work(cid, skill, skill.encode())
    assert show(ann, house).result == b"roof"


def test_the_claim_lives_as_long_as_a_part_is_open(town, ann, bob, cid, house):
    split(bob, house, b"1")
    town.wait(100)
    view = show(ann, house)
    assert (view.status, view.generation) == (TaskStatus.GRANTED, 1)
    work(cid, "wall", b"one")
    town.wait(20)
    assert show(ann, house).generation == 2


def test_a_gathering_claim_outlives_a_restart_of_the_node(town, ann, bob, cid, house):
    split(bob, house, b"1")
    gather(bob, house)
    bob.boot()
    town.settle()
    town.wait(30)
    assert show(ann, house).generation == 1
    work(cid, "wall", b"one")
    town.wait(5)
    assert show(ann, house).status is TaskStatus.DONE


def test_splitting_again_makes_the_same_parts(town, ann, bob, cid, house):
    parts = split(bob, house, b"1", b"2")
    bob.boot()
    town.settle()
    work(cid, "wall", b"one")
    town.wait(20)
    assert take(bob, "house").generation == 2
    assert split(bob, house, b"1", b"2") == parts
    gather(bob, house)
    work(cid, "wall", b"two")
    assert show(ann, house).status is TaskStatus.DONE


def test_a_whole_whose_splitter_died_is_split_by_the_next(town, ann, bob, cid, house):
    split(bob, house, b"1")
    gather(bob, house)
    bob.away = True
    town.wait(10)
    assert take(cid, "house").generation == 2
    split(cid, house, b"1")
    gather(cid, house)
    for _ in range(2):  # the dead one's part as well
        work(ann, "wall", b"one")
    town.wait(5)
    assert show(ann, house).holder == cid.address
    assert show(ann, house).status is TaskStatus.DONE


def test_a_part_that_ends_without_a_result_gives_the_whole_back(town, ann, bob, house):
    part = split(bob, house, b"1", b"2")[0]
    gather(bob, house)
    bob.ask(WithdrawTask(part))
    view = show(ann, house)
    assert (view.status, view.generation) == (TaskStatus.OPEN, 2)
    assert view.reason == f"failed: its part {part.short} ended: withdrawn"


def test_parts_are_called_off_when_the_whole_is(town, ann, bob, cid, house):
    parts = split(bob, house, b"1", b"2")
    take(cid, "wall")
    ann.ask(WithdrawTask(house))
    assert {show(bob, part).status for part in parts} == {TaskStatus.CANCELLED}
    assert not cid.ask(ListClaims()).claims


def test_parts_stay_when_the_whole_is_only_given_back(town, ann, bob, house):
    part = split(bob, house, b"1")[0]
    bob.ask(FailClaim(house, "too big"))
    assert show(bob, part).status is TaskStatus.OPEN


def test_without_parts_there_is_nothing_to_gather(ann, bob, house):
    bob.ask(FinishClaim(house, b"done by hand", parts=True))
    assert show(ann, house).result == b"done by hand"
    assert bob.count(Kind.DONE) == 1


def test_only_who_holds_a_task_can_split_it(ann, bob, cid, house):
    assert cid.ask(replace(WALL, parent=house)).code is Code.CONFLICT
    gather_first = split(bob, house, b"1")
    gather(bob, house)
    assert bob.ask(replace(WALL, parent=house, body=b"2")).code is Code.CONFLICT
    assert split(bob, house, b"1") == gather_first


def test_a_task_has_so_many_parts_at_most(bob, house):
    split(bob, house, *(b"%d" % n for n in range(TASK_CHILDREN_MAX)))
    assert bob.ask(replace(WALL, parent=house, body=b"more")).code is Code.BUSY
