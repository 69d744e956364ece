"""The issuer: one sequencer per task, one holder at a time, one result for good."""

from dataclasses import replace
from hashlib import sha256

import pytest

from nestmate_protocol.effects import Code, Notify, Refusal, Reply, Save
from nestmate_protocol.errors import Fault
from nestmate_protocol.limits import TASK_BODY_BYTES_MAX
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.claims import Beat, Claim, Done, Lease, Receipt, Release
from nestmate_protocol.signals.outcomes import Reject, ToAgent, ToTopic
from nestmate_protocol.signals.records import Signal
from nestmate_protocol.signals.requests import (
    Acknowledged,
    Deposited,
    DepositTask,
    ListSignals,
    ReinforceTask,
    ShowTask,
    TaskStatus,
    WithdrawTask,
)

JOB = DepositTask("dig", 0.6, b"a hole", size_seconds=10)


@pytest.fixture(autouse=True)
def silence(town):
    """Others hear Ann's signals and nothing else; what they say is up to the test."""
    town.lose(*(kind for kind in Kind if kind != Kind.SIGNAL))


class Desk:
    """Ann's task and what workers say about it, by hand."""

    def __init__(self, town, ann, job=JOB):
        self.town, self.ann = town, ann
        self.task = ann.ask(job).task

    def say(self, name, body):
        """Ann's outcomes on a record signed by ``name``."""
        record, author = self.town.sign(name, body), self.town.agents[name].address
        outcomes = self.ann.board.admit(record, author, 0, self.town.now)
        self.ann.carry_out(outcomes)
        return outcomes

    def claim(self, name="bob", generation=1):
        worker = self.town.agents[name].address
        return self.say(name, Claim(self.task, worker, generation, 900, 3_600))

    def beat(self, name="bob", generation=1, n=1):
        worker = self.town.agents[name].address
        return self.say(name, Beat(self.task, worker, generation, n, 0))

    def done(self, name="bob", generation=1, result=b"done"):
        worker, digest = self.town.agents[name].address, sha256(result).digest()
        return self.say(name, Done(self.task, worker, generation, result, digest, 5))

    def release(self, name="bob", generation=1, **extra):
        worker = self.town.agents[name].address
        body = Release(self.task, worker, generation, "no time", None, failed=False)
        return self.say(name, replace(body, **extra))

    def view(self):
        return self.ann.ask(ShowTask(self.task))


@pytest.fixture
def desk(town, ann):
    return Desk(town, ann)


def told(outcomes, kind, agent):
    """The bodies of one kind that are sent straight to an agent."""
    readers = {Kind.LEASE: Lease, Kind.RECEIPT: Receipt, Kind.SIGNAL: Signal}
    return [
        readers[record.kind].read(record.fields) if kind in readers else record
        for record in agent.town.opened(outcomes, agent)
        if record.kind == kind
    ]


def kinds(outcomes, agent):
    return [record.kind for record in agent.town.opened(outcomes, agent)]


def test_a_deposit_is_saved_before_anyone_hears_of_it(town, ann):
    outcomes = ann.board.ask(1, JOB, town.now)
    order = [type(each) for each in outcomes]
    assert order.index(Save) < order.index(ToTopic) < order.index(Reply)
    assert outcomes[order.index(Save)].durable


def test_the_same_key_is_the_same_task(ann):
    job = replace(JOB, key=b"letter 7")
    first, second = ann.ask(job), ann.ask(job)
    assert isinstance(first, Deposited)
    assert first == second
    assert len(ann.ask(ListSignals()).tasks) == 1


def test_a_key_cannot_be_used_for_another_task(ann):
    ann.ask(replace(JOB, key=b"letter 7"))
    answer = ann.ask(replace(JOB, key=b"letter 7", body=b"other"))
    assert answer.code is Code.CONFLICT


