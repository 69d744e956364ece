"""Orphans: a task whose issuer is silent is done once by those who heard of it."""

from dataclasses import replace

import pytest

from nestmate_protocol.effects import Reply, Save
from nestmate_protocol.ids import NetworkId, TaskId
from nestmate_protocol.records import Kind, open_record
from nestmate_protocol.signals.claims import Beat, Cancel, Claim, Done
from nestmate_protocol.signals.requests import (
    ClaimView,
    DepositTask,
    FinishClaim,
    ListClaims,
    ReleaseClaim,
    RenewClaim,
    ShowTask,
    TakeTask,
    TaskStatus,
)

JOB = DepositTask("dig", 0.6, b"a hole", size_seconds=10, lease_seconds=6)
DIG = TakeTask(skill="dig", wait_seconds=60)


@pytest.fixture
def orphan(town, ann, bob, cid):
    """A task that Bob and Cid heard of before Ann went away."""
    task = ann.ask(JOB).task
    ann.away = True
    return task


def holders(*agents):
    """Who holds something, and under which generation."""
    held = {agent.name: agent.ask(ListClaims()).claims for agent in agents}
    return {name: claims[0].generation for name, claims in held.items() if claims}


def taken(agent, wait=DIG):
    """The claim an agent gets, within a few seconds."""
    town = agent.town
    request = town.ask_later(agent, wait)
    town.wait(6)
    return agent.replies.get(request)


def tidings(agent):
    """What an agent has told its topic of results."""
    told = [Done.read(each.fields) for each in agent.sent if each.kind is Kind.DONE]
    return [done for done in told if done.result is None]


LONG = replace(JOB, lease_seconds=15)


NETWORK = NetworkId(b"\x06" * 32)


def signs(town, name, record):
    return town.sign(name, Cancel(TaskId(b"t" * 32), 1)).author == record.author


def split(town, *left):
    """From now on those named hear only each other, and so do the others."""
    town.lost = lambda one, _, other: (one.name in left) != (other.name in left)


def test_a_task_of_a_silent_issuer_is_taken_after_two_seconds_and_a_settling(
    town, bob, orphan
):
    request = town.ask_later(bob, DIG)
    town.wait(2.9)
    assert request not in bob.replies
    town.wait(1.2)
    claim = bob.replies[request]
    assert (claim.task, claim.generation, claim.settled) == (orphan, 1, True)


def test_of_several_who_want_an_orphan_one_gets_it(town, bob, cid, orphan):
    for agent in (bob, cid):
        town.ask_later(agent, DIG)
    town.wait(20)
    assert len(holders(bob, cid)) == 1


def test_whoever_is_faster_at_an_orphan_comes_first(town, bob, cid, orphan):
    town.ask_later(bob, replace(DIG, speed=1.0))
    town.ask_later(cid, replace(DIG, speed=1.4))
    town.wait(6)
    assert holders(bob, cid) == {"cid": 1}
    assert bob.count(Kind.CLAIM) == 2  # to Ann, and no word to the topic


def test_rivals_who_speak_at_once_settle_it_by_their_estimates(town, bob, cid, orphan):
    town.delay_ms = 900
    town.ask_later(bob, replace(DIG, speed=1.0))
    town.wait(0.4)
    town.ask_later(cid, replace(DIG, speed=1.2))
    town.wait(20)
    assert holders(bob, cid) == {"cid": 1}


def test_a_settled_claim_is_saved_before_anybody_is_told(town, bob, orphan):
    bob.board.ask(1, DIG, town.now)
    told = []
    while not any(isinstance(each, Reply) for each in told):
        due = bob.board.next_wakeup()
        town.now = town.now.later(due - town.now.mono_ms)
        told = bob.board.wake(town.now)
    kinds = [type(each) for each in told]
    assert kinds.index(Save) < kinds.index(Reply)
    assert all(save.durable for save in told if isinstance(save, Save))


@pytest.mark.parametrize("job", [{"exclusive": True}, {"body": b"x" * 2_000}])
def test_what_must_not_or_cannot_be_done_alone_waits_for_its_issuer(
    town, ann, bob, job
):
    ann.ask(replace(JOB, **job))
    ann.away = True
    town.ask_later(bob, DIG)
    town.wait(59)
    assert holders(bob) == {}


