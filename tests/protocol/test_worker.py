"""The worker's side: waiting, claiming, keeping, delivering until it is confirmed."""

from dataclasses import replace
from hashlib import sha256

import pytest

from nestmate_protocol.effects import Code, Refusal, Reply, Save
from nestmate_protocol.limits import (
    CLAIMS_HELD_MAX,
    RESULT_BYTES_MAX,
)
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.claims import Cancel, Done, Lease, Receipt, Verdict
from nestmate_protocol.signals.outcomes import ToAgent
from nestmate_protocol.signals.requests import (
    Acknowledged,
    DepositTask,
    FailClaim,
    FinishClaim,
    ListClaims,
    ReleaseClaim,
    RenewClaim,
    ShowTask,
    TakeTask,
    TaskStatus,
    WithdrawTask,
)

JOB = DepositTask("dig", 0.6, b"a hole", size_seconds=10)
DIG = TakeTask(skill="dig", wait_seconds=60)


def status(agent, task):
    return agent.ask(ShowTask(task)).status


def test_a_lease_is_shown_with_what_is_left_of_it_counted_from_the_claim(
    town, ann, bob
):
    town.delay_ms = 400
    ann.ask(JOB)
    town.wait(1)
    town.ask_later(bob, DIG)
    town.wait(1)
    (claim,) = bob.ask(ListClaims()).claims
    assert claim.seconds_left == pytest.approx(14)


