"""The feed: numbers without a hole, pages from any number, bounds, and what is wanted.

On both twins of the store where the store matters. Knows nothing of operations.
"""

import pytest
import trio

from nestmate.node.events import Event, EventFeed, Retention
from nestmate.node.filters import Filter, begins
from nestmate.store.leveldb import open_leveldb
from nestmate.store.memory import MemoryDisk
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify
from nestmate_protocol.limits import EVENTS_TAIL_MAX, EVENTS_TRIMMED_MAX

NOW = Moment(1_700_000_000_000, 0)
SMALL = Retention(events_max=100)


class Fed:
    """A feed, and the store it lies in."""

    def __init__(self, store, retention: Retention = SMALL) -> None:
        self.store = store
        self.retention = retention
        self.feed = EventFeed(store, retention)

    def happen(self, count: int, kind: str = "x", **details) -> None:
        notices = [Notify(kind, details=details)] * count
        self.store.write(self.feed.record(notices, NOW), durable=False)
        self.feed.tell()

    def reopened(self) -> "Fed":
        return Fed(self.store, self.retention)

    def numbers(self, since: int, limit: int = 4_096) -> list[int]:
        return [event.seq for event in self.feed.after(since, limit).events]


@pytest.fixture(params=["memory", "leveldb"])
def fed(request, tmp_path):
    """A feed that keeps a hundred events."""
    twins = {"memory": MemoryDisk().open, "leveldb": lambda: open_leveldb(tmp_path)}
    store = twins[request.param]()
    yield Fed(store)
    store.close()


def test_a_page_begins_after_any_number_that_is_kept(fed):
    fed.happen(60)
    for feed in (fed, fed.reopened()):
        assert feed.numbers(0) == list(range(1, 61))
        assert feed.numbers(41, 3) == [42, 43, 44]
        assert feed.numbers(60) == []


def test_events_beyond_memory_are_read_from_the_store(fed):
    fed.retention = Retention()
    fed = fed.reopened()
    for _ in range(3):
        fed.happen(EVENTS_TAIL_MAX)
    assert fed.numbers(0) == list(range(1, 3 * EVENTS_TAIL_MAX + 1))
    assert fed.numbers(EVENTS_TAIL_MAX - 1, 2) == [EVENTS_TAIL_MAX, EVENTS_TAIL_MAX + 1]


def test_the_oldest_go_when_there_are_too_many_and_who_was_away_is_told(fed):
    for _ in range(30):
        fed.happen(5)
    for feed in (fed, fed.reopened()):
        assert feed.numbers(0)[0] == 51
        assert feed.feed.after(49).lagged
        assert not feed.feed.after(50).lagged
    assert len(list(fed.store.scan(b"e/"))) == 100


def test_the_oldest_go_when_they_take_too_much_room():
    fed = Fed(MemoryDisk().open(), Retention(bytes_max=10_000))
    for _ in range(40):
        fed.happen(1, text="x" * 1_000)
    stored = [raw for _, raw in fed.store.scan(b"e/")]
    assert fed.feed.bytes_kept == sum(map(len, stored)) <= 10_000
    assert len(stored) == 9
    assert fed.reopened().feed.bytes_kept == fed.feed.bytes_kept


def test_a_bound_that_was_lowered_is_reached_little_by_little():
    fed = Fed(MemoryDisk().open(), Retention())
    fed.happen(2 * EVENTS_TRIMMED_MAX)
    fed = Fed(fed.store, SMALL)
    fed.happen(1)
    assert fed.feed.first_seq == EVENTS_TRIMMED_MAX + 1
    fed.happen(1)
    assert len(list(fed.store.scan(b"e/"))) == 100


def test_the_feed_of_an_older_release_goes_on(fed):
    fed.happen(7)
    fed.store.write([(b"e#span", None)], durable=False)
    again = fed.reopened()
    assert again.numbers(0) == [1, 2, 3, 4, 5, 6, 7]
    again.happen(1)
    assert again.feed.bytes_kept == sum(len(raw) for _, raw in fed.store.scan(b"e/"))


def test_a_feed_whose_end_was_lost_in_a_repair_uses_no_number_twice(fed):
    fed.happen(3)
    stale = fed.store.get(b"e#span")
    fed.happen(4)
    fed.store.write([(b"e#span", stale)], durable=False)
    again = fed.reopened()
    again.happen(1)
    assert again.numbers(0) == list(range(1, 9))


def test_what_is_recorded_is_shown_only_once_it_is_told(fed):
    writes = fed.feed.record([Notify("x")], NOW)
    fed.store.write(writes, durable=False)
    assert (fed.numbers(0), fed.feed.get(1), fed.feed.last_seq) == ([], None, 0)
    fed.feed.tell()
    assert (fed.numbers(0), fed.feed.get(1).kind, fed.feed.last_seq) == ([1], "x", 1)


def test_events_are_found_from_the_newest_backwards(fed):
    for _ in range(30):
        fed.happen(5)
    assert [e.seq for e in fed.feed.backwards(150)] == list(range(150, 50, -1))
    assert [e.seq for e in fed.feed.backwards(60)] == list(range(60, 50, -1))


async def test_a_waiting_reader_wakes_when_something_is_told():
    fed = Fed(MemoryDisk().open())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fed.feed.wait_beyond, 0, 60.0)
        fed.happen(1)


# --- what is wanted


def event(kind: str = "space.changed", author: str | None = "nest1a", **details):
    return Event(1, kind, 0, author=author, details=details)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(), True),
        (Filter(kinds=("task.*", "space.*")), True),
        (Filter(kinds=("task.*",)), False),
        (Filter(space="s", path="orders"), True),
        (Filter(space="other"), False),
        (Filter(path="orders/1"), True),
        (Filter(path="order"), False),
        (Filter(author="nest1a"), True),
        (Filter(author="nest1b"), False),
        (Filter(kinds=("space.*",), space="s", path="elsewhere"), False),
    ],
)
def test_a_filter_wants_what_all_it_says_holds_for(wanted, matches):
    assert wanted.matches(event(space="s", path="orders/1")) is matches


def test_a_path_begins_with_whole_segments_only():
    assert begins("a/b/c", "a/b")
    assert begins("a/b", "a/b")
    assert begins("a/b", "a/")
    assert not begins("a/bc", "a/b")
    assert not begins(None, "a")
