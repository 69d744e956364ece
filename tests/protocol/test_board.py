"""The board as a whole: what is sensed and shown, who may say what, and that among
agents who lose messages and restart every task has one result.
"""

import random
from dataclasses import replace
from hashlib import sha256

import pytest

from nestmate_protocol.effects import Code, Save
from nestmate_protocol.errors import Fault, LocalError
from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.limits import FRAME_RECORDS_MAX, SIGNALS_PER_AUTHOR_BURST
from nestmate_protocol.records import Kind, make_frame, open_frame, open_record
from nestmate_protocol.signals.claims import Beat, Cancel, Claim, Lease, Release
from nestmate_protocol.signals.outcomes import Listen, Reject, SeekAble, ToTopic
from nestmate_protocol.signals.records import Deposit, Link
from nestmate_protocol.signals.requests import (
    Acknowledged,
    ClaimView,
    DepositTask,
    FinishClaim,
    ListClaims,
    ListSignals,
    ReinforceTask,
    RenewClaim,
    ShowTask,
    TakeTask,
    TaskStatus,
    WithdrawTask,
)

NETWORK = NetworkId(b"\x06" * 32)
JOB = DepositTask("dig", 0.6, b"a hole", size_seconds=10)
DIG = TakeTask(skill="dig", wait_seconds=20)
FAR = [Address(sha256(b"far %d" % number).digest()) for number in range(50)]


def listed(agent, **wishes):
    return [view.task for view in agent.ask(ListSignals(**wishes)).tasks]


def test_a_deposit_nobody_known_is_able_to_do_is_spread_over_its_topic(town, ann):
    outcomes = ann.board.ask(1, JOB, town.now)
    assert [each.skill for each in outcomes if isinstance(each, Listen)] == ["dig"]
    (topic,) = [each for each in outcomes if isinstance(each, ToTopic)]
    (seek,) = [each for each in outcomes if isinstance(each, SeekAble)]
    assert (topic.skill, topic.age_ms, topic.urgent) == ("dig", 0, True)
    assert seek.skill == "dig"


def test_only_urgent_signals_ask_to_leave_at_once(town, ann):
    slow = ann.board.ask(1, replace(JOB, urgency=0.49), town.now)
    assert not any(each.urgent for each in slow if isinstance(each, ToTopic))


def test_a_task_is_told_of_once_when_it_is_first_sensed(town, ann, bob):
    ann.ask(JOB)
    town.wait(200)
    assert bob.kinds() == ["signal.sensed"]
    assert bob.events[0].author == ann.address
    assert bob.events[0].details == {"skill": "dig", "urgency": 0.6}


def test_open_tasks_are_listed_strongest_first(town, ann, bob):
    weak = ann.ask(replace(JOB, urgency=0.1)).task
    strong = ann.ask(replace(JOB, urgency=0.7)).task
    other = ann.ask(replace(JOB, urgency=0.5, skill="fly")).task
    assert listed(bob) == [strong, other, weak]
    assert listed(bob, skill="dig") == [strong, weak]
    assert listed(bob, skill="swim") == []
    assert listed(bob, min_strength=10.0) == [strong, other]
    assert listed(bob, limit=1) == [strong]
    assert listed(ann) == [strong, other, weak]


def test_a_task_that_is_held_or_over_is_not_listed_but_can_be_shown(
    town, ann, bob, cid
):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    town.wait(1)
    assert listed(cid) == []
    view = cid.ask(ShowTask(task))
    assert (view.status, view.holder) == (TaskStatus.GRANTED, bob.address)
    bob.ask(FinishClaim(task, b"dug"))
    town.wait(1)
    assert cid.ask(ShowTask(task)).status is TaskStatus.DONE
    assert cid.ask(ShowTask(task)).result is None
    assert bob.ask(ShowTask(task)).strength == 0


def test_the_depositor_is_shown_everything_of_its_task(ann, bob):
    task = ann.ask(JOB).task
    bob.ask(DIG)
    bob.ask(FinishClaim(task, b"dug"))
    view = ann.ask(ShowTask(task))
    assert (view.own, view.issuer, view.holder) == (True, ann.address, bob.address)
    assert (view.body, view.result, view.urgency) == (b"a hole", b"dug", 0.6)


