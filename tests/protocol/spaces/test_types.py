"""Sets, counters, logs, lists and claims: what their entries come to."""

from itertools import pairwise
from random import Random

import pytest

from nestmate_protocol.errors import LocalError
from nestmate_protocol.limits import AMOUNT_MAX, LIST_POSITION_BYTES_MAX
from nestmate_protocol.spaces.ops import Mutation, Type
from nestmate_protocol.spaces.types import claim, counter, lists, live_of, log, sets
from nestmate_protocol.spaces.types.rules import right_for, well_formed

LATER = b"\x32" * 16
DIGEST = b"\x05" * 32
LIST = Type.LIST


def values(entries):
    return [entry.value for entry in entries]


def test_an_element_stays_if_it_was_added_again_unseen(pen):
    first, again, other = pen("ann", b"x"), pen("bob", b"x"), pen("ann", b"y")
    gone = pen("cid", action=sets.REMOVE, superseded=(first.dot, other.dot))
    elements = sets.view(sets.live([first, again, other, gone]))
    assert [values(each) for each in elements.values()] == [[b"x"]]


def test_a_counter_counts_each_writer_once_however_often_it_is_told(pen):
    told = [pen("ann", arg=[n, 0]) for n in (1, 2, 5)]
    entries = [*told, told[1], pen("bob", arg=[3, 4]), pen("ann", arg=[7, 1])]
    live = counter.live([*entries, pen("ann", arg=[10, 0], incarnation=LATER)])
    assert counter.view(live).value == 7 - 1 + 3 - 4 + 10
    assert len(live) == 3


def test_a_forked_writer_counts_with_its_greatest_totals(pen):
    entries = [pen("ann", arg=[5, 1], seq=3), pen("ann", arg=[2, 4], seq=3)]
    live = counter.live(entries)
    assert counter.view(live).value == 5 - 4
    assert len(live) == 2


def test_a_log_is_ordered_by_time_and_loses_nothing(pen):
    entries = [pen("ann", b"b", hlc=9), pen("bob", b"a", hlc=4), pen("ann", b"c")]
    assert values(log.view(log.live(entries))) == [b"a", b"b", b"c"]


def test_a_list_is_ordered_by_position_and_an_element_can_be_replaced(pen):
    first, last = pen("ann", b"a", arg=b"\x40"), pen("ann", b"c", arg=b"\x80")
    middle = pen("bob", b"b", arg=lists.between(b"\x40", b"\x80"))
    new = pen("bob", b"C", arg=b"\x80", superseded=(last.dot,))
    gone = pen("cid", action=lists.REMOVE, superseded=(first.dot,))
    live = lists.live([first, last, middle, new, gone])
    assert values(lists.view(live)) == [b"b", b"C"]


def test_there_is_room_between_any_two_positions_for_long():
    random, positions = Random(4), []
    for _ in range(600):
        at = random.choice([0, len(positions), random.randint(0, len(positions))])
        ends = [b"", *positions, b""]
        new = lists.between(ends[at], ends[at + 1], random.randbytes(2))
        positions.insert(at, new)
    assert all(one < other for one, other in pairwise(positions))
    assert all(map(lists.is_position, positions))


def test_a_list_grows_at_its_ends_without_longer_positions():
    last = first = lists.between(b"", b"")
    for _ in range(2_000):
        last, first = lists.between(last, b""), lists.between(b"", first)
    assert first < last
    assert len(first) == len(last) == 4


def test_where_no_room_is_left_the_writer_is_told_so():
    with pytest.raises(LocalError):
        lists.between(b"\x02", b"\x02")
    least = b"\0" * (LIST_POSITION_BYTES_MAX - 1) + b"\x01"
    with pytest.raises(LocalError, match="no room"):
        lists.between(b"", least)


def test_the_highest_standing_bid_holds_a_claim_whatever_the_time_it_was_made(pen):
    low, high = pen("ann", arg=[1, 900]), pen("bob", arg=[2, 500], hlc=1)
    assert claim.view([low, high], "task", 499).holder == high
    assert claim.view([low, high], "task", 500).holder == low
    assert claim.view([low, high], "task", 900).holder is None


def test_equal_bids_are_decided_by_lot_and_by_the_path(pen):
    bids = [pen(name, arg=[1, 9]) for name in ("ann", "bob", "cid", "dan")]
    holders = {claim.view(bids, f"task/{n}", 0).holder.author for n in range(40)}
    assert len(holders) == 4
    late = [pen("ann", arg=[1, 9], hlc=0), *bids[1:]]
    for path in ("a", "b", "c"):
        holder = claim.view(bids, path, 0).holder.author
        assert claim.view(late, path, 0).holder.author == holder


def test_nobody_takes_back_the_bid_of_another(pen):
    bid = pen("ann", arg=[1, 9])
    theft = pen("bob", action=claim.RELEASE, superseded=(bid.dot,))
    assert claim.live([bid, theft]) == [bid]
    assert claim.live([bid, pen("ann", action=1, superseded=(bid.dot,))]) == []


@pytest.mark.parametrize(
    ("kind", "action", "digest", "arg"),
    [
        (Type.REGISTER, 0, None, None),
        (Type.REGISTER, 1, DIGEST, None),
        (Type.REGISTER, 2, DIGEST, None),
        (Type.SET, 0, None, None),
        (Type.SET, 2, None, None),
        (Type.COUNTER, 0, None, [1]),
        (Type.COUNTER, 0, None, [1, -1]),
        (Type.COUNTER, 0, None, [1, True]),
        (Type.COUNTER, 0, None, [AMOUNT_MAX + 1, 0]),
        (Type.LOG, 0, None, None),
        (Type.LIST, 0, DIGEST, b""),
        (Type.LIST, 0, DIGEST, b"a\0"),
        (Type.CLAIM, 0, None, [1]),
        (Type.BUDGET, 0, None, [1, None, []]),
        (Type.BUDGET, 0, None, [0, DIGEST, []]),
        (Type.BUDGET, 0, None, [1, DIGEST, [b"dot"]]),
        (Type.BUDGET, 0, None, [1, b"", []]),
        (Type.BUDGET, 2, None, [1, b"", []]),
        (Type.BUDGET, 2, None, [1, DIGEST, []]),
        (Type.BUDGET, 3, None, [1, DIGEST, []]),
    ],
)
def test_a_type_says_what_it_does_not_understand(kind, action, digest, arg):
    assert not well_formed(Mutation(kind, action, "a", digest, (), arg))


def test_what_governs_takes_the_right_to_rule():
    rights = [
        right_for(Mutation(kind, 0, path)).name
        for kind, path in ((LIST, "a"), (LIST, ".policy/a"), (Type.BUDGET, "a"))
    ]
    assert rights == ["WRITE", "RULE", "RULE"]


def test_what_is_live_is_listed_in_one_order(pen):
    entries = [pen("ann", b"1"), pen("bob", b"2"), pen("cid", b"3")]
    dots = [entry.dot for entry in live_of(Type.LOG, entries)]
    assert dots == sorted(dots)