@pytest.mark.parametrize(
    "wrong",
    [
        {"skill": ""},
        {"skill": "a\nb"},
        {"urgency": 1.01},
        {"urgency": float("nan")},
        {"size_seconds": 0},
        {"size_seconds": float("inf")},
        {"body": b"x" * (TASK_BODY_BYTES_MAX + 1)},
        {"key": b"k" * 33},
        {"ttl_seconds": -1},
        {"lease_seconds": 0},
        {"half_life_seconds": -1},
        {"deadline_ms": 1},
    ],
)
def test_a_deposit_that_cannot_be_is_refused_with_a_sentence(ann, wrong):
    answer = ann.ask(replace(JOB, **wrong))
    assert isinstance(answer, Refusal)
    assert answer.code is Code.INVALID
    assert not ann.disk.pairs


def test_the_first_valid_claim_gets_the_lease(town, desk):
    outcomes = desk.claim("bob")
    order = [type(each) for each in outcomes]
    assert order == [Save, ToAgent, Notify]
    lease = told(outcomes, Kind.LEASE, town.agents["bob"])[0]
    assert (lease.generation, lease.lease_seconds) == (1, 15)
    assert desk.view().holder == town.agents["bob"].address
    assert desk.ann.kinds() == ["task.granted"]


def test_whoever_comes_second_is_told_who_holds_it(town, desk):
    desk.claim("bob")
    outcomes = desk.claim("cid")
    lease = told(outcomes, Kind.LEASE, town.agents["cid"])[0]
    assert lease.holder == town.agents["bob"].address
    assert lease.body is None
    assert desk.view().holder == town.agents["bob"].address


def test_an_exact_duplicate_of_a_claim_gets_the_same_lease_with_what_is_left(
    town, desk
):
    desk.claim()
    town.wait(6)
    outcomes = desk.claim()
    lease = told(outcomes, Kind.LEASE, town.agents["bob"])[0]
    assert (lease.generation, lease.lease_seconds) == (1, 9)
    assert not [each for each in outcomes if isinstance(each, Save | Notify)]


def test_a_claim_is_free_again_when_its_lease_ends(town, desk):
    desk.claim()
    town.wait(14.9)
    assert desk.view().status is TaskStatus.GRANTED
    town.wait(0.2)
    assert desk.view().status is TaskStatus.OPEN
    assert desk.view().generation == 2
    assert desk.ann.kinds() == ["task.granted", "task.reopened"]


def test_beats_keep_a_lease_alive(town, desk):
    desk.claim()
    for n in range(1, 8):
        town.wait(5)
        lease = told(desk.beat(n=n), Kind.LEASE, town.agents["bob"])[0]
        assert (lease.renewal, lease.lease_seconds) == (n, 15)
    assert desk.view().status is TaskStatus.GRANTED


def test_an_old_beat_said_again_keeps_nothing_alive(town, desk):
    desk.claim()
    for _ in range(4):
        town.wait(5)
        desk.beat(n=1)
    assert desk.view().generation == 2


def test_the_result_is_saved_then_told_once_then_receipted(town, desk):
    desk.claim()
    outcomes = desk.done()
    assert [type(each) for each in outcomes] == [Save, Save, Notify, ToAgent]
    assert outcomes[0].durable
    receipt = told(outcomes, Kind.RECEIPT, town.agents["bob"])[0]
    assert receipt.result_hash == sha256(b"done").digest()
    assert desk.view().result == b"done"


def test_a_result_said_again_only_repeats_the_receipt(town, desk):
    desk.claim()
    desk.done()
    for result in (b"done", b"another"):
        outcomes = desk.done(result=result)
        assert [type(each) for each in outcomes] == [ToAgent]
        assert kinds(outcomes, town.agents["bob"]) == [Kind.RECEIPT]
    assert desk.ann.kinds().count("task.done") == 1
    assert desk.view().result == b"done"