def test_a_task_that_faded_while_it_is_worked_on_is_still_shown_to_its_worker(
    town, ann, bob
):
    task = ann.ask(replace(JOB, lease_seconds=3_600)).task
    bob.ask(DIG)
    town.wait(300)
    assert bob.ask(ShowTask(task)).status is TaskStatus.GRANTED
    assert bob.ask(ShowTask(task)).body == b"a hole"


def test_others_who_need_a_task_too_make_it_stronger_for_everyone(ann, bob, cid):
    task = ann.ask(replace(JOB, urgency=0.3)).task
    before = cid.ask(ShowTask(task))
    assert bob.ask(ReinforceTask(task)) == Acknowledged(task, 1)
    after = cid.ask(ShowTask(task))
    assert after.strength == pytest.approx(2 * before.strength)
    assert (before.deposits, after.deposits) == (1, 2)
    bob.ask(ReinforceTask(task))
    assert cid.ask(ShowTask(task)).strength == pytest.approx(after.strength)


def test_what_is_unknown_or_over_cannot_be_reinforced(ann, bob):
    task = ann.ask(JOB).task
    missing = type(task)(b"?" * 32)
    assert bob.ask(ReinforceTask(missing)).code is Code.NOT_FOUND
    ann.ask(WithdrawTask(task))
    assert bob.ask(ReinforceTask(task)).code is Code.CONFLICT
    assert ann.ask(ReinforceTask(task)).code is Code.CONFLICT
    assert bob.ask(WithdrawTask(task)).code is Code.NOT_FOUND
    assert bob.ask(ShowTask(missing)).code is Code.NOT_FOUND


def test_a_record_that_names_another_than_its_author_is_refused(town, ann, bob):
    task = ann.ask(JOB).task
    link = Link(b"i" * 16, 1, None, 0)
    signal = next(record for record in ann.sent if record.kind == Kind.SIGNAL)
    forged = [
        signal,
        town.sign("cid", Deposit(ann.address, b"k", bob.address, 1, 0, link)),
        town.sign("cid", Claim(task, bob.address, 1, 0, 9)),
        town.sign("cid", Beat(task, bob.address, 1, 1, 0)),
        town.sign("cid", Release(task, bob.address, 1, "", None, failed=False)),
        town.sign("cid", Lease(task, 2, bob.address, 9, 0, None, 0)),
    ]
    for record in forged:
        town.deliver(bob, record, "cid")
    assert bob.rejects == [Reject(Fault.NOT_ENTITLED, strike=True)] * len(forged)


def test_who_was_asked_for_a_task_of_another_may_say_there_is_none(town, ann, bob):
    task = ann.ask(JOB).task
    town.deliver(bob, town.sign("cid", Cancel(task, 1)), "cid")
    assert bob.rejects == [Reject(Fault.NOT_ENTITLED, strike=False)]
    assert bob.ask(ShowTask(task)).status is TaskStatus.OPEN


def test_haste_and_late_news_are_refused_without_a_strike(town, ann, bob):
    for number in range(SIGNALS_PER_AUTHOR_BURST + 1):
        ann.ask(replace(JOB, key=b"%d" % number))
    town.wait(30)
    signals = [record for record in ann.sent if record.kind == Kind.SIGNAL]
    cid = town.agents["cid"]
    cid.boot()
    for record in signals:
        town.deliver(cid, record, "ann")
    town.deliver(cid, signals[0], "ann", age=3_600_000)
    faults = {reject.fault for reject in cid.rejects}
    assert faults == {Fault.OVER_LIMIT, Fault.EXPIRED}
    assert not any(reject.strike for reject in cid.rejects)


def test_a_blocked_author_is_not_heard(town, ann, bob):
    bob.trust = 0.0
    ann.ask(JOB)
    assert bob.kinds() == []
    assert bob.rejects == [Reject(Fault.NOT_ENTITLED, strike=False)]


def test_a_new_node_is_told_what_is_open_with_its_age(town, ann, bob):
    task = ann.ask(replace(JOB, urgency=0.2)).task
    town.wait(4)
    (dan,) = town.add("dan")
    for data, age in bob.board.greeting(dan.address, town.now):
        town.deliver(dan, open_record(data, NETWORK), "ann", age)
    assert dan.ask(ShowTask(task)).age_seconds == 4


