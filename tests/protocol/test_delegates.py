"""Exclusive tasks with delegates: two of three decide, whoever is away, and once."""

from itertools import pairwise

import pytest

from nestmate_protocol.effects import Code, Refusal
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.requests import (
    ClaimView,
    DepositTask,
    ExplainClaim,
    FinishClaim,
    ListClaims,
    ReleaseClaim,
    RenewClaim,
    ShowTask,
    TakeTask,
    TaskStatus,
    WithdrawTask,
)
from nestmate_protocol.signals.votes import Vote

NAMES = ("ann", "ben", "cas", "bob", "cid")
TAKE = TakeTask(skill="pay", wait_seconds=60)


@pytest.fixture
def people(town):
    """Ann asks; she, Ben and Cas decide; Bob and Cid work."""
    return town.add(*NAMES)


def deposit(ann, ben, cas, **extra):
    body = DepositTask(
        "pay",
        0.9,
        b"42 crowns",
        lease_seconds=5,
        exclusive=True,
        delegates=(ben.address, cas.address),
        **extra,
    )
    return ann.ask(body).task


def taken(town, agent, seconds=20):
    """The claim an agent gets within so many seconds, or None."""
    request = town.ask_later(agent, TAKE)
    for _ in range(seconds):
        if request in agent.replies:
            break
        town.wait(1)
    claim = agent.replies.get(request)
    return claim if isinstance(claim, ClaimView) else None


def holders(*agents):
    return [agent.name for agent in agents if agent.ask(ListClaims()).claims]


def test_two_of_three_give_the_task_to_who_asks_first(town, people):
    ann, ben, cas, bob, _ = people
    task = deposit(ann, ben, cas)
    claim = taken(town, bob)
    assert (claim.task, claim.generation, claim.exclusive) == (task, 1, True)
    seen = ann.ask(ShowTask(task))
    assert (seen.status, seen.holder) == (TaskStatus.GRANTED, bob.address)
    assert {vote.holder for vote in seen.delegates} == {bob.address}


def test_with_the_issuer_gone_the_other_two_decide(town, people):
    ann, ben, cas, bob, _ = people
    deposit(ann, ben, cas)
    ann.away = True
    claim = taken(town, bob)
    assert claim.body == b"42 crowns"
    bob.ask(FinishClaim(claim.task, b"paid"))
    ann.away = False
    town.wait(120)
    view = ann.ask(ShowTask(claim.task))
    assert (view.status, view.result) == (TaskStatus.DONE, b"paid")
    assert "claim.settled" in bob.kinds()


def test_one_delegate_alone_gives_nothing_away(town, people):
    ann, ben, cas, bob, _ = people
    deposit(ann, ben, cas)
    ben.away = cas.away = True
    assert taken(town, bob) is None
    ben.away = False
    town.wait(100)
    assert holders(bob) == ["bob"]


def test_of_two_who_ask_at_once_one_gets_it(town, people):
    ann, ben, cas, bob, cid = people
    town.delay_ms = 300
    deposit(ann, ben, cas)
    town.wait(1)
    town.ask_later(bob, TAKE)
    town.ask_later(cid, TAKE)
    town.wait(30)
    assert len(holders(bob, cid)) == 1


def test_halves_of_a_net_never_both_begin(town, people):
    ann, ben, cas, bob, cid = people
    deposit(ann, ben, cas)
    west = {"ann", "bob"}
    town.lost = lambda sender, _, to: (sender.name in west) != (to.name in west)
    town.ask_later(bob, TAKE)
    assert taken(town, cid)
    town.wait(30)
    assert holders(bob, cid) == ["cid"]
    town.lost = lambda *_: False
    town.wait(30)
    assert holders(bob, cid) == ["cid"]


def test_a_silent_holder_keeps_the_task(town, people):
    ann, ben, cas, bob, cid = people
    deposit(ann, ben, cas)
    assert taken(town, bob)
    bob.away = True
    assert taken(town, cid, 120) is None
    bob.away = False
    town.wait(60)
    assert holders(bob, cid) == ["bob"]