def test_a_result_is_kept_until_the_issuer_is_back_and_counts_once(
    town, ann, bob, orphan
):
    taken(bob)
    bob.ask(FinishClaim(orphan, b"dug"))
    town.wait(100)
    ann.away = False
    town.wait(61)
    view = ann.ask(ShowTask(orphan))
    assert (view.status, view.result, view.holder) == (
        TaskStatus.DONE,
        b"dug",
        bob.address,
    )
    assert ann.kinds().count("task.done") == 1
    assert "claim.settled" in bob.kinds()


def test_a_result_reaches_an_issuer_that_was_restarted_at_once(town, ann, bob, orphan):
    taken(bob)
    bob.ask(FinishClaim(orphan, b"dug"))
    town.wait(30)
    ann.away = False
    ann.boot()
    bob.carry_out(bob.board.agent_up(ann.address, town.now))
    town.wait(0.1)
    assert ann.ask(ShowTask(orphan)).result == b"dug"


def test_what_was_not_seen_teaches_nobody_a_speed(town, ann, bob, cid, orphan):
    taken(bob)
    bob.ask(FinishClaim(orphan, b"dug"))
    ann.away = False
    town.wait(61)
    assert ann.count(Kind.RECEIPT) > 0
    for agent in (ann, bob, cid):
        assert not list(agent.disk.scan(b"s/v/"))


def test_a_result_tells_everybody_on_the_topic_that_nothing_is_left_to_do(
    town, bob, cid, orphan
):
    taken(bob)
    bob.ask(FinishClaim(orphan, b"dug"))
    town.ask_later(cid, DIG)
    town.wait(59)
    assert holders(cid) == {}
    assert cid.count(Kind.CLAIM) == 0


def test_a_result_to_the_topic_does_not_carry_the_result_itself(town, bob, orphan):
    taken(bob)
    bob.ask(FinishClaim(orphan, b"dug"))
    done = [Done.read(r.fields) for r in bob.sent if r.kind is Kind.DONE]
    assert sorted(each.result or b"" for each in done) == [b"", b"dug"]


def test_while_the_holder_beats_nobody_else_begins(town, bob, cid, orphan):
    taken(bob)
    town.ask_later(cid, DIG)
    for _ in range(20):
        bob.ask(RenewClaim(orphan))
        town.wait(2)
    assert holders(bob, cid) == {"bob": 1}


def test_a_holder_that_falls_silent_is_followed_under_the_next_generation(
    town, bob, cid, orphan
):
    taken(bob)
    bob.away = True
    town.ask_later(cid, DIG)
    town.wait(30)
    assert holders(cid) == {"cid": 2}


def test_an_orphan_that_is_given_back_is_free_at_once(town, bob, cid, orphan):
    taken(bob)
    town.ask_later(cid, DIG)
    bob.ask(ReleaseClaim(orphan, "no time"))
    town.wait(5)
    assert holders(cid) == {"cid": 2}


def test_a_worker_that_restarts_gives_its_settled_claim_back_to_all(
    town, bob, cid, orphan
):
    taken(bob)
    town.ask_later(cid, DIG)
    bob.boot()
    town.wait(5)
    assert holders(bob, cid) == {"cid": 2}


def test_who_gave_an_orphan_back_begins_it_anew_under_the_next_generation(
    town, bob, orphan
):
    assert taken(bob).generation == 1
    bob.ask(ReleaseClaim(orphan, "made way"))
    assert taken(bob).generation == 2


def test_who_gave_a_lease_back_unheard_does_not_get_it_again_under_the_same_fence(
    town, ann, bob
):
    task = ann.ask(LONG).task
    assert taken(bob).generation == 1
    ann.away = True
    bob.ask(ReleaseClaim(task, "made way"))
    request = town.ask_later(bob, replace(DIG, wait_seconds=200))
    for _ in range(200):  # until the lease is overdue: is Ann still there?
        town.wait(0.5)
        if bob.count(Kind.CLAIM) == 2:
            break
    ann.away = False
    ann.boot()
    bob.carry_out(bob.board.agent_up(ann.address, town.now))
    town.wait(2)
    assert bob.replies[request].generation == 2


