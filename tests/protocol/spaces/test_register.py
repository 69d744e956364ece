"""Registers: what nobody read is never lost, and one's own last write counts."""

from itertools import permutations

import pytest

from nestmate_protocol.spaces.types import register
from nestmate_protocol.spaces.types.register import DELETE, Policy, live, view


def values(entries):
    return {entry.value for entry in entries}


def test_a_write_replaces_exactly_what_it_names(pen):
    first, other = pen("ann", b"1"), pen("bob", b"2")
    second = pen("cid", b"3", superseded=(first.dot,))
    assert values(live([first, other, second])) == {b"2", b"3"}


def test_what_is_live_does_not_depend_on_the_order_of_arrival(pen):
    first = pen("ann", b"1")
    entries = [first, pen("bob", b"2", superseded=(first.dot,)), pen("ann", b"3")]
    assert len({tuple(e.dot for e in live(p)) for p in permutations(entries)}) == 1


def test_of_one_writer_only_the_last_write_counts(pen):
    first, second = pen("ann", b"1"), pen("ann", b"2")
    assert values(live([first, second])) == {b"2"}
    gone = pen("bob", b"3", superseded=(second.dot,))
    assert values(live([first, second, gone])) == {b"3"}


def test_a_new_life_of_a_writer_is_a_writer_of_its_own(pen):
    entries = [pen("ann", b"1"), pen("ann", b"2", incarnation=b"\x32" * 16)]
    assert values(live(entries)) == {b"1", b"2"}


def test_both_branches_of_a_fork_are_siblings(pen):
    entries = [pen("ann", b"1", seq=7), pen("ann", b"2", seq=7), pen("ann", b"0")]
    assert values(live(entries[:2])) == {b"1", b"2"}


def test_a_deletion_removes_what_it_saw_and_its_own_writers_value(pen):
    first, unseen = pen("ann", b"1"), pen("cid", b"2")
    gone = pen("bob", action=DELETE, superseded=(first.dot,))
    assert values(live([first, gone, unseen])) == {b"2"}
    assert live([first, pen("ann", action=DELETE)]) == []


def test_the_latest_is_shown_and_a_difference_is_a_conflict(pen):
    one, two, same = pen("ann", b"1"), pen("bob", b"2"), pen("cid", b"2")
    assert view([one, two]).shown == (two,)
    assert view([one, two]).conflict
    assert not view([two, same]).conflict
    assert view([]).shown == ()


@pytest.mark.parametrize(
    ("policy", "shown", "conflict"),
    [
        (Policy.LWW, {b"9"}, False),
        (Policy.MAX, {b"10"}, False),
        (Policy.MIN, {b"-2.5e1"}, False),
        (Policy.UNION, {b"9", b"10", b"-2.5e1"}, False),
        (Policy.MANUAL, {b"9"}, True),
    ],
)
def test_a_policy_settles_what_is_shown_and_not_what_is_live(
    pen, policy, shown, conflict
):
    entries = [pen("ann", b"10"), pen("bob", b"-2.5e1"), pen("cid", b"9")]
    seen = view(entries, policy)
    assert (values(seen.shown), seen.conflict) == (shown, conflict)
    assert values(seen.live) == values(entries)


@pytest.mark.parametrize("policy", [Policy.OWNER, Policy.CLAIM])
def test_who_is_preferred_is_shown_and_else_the_latest(pen, key, policy):
    entries = [pen("ann", b"1"), pen("bob", b"2")]
    assert values(view(entries, policy, [key("ann")]).shown) == {b"1"}
    assert values(view(entries, policy, [key("cid")]).shown) == {b"2"}


def test_no_number_is_too_large_to_be_compared(pen):
    entries = [pen("ann", b"1" + b"0" * 63), pen("bob", b"1e99"), pen("cid", b"1e999")]
    assert values(view(entries, Policy.MAX).shown) == {b"1e999"}
    assert values(register.view(entries[:2], Policy.MAX).shown) == {b"1e99"}
