"""Worlds of the allocation bench: the same for everyone, and as the terms say.

Knows no rule.
"""

from dataclasses import replace

import numpy as np
import pytest

from nestmate.bench.allocation.worlds import Terms, make_world

SMALL = Terms(agents=24, tasks=200)


@pytest.fixture(scope="module")
def world():
    return make_world(SMALL, 1)


def test_a_seed_gives_the_same_world_again_and_another_one_another(world):
    again, other = make_world(SMALL, 1), make_world(SMALL, 2)
    for name in ("speeds", "latency", "born", "kind", "origin", "work", "size"):
        assert np.array_equal(getattr(world, name), getattr(again, name)), name
    assert not np.array_equal(world.work, other.work)


def test_faults_and_errors_do_not_change_the_rest_of_a_world(world):
    terms = replace(SMALL, cut=(0.4, 0.6), exclusive=0.5, size_error=0.0, liars=0.2)
    worse = make_world(terms, 1)
    assert np.array_equal(worse.work, world.work)
    assert np.array_equal(worse.born, world.born)
    assert np.array_equal(worse.size, worse.work)
    assert not np.array_equal(world.size, world.work)


def test_every_agent_has_its_share_of_skills_and_every_skill_somebody(world):
    assert ((world.speeds > 0).sum(1) == SMALL.skills_each).all()
    assert all(len(able) for able in world.able)


def test_load_is_a_share_of_what_all_agents_can_do(world):
    half = make_world(replace(SMALL, load=0.4), 1)
    assert half.horizon == pytest.approx(2 * world.horizon)


def test_liars_declare_more_than_is_true_and_nobody_else_does():
    lying = make_world(replace(SMALL, liars=0.25), 1)
    lied = np.isin(lying.origin, lying.liars)
    assert len(lying.liars) == 6
    assert (lying.urgency[lied] == 16).all()
    assert (lying.urgency[~lied] == lying.worth[~lied]).all()


def test_the_popular_skill_becomes_the_rare_one_half_way():
    flipped = make_world(replace(SMALL, flips=True, tasks=2_000, skew=1.2), 1)
    late = flipped.born > flipped.horizon / 2
    for half, popular in ((~late, 0), (late, SMALL.skills - 1)):
        assert np.bincount(flipped.kind[half]).argmax() == popular


def test_a_record_reaches_everybody_who_has_the_skill(world):
    for mesh, able in zip(world.meshes, world.able, strict=True):
        for source in range(SMALL.agents):
            assert np.isfinite(mesh.seconds_from(source)[able]).all()


def test_who_joins_a_topic_hears_it_and_the_world_stays_as_it_is(world):
    agent = next(n for n in range(SMALL.agents) if n not in world.meshes[0])
    mesh, source = world.meshes[0].copy(), int(world.able[0][0])
    assert np.isinf(mesh.seconds_from(source)[agent])
    mesh.join(agent)
    assert np.isfinite(mesh.seconds_from(source)[agent])
    assert agent in mesh
    assert agent not in world.meshes[0]
