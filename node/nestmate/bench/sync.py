"""Sync: two replicas in LevelDB find out in what they differ, and what that costs.

Both ends run in this process over a wire of a fixed delay, so that processor time is
that of both and round trips can be counted. Bytes are those of all frames but the ops
themselves. Ops are made up: nothing here verifies or merges; ``ingest`` does.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nestmate.bench.figures import ROUNDS, Figure, Target, Unit, at_most, in_rounds
from nestmate.store.leveldb import LevelStore, open_leveldb
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Effect, Send
from nestmate_protocol.ids import DeviceKey, NetworkId, PeerId, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.catalogue import Listing
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.ops import Lane
from nestmate_protocol.spaces.requests import Standing
from nestmate_protocol.spaces.summary import Leaves, Summary
from nestmate_protocol.spaces.sync.floor import Offered
from nestmate_protocol.spaces.sync.ports import Taken
from nestmate_protocol.spaces.sync.sessions import Sessions

OPS: Final = 1_000_000
OPS_FRESH: Final = 100_000
OPS_QUICK: Final = 2_000
DIFFER_QUICK: Final = 20
SUMMARY_SECONDS_MAX: Final = 0.5
FRESH_SHARE_MAX: Final = 1.1
OP_BYTES: Final = 400

_SPACE: Final = SpaceId(b"\x11" * 32)
_LISTING: Final = Listing(_SPACE, 1, Standing.MEMBER, "bench")
_ROW: Final = _LISTING.prefix + b"t" + bytes((Lane.DATA,))  # an offered op of a copy
_NETWORK: Final = NetworkId(b"\x06" * 32)
_PEERS: Final = (PeerId(b"\x01" * 32), PeerId(b"\x02" * 32))
_DELAY_MS: Final = 100
_BATCH: Final = 20_000
_TIME_BYTES: Final = 5
_MS: Final = 1_000
_MEBIBYTE: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class _Case:
    """How many ops the ends differ in, whether those are the newest, and the targets.

    Recent ops are all at one end, others half at each. None where nothing is asked.
    """

    name: str
    differ: int
    recent: bool
    octets: int | None = None
    octets_each: int | None = None
    trips: int | None = None
    cpu_ms: int | None = None


_CASES: Final = (
    _Case("same", 0, recent=True, octets=100, trips=1, cpu_ms=5),
    _Case("recent-10", 10, recent=True, octets=2_500, trips=2, cpu_ms=25),
    _Case("recent-1000", 1_000, recent=True, octets_each=10),
    _Case("random-1000", 1_000, recent=False, octets_each=600, cpu_ms=2_000),
)


class _NoRows:
    """A lane without ops."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[bytes]:  # noqa: ARG002 - none
        return iter(())


class _Replica:
    """One lane in LevelDB, as sync wants to see it; every key may have every op."""

    def __init__(self, store: LevelStore, number: int) -> None:
        self._store = store
        self._key = SigningKey(bytes((number,)) * 32)
        self._empty = Summary(_NoRows())
        self.summary = Summary(self)

    def scan(self, start: bytes, stop: bytes) -> Iterator[bytes]:
        return self._store.keys(_ROW + start, _ROW + stop)

    def add(self, keys: Sequence[bytes]) -> None:
        self._store.write([(_ROW + key, b"") for key in keys], durable=False)
        for key in keys:
            self.summary.insert(key)

    def spaces(self) -> Iterable[SpaceId]:
        return (_SPACE,)

    def offered(self, _: SpaceId, lane: Lane) -> Summary:
        return self.summary if lane is Lane.DATA else self._empty

    def leaves(self, _: SpaceId) -> Sequence[bytes]:
        return ()

    def wire(self, _: SpaceId, op: RecordId) -> bytes | None:
        return op.raw.ljust(OP_BYTES, b".")

    def holds(self, _: SpaceId, __: RecordId) -> bool:
        return False

    def may_have(self, _: SpaceId, __: DeviceKey) -> bool:
        return True

    def may_know(self, _: SpaceId, __: DeviceKey) -> bool:
        return True

    def credentials(self, _space: SpaceId) -> Sequence[RecordId]:
        """None: no key here took anything over."""
        return ()

    def proving(self, _: SpaceId) -> Sequence[SigningKey]:
        return (self._key,)

    def take(self, _: SpaceId, ops: Sequence[bytes], __: Moment) -> Taken:
        new = [op[:32] for op in ops]
        self.add([_key_of(raw) for raw in new])
        return Taken(new=tuple(map(RecordId, new)))