def test_work_under_an_old_fence_is_refused_and_its_worker_is_told(town, desk):
    desk.claim("bob")
    town.wait(15)
    desk.claim("cid", generation=2)
    outcomes = desk.done("bob", generation=1, result=b"late")
    assert Reject(Fault.STALE_GENERATION, strike=False) in outcomes
    assert kinds(outcomes, town.agents["bob"]) == [Kind.CANCEL, Kind.LEASE]
    desk.done("cid", generation=2, result=b"in time")
    assert desk.view().result == b"in time"


def test_a_result_of_somebody_who_never_held_the_task_changes_nothing(town, desk):
    desk.claim("bob")
    outcomes = desk.done("cid")
    assert kinds(outcomes, town.agents["cid"]) == [Kind.LEASE]
    assert desk.view().status is TaskStatus.GRANTED


def test_a_result_that_is_not_there_changes_nothing(desk):
    desk.claim()
    worker, digest = desk.town.agents["bob"].address, sha256(b"").digest()
    assert desk.say("bob", Done(desk.task, worker, 1, None, digest, 5)) == []
    assert desk.view().status is TaskStatus.GRANTED


def test_a_released_task_opens_again_with_what_was_achieved(town, desk):
    desk.claim("bob")
    outcomes = desk.release("bob", partial=b"half", reason="tired\u202e")
    assert kinds(outcomes, town.agents["bob"]) == [Kind.CANCEL]
    assert desk.view().reason == "released: tired"
    lease = told(desk.claim("cid", 2), Kind.LEASE, town.agents["cid"])[0]
    assert lease.partial == b"half"


def test_a_failed_task_says_why_it_failed(desk):
    desk.claim()
    desk.release(failed=True, reason="no shovel")
    assert desk.view().reason == "failed: no shovel"
    assert desk.ann.events[-1].details["reason"] == "failed: no shovel"


def test_a_withdrawn_task_is_called_off_with_its_holder_and_everyone(town, desk):
    desk.claim()
    answer = desk.ann.ask(WithdrawTask(desk.task))
    assert answer == Acknowledged(desk.task, 1)
    cancels = [r for r in desk.ann.sent if r.kind == Kind.CANCEL]
    assert len(cancels) == 2
    assert desk.view().status is TaskStatus.CANCELLED
    assert kinds(desk.done(), town.agents["bob"]) == [Kind.CANCEL]


def test_a_task_that_is_done_cannot_be_withdrawn(desk):
    desk.claim()
    desk.done()
    assert desk.ann.ask(WithdrawTask(desk.task)).code is Code.CONFLICT


def test_a_task_nobody_did_in_time_is_cancelled(town, ann):
    desk = Desk(town, ann, replace(JOB, ttl_seconds=60))
    town.wait(61)
    assert desk.view().status is TaskStatus.CANCELLED
    assert "in time" in desk.view().reason


def test_a_lease_that_runs_when_the_time_is_over_may_still_be_finished(town, ann):
    desk = Desk(town, ann, replace(JOB, ttl_seconds=60))
    town.wait(55)
    desk.claim()
    town.wait(10)
    desk.done()
    assert desk.view().status is TaskStatus.DONE


def test_a_deadline_ends_a_task_as_its_time_to_live_does(town, ann):
    desk = Desk(town, ann, replace(JOB, deadline_ms=town.now.wall_ms + 5_000))
    town.wait(6)
    assert desk.view().status is TaskStatus.CANCELLED


def test_an_exclusive_task_waits_for_its_silent_holder_and_is_given_to_nobody_else(
    town, ann
):
    desk = Desk(town, ann, replace(JOB, exclusive=True))
    desk.claim("bob")
    town.wait(100)
    lease = told(desk.claim("cid"), Kind.LEASE, town.agents["cid"])[0]
    assert lease.holder == town.agents["bob"].address
    assert (desk.view().generation, desk.view().status) == (1, TaskStatus.GRANTED)
    assert "silent" in desk.view().reason


