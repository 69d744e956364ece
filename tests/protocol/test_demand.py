"""Demand: what is asked for of late, and who is set up for it, as one node hears it."""

from dataclasses import replace
from hashlib import sha256

import pytest

from nestmate_protocol.ids import Address
from nestmate_protocol.limits import HOLDERS_KNOWN_MAX, SKILLS_WEIGHED_MAX
from nestmate_protocol.signals.demand import Demand
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.requests import (
    DepositTask,
    ExplainClaim,
    FinishClaim,
    Prospect,
    TakeTask,
)

DIG = DepositTask("dig", 0.0, b"a hole", size_seconds=10)
SAW = DepositTask("saw", 0.0, b"a plank", size_seconds=10)


def agent(number):
    return Address(sha256(b"%d" % number).digest())


ME = agent(0)


def test_demand_is_a_share_of_what_was_heard_and_follows_a_new_mix():
    demand = Demand(ME)
    assert demand.share("dig") == 0
    for _ in range(200):
        demand.called("dig", 0)
        demand.called("saw", 32)
    assert demand.urgency() == pytest.approx(2, rel=0.02)
    assert demand.share("dig") == pytest.approx(0.5, abs=0.02)
    for _ in range(RULE.demand_tasks):
        demand.called("saw", 32)
    assert demand.share("dig") == pytest.approx(0.25, abs=0.02)


def test_demand_keeps_its_shares_for_any_number_of_tasks():
    demand = Demand(ME)
    for _ in range(10_000):
        demand.called("dig", 16)
        demand.called("saw", 16)
    assert demand.urgency() == pytest.approx(2)
    assert demand.share("dig") + demand.share("saw") == pytest.approx(1)


def test_an_agent_counts_for_the_skill_of_its_last_task_only():
    demand = Demand(ME)
    assert demand.holders("dig") == 1, "whoever asks is one of them"
    assert demand.taken(agent(1), "dig")
    assert not demand.taken(agent(1), "dig")
    assert demand.holders("dig") == 2
    demand.taken(agent(1), "saw")
    assert (demand.holders("dig"), demand.holders("saw")) == (1, 2)
    demand.taken(ME, "dig")
    assert demand.holders("dig") == 1


def test_what_strangers_make_up_does_not_fill_the_memory():
    demand = Demand(ME)
    for number in range(HOLDERS_KNOWN_MAX + 50):
        demand.called(f"skill {number}", 0)
        demand.taken(agent(number), "dig")
    assert len(demand._weights) <= SKILLS_WEIGHED_MAX
    assert len(demand._set_up) == HOLDERS_KNOWN_MAX == demand.holders("dig") - 1


@pytest.fixture
def saws(town, ann, bob):
    """Bob is set up for sawing, which most tasks ask for, and waits for more."""
    for number in range(4):
        task = ann.ask(replace(SAW, key=b"%d" % number)).task
        bob.ask(FinishClaim(bob.ask(TakeTask(task=task)).task, b"sawn"))
    take = TakeTask(skill="dig", setup_seconds=1, wait_seconds=300)
    return town.ask_later(bob, take)


def test_a_context_in_demand_is_given_up_later_by_its_price(town, ann, bob, saws):
    task = ann.ask(DIG).task
    said = bob.board._takers._judge.estimate(
        bob.board._takers._takers[saws], bob.board._field.get(task)
    )
    assert (said.context, said.holders) == ("saw", 1)
    assert said.hold == said.loss + said.price > said.loss
    town.wait(said.hold - 0.01)
    assert saws not in bob.replies
    town.wait(0.02)
    assert bob.replies[saws].task == task


def test_when_somebody_else_sets_up_for_it_too_the_context_is_given_up_sooner(
    town, ann, bob, saws
):
    task = ann.ask(DIG).task
    judge, takers = bob.board._takers._judge, bob.board._takers
    before = judge.estimate(takers._takers[saws], bob.board._field.get(task))
    assert judge.demand.taken(agent(7), "saw")
    takers.reconsider("saw", town.now, given_up=True)
    town.wait(before.loss + before.price / 2 + 0.01)
    assert bob.replies[saws].task == task


def test_the_price_is_explained(ann, bob, saws):
    task = ann.ask(DIG).task
    found = bob.ask(ExplainClaim(task))
    assert found.prospect is Prospect.HELD
    assert "so as not to give up 'saw'" in found.sentence
    assert found.estimate.price > 0
