"""What the engine lets go of after a time, and what it is made anew from."""

from random import Random

import pytest

from nestmate_protocol.clocks import Moment
from nestmate_protocol.limits import QUARANTINE_MS, RETENTION_MS, SWEEP_MS
from nestmate_protocol.simulation.histories import history
from nestmate_protocol.simulation.scribes import (
    NETWORK,
    START_MS,
    Draft,
    Scribe,
    put,
)
from nestmate_protocol.spaces.auth import granting, revoking
from nestmate_protocol.spaces.engine.changes import Verdict
from nestmate_protocol.spaces.engine.rebuilding import rebuild
from nestmate_protocol.spaces.engine.whole import Engine
from nestmate_protocol.spaces.ops import Lane, Type, open_op, without_values

NOW = Moment(START_MS + 3_600_000, 1)
LATE = Moment(START_MS + 365 * 24 * 3_600_000, 1)
PREFIX = b"s/1/"


@pytest.fixture
def ann():
    return Scribe("ann")


@pytest.fixture
def bob():
    return Scribe("bob")


@pytest.fixture
def engine(ann, bob, disk):
    """A space where Bob may write, and has written two ops."""
    engine = Engine(ann.found([ann]).space, disk, PREFIX)
    bob.space = ann.space
    given = ann.write(Draft([granting(ann.grant_to(bob))]))
    for value in (b"1", b"2"):
        last = [bob.written[-1].dot(0)] if bob.written else []
        bob.write(Draft([put("a", last)], [value], given.dot(0)))
    for op in (*ann.written, *bob.written):
        engine.admit(op, NOW)
    return engine


def revoke(ann, kept):
    given = ann.written[1].dot(0)
    return ann.write(Draft([revoking(given, [op.id for op in kept])]))


def told(engine):
    """Everything that others could see of it."""
    ops, views = engine.ops, engine.views
    offered = [list(ops.offered(lane)) for lane in Lane]
    live = [(key, entry.dot) for key, entry in views.entries()]
    return offered, live, views.state_hash(), ops.frontier()


def wake(engine, now, times=4):
    for n in range(times):
        engine.wake(now.later(1_000 * n))


def test_what_is_in_quarantine_goes_after_a_time_and_nothing_else_changes(
    engine, ann, bob
):
    one, two = bob.written
    engine.admit(revoke(ann, [one]), NOW)
    before = told(engine)
    assert engine.next_wakeup_ms() <= NOW.wall_ms + QUARANTINE_MS
    engine.wake(NOW.later(QUARANTINE_MS - 1))
    assert engine.views.sizes().quarantined == 1
    engine.wake(NOW.later(QUARANTINE_MS))
    assert not engine.has(two.id)
    assert engine.views.sizes().quarantined == 0
    assert told(engine) == before


def test_a_chain_can_go_on_where_its_end_was_dropped(engine, ann, bob, disk):
    one, two = bob.written
    engine.admit(revoke(ann, [one]), NOW)
    engine.wake(NOW.later(QUARANTINE_MS))
    disk.write(engine.drain())
    again = Engine(ann.space, disk, PREFIX)
    assert again.admit(two, NOW).verdict is Verdict.QUARANTINED
    given = ann.write(Draft([granting(ann.grant_to(bob))]))
    new = bob.write(Draft([put("b")], [b"3"], given.dot(0)))
    assert again.admit(given, NOW).verdict is Verdict.NEW
    assert again.admit(new, NOW).verdict is Verdict.NEW
    assert again.views.sizes().quarantined == 0


def test_our_own_void_ops_are_kept(engine, ann, bob, disk):
    disk.write(engine.drain())
    ours = Engine(ann.space, disk, PREFIX, frozenset((bob.public,)))
    ours.admit(revoke(ann, []), NOW)
    ours.wake(NOW.later(2 * QUARANTINE_MS))
    assert all(ours.has(op.id) for op in bob.written)


def test_a_value_that_was_replaced_goes_after_a_time_and_its_op_stays(engine, bob):
    before = told(engine)
    wake(engine, NOW.later(RETENTION_MS - 7_200_000))
    assert engine.views.value(bob.written[0].dot(0)) == b"1"
    wake(engine, NOW.later(RETENTION_MS + SWEEP_MS))
    assert engine.views.value(bob.written[0].dot(0)) is None
    assert engine.views.value(bob.written[1].dot(0)) == b"2"
    assert told(engine) == before
    wire = engine.wire(bob.written[0].id)
    assert open_op(wire, NETWORK).id == bob.written[0].id


def test_a_live_value_that_somebody_left_out_is_taken_from_the_next_who_brings_it(
    ann, bob, disk
):
    first = ann.found([ann])
    engine = Engine(ann.space, disk, PREFIX)
    op = ann.write(Draft([put("a")], [b"1"]))
    engine.admit(first, NOW)
    engine.admit(open_op(without_values(op, [0]), NETWORK), NOW)
    engine.admit(ann.write(Draft([put("b")], [b"2"])), NOW)
    assert [e.value for e in engine.views.live("a", Type.REGISTER)] == [None]
    assert engine.admit(op, NOW).verdict is Verdict.KNOWN
    assert [e.value for e in engine.views.live("a", Type.REGISTER)] == [b"1"]
    assert engine.wire(op.id) == op.data


@pytest.mark.parametrize("seed", range(6))
def test_in_any_story_what_is_seen_is_the_same_after_all_was_let_go(seed, disk):
    story = history(seed, 60)
    engine = Engine(story.space, disk, PREFIX)
    for op in Random(seed).sample(story.ops, len(story.ops)):
        engine.admit(op, LATE)
    before = told(engine)
    wake(engine, LATE.later(2 * QUARANTINE_MS))
    void = [each for each in engine.ops.quarantined() if each.lane is Lane.DATA]
    assert not void
    assert told(engine) == before
    disk.write(engine.drain())
    assert told(Engine(story.space, disk, PREFIX)) == before


@pytest.mark.parametrize("seed", range(6))
def test_all_rows_are_made_anew_from_the_ops(seed, disk):
    story = history(seed, 60)
    engine = Engine(story.space, disk, PREFIX)
    for op in Random(seed).sample(story.ops, len(story.ops)):
        engine.admit(op, LATE)
    before, held = told(engine), set(engine.ops.held())
    disk.write(engine.drain())
    disk.write([(PREFIX + b"m", b"\0an older layout")])
    assert not Engine(story.space, disk, PREFIX).is_readable
    dice = Random(seed)
    while dice.random() < 0.8:  # crashes on the way
        batches = rebuild(story.space, disk, PREFIX, NETWORK, LATE)
        for _, batch in zip(range(dice.randrange(9)), batches, strict=False):
            disk.write(batch)
    for batch in rebuild(story.space, disk, PREFIX, NETWORK, LATE):
        disk.write(batch)
    again = Engine(story.space, disk, PREFIX)
    assert again.is_readable
    assert (told(again), set(again.ops.held())) == (before, held)
