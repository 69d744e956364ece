"""The feed of events: recording them, and reading them again, beside LevelDB alone.

``events.recorded`` is how many are numbered, encoded and written in batches as large as
a full round of the node makes them; the raw twin writes the same keys and values, with
neither checksums nor a chain. ``events.replayed`` is how many a reader gets in pages
from the store once memory holds them no more; the raw twin iterates over as many.
Nothing is synced, as events on their own are not; processor time counts. This file
knows no reader's door.
"""

import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from nestmate.bench.figures import ROUNDS, Figure, Unit, in_rounds
from nestmate.node.events import EventFeed
from nestmate.store.database import Database
from nestmate.store.leveldb import LevelStore, open_leveldb
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import COMMIT_RECORDS_MAX, EVENTS_TAIL_MAX

BATCHES: Final = 400
BATCHES_QUICK: Final = 40
PAGE: Final = 512
NOW: Final = Moment(1_800_000_000_000, 1_000_000)
CHANGE: Final = Notify(
    "space.changed",
    author=Address(bytes(32)),
    details={
        "space": "space1" + "q" * 58,
        "path": "orders/2026/11/28/0004711",
        "ref": "A" * 44,
    },
)


def measure(quick: bool) -> Iterable[Figure]:
    """Two figures: events per second recorded, and replayed from the store."""
    batches = BATCHES_QUICK if quick else BATCHES
    recorded: list[tuple[float, float]] = []
    replayed: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="nm-bench-") as name:
            written, read = _round(Path(name), batches)
        recorded.append(written)
        replayed.append(read)
    yield in_rounds("events.recorded", Unit.PER_SECOND, recorded)
    yield in_rounds("events.replayed", Unit.PER_SECOND, replayed)


def _round(
    folder: Path, batches: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Raw and own rates of writing, and raw and own rates of reading."""
    store = open_leveldb(folder / "store")
    raw = Database(folder / "raw", create=True)
    try:
        ours = _seconds_to_record(EventFeed(store), store, batches)
        pairs = list(store.scan(b"e/"))
        bare = _seconds_to_write(raw, pairs)
        count = len(pairs)
        written = count / bare, count / ours
        beyond = count - EVENTS_TAIL_MAX  # what is no more in memory
        ours = _seconds_to_replay(EventFeed(store), beyond)
        bare = _seconds_to_iterate(raw, beyond)
        return written, (beyond / bare, beyond / ours)
    finally:
        raw.close()
        store.close()


def _seconds_to_record(feed: EventFeed, store: LevelStore, batches: int) -> float:
    began = time.process_time()
    for _ in range(batches):
        store.write(feed.record([CHANGE] * COMMIT_RECORDS_MAX, NOW), durable=False)
        feed.tell()
    return time.process_time() - began


def _seconds_to_write(raw: Database, pairs: list[tuple[bytes, bytes]]) -> float:
    began = time.process_time()
    for at in range(0, len(pairs), COMMIT_RECORDS_MAX):
        raw.write(pairs[at : at + COMMIT_RECORDS_MAX], durable=False)
    return time.process_time() - began


def _seconds_to_replay(feed: EventFeed, count: int) -> float:
    began, seq = time.process_time(), 0
    while seq < count:
        seq = feed.after(seq, min(PAGE, count - seq)).events[-1].seq
    return time.process_time() - began


def _seconds_to_iterate(raw: Database, count: int) -> float:
    began = time.process_time()
    for _ in islice(raw.stored(b"e/", None, reverse=False), count):
        pass
    return time.process_time() - began
