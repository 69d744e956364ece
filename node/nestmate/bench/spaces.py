"""Spaces: ops taken in and read, a revocation and a restart, beside the bare parts.

Eight members write a few hundred registers over and over, each its own. Ops go
through the one door for foreign bytes, into the engine, and with all their rows into a
store, in batches of a frame. ``spaces.ingest`` counts them per second, beside libsodium
verifying as many signatures; ``spaces.get`` and ``spaces.list`` read objects back,
beside LevelDB alone; ``spaces.revocation`` is what each op costs that a revocation
voids; ``spaces.restart`` is how long the engine takes to be there again. Processor time
counts. This file knows no peer.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from nestmate.bench.figures import (
    ROUNDS,
    Figure,
    Unit,
    at_least_share,
    at_most,
    in_rounds,
)
from nestmate.errors import NodeError
from nestmate.store.leveldb import LevelStore, open_leveldb
from nestmate_protocol.clocks import COUNTER_BITS, Moment
from nestmate_protocol.ids import SpaceId
from nestmate_protocol.keys import verify
from nestmate_protocol.limits import FRAME_RECORDS_MAX
from nestmate_protocol.records import Letter, read_letter
from nestmate_protocol.simulation.scribes import (
    NETWORK,
    START_MS,
    Draft,
    Scribe,
    put,
)
from nestmate_protocol.spaces.auth import granting, revoking
from nestmate_protocol.spaces.engine.changes import Voided
from nestmate_protocol.spaces.engine.whole import Engine
from nestmate_protocol.spaces.ops import Dot, Op, Type, open_ops

INGEST_PERCENT: Final = 55
GET_PERCENT: Final = 20
LIST_PERCENT: Final = 5
REVOCATION_US_MAX: Final = 6
RESTART_MS_MAX: Final = 1_000
OPS: Final = 6_000
OPS_QUICK: Final = 256
MEMBERS: Final = 8
PATHS: Final = 504  # so that each is one member's
READ_TIMES: Final = 8
OTHER_ROWS: Final = 60_000  # as of other subjects; more than is written in one go
OTHER_ROW: Final = bytes(300)
PREFIX: Final = b"s/\0\0\0\1"
NOW: Final = Moment(START_MS + 10**9, 1)
VALUE: Final = b'{"state":"claimed","by":"agent-%d","urgency":0.7,"note":"%048d"}'
_US: Final = 1e6
_MS: Final = 1e3


@dataclass(frozen=True, slots=True)
class Story:
    """A space, the ops that let members in, theirs, and the end of one's grant."""

    space: SpaceId
    auth: tuple[Op, ...]
    wires: tuple[bytes, ...]
    letters: tuple[Letter, ...]
    end: Op


@dataclass(frozen=True, slots=True)
class Round:
    """Raw and ours of one round, by figure."""

    ingest: tuple[float, float]
    get: tuple[float, float]
    list: tuple[float, float]
    revocation_us: float
    restart_ms: float