class _Pair:
    """Two replicas and the wire between them."""

    def __init__(self, stores: Sequence[LevelStore], seed: int) -> None:
        entropy = random.Random(seed).randbytes  # noqa: S311 - a bench repeats itself
        self.replicas = [_Replica(store, n) for n, store in enumerate(stores, 1)]
        self.ends = [
            Sessions(peer, _NETWORK, replica, entropy)
            for peer, replica in zip(_PEERS, self.replicas, strict=True)
        ]
        self.now = Moment(1_800_000_000_000, 1_000)
        self.octets = 0
        self.era = 0
        up = [
            self._sent(n, end.peer_up(_PEERS[1 - n], self.now))
            for n, end in enumerate(self.ends)
        ]
        self._carry([*up[0], *up[1]], self.are_same)

    def run(self) -> tuple[int, int]:
        """Reconcile once; bytes, and crossings until both hold the same."""
        self.octets = 0
        due = [end.next_wakeup() or 0 for end in self.ends]
        self.now = self.now.later(max(0, min(due) - self.now.mono_ms))
        first = due.index(min(due))
        begun = self._sent(first, self.ends[first].wake(self.now))
        crossings = self._carry(begun, self.are_same)
        if not self.are_same():
            raise AssertionError("sync has ended and the replicas differ")
        return self.octets, crossings

    def are_same(self) -> bool:
        """Whether both hold as many ops of the same sum."""
        one, other = (replica.summary for replica in self.replicas)
        same = len(one) == len(other)
        return same and one.total(0, len(one)) == other.total(0, len(other))

    def _carry(
        self, waiting: list[tuple[int, bytes]], ready: Callable[[], bool]
    ) -> int:
        """Pass frames on until there are none; how often, or until it became ready."""
        crossings = ready_after = 0
        was_ready = ready()
        while waiting:
            crossings += 1
            self.now = self.now.later(_DELAY_MS)
            crossed: list[tuple[int, bytes]] = []
            for to, data in waiting:
                self.octets += len(data)
                said = self.ends[to].arrived(_PEERS[1 - to], data, self.now)
                crossed += self._sent(to, said)
            waiting = [*crossed, *self._woken()]
            if not waiting and not ready():
                waiting = self._later()
            if not was_ready and not ready_after and ready():
                ready_after = crossings
        return ready_after or crossings

    def _woken(self) -> list[tuple[int, bytes]]:
        sent: list[tuple[int, bytes]] = []
        for number, end in enumerate(self.ends):
            while (due := end.next_wakeup()) is not None and due <= self.now.mono_ms:
                sent += self._sent(number, end.wake(self.now))
        return sent

    def _later(self) -> list[tuple[int, bytes]]:
        """Somebody waits for a ration, or for company: let the time pass."""
        due = min(end.next_wakeup() or 0 for end in self.ends)
        self.now = self.now.later(max(0, due - self.now.mono_ms))
        return self._woken()

    def _sent(
        self, number: int, said: Iterable[Effect | Offered]
    ) -> list[tuple[int, bytes]]:
        return [(1 - number, each.data) for each in said if isinstance(each, Send)]


def measure(quick: bool) -> Iterable[Figure]:
    """The summary, four cases of two replicas, and a fresh replica that is filled."""
    with _stores(2) as stores:
        _fill(stores, OPS_QUICK if quick else OPS)
        yield _summary(stores[0])
        pair = _Pair(stores, seed=1)
        for case in _CASES:
            yield from _figures(case, pair, quick=quick)
    with _stores(2) as stores:
        _fill(stores[1:], OPS_QUICK if quick else OPS_FRESH)
        yield from _filled(stores)


@contextmanager
def _stores(count: int) -> Iterator[list[LevelStore]]:
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="nm-bench-"))
        stores = [open_leveldb(Path(name) / str(number)) for number in range(count)]
        for store in stores:
            stack.callback(store.close)
        yield stores