def test_an_exclusive_task_opens_again_when_its_holder_gives_it_back(town, ann):
    desk = Desk(town, ann, replace(JOB, exclusive=True))
    desk.claim("bob")
    desk.release("bob")
    assert desk.view().generation == 2


def test_an_open_task_is_said_again_with_growing_pauses_up_to_its_half_life(town, ann):
    Desk(town, ann, replace(JOB, size_seconds=1))
    times = []
    for _ in range(200):
        before = len(ann.sent)
        town.wait(1)
        times += [town.now.mono_ms // 1_000 - 5_000] * (len(ann.sent) - before)
    assert times == [8, 24, 54, 84, 114, 144, 174]


def test_a_large_task_is_said_again_later(town, ann):
    Desk(town, ann, replace(JOB, size_seconds=60, urgency=0.3))
    before = len(ann.sent)
    town.wait(23)
    assert len(ann.sent) == before
    town.wait(2)
    assert len(ann.sent) == before + 1


def test_our_own_signals_stay_within_the_pace_others_allow(town, ann):
    for number in range(40):
        ann.ask(replace(JOB, key=b"%d" % number))
    town.wait(60)
    assert not town.agents["bob"].rejects
    assert len(town.agents["bob"].ask(ListSignals()).tasks) == 40


def test_when_not_all_may_go_at_once_new_and_urgent_tasks_go_first(town, ann):
    for number in range(20):
        ann.ask(replace(JOB, key=b"%d" % number))
    slow = ann.ask(replace(JOB, urgency=0.1)).task
    urgent = ann.ask(replace(JOB, urgency=1.0)).task
    town.wait(1.1)
    bob = town.agents["bob"]
    assert bob.ask(ShowTask(urgent)).issuer == ann.address
    assert bob.ask(ShowTask(slow)).code is Code.NOT_FOUND


def test_a_task_of_ours_can_be_said_again_at_once_but_not_for_ever(desk):
    assert desk.ann.ask(ReinforceTask(desk.task)) == Acknowledged(desk.task, 1)
    answers = [desk.ann.ask(ReinforceTask(desk.task)) for _ in range(30)]
    assert answers[-1].code is Code.BUSY


def test_after_a_restart_an_open_task_is_said_again_and_a_lease_gets_a_whole_term(
    town, desk
):
    other = Desk(town, desk.ann)
    desk.claim("bob")
    town.wait(10)
    desk.ann.boot()
    town.wait(14)
    assert desk.view().status is TaskStatus.GRANTED
    assert town.agents["cid"].ask(ShowTask(other.task)).status is TaskStatus.OPEN
    town.wait(1.1)
    assert desk.view().generation == 2


def test_after_a_restart_a_result_is_still_there_and_still_receipted(town, desk):
    desk.claim()
    desk.done()
    desk.ann.boot()
    assert desk.view().result == b"done"
    assert kinds(desk.done(), town.agents["bob"]) == [Kind.RECEIPT]
    assert desk.ann.kinds().count("task.done") == 1


def test_the_chain_of_signals_links_and_never_counts_backwards(town, desk):
    town.wait(60)
    signals = [Signal.read(r.fields) for r in desk.ann.sent if r.kind == Kind.SIGNAL]
    records = [r for r in desk.ann.sent if r.kind == Kind.SIGNAL]
    for before, record, after in zip(signals, records, signals[1:], strict=False):
        assert after.link.prev == record.id.raw
        assert after.link.seq == before.link.seq + 1
        assert after.link.spent > before.link.spent
    desk.ann.boot()
    town.wait(3)
    again = Signal.read(desk.ann.sent[-1].fields)
    assert again.link.seq > signals[-1].link.seq
    assert again.link.incarnation != signals[-1].link.incarnation


def test_a_claim_on_a_task_the_issuer_does_not_know_is_called_off(town, ann):
    desk = Desk(town, ann)
    ann.disk.pairs.clear()
    ann.boot()
    assert kinds(desk.claim("bob"), town.agents["bob"]) == [Kind.CANCEL]
