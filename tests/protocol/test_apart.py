"""Tasks that must stay apart, such as votes: one agent, one vote."""

from dataclasses import replace

from nestmate_protocol.records import Kind
from nestmate_protocol.signals.claims import Claim
from nestmate_protocol.signals.requests import (
    ClaimView,
    DepositTask,
    FailClaim,
    FinishClaim,
    ListClaims,
    ReleaseClaim,
    ShowTask,
    TakeTask,
    TaskStatus,
)
from nestmate_protocol.signals.yields import AwaitResult

VOTE = DepositTask("judge", 0.6, b"a poem", apart=b"poll 1", lease_seconds=5)


def poll(agent, count, **extra):
    return [agent.ask(replace(VOTE, key=b"%d" % n, **extra)).task for n in range(count)]


def taken(agent, skill):
    """The claim an agent gets by and by, or None within half a minute."""
    town = agent.town
    request = town.ask_later(agent, TakeTask(skill=skill, wait_seconds=29.5))
    for _ in range(30):
        if request in agent.replies:
            break
        town.wait(1)
    claim = agent.replies.get(request)
    return claim if isinstance(claim, ClaimView) else None


def vote(agent, result=b"good"):
    """The task an agent voted in, or None while there is none for it."""
    claim = taken(agent, "judge")
    if claim is not None:
        agent.ask(FinishClaim(claim.task, result))
    return claim and claim.task


def test_every_vote_goes_to_another_agent(town, ann, bob, cid):
    votes = poll(ann, 2)
    first, second = vote(bob), vote(cid)
    assert {first, second} == set(votes)
    holders = {ann.ask(ShowTask(task)).holder for task in votes}
    assert holders == {bob.address, cid.address}


def test_whoever_voted_does_not_ask_for_another_vote(town, ann, bob):
    poll(ann, 2)
    assert vote(bob)
    sent = bob.count(Kind.CLAIM)
    assert vote(bob) is None
    town.wait(30)
    assert bob.count(Kind.CLAIM) == sent


def test_the_issuer_refuses_a_second_vote_of_the_same_agent(town, ann, bob):
    votes = poll(ann, 2)
    done = vote(bob)
    other = next(task for task in votes if task != done)
    claim = town.sign("bob", Claim(other, bob.address, 1, 5, 3_600))
    outcomes = ann.board.admit(claim, bob.address, 0, town.now)
    assert [each.kind for each in town.opened(outcomes, bob)] == [Kind.CANCEL]
    assert ann.ask(ShowTask(other)).status is TaskStatus.OPEN


def test_who_forgot_that_it_voted_is_refused_and_goes_on(town, ann, bob, cid):
    poll(ann, 2)
    assert vote(bob)
    bob.boot()
    town.wait(60)
    assert vote(bob) is None
    assert not bob.ask(ListClaims()).claims
    assert vote(cid)


def test_who_gave_a_vote_back_may_vote_again(town, ann, bob):
    poll(ann, 1)
    claim = taken(bob, "judge")
    bob.ask(ReleaseClaim(claim.task))
    town.wait(1)
    assert vote(bob)


def test_who_failed_at_a_vote_may_take_another(town, ann, bob):
    votes = poll(ann, 2)
    claim = taken(bob, "judge")
    bob.ask(FailClaim(claim.task, "no idea"))
    town.wait(1)
    assert {claim.task, vote(bob)} == set(votes)


def test_an_issuer_votes_once_in_its_own_poll(town, ann, bob):
    votes = poll(ann, 2)
    done = vote(ann)
    assert vote(ann) is None
    assert {done, vote(bob)} == set(votes)
    assert ann.ask(AwaitResult(votes[0])).result == b"good"


def test_polls_of_two_agents_do_not_stand_in_each_others_way(town, ann, bob, cid):
    poll(ann, 1)
    poll(cid, 1)
    assert vote(bob) != vote(bob)
