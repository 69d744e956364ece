"""Retired: who was told of a task hears that it is over, however it was told."""

import pytest

from nestmate_protocol.core import Settings
from nestmate_protocol.directory.requests import AddSkill, SkillOffer
from nestmate_protocol.effects import Channel, Send
from nestmate_protocol.inputs import Arrived
from nestmate_protocol.records import Kind, make_frame, open_frame, open_record
from nestmate_protocol.signals.requests import (
    DepositTask,
    FinishClaim,
    ListSignals,
    ShowTask,
    TakeTask,
    TaskStatus,
    WithdrawTask,
)

JOB = DepositTask("translate", 0.3, b"hello")


@pytest.fixture
def work(village):
    """Ann's task, Bob who can do it, and Cid whom no topic reaches."""
    ann, bob = village.add("ann", "bob")
    bob.ask(AddSkill(SkillOffer("translate", "Any language")))
    village.befriend(ann, bob)
    task = ann.ask(JOB).task
    (cid,) = village.add("cid", settings=Settings(carry=False))
    return ann, bob, cid, task


def do(bob, task):
    bob.ask(TakeTask(skill="translate"))
    bob.ask(FinishClaim(task, b"bonjour"))


def listed(agent):
    return [view.task for view in agent.ask(ListSignals()).tasks]


def test_whoever_was_greeted_with_a_task_hears_that_it_is_done(village, work):
    ann, bob, cid, task = work
    village.befriend(ann, cid)
    village.wait(2)
    assert listed(cid) == [task]
    do(bob, task)
    village.wait(2)
    assert listed(cid) == []
    assert cid.ask(ShowTask(task)).status is TaskStatus.DONE


def test_whoever_missed_the_end_of_a_task_hears_it_when_it_meets_the_issuer(
    village, work
):
    ann, bob, cid, task = work
    village.befriend(ann, cid)
    village.wait(2)
    for other in (ann, bob):
        village.cut(other, cid)
    do(bob, task)
    village.wait(2)
    assert listed(cid) == [task]
    village.mend()
    village.wait(60)
    assert cid.ask(ShowTask(task)).status is TaskStatus.DONE


def test_whoever_shows_an_old_call_to_somebody_else_is_answered_with_the_end(
    village, work
):
    ann, bob, cid, task = work
    village.befriend(bob, cid)
    call = open_record(ann.core._board._field.get(task).data, bob.core._me.network)
    do(bob, task)
    village.wait(2)
    frame = make_frame([(call.data, 0)])
    bob.feed(Arrived(cid.peer, Channel.SIGNALS, frame))
    (answer,) = [e for e in bob.done[-1:] if isinstance(e, Send)]
    ((said,),) = [open_frame(answer.data, bob.core._me.network)]
    assert (answer.peer, said.record.kind) == (cid.peer, Kind.RECEIPT)


def test_whoever_was_greeted_with_a_task_hears_that_it_is_withdrawn(village, work):
    ann, _, cid, task = work
    village.befriend(ann, cid)
    village.wait(2)
    ann.ask(WithdrawTask(task))
    assert cid.ask(ShowTask(task)).status is TaskStatus.CANCELLED