def test_a_renewed_lease_runs_anew_from_its_beat(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    town.wait(10)
    assert bob.ask(RenewClaim(task)) == Acknowledged(task, 1)
    town.wait(10)
    (claim,) = bob.ask(ListClaims()).claims
    assert claim.seconds_left == pytest.approx(5)
    assert status(ann, task) is TaskStatus.GRANTED


def test_a_claim_is_lost_when_its_issuer_opens_the_task_again(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    town.wait(16)
    assert "claim.lost" in bob.kinds()
    assert bob.ask(RenewClaim(task)).code is Code.NOT_FOUND
    assert bob.ask(FinishClaim(task, b"late")).code is Code.NOT_FOUND


def test_a_claim_is_lost_when_its_issuer_withdraws_the_task(ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    ann.ask(WithdrawTask(task))
    assert bob.events[-1].kind == "claim.lost"
    assert bob.ask(ListClaims()).claims == ()


def test_a_cancellation_by_somebody_else_means_nothing(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    town.deliver(bob, town.sign("cid", Cancel(task, 1)), "cid")
    assert len(bob.ask(ListClaims()).claims) == 1


def test_the_work_goes_on_while_the_issuer_is_away_but_not_for_ever(town, ann, bob):
    ann.ask(JOB)
    bob.ask(DIG)
    ann.away = True
    town.wait(59)
    assert len(bob.ask(ListClaims()).claims) == 1
    town.wait(2)
    assert bob.ask(ListClaims()).claims == ()
    assert "silent" in bob.events[-1].details["reason"]


def test_a_result_is_saved_and_sent_and_confirmed(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    outcomes = bob.board.ask(99, FinishClaim(task, b"dug"), town.now)
    assert [type(each) for each in outcomes] == [Save, ToAgent, Reply]
    assert outcomes[0].durable
    bob.carry_out(outcomes)
    town.settle()
    assert ann.ask(ShowTask(task)).result == b"dug"
    assert bob.kinds()[-1] == "claim.settled"


def test_whoever_waits_for_the_receipt_hears_when_it_came(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    town.delay_ms = 500
    request = town.ask_later(bob, FinishClaim(task, b"dug", wait_seconds=5))
    assert request not in bob.replies
    town.wait(2)
    assert bob.replies[request] == Acknowledged(task, 1)


def test_whoever_waits_too_long_for_the_receipt_is_told_that_it_is_still_on_its_way(
    town, ann, bob
):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    ann.away = True
    request = town.ask_later(bob, FinishClaim(task, b"dug", wait_seconds=3))
    town.wait(4)
    assert bob.replies[request].code is Code.TIMED_OUT
    ann.away = False
    town.wait(5)
    assert ann.ask(ShowTask(task)).result == b"dug"


def test_a_result_is_said_again_until_the_receipt_comes_whatever_gets_lost(
    town, ann, bob
):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    town.lose(Kind.RECEIPT)
    bob.ask(FinishClaim(task, b"dug"))
    town.wait(40)
    assert bob.count(Kind.DONE) == 6  # once to the topic, because Ann seems silent
    town.lose()
    town.wait(60)
    assert "claim.settled" in bob.kinds()
    assert ann.kinds().count("task.done") == 1


def test_a_result_survives_the_restart_of_its_worker(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    ann.away = True
    bob.ask(FinishClaim(task, b"dug"))
    bob.boot()
    ann.away = False
    town.wait(3)
    assert ann.ask(ShowTask(task)).result == b"dug"
    assert not [key for key in bob.disk.pairs if key.startswith(b"s/c/")]


def test_a_result_finds_its_issuer_as_soon_as_it_is_back(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    ann.away = True
    bob.ask(FinishClaim(task, b"dug"))
    town.wait(12)
    ann.away = False
    bob.carry_out(bob.board.agent_up(ann.address, town.now))
    town.settle()
    assert ann.ask(ShowTask(task)).result == b"dug"


def test_finishing_twice_is_finishing_once(ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    ann.away = True
    assert bob.ask(FinishClaim(task, b"dug")) == Acknowledged(task, 1)
    assert bob.ask(FinishClaim(task, b"dug")) == Acknowledged(task, 1)
    assert bob.ask(FinishClaim(task, b"filled")).code is Code.CONFLICT
    assert bob.count(Kind.DONE) == 1


def test_finishing_again_after_the_receipt_is_still_fine(ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    bob.ask(FinishClaim(task, b"dug"))
    assert bob.ask(FinishClaim(task, b"dug", 5)) == Acknowledged(task, 1)


def test_a_result_too_large_to_be_sent_is_refused_at_once(ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    answer = bob.ask(FinishClaim(task, b"x" * (RESULT_BYTES_MAX + 1)))
    assert answer.code is Code.INVALID
    assert len(bob.ask(ListClaims()).claims) == 1


def test_a_worker_that_lost_the_race_hears_it_instead_of_a_receipt(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    ann.away = True
    request = town.ask_later(bob, FinishClaim(task, b"dug", wait_seconds=9))
    digest = sha256(b"x").digest()
    other = town.agents["cid"].address
    receipt = Receipt(task, 2, other, digest, 1, 0, Verdict.ACCEPTED)
    town.deliver(bob, town.sign("ann", receipt), "ann")
    assert bob.replies[request].code is Code.CONFLICT
    assert bob.events[-1].kind == "claim.lost"


def test_a_released_task_goes_to_another_with_what_was_achieved(ann, bob, cid):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    assert bob.ask(ReleaseClaim(task, "tired", b"half")) == Acknowledged(task, 1)
    claim = cid.ask(DIG)
    assert (claim.task, claim.generation, claim.partial) == (task, 2, b"half")


def test_a_release_is_said_again_until_the_issuer_has_heard_it(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    town.lose(Kind.RELEASE)
    bob.ask(ReleaseClaim(task))
    town.lose()
    town.wait(2.1)
    assert ann.ask(ShowTask(task)).generation == 2
    sent = bob.count(Kind.RELEASE)
    town.wait(10)
    assert bob.count(Kind.RELEASE) == sent


def test_a_task_that_failed_here_is_not_taken_here_again(town, ann, bob, cid):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    bob.ask(FailClaim(task, "no shovel"))
    town.ask_later(bob, DIG)
    town.wait(5)
    assert bob.ask(ListClaims()).claims == ()
    assert cid.ask(DIG).task == task


def test_after_a_restart_leases_go_back_to_their_issuers(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    bob.boot()
    town.wait(1)
    assert ann.ask(ShowTask(task)).generation == 2
    assert "restarted" in ann.ask(ShowTask(task)).reason
    assert bob.ask(ListClaims()).claims == ()


def test_after_a_restart_an_exclusive_lease_stays_because_its_work_may_have_begun(
    town, ann, bob
):
    task = ann.ask(replace(JOB, exclusive=True)).task
    bob.ask(DIG)
    bob.boot()
    town.wait(60)
    assert [claim.task for claim in bob.ask(ListClaims()).claims] == [task]
    bob.ask(FinishClaim(task, b"dug"))
    assert ann.ask(ShowTask(task)).result == b"dug"


def test_a_lost_lease_of_an_exclusive_task_does_not_strand_it(town, ann, bob, cid):
    task = ann.ask(replace(JOB, exclusive=True)).task
    town.lose(Kind.LEASE)
    town.ask_later(bob, replace(DIG, wait_seconds=1))
    town.wait(5)
    town.lose()
    assert status(ann, task) is TaskStatus.GRANTED
    town.wait(15)
    assert status(ann, task) is TaskStatus.OPEN
    assert cid.ask(DIG).generation == 2


def test_a_long_body_comes_with_the_lease_and_must_be_the_promised_one(town, ann, bob):
    task = ann.ask(replace(JOB, body=b"x" * 5_000)).task
    assert bob.ask(ShowTask(task)).body is None
    assert bob.ask(DIG).body == b"x" * 5_000


def test_a_body_that_is_not_the_promised_one_is_not_worked_on(town, ann, bob):
    task = ann.ask(replace(JOB, body=b"x" * 5_000)).task
    town.lose(Kind.LEASE)
    request = town.ask_later(bob, TakeTask(task=task))
    lie = Lease(task, 1, bob.address, 15, 0, b"y" * 5_000, 0)
    town.deliver(bob, town.sign("ann", lie), "ann")
    assert isinstance(bob.replies[request], Refusal)
    assert bob.count(Kind.RELEASE) == 1


def test_our_own_tasks_can_be_worked_here_as_well(town, ann):
    request = town.ask_later(ann, DIG)
    task = ann.ask(JOB).task
    assert ann.replies[request].task == task
    ann.ask(RenewClaim(task))
    assert ann.ask(FinishClaim(task, b"dug", 5)) == Acknowledged(task, 1)
    assert ann.ask(ShowTask(task)).result == b"dug"
    assert ann.kinds().count("task.done") == 1


def test_a_node_holds_only_so_many_claims(town, ann, bob):
    for number in range(CLAIMS_HELD_MAX):
        town.wait(1)
        ann.ask(replace(JOB, urgency=0.3, lease_seconds=3_600, key=b"%d" % number))
        bob.ask(DIG)
    assert len(bob.ask(ListClaims()).claims) == CLAIMS_HELD_MAX
    town.wait(1)
    task = ann.ask(replace(JOB, urgency=0.3)).task
    assert bob.ask(TakeTask(task=task)).code is Code.BUSY


def test_a_forged_result_is_nobodys(town, ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    digest = sha256(b"forged").digest()
    forged = town.sign("cid", Done(task, bob.address, 1, b"forged", digest, 1))
    town.deliver(ann, forged, "cid")
    assert ann.rejects[-1].strike
    assert status(ann, task) is TaskStatus.GRANTED