def test_two_who_find_each_other_at_one_task_know_who_stops(town, bob, cid, orphan):
    split(town, "bob")
    claims = [town.ask_later(agent, DIG) for agent in (bob, cid)]
    town.wait(6)
    assert [
        agent.replies[n].settled for agent, n in zip((bob, cid), claims, strict=True)
    ] == [
        True,
        True,
    ]
    town.lose()
    for one, other in ((bob, cid), (cid, bob)):
        one.carry_out(one.board.agent_up(other.address, town.now))
    town.wait(2)
    assert len(holders(bob, cid)) == 1
    assert sorted(bob.kinds() + cid.kinds()).count("claim.lost") == 1


def test_a_new_neighbour_hears_who_is_at_an_orphan(town, bob, cid, orphan):
    taken(bob)
    dee = town.add("dee")[0]
    for data, age_ms in cid.board.greeting(dee.address, town.now):
        record = open_record(data, NETWORK)
        author = next(name for name in town.agents if signs(town, name, record))
        town.deliver(dee, record, author, age_ms, straight=False)
    town.ask_later(dee, DIG)
    town.wait(4)
    assert holders(dee) == {}


def test_an_issuer_that_is_back_leaves_the_task_with_whoever_works_it(
    town, ann, bob, cid, orphan
):
    taken(bob)
    ann.away = False
    bob.carry_out(bob.board.agent_up(ann.address, town.now))
    town.wait(1)
    view = ann.ask(ShowTask(orphan))
    assert (view.status, view.holder) == (TaskStatus.GRANTED, bob.address)
    (claim,) = bob.ask(ListClaims()).claims
    assert not claim.settled


def test_an_issuer_that_was_restarted_lets_those_at_work_speak_first(
    town, ann, bob, orphan
):
    taken(bob)
    ann.away = False
    ann.boot()
    town.ask_later(ann, DIG)
    town.wait(1)
    bob.carry_out(bob.board.agent_up(ann.address, town.now))
    town.wait(5)
    assert holders(ann, bob) == {"bob": 1}


def test_the_more_often_others_come_by_the_less_is_said_to_all(town, bob, cid, orphan):
    taken(bob)
    bob.ask(FinishClaim(orphan, b"dug"))
    town.wait(5)
    before = len(tidings(bob))
    for _ in range(7):  # told after the first, two more and four more
        bob.carry_out(bob.board.agent_up(cid.address, town.now))
        town.wait(2)
    assert len(tidings(bob)) - before == 3


def test_an_issuer_that_hears_of_a_result_waits_for_who_has_it(
    town, ann, bob, cid, orphan
):
    taken(bob)
    bob.ask(FinishClaim(orphan, b"dug"))
    ann.away, bob.away = False, True
    for data, age_ms in cid.board.greeting(ann.address, town.now):
        record = open_record(data, NETWORK)
        author = next(name for name in town.agents if signs(town, name, record))
        town.deliver(ann, record, author, age_ms, straight=False)
    view = ann.ask(ShowTask(orphan))
    assert (view.status, view.holder) == (TaskStatus.GRANTED, bob.address)
    bob.away = False
    town.wait(61)
    assert ann.ask(ShowTask(orphan)).result == b"dug"
    assert not list(ann.disk.scan(b"s/v/"))


def test_an_issuer_that_gave_the_task_to_another_meanwhile_decides(town, ann, bob, cid):
    task = ann.ask(LONG).task
    split(town, "bob")
    taken(bob)
    taken(cid)
    assert holders(bob, cid) == {"bob": 1, "cid": 1}
    town.lose()
    bob.carry_out(bob.board.agent_up(ann.address, town.now))
    town.wait(1)
    assert holders(bob, cid) == {"cid": 1}
    assert ann.ask(ShowTask(task)).holder == cid.address


def test_a_late_result_of_a_settled_claim_does_not_take_a_task_from_its_holder(
    town, ann, bob, cid
):
    task = ann.ask(LONG).task
    split(town, "bob")
    taken(bob)
    bob.ask(FinishClaim(task, b"dug by bob"))
    taken(cid)
    town.lose()
    bob.carry_out(bob.board.agent_up(ann.address, town.now))
    town.wait(1)
    cid.ask(FinishClaim(task, b"dug by cid"))
    assert ann.ask(ShowTask(task)).result == b"dug by cid"
    assert ann.kinds().count("task.done") == 1


