"""Hybrid clocks: never the same timestamp twice, never behind what was seen."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.clocks import HybridClock, Moment, Timestamp
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.limits import SKEW_MS_MAX

WALL = st.integers(0, 2**44)
TIMESTAMP = st.builds(Timestamp, WALL, st.integers(0, 2**16 - 1))


@given(walls=st.lists(WALL, min_size=2, max_size=50))
def test_ticks_only_rise_however_the_wall_clock_jumps(walls):
    clock = HybridClock()
    ticks = [clock.tick(Moment(wall, 0)) for wall in walls]
    assert all(before < after for before, after in pairwise(ticks))


@given(seen=TIMESTAMP, wall=WALL)
def test_a_tick_is_later_than_everything_witnessed(seen, wall):
    clock = HybridClock()
    now = Moment(max(wall, seen.wall_ms - SKEW_MS_MAX), 0)
    clock.witness(seen, now)
    assert clock.tick(now) > seen


@given(stamp=TIMESTAMP, other=TIMESTAMP)
def test_the_integer_on_the_wire_keeps_the_order(stamp, other):
    assert Timestamp.from_int(stamp.to_int()) == stamp
    assert (stamp < other) == (stamp.to_int() < other.to_int())


def test_a_timestamp_from_the_far_future_does_not_move_the_clock():
    clock = HybridClock()
    now = Moment(1_000, 0)
    with pytest.raises(RemoteError) as refused:
        clock.witness(Timestamp(now.wall_ms + SKEW_MS_MAX + 1, 0), now)
    assert refused.value.fault is Fault.FROM_THE_FUTURE
    assert clock.tick(now) == Timestamp(1_000, 0)


def test_a_full_counter_carries_into_the_next_millisecond():
    clock = HybridClock(Timestamp(5, 2**16 - 1))
    assert clock.tick(Moment(5, 0)) == Timestamp(6, 0)


def test_a_later_moment_moves_both_clocks():
    assert Moment(1, 2).later(10) == Moment(11, 12)