def measure(quick: bool) -> Iterable[Figure]:
    """Five figures of one space."""
    story = tell(OPS_QUICK if quick else OPS)
    rounds: list[Round] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="nm-bench-") as name:
            rounds.append(_round(Path(name), story))
    ingest, get, listing = (
        [r.ingest for r in rounds],
        [r.get for r in rounds],
        [r.list for r in rounds],
    )
    rate = Unit.PER_SECOND
    yield in_rounds("spaces.ingest", rate, ingest, at_least_share(INGEST_PERCENT))
    yield in_rounds("spaces.get", rate, get, at_least_share(GET_PERCENT))
    yield in_rounds("spaces.list", rate, listing, at_least_share(LIST_PERCENT))
    cost = sorted(each.revocation_us for each in rounds)[ROUNDS // 2]
    yield Figure(
        "spaces.revocation",
        Unit.MICROSECONDS,
        0,
        cost,
        at_most(REVOCATION_US_MAX, Unit.MICROSECONDS),
    )
    again = sorted(each.restart_ms for each in rounds)[ROUNDS // 2]
    yield Figure(
        "spaces.restart",
        Unit.MILLISECONDS,
        0,
        again,
        at_most(RESTART_MS_MAX, Unit.MILLISECONDS),
    )


def tell(count: int) -> Story:
    """``count`` ops of MEMBERS members at PATHS paths."""
    ann = Scribe("ann")
    auth = [ann.found([ann])]
    members = [Scribe(f"member {n}") for n in range(MEMBERS)]
    for each in members:
        each.space = ann.space
        auth.append(ann.write(Draft([granting(ann.grant_to(each))])))
    caps = [op.dot(0) for op in auth[1:]]
    last: dict[str, Dot] = {}
    wires: list[bytes] = []
    letters: list[Letter] = []
    for n in range(count):
        path = f"tasks/{n % PATHS:05d}/state"
        seen = [last[path]] if path in last else []
        draft = Draft([put(path, seen)], [VALUE % (n % 8, n)], caps[n % MEMBERS])
        hlc = START_MS + n << COUNTER_BITS
        op = members[n % MEMBERS].write(draft, hlc)
        last[path] = op.dot(0)
        wires.append(op.data)
        letters.append(read_letter(op.header, NETWORK))
    end = ann.write(Draft([revoking(caps[0], [])]))
    return Story(ann.space, tuple(auth), tuple(wires), tuple(letters), end)


def _round(folder: Path, story: Story) -> Round:
    count = len(story.wires)
    raw = _seconds(lambda: _verify(story))
    store = open_leveldb(folder / "store")
    try:
        engine = _begin(story, store)
        ours = _seconds(lambda: _ingest(engine, store, story))
        _fill(store, count)
        again: list[Engine] = []
        restart = _seconds(lambda: again.append(Engine(story.space, store, PREFIX)))
        get, listing = _reads(again[0], store)
        _rest(store)
        voided = _seconds(lambda: again[0].admit(story.end, NOW))
        void = sum(isinstance(c, Voided) for c in again[0].news().changes)
    finally:
        store.close()
    if void != (count + MEMBERS - 1) // MEMBERS:
        raise NodeError(f"A revocation voided {void} of {count} ops.")
    return Round(
        (count / raw, count / ours), get, listing, voided / void * _US, restart * _MS
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return max(time.process_time() - began, 1e-9)


def _verify(story: Story) -> None:
    for letter in story.letters:
        verify(letter.author, letter.message, letter.signature)


def _begin(story: Story, store: LevelStore) -> Engine:
    engine = Engine(story.space, store, PREFIX)
    for op in story.auth:
        engine.admit(op, NOW)
    store.write(engine.drain(), durable=False)
    return engine


def _ingest(engine: Engine, store: LevelStore, story: Story) -> None:
    for at in range(0, len(story.wires), FRAME_RECORDS_MAX):
        for op in open_ops(story.wires[at : at + FRAME_RECORDS_MAX], NETWORK):
            engine.admit(op, NOW)
        engine.news()
        store.write(engine.drain(), durable=False)


def _fill(store: LevelStore, count: int) -> None:
    """Push what was written out of memory, as the rows of other subjects would."""
    rows = OTHER_ROWS if count == OPS else count
    batch = [(b"z/" + sha256(b"%d" % n).digest(), OTHER_ROW) for n in range(rows)]
    for at in range(0, rows, FRAME_RECORDS_MAX):
        store.write(batch[at : at + FRAME_RECORDS_MAX], durable=False)
    _rest(store)


def _rest(store: LevelStore) -> None:
    """Let LevelDB put its files in order, so that what comes next does not pay for it.

    It begins to do so in the background after many writes, and after many reads too.
    """
    _leveldb(store).compact_range()


def _leveldb(store: LevelStore) -> Any:
    """The raw twin of a store: LevelDB alone."""
    return store._database._db  # type: ignore[union-attr]  # noqa: SLF001 - as it says


def _reads(
    engine: Engine, store: LevelStore
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Raw and own rates of getting one object, and of listing them all."""
    rows = [key for key, _ in store.scan(PREFIX + b"k")]
    paths = [path for path, _ in engine.views.objects()]
    leveldb = _leveldb(store)
    rows, paths = rows * READ_TIMES, paths * READ_TIMES
    chance = random.Random(1)  # noqa: S311 - which object is read next is no secret
    chance.shuffle(rows)
    chance.shuffle(paths)
    raw_get = _seconds(lambda: [leveldb.get(key) for key in rows])
    views = engine.views
    our_get = _seconds(lambda: [views.live(path, Type.REGISTER) for path in paths])
    low, high = PREFIX + b"k", PREFIX + b"l"
    raw_list = _seconds(lambda: list(leveldb.iterator(start=low, stop=high)))
    our_list = _seconds(lambda: list(views.entries("tasks")))
    count = len(rows)
    listed = count // READ_TIMES
    return (count / raw_get, count / our_get), (listed / raw_list, listed / our_list)