def test_a_task_whose_issuer_and_holder_both_died_is_done_by_a_third(
    town, ann, bob, cid
):
    task = ann.ask(replace(LONG, urgency=0.3)).task
    assert not taken(bob).settled
    town.wait(2)
    ann.away = bob.away = True
    town.ask_later(cid, replace(DIG, wait_seconds=300))
    town.wait(200)
    assert cid.ask(ListClaims()).claims[0].task == task
    assert holders(cid) == {"cid": 2}


def test_a_holder_whose_issuer_died_goes_on_and_tells_the_others(town, ann, bob, cid):
    task = ann.ask(replace(LONG, urgency=0.3)).task
    taken(bob)
    ann.away = True
    town.ask_later(cid, replace(DIG, wait_seconds=300))
    for _ in range(100):
        bob.ask(RenewClaim(task))
        town.wait(2)
    assert holders(bob, cid) == {"bob": 1}
    bob.ask(FinishClaim(task, b"dug"))
    town.wait(60)
    assert holders(cid) == {}


def test_who_does_not_know_a_task_keeps_quiet_about_a_claim_to_the_topic(town, ann):
    task = ann.ask(JOB).task
    dee = town.add("dee")[0]
    claim = town.sign("dee", Claim(task, dee.address, 1, 900, 60))
    eve = town.add("eve")[0]
    town.deliver(eve, claim, "dee", straight=False)
    assert eve.sent == []


def test_an_old_beat_said_again_does_not_keep_a_dead_holder_alive(
    town, bob, cid, orphan
):
    taken(bob)
    bob.ask(RenewClaim(orphan))
    beats = [record for record in bob.sent if record.kind is Kind.BEAT]
    bob.away = True
    town.ask_later(cid, DIG)
    for _ in range(12):
        town.deliver(cid, beats[-1], "bob", straight=False)
        town.wait(2)
    assert Beat.read(beats[-1].fields).estimate_ms is not None
    assert holders(cid) == {"cid": 2}


def test_a_generation_far_ahead_is_not_believed(town, ann, bob):
    task = ann.ask(JOB).task
    worker = bob.address
    town.deliver(ann, town.sign("bob", Claim(task, worker, 2**31 - 1, 9, 60)), "bob")
    assert ann.ask(ShowTask(task)).generation == 1
    assert isinstance(taken(bob), ClaimView)


def test_a_task_of_an_issuer_that_answers_comes_before_any_orphan(
    town, bob, cid, orphan
):
    urgent = orphan
    request = town.ask_later(bob, DIG)
    town.wait(1)
    slow = cid.ask(replace(JOB, urgency=0.05)).task
    town.wait(1.5)
    assert bob.replies[request].task == slow
    assert bob.ask(ShowTask(urgent)).status == TaskStatus.OPEN


def test_whoever_found_an_issuer_silent_once_asks_others_first(town, ann, bob, cid):
    orphans = {ann.ask(JOB).task for _ in range(3)}
    ann.away = True
    others = {cid.ask(replace(JOB, urgency=0.05)).task for _ in range(3)}
    began, got = town.now.mono_ms, []
    for _ in range(3):
        request = town.ask_later(bob, DIG)
        while request not in bob.replies:
            town.wait(0.1)
        got.append(bob.replies[request].task)
        bob.ask(FinishClaim(got[-1], b"done"))
    assert set(got) == others
    assert town.now.mono_ms - began < 3_000
    assert not orphans & set(got)


def test_an_issuer_that_is_heard_again_is_asked_as_before(town, ann, bob, cid, orphan):
    request = town.ask_later(bob, DIG)
    town.wait(1)
    cid.ask(replace(JOB, urgency=0.05))
    town.wait(1.5)
    bob.ask(FinishClaim(bob.replies[request].task, b"done"))
    cid.ask(replace(JOB, urgency=0.05))
    ann.away = False
    bob.carry_out(bob.board.agent_up(ann.address, town.now))
    assert taken(bob).task == orphan
