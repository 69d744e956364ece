"""The summary of keys: what it counts and adds up is what a plain list would."""

from bisect import bisect_left, insort

from hypothesis import given, settings
from hypothesis import strategies as st

from nestmate_protocol.limits import SUMMARY_BUCKET_KEYS
from nestmate_protocol.spaces.summary import END, START, Leaves, Summary, sum_of


class Shelf:
    """Rows of a store in memory, with a prefix in front as a store has one."""

    def __init__(self, keys=()):
        self.keys = sorted(keys)
        self.scans = 0

    def scan(self, start, stop):
        self.scans += 1
        low, high = bisect_left(self.keys, start), bisect_left(self.keys, stop)
        return iter([b"s/" + key for key in self.keys[low:high]])


def key(time, number):
    return time.to_bytes(8) + number.to_bytes(4) * 8


def agrees(summary, shelf):
    places = range(0, len(shelf.keys) + 1, max(1, len(shelf.keys) // 5))
    assert len(summary) == len(shelf.keys)
    assert summary.rank(END) == len(shelf.keys)
    for low in places:
        for high in places:
            if low <= high:
                assert summary.keys(low, high) == shelf.keys[low:high]
                assert summary.total(low, high) == sum_of(shelf.keys[low:high])
    for each in shelf.keys[:: max(1, len(shelf.keys) // 9)]:
        for bound in (each, each[:9], each[:8], each + b"\0"):
            assert summary.rank(bound) == bisect_left(shelf.keys, bound)


CHANGES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=60)


@settings(max_examples=40)
@given(st.integers(0, 3), CHANGES)
def test_a_summary_counts_and_adds_up_what_the_store_holds(full, changes):
    shelf = Shelf(key(9, 100 + n) for n in range(full * SUMMARY_BUCKET_KEYS))
    summary = Summary(shelf, Leaves(2))
    for at, change in enumerate(changes):
        each = key(*change)
        if each in shelf.keys:
            shelf.keys.remove(each)
            summary.remove(each)
        else:
            insort(shelf.keys, each)
            summary.insert(each)
        if at % 20 == 0:
            agrees(summary, shelf)
    agrees(summary, shelf)
    agrees(Summary(shelf), shelf)  # as after a restart


@settings(max_examples=40)
@given(st.lists(st.integers(0, 2**31), unique=True, max_size=9), st.integers(1, 1_200))
def test_buckets_part_when_they_grow_and_go_when_they_are_empty(numbers, count):
    shelf = Shelf(key(5, n) for n in numbers)
    summary = Summary(shelf)
    for n in range(count):
        summary.insert(key(3, n))
    shelf.keys = sorted({*shelf.keys, *(key(3, n) for n in range(count))})
    agrees(summary, shelf)
    for each in shelf.keys[:-1]:
        summary.remove(each)
    del shelf.keys[:-1]
    agrees(summary, shelf)


def test_few_buckets_are_kept_read_in_whatever_is_asked():
    shelf, leaves = Shelf(key(n, n) for n in range(5_000)), Leaves(4)
    summary = Summary(shelf, leaves)
    for low in range(0, 5_000, 100):
        summary.total(low, 4_999)
    assert len(leaves) == 4


def test_what_lies_between_whole_buckets_is_known_without_a_look_at_the_store():
    shelf = Shelf(key(n, n) for n in range(5_000))
    summary = Summary(shelf)
    before = shelf.scans
    assert summary.total(0, len(summary)) == sum_of(shelf.keys)
    assert summary.rank(START) == 0
    assert shelf.scans == before


def test_one_cache_of_buckets_serves_many_summaries_without_mixing_them_up():
    leaves = Leaves(3)
    shelves = [Shelf(key(n, n + lane) for n in range(700)) for lane in range(3)]
    summaries = [Summary(shelf, leaves) for shelf in shelves]
    for summary, shelf in zip(summaries, shelves, strict=True):
        agrees(summary, shelf)