def greet(town, host, *guests):
    """Guests come by at a host's node, and hear what it has to tell."""
    for guest in guests:
        for data, age in host.board.greeting(guest.address, town.now):
            town.deliver(guest, open_record(data, NETWORK), host.name, age)


def test_whoever_came_by_and_heard_of_a_task_hears_of_its_end_as_well(town, ann):
    ann.able["dig"] = FAR
    dan, eve = town.add("dan", "eve")
    task = ann.ask(replace(JOB, urgency=0.2)).task
    greet(town, ann, dan, eve)
    assert dan.ask(TakeTask(skill="dig", wait_seconds=5)).task == task
    town.wait(2)
    assert eve.ask(ShowTask(task)).status == TaskStatus.GRANTED


def test_what_nobody_but_its_issuer_has_told_is_told_no_further(town, ann, bob):
    ann.able["dig"] = FAR
    (dan,) = town.add("dan")
    ann.ask(replace(JOB, urgency=0.2))
    greet(town, ann, dan)
    assert dan.board.greeting(bob.address, town.now) == ()
    town.wait(60)  # meanwhile its whole topic has heard of it
    assert len(dan.board.greeting(bob.address, town.now)) == 1


def test_a_greeting_is_one_frame_with_few_records_of_each_author(town, bob):
    loud, *others = town.add(*(f"a{number}" for number in range(5)))
    for number in range(SIGNALS_PER_AUTHOR_BURST + 5):
        loud.ask(replace(JOB, urgency=0.3, key=b"%d" % number))
        for agent in others:
            agent.ask(replace(JOB, urgency=0.1, key=b"%d" % number))
    town.wait(12)
    items = bob.board.greeting(bob.address, town.now)
    assert len(items) == FRAME_RECORDS_MAX
    authors = [
        carried.record.author for carried in open_frame(make_frame(items), NETWORK)
    ]
    assert max(map(authors.count, authors)) == SIGNALS_PER_AUTHOR_BURST


def test_topics_are_wanted_for_own_live_tasks_and_for_those_who_wait(town, ann, bob):
    task = ann.ask(JOB).task
    town.ask_later(ann, TakeTask(skill="fly", wait_seconds=5))
    assert ann.board.skills_wanted() == ("dig", "fly")
    bob.ask(DIG)
    bob.ask(FinishClaim(task))
    town.wait(6)
    assert ann.board.skills_wanted() == ()


def test_the_counts_say_how_much_there_is(ann, bob):
    ann.ask(JOB)
    bob.ask(DIG)
    assert ann.board.counts() == replace(ann.board.counts(), tasks_own=1, claims=0)
    assert bob.board.counts() == replace(bob.board.counts(), tasks_sensed=1, claims=1)


def test_a_damaged_store_is_said_to_be_one(ann, bob):
    ann.ask(JOB)
    bob.ask(DIG)
    for agent in (ann, bob):
        agent.disk.pairs = dict.fromkeys(agent.disk.pairs, b"\xff")
        with pytest.raises(LocalError):
            agent.boot()


def test_nothing_is_due_where_nothing_happens(ann):
    assert ann.board.next_wakeup() is None


def test_waking_early_or_twice_does_no_harm(town, ann, bob):
    ann.ask(JOB)
    bob.ask(DIG)
    for _ in range(3):
        assert ann.board.wake(town.now) == []
        assert bob.board.wake(town.now) == []


def dig_fast(town, ann, bob, take=DIG):
    """Bob does sixteen seconds' work in four."""
    task = ann.ask(replace(JOB, size_seconds=16)).task
    bob.ask(take)
    town.wait(4)
    bob.ask(FinishClaim(task))


def test_a_receipt_teaches_both_sides_and_a_testimony_everyone(town, ann, bob, cid):
    dig_fast(town, ann, bob)
    speeds = [agent.board._speeds for agent in (ann, bob, cid)]
    assert [each.speed(bob.address, "dig") for each in speeds] == [2, 2, 1]
    town.wait(16)
    assert [each.speed(bob.address, "dig") for each in speeds] == [2, 2, 2]


def test_what_receipts_taught_outlives_a_restart(town, ann, bob, cid):
    dig_fast(town, ann, bob)
    for agent in (ann, bob):
        agent.boot()
        speed = agent.board._speeds.speed(bob.address, "dig")
        assert speed == pytest.approx(2)