def _fill(stores: Sequence[LevelStore], count: int) -> None:
    """The same ops in all stores, written in the order of their times."""
    chance = random.Random(count)  # noqa: S311 - as above
    batches = max(1, count // _BATCH)
    for number in range(batches):
        share = number / batches, (number + 1) / batches
        made = _made_up(chance, count // batches, 0, share)
        for store in stores:
            store.write([(_ROW + key, b"") for key in made], durable=False)


def _made_up(
    chance: random.Random, count: int, era: int, share: tuple[float, float] = (0, 1)
) -> list[bytes]:
    """Keys at random times of a share of an era; those of the next era are newer."""
    made: list[bytes] = []
    for _ in range(count):
        time_ = int(chance.uniform(*share) * 256**_TIME_BYTES)
        identity = bytes((era,)) + time_.to_bytes(_TIME_BYTES) + chance.randbytes(26)
        made.append(_key_of(identity))
    return sorted(made)


def _key_of(identity: bytes) -> bytes:
    """The key of a made-up op: its time follows from its id."""
    return identity[: 1 + _TIME_BYTES].rjust(8, b"\0") + identity


def _summary(store: LevelStore) -> Figure:
    """Seconds to make the summary of a copy, beside a mere walk over the keys."""
    rounds: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        key = SigningKey(bytes((number + 1,)) * 32)
        began = time.process_time()
        copy = Copy(_LISTING, store, Leaves(), key)
        count = len(copy.summary(Lane.DATA))
        ours = time.process_time() - began
        if not count:
            raise AssertionError("the summary is empty")
        began = time.process_time()
        for _ in store.keys(_ROW, _ROW + b"\xff"):
            pass
        rounds.append((time.process_time() - began, ours))
    target = at_most(SUMMARY_SECONDS_MAX, Unit.SECONDS)
    return in_rounds("sync.summary", Unit.SECONDS, rounds, target)


def _figures(case: _Case, pair: _Pair, *, quick: bool) -> Iterable[Figure]:
    """Bytes, round trips and processor time of one case; medians of the rounds."""
    differ = min(case.differ, DIFFER_QUICK) if quick else case.differ
    octets: list[int] = []
    trips: list[float] = []
    cpu_ms: list[float] = []
    for number in range(ROUNDS):
        seed = f"{case.name} {number}"
        _part(pair, random.Random(seed), differ, recent=case.recent)  # noqa: S311 - as above
        began = time.process_time()
        said, crossings = pair.run()
        cpu_ms.append((time.process_time() - began) * _MS)
        octets.append(said - differ * OP_BYTES)
        trips.append(crossings / 2)
    name = f"sync.{case.name}"
    cost = float(statistics.median(octets))
    if case.octets_each is None:
        yield _figure(name, Unit.BYTES, cost, case.octets)
    else:
        yield _figure(name, Unit.BYTES_EACH, cost / differ, case.octets_each)
    yield _figure(
        f"{name}-trips", Unit.ROUND_TRIPS, statistics.median(trips), case.trips
    )
    yield _figure(
        f"{name}-cpu", Unit.MILLISECONDS, statistics.median(cpu_ms), case.cpu_ms
    )


def _figure(name: str, unit: Unit, ours: float, bound: int | None) -> Figure:
    target = None if bound is None else at_most(bound, unit)
    return Figure(name, unit, raw=0.0, ours=ours, target=target)


def _part(pair: _Pair, chance: random.Random, differ: int, *, recent: bool) -> None:
    """Let two replicas that hold the same differ."""
    pair.era += recent
    made = _made_up(chance, differ, pair.era if recent else 0)
    half = 0 if recent else differ // 2
    pair.replicas[1].add(made[:half])
    pair.replicas[0].add(made[half:])


def _filled(stores: Sequence[LevelStore]) -> Iterable[Figure]:
    """A fresh replica: all bytes beside those of the ops, and what an op takes."""
    began = time.process_time()
    pair = _Pair(stores, seed=2)
    seconds = time.process_time() - began
    count = len(pair.replicas[0].summary)
    if not pair.are_same():
        raise AssertionError("the fresh replica is not full")
    yield Figure(
        "sync.fresh",
        Unit.MEBIBYTES,
        raw=count * OP_BYTES / _MEBIBYTE,
        ours=pair.octets / _MEBIBYTE,
        target=Target(
            f"≤ raw * {FRESH_SHARE_MAX:g}",
            lambda figure: figure.ratio <= FRESH_SHARE_MAX,
        ),
    )
    rate = count / seconds
    yield Figure("sync.fresh-rate", Unit.PER_SECOND, raw=0.0, ours=rate)