def test_what_its_holder_gives_back_is_decided_anew(town, people):
    ann, ben, cas, bob, cid = people
    deposit(ann, ben, cas)
    ann.away = True
    claim = taken(town, bob)
    bob.ask(ReleaseClaim(claim.task, "no cash"))
    town.wait(1)
    claim = taken(town, cid)
    assert claim.generation == 2
    assert holders(bob, cid) == ["cid"]


def test_who_gave_it_back_never_begins_again_on_old_votes(town, people):
    ann, ben, cas, bob, _ = people
    deposit(ann, ben, cas)
    claim = taken(town, bob)
    old = [r for a in (ann, ben, cas) for r in a.sent if r.kind == Kind.VOTE]
    bob.ask(ReleaseClaim(claim.task))
    bob.boot()
    town.lose(Kind.RELEASE)
    town.ask_later(bob, TakeTask(task=claim.task, wait_seconds=60))
    for vote in old:
        voter = next(a for a in people if a.address == Vote.read(vote.fields).voter)
        town.deliver(bob, vote, voter.name)
    assert not any(c.generation == 1 for c in bob.ask(ListClaims()).claims)


def test_a_task_that_is_done_is_not_begun_by_anybody_else(town, people):
    ann, ben, cas, bob, cid = people
    deposit(ann, ben, cas)
    ann.away = True
    claim = taken(town, bob)
    bob.ask(FinishClaim(claim.task, b"paid"))
    bob.boot()
    assert taken(town, cid, 120) is None


def test_a_delegate_votes_once_whatever_it_forgets(town, people):
    ann, ben, cas, bob, cid = people
    deposit(ann, ben, cas)
    ann.away = cas.away = True
    town.ask_later(bob, TAKE)
    town.wait(5)
    for _ in range(4):
        ben.boot()
        town.ask_later(cid, TAKE)
        town.wait(20)
    votes = [Vote.read(r.fields) for r in ben.sent if r.kind == Kind.VOTE]
    cast = {(v.generation, v.round): v.holder for v in votes if v.holder}
    assert all(cast[v.generation, v.round] == v.holder for v in votes if v.holder)
    places = [(v.generation, v.round) for v in votes]
    assert all(one <= other for one, other in pairwise(places))
    assert not holders(bob, cid)


def test_the_issuer_alone_cannot_give_it_away(town, people):
    ann, ben, cas, bob, _ = people
    deposit(ann, ben, cas)
    town.lose(Kind.VOTE)
    assert taken(town, bob, 30) is None


def test_whoever_asks_later_is_told_who_has_it(town, people):
    ann, ben, cas, bob, cid = people
    task = deposit(ann, ben, cas)
    assert taken(town, bob)
    town.wait(2)
    explained = cid.ask(ExplainClaim(task))
    assert "another agent holds it" in explained.sentence
    assert len(explained.delegates) == 3
    assert {v.holder for v in ben.ask(ExplainClaim(task)).delegates} == {bob.address}


def test_three_others_may_decide_without_the_issuer(town, people):
    ann, ben, cas, bob, cid = people
    others = (ben.address, cas.address, cid.address)
    body = DepositTask("pay", 0.9, exclusive=True, delegates=others, lease_seconds=5)
    task = ann.ask(body).task
    assert taken(town, bob)
    bob.ask(RenewClaim(task))
    bob.ask(FinishClaim(task, b"paid"))
    town.wait(5)
    assert ann.ask(ShowTask(task)).status is TaskStatus.DONE
    assert ann.count(Kind.VOTE) == 0


def test_what_is_withdrawn_is_decided_no_more(town, people):
    ann, ben, cas, bob, _ = people
    task = deposit(ann, ben, cas)
    ann.ask(WithdrawTask(task))
    town.wait(2)
    assert taken(town, bob, 30) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"exclusive": False},
        {"delegates": ("ben",)},
        {"delegates": ("ben", "ann")},
        {"apart": b"poll"},
        {"body": b"x" * 2_000},
    ],
)
def test_delegates_that_cannot_decide_are_refused(town, people, changed):
    ann = people[0]
    fields = {"exclusive": True, "delegates": ("ben", "cas")} | changed
    fields["delegates"] = tuple(town.agents[n].address for n in fields["delegates"])
    refusal = ann.ask(DepositTask("pay", 0.5, **fields))
    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.INVALID
    assert refusal.hint