def test_a_set_up_is_not_held_against_a_workers_speed(town, ann, bob):
    dig_fast(town, ann, bob, replace(DIG, setup_seconds=2))
    assert ann.board._speeds.speed(bob.address, "dig") == pytest.approx(8**0.5)


def test_more_than_half_of_the_time_cannot_be_called_set_up(town, ann, bob):
    dig_fast(town, ann, bob, replace(DIG, setup_seconds=2.7))
    assert ann.board._speeds.speed(bob.address, "dig") == pytest.approx(8**0.5)


def test_a_speed_on_disk_that_cannot_be_read_is_a_damaged_store(ann):
    ann.disk.pairs[b"s/v/?"] = b"?"
    with pytest.raises(LocalError, match="speed"):
        ann.boot()


# --- everything at once


class Storm:
    """Work in a town where records get lost, come late and twice, and nodes die."""

    def __init__(self, town, seed):
        self.town, self.dice = town, random.Random(seed)
        self.agents = town.add("ann", "bob", "cid", "dan")
        self.waiting = {}
        self.loss = 0.3
        town.lost = lambda *_: self.dice.random() < self.loss

    def begin(self):
        """Twenty tasks of two issuers, of all urgencies, two of them exclusive."""
        return [
            (issuer, issuer.ask(replace(JOB, urgency=u / 10, exclusive=u == 9)).task)
            for issuer in self.agents[:2]
            for u in range(10)
        ]

    def step(self):
        self.town.delay_ms = self.dice.choice((0, 20, 400, 3_000))
        self.town.wait(self.dice.choice((0.1, 1, 4)))
        for agent in self.agents:
            if self.dice.random() < 0.02:
                self.kill(agent)
            self.work(agent)

    def kill(self, agent):
        """What is still held after a restart is exclusive, and is brought to an end."""
        self.waiting.pop(agent.name, None)
        agent.boot()
        for claim in agent.ask(ListClaims()).claims:
            self.finish(agent, claim)

    def work(self, agent):
        """Wait for a task, beat while it is worked on, and finish it."""
        request = self.waiting.get(agent.name)
        if request is None:
            self.waiting[agent.name] = self.town.ask_later(agent, DIG)
        elif isinstance(agent.replies.get(request), ClaimView):
            self.carry_on(agent, agent.replies[request])
        elif request in agent.replies:
            del self.waiting[agent.name]

    def carry_on(self, agent, claim):
        mine = [held.task for held in agent.ask(ListClaims()).claims]
        if claim.task not in mine:
            del self.waiting[agent.name]
        elif self.dice.random() < 0.3:
            self.finish(agent, claim)
            del self.waiting[agent.name]
        else:
            agent.ask(RenewClaim(claim.task))

    def finish(self, agent, claim):
        result = f"{agent.name}{claim.generation}".encode()
        agent.ask(FinishClaim(claim.task, result))

    def done(self, tasks):
        views = [issuer.ask(ShowTask(task)) for issuer, task in tasks]
        return all(view.status is TaskStatus.DONE for view in views)


@pytest.mark.parametrize("number", range(12))
def test_in_a_storm_every_task_has_one_result_and_its_fence_is_the_holders(
    town, seed, number
):
    storm = Storm(town, seed * 1_000 + number)
    tasks = storm.begin()
    for step in range(190):
        storm.loss = 0.3 if step < 40 else 0.0
        storm.step()
    assert storm.done(tasks), f"seed {seed}"
    names = {agent.address: agent.name for agent in storm.agents}
    for issuer, task in tasks:
        view = issuer.ask(ShowTask(task))
        told = [e for e in issuer.events if (e.kind, e.task) == ("task.done", task)]
        assert len(told) == 1
        assert view.result == f"{names[view.holder]}{view.generation}".encode()


def test_everything_saved_lies_under_the_boards_prefix(town, ann, bob):
    ann.ask(JOB)
    bob.ask(DIG)
    for agent in (ann, bob):
        assert agent.disk.pairs
        assert all(key.startswith(b"s/") for key in agent.disk.pairs)


def test_a_save_never_holds_one_key_twice(town, ann):
    outcomes = ann.board.ask(1, JOB, town.now)
    for save in (each for each in outcomes if isinstance(each, Save)):
        keys = [key for key, _ in save.writes]
        assert len(keys) == len(set(keys))
