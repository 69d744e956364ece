"""The engine says what the specification says: after any op, in any order."""

from random import Random

import pytest

from nestmate_protocol.clocks import COUNTER_BITS, Moment
from nestmate_protocol.ids import RecordId
from nestmate_protocol.simulation.histories import history
from nestmate_protocol.simulation.scribes import START_MS
from nestmate_protocol.spaces.engine.changes import Restored, Verdict, Voided
from nestmate_protocol.spaces.engine.whole import Engine
from nestmate_protocol.spaces.ops import Lane
from nestmate_protocol.spaces.state import state
from nestmate_protocol.spaces.types.register import view

SEEDS = range(26)
SEED_WITH_BOTH = 9  # in which ops are voided, and others restored
LATE = Moment(START_MS + 365 * 24 * 3_600_000, 1)
CHAINS = (Lane.AUTH, Lane.DATA)
ENTRY = ("dot", "author", "incarnation", "seq", "hlc", "action", "digest", "value")


def plain(entries):
    """Entries as far as the engine keeps them; what they replaced is in their ops."""
    return [[*(getattr(each, name) for name in ENTRY), each.arg] for each in entries]


def offered(engine):
    return {RecordId(k[8:]) for lane in CHAINS for k in engine.ops.offered(lane)}


def valid(engine):
    found = map(engine.ops.standing, engine.ops.held())
    return {each.op for each in found if each is not None and each.valid}


def agree(engine, ops):
    """Everything the engine tells, beside everything the specification tells."""
    views, want = engine.views, state(engine.space, {op.id: op for op in ops})
    assert offered(engine) == want.offered & want.lasting
    assert valid(engine) == want.valid & want.lasting
    live = {key: plain(views.live(*key)) for key in views.objects()}
    assert live == {key: plain(entries) for key, entries in want.live.items()}
    assert views.state_hash() == want.hash
    told = {each.dot: each.revoked for each in engine.rights.members()}
    assert told == {dot: each.revoked for dot, each in want.members.items()}
    assert engine.rights.left() == want.left
    lasting = {f for f in want.forks if f.lane in CHAINS}
    proofs = [fork for fork in engine.ops.forks() if fork[1] in CHAINS]
    assert {fork[:4] for fork in proofs} == {
        (f.author, f.lane, f.incarnation, f.seq) for f in lasting
    }
    assert views.conflicts() == [
        path for (path, kind), e in want.live.items() if kind == 1 and view(e).conflict
    ]
    return want


@pytest.mark.parametrize("seed", SEEDS)
def test_engine_and_specification_agree_in_any_order(seed, disk):
    story, dice = history(seed, 40), Random(seed)
    order = dice.sample(story.ops, len(story.ops))
    looks = {*dice.sample(range(len(order)), 4), len(order) - 1}
    engine = Engine(story.space, disk, b"s/1/")
    for n, op in enumerate(order):
        engine.admit(op, LATE)
        if dice.random() < 0.2:
            disk.write(engine.drain())
        if n in looks:
            agree(engine, order[: n + 1])
        if n in looks and dice.random() < 0.3:
            disk.write(engine.drain())
            engine = Engine(story.space, disk, b"s/1/")
            for other in order[: n + 1]:  # what only waited is told again
                engine.admit(other, LATE)
            agree(engine, order[: n + 1])


@pytest.mark.parametrize("seed", SEEDS[::3])
def test_what_is_told_of_offers_adds_up_to_what_is_offered(seed, disk):
    story = history(seed, 60)
    engine = Engine(story.space, disk, b"s/1/")
    told = set()
    for op in Random(seed).sample(story.ops, len(story.ops)):
        engine.admit(op, LATE)
        for offer in engine.news().offers:
            assert (offer.key in told) is not offer.entered
            told ^= {offer.key}
        assert told == {k for lane in CHAINS for k in engine.ops.offered(lane)}


@pytest.mark.parametrize("seed", SEEDS[::3])
def test_batches_and_copies_make_no_difference_on_disk(seed, make_disk):
    story, disks = history(seed, 60), (make_disk(), make_disk())
    one, other = (Engine(story.space, disk, b"s/1/") for disk in disks)
    for op in story.ops:
        one.admit(op, LATE)
        other.admit(op, LATE)
        assert one.admit(op, LATE).verdict not in {Verdict.NEW, Verdict.QUARANTINED}
        disks[1].write(other.drain())
    disks[0].write(one.drain())
    assert disks[0].pairs == disks[1].pairs


@pytest.mark.parametrize("seed", SEEDS[::3])
def test_the_ephemeral_lane_is_what_the_specification_says_of_it(seed, disk):
    story = history(seed, 60)
    engine = Engine(story.space, disk, b"s/1/")
    ops = story.by_id()
    for op in story.ops:
        engine.admit(op, Moment(op.place.hlc >> COUNTER_BITS, 1))
        held = {each: ops[each] for each in engine.ops.held()}
        want = state(story.space, held).ephemeral
        found = {key: engine.views.ephemeral(*key) for key in want}
        assert found == want


def test_the_stories_void_and_restore(disk):
    story = history(SEED_WITH_BOTH, 60)
    engine = Engine(story.space, disk, b"s/1/")
    for op in Random(SEED_WITH_BOTH).sample(story.ops, len(story.ops)):
        engine.admit(op, LATE)
    assert {Voided, Restored} <= {type(change) for change in engine.news().changes}
