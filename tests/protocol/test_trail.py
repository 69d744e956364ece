"""Trail reach: who is told of a task straight away, and when the whole topic is."""

from collections import Counter
from dataclasses import replace
from hashlib import sha256

from nestmate_protocol.ids import Address
from nestmate_protocol.signals.outcomes import SeekAble, ToAgent, ToTopic
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.requests import DepositTask
from nestmate_protocol.signals.response import Speeds
from nestmate_protocol.signals.trail import Trail

JOB = DepositTask("dig", 0.1, b"a hole", size_seconds=10)
CROWD = [Address(sha256(b"%d" % number).digest()) for number in range(100)]


def trail_of(speeds, rule=RULE):
    draws = iter(range(1_000_000))
    return Trail(
        lambda *_: CROWD,
        speeds,
        rule,
        lambda count: sha256(b"seed %d" % next(draws)).digest()[:count],
    )


def spread(outcomes):
    """Whom outcomes go straight to, and whether the topic hears of it."""
    told = [each.address for each in outcomes if isinstance(each, ToAgent)]
    return told, any(isinstance(each, ToTopic) for each in outcomes)


def call(town, agent, job=JOB):
    """What follows from a deposit, and from each of its next repetitions."""
    outcomes = agent.board.ask(1, job, town.now)
    while True:
        if outcomes:
            yield spread(outcomes)
        due = agent.board.next_wakeup()
        town.now = town.now.later(due - town.now.mono_ms)
        outcomes = agent.board.wake(town.now)


def test_reach_is_eight_or_the_root_of_the_able_and_doubles():
    assert [RULE.reach(able, 0) for able in (0, 64, 65, 400)] == [8, 8, 9, 20]
    assert [RULE.reach(10, repeats) for repeats in range(4)] == [8, 16, 32, 64]


def test_a_draw_takes_nobody_twice_and_all_if_they_are_few():
    trail = trail_of(Speeds())
    drawn = trail.draw(CROWD, 20, "dig")
    assert len(set(drawn)) == len(drawn) == 20
    assert set(trail.draw(CROWD[:5], 8, "dig")) == set(CROWD[:5])


def test_a_draw_follows_from_the_entropy_and_not_from_the_order():
    first = trail_of(Speeds()).draw(CROWD, 8, "dig")
    assert trail_of(Speeds()).draw(CROWD[::-1], 8, "dig") == first


def test_whoever_is_fast_is_drawn_more_often_but_only_within_bounds():
    speeds = Speeds()
    for _ in range(50):
        speeds.learn(CROWD[0], "dig", 64, 1)
        speeds.learn(CROWD[1], "dig", 1, 64)
    bounded = replace(RULE, trail_weight_min=1 / 8, trail_weight_max=8.0)
    trail, drawn = replace(trail_of(speeds), rule=bounded), Counter()
    for _ in range(2_000):
        drawn.update(trail.draw(CROWD, 8, "dig"))
    even = sum(drawn[agent] for agent in CROWD[2:]) / 98
    assert 5 < drawn[CROWD[0]] / even < 8.5
    assert 0.1 < drawn[CROWD[1]] / even < 0.5  # one in eight is drawn evenly


def test_a_slow_task_goes_to_eight_then_sixteen_others_then_to_everybody(town, ann):
    ann.able["dig"] = CROWD[:50]
    rounds = call(town, ann)
    told = [next(rounds) for _ in range(4)]
    assert [(len(agents), topic) for agents, topic in told] == [
        (8, False),
        (16, False),
        (26, False),
        (0, True),
    ]
    assert len({agent for agents, _ in told for agent in agents}) == 50


def test_a_flash_task_goes_to_twice_as_many_and_then_to_its_topic(town, ann):
    ann.able["dig"] = CROWD
    rounds = call(town, ann, replace(JOB, urgency=0.6))
    told = [next(rounds) for _ in range(3)]
    assert [(len(agents), topic) for agents, topic in told] == [
        (20, False),
        (40, False),
        (40, True),
    ]


def test_in_a_small_network_everybody_hears_of_it_at_once(town, ann):
    ann.able["dig"] = CROWD[:7]
    outcomes = ann.board.ask(1, JOB, town.now)
    told, topic = spread(outcomes)
    assert (set(told), topic) == (set(CROWD[:7]), True)
    assert any(isinstance(each, SeekAble) for each in outcomes)


def test_a_task_that_opens_again_goes_to_the_whole_topic(town, ann, bob):
    ann.able["dig"] = [bob.address, *CROWD]
    task = ann.ask(JOB).task
    own = ann.board._issuer.tasks[task.raw]
    steps = ann.board._issuer._reopen(own, "again", town.now)
    assert spread(steps)[1]
