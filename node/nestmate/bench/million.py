"""Million: two real nodes that share two spaces of a million ops each.

Both nodes are made, joined and stopped as a person would do it. Then their stores are
filled: every op is signed once, admitted by the engine of the first and its rows are
written to both, as if the second had heard them all. What is measured afterwards goes
through the nodes' own doors. ``NESTMATE_BENCH_OPS`` is how many ops a space gets
instead. One run, not five rounds. Needs ``/proc``.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

from nestmate.bench.figures import Figure, Unit
from nestmate.bench.homes import (
    POLL_SECONDS,
    cpu_seconds,
    resident_mebibytes,
    running_nodes,
)
from nestmate.errors import NodeError, TimedOutError, UsageError
from nestmate.home import Home
from nestmate.keyfile import LocalIdentity, load_identity
from nestmate.node.assembly import SystemClock
from nestmate.store.base import Write
from nestmate.store.leveldb import LevelStore, open_leveldb
from nestmate.testnet.net import Member, Testnet, start, stop
from nestmate_protocol.clocks import COUNTER_BITS, HybridClock, Moment
from nestmate_protocol.directory.topics import network_id
from nestmate_protocol.grants import Grant, Rights
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import INCARNATION_BYTES
from nestmate_protocol.spaces import catalogue
from nestmate_protocol.spaces.auth import granting
from nestmate_protocol.spaces.catalogue import Catalogue, Listing
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.ops import (
    Dot,
    Lane,
    Mutation,
    Op,
    Place,
    Type,
    sign_op,
)
from nestmate_protocol.spaces.pen import Pen
from nestmate_protocol.spaces.summary import Leaves

OPS: Final = 1_000_000
OPS_QUICK: Final = 200
OPS_VARIABLE: Final = "NESTMATE_BENCH_OPS"
SPACES: Final = ("one", "two")
WRITERS: Final = 8  # one author alone may not fill a space with a million
WRITES_PER_PATH: Final = 10
TIMES: Final = 5
GIVE_UP_SECONDS: Final = 300.0
BATCH: Final = 256
VALUE: Final = b'{"state":"claimed","by":"agent-%d","urgency":0.7,"note":"%048d"}'
_LIFE: Final = bytes(INCARNATION_BYTES)
_MS: Final = 1e3
_MEBIBYTE: Final = 1 << 20


@dataclass(slots=True)
class _Writer:
    """A key that may write, and where its chain has come to."""

    key: SigningKey
    cap: Dot
    last: Op | None = None


@dataclass(slots=True)
class _Half:
    """One home that is being filled, and its listings by the spaces' names."""

    identity: LocalIdentity
    network: NetworkId
    store: LevelStore
    listings: dict[str, Listing] = field(default_factory=dict)


@dataclass(slots=True)
class _Filled:
    """What filling took: ops, their bytes, and seconds of the processor."""

    ops: int = 0
    octets: int = 0
    seconds: float = 0.0


def measure(quick: bool) -> Iterable[Figure]:
    """Filling, restart, reads and writes of one node, and the two in comparison."""
    count = OPS_QUICK if quick else _ops()
    with running_nodes(2) as net:
        _share(net)
        empty = resident_mebibytes(_pid(net.member(1)))
        for each in net.members:
            stop(each)
        filled = _fill(net, count)
        rate = filled.ops / filled.seconds
        yield Figure("million.fill", Unit.PER_SECOND, 0, rate)
        store = Home(Path(net.member(1).home)).store
        yield Figure(
            "million.disk",
            Unit.MEBIBYTES,
            filled.octets / _MEBIBYTE,
            sum(each.stat().st_size for each in store.rglob("*") if each.is_file())
            / _MEBIBYTE,
        )
        yield from _alone(net, empty)
        yield from _together(net)


def _ops() -> int:
    text = os.environ.get(OPS_VARIABLE, str(OPS))
    if not text.isdecimal() or not int(text):
        raise UsageError(f"{OPS_VARIABLE} is {text!r}.", "Give a whole number.")
    return int(text)


# --- before


def _share(net: Testnet) -> None:
    """Both nodes are members of both spaces, and hold the same."""
    first, second = net.members
    for name in SPACES:
        first.client.space.create(name)
        second.client.space.join(first.client.space.invite(name, "read,write").invite)
        _wait(partial(_is_equal, second, name))
        _wait(partial(_is_equal, first, name))


def _is_equal(member: Member, space: str) -> bool:
    if member.client.space.show(space).standing != "member":
        return False
    return bool(member.client.space.sync(space).equal)


def _wait(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not fact():
        if time.monotonic() > deadline:
            raise TimedOutError("The nodes did not come to hold the same.")
        time.sleep(POLL_SECONDS)


def _pid(member: Member) -> int:
    if member.process is None:
        raise NodeError("The node that was to be watched does not run.")
    return member.process.pid


# --- filling


def _fill(net: Testnet, count: int) -> _Filled:
    """So many ops in each space of both homes."""
    filled = _Filled()
    with ExitStack() as stack:
        halves = [_half(member, stack) for member in net.members]
        began = time.process_time()
        for name in SPACES:
            _align(halves, name)
            _fill_space(halves, name, count, filled)
        filled.seconds = time.process_time() - began
    return filled


def _half(member: Member, stack: ExitStack) -> _Half:
    home = Home(Path(member.home))
    store = open_leveldb(home.store)
    stack.callback(store.close)
    network = network_id(home.read_config().network)
    half = _Half(load_identity(home.identity), network, store)
    known = Catalogue()
    known.restore(store.scan(catalogue.PREFIX), 0)
    half.listings = {listing.name: listing for listing in known}
    return half


def _align(halves: Sequence[_Half], name: str) -> None:
    """Let the second home begin with the very rows of the first."""
    first, second = halves
    here, there = (half.listings[name].prefix for half in halves)
    gone = [(key, None) for key, _ in second.store.scan(there)]
    kept = [(there + k[len(here) :], raw) for k, raw in first.store.scan(here)]
    second.store.write([*gone, *kept], durable=True)


def _fill_space(
    halves: Sequence[_Half], name: str, count: int, filled: _Filled
) -> None:
    first, second = halves
    listing, there = first.listings[name], second.listings[name].prefix
    copy = Copy(listing, first.store, Leaves(), first.identity.key)
    now = SystemClock().now()
    writers = _let_in(first, copy, now)
    written = _written(listing, first.network, writers, count)
    while ops := list(islice(written, BATCH)):
        for op in ops:
            copy.admit(op, now)
            filled.ops += 1
            filled.octets += len(op.data)
        rows = copy.engine.drain()
        first.store.write(rows, durable=False)
        second.store.write(_moved(rows, len(listing.prefix), there), durable=False)
    offered = len(copy.summary(Lane.DATA))
    if offered != count:
        raise NodeError(f"Of {count} ops only {offered} count.")


def _moved(rows: Iterable[Write], cut: int, prefix: bytes) -> list[Write]:
    return [(prefix + key[cut:], raw) for key, raw in rows]


def _let_in(half: _Half, copy: Copy, now: Moment) -> list[_Writer]:
    """Grants for the writers; their rows wait to be drained."""
    me = half.identity
    pen = Pen(me.key, half.network, half.store.report.incarnation, HybridClock(), _none)
    writers: list[_Writer] = []
    for number in range(WRITERS):
        key = SigningKey(sha256(b"writer %d" % number).digest())
        grant = Grant(me.address, (key.public,), Rights.READ | Rights.WRITE, ("",))
        op = pen.act(copy, [granting(grant)], None, now)
        copy.admit(op, now)
        writers.append(_Writer(key, op.dot(0)))
    return writers


def _none(count: int) -> bytes:
    return bytes(count)


def _written(
    listing: Listing, network: NetworkId, writers: Sequence[_Writer], count: int
) -> Iterator[Op]:
    """Registers written over and over, a millisecond apart, up to now."""
    paths = max(1, count // WRITES_PER_PATH)
    stands: dict[int, Dot] = {}
    first_ms = SystemClock().now().wall_ms - count
    for number in range(count):
        writer, at = writers[number % WRITERS], number % paths
        last = writer.last
        place = Place(
            listing.space,
            Lane.DATA,
            0 if last is None else last.place.seq + 1,
            None if last is None else last.id,
            first_ms + number << COUNTER_BITS,
            writer.cap,
            _LIFE,
        )
        replaced = (stands[at],) if at in stands else ()
        wrote = Mutation(Type.REGISTER, 0, _path(at), superseded=replaced)
        value = VALUE % (number % WRITERS, number)
        op = sign_op(writer.key, network, place, [wrote], [value])
        writer.last, stands[at] = op, op.dot(0)
        yield op


def _path(number: int) -> str:
    return f"tasks/{number:06d}/state"


# --- what is measured of one node


def _alone(net: Testnet, empty_mebibytes: float) -> Iterable[Figure]:
    """The first node starts again with all that, and is asked."""
    member = net.member(1)
    raw = _seconds_to_open(Home(Path(member.home)).store)
    ready = _seconds(lambda: start(net, member))
    yield Figure("million.ready", Unit.SECONDS, raw, ready)
    get = _seconds(lambda: member.client.get(SPACES[0], _path(0))) * _MS
    again = _median_ms(lambda n: member.client.get(SPACES[0], _path(n)))
    yield Figure("million.get", Unit.MILLISECONDS, again, get)
    ready_mebibytes = resident_mebibytes(_pid(member))
    yield Figure(
        "million.memory-ready", Unit.MEBIBYTES, empty_mebibytes, ready_mebibytes
    )
    put = _median_ms(lambda n: member.client.put(SPACES[0], f"new/{n}", {"n": n}))
    yield Figure("million.put", Unit.MILLISECONDS, 0, put)
    show = _seconds(partial(member.client.space.show, SPACES[1]))
    yield Figure("million.show", Unit.SECONDS, 0, show)
    unchanged = _median_ms(lambda _: member.client.space.show(SPACES[1]))
    changed = _median_ms(partial(_shown_after_a_put, member))
    yield Figure("million.show-again", Unit.MILLISECONDS, unchanged, changed)
    used = resident_mebibytes(_pid(member))
    yield Figure("million.memory", Unit.MEBIBYTES, empty_mebibytes, used)


def _shown_after_a_put(member: Member, number: int) -> None:
    member.client.put(SPACES[1], f"new/{number}", number)
    member.client.space.show(SPACES[1])


def _seconds_to_open(store: Path) -> float:
    began = time.perf_counter()
    open_leveldb(store).close()
    return time.perf_counter() - began


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _median_ms(work: Callable[[int], object]) -> float:
    took = [_seconds(partial(work, number)) for number in range(1, TIMES + 1)]
    return statistics.median(took) * _MS


# --- what is measured of both


def _together(net: Testnet) -> Iterable[Figure]:
    """The second node comes, lacks the few last writes, and then nothing."""
    first, second = net.members
    start(net, second)
    met = _seconds(lambda: _wait(lambda: _are_equal(first)))
    yield Figure("million.met", Unit.SECONDS, 0, met)
    pids = [_pid(each) for each in net.members]
    before = sum(map(cpu_seconds, pids))
    same = _median_ms(lambda _: first.client.space.sync(SPACES[0]))
    used = (sum(map(cpu_seconds, pids)) - before) / TIMES * _MS
    yield Figure("million.same", Unit.MILLISECONDS, 0, same)
    yield Figure("million.same-cpu", Unit.MILLISECONDS, 0, used)
    heard = _median_ms(lambda n: _passed_on(first, second, n))
    yield Figure("million.heard", Unit.MILLISECONDS, 0, heard)
    states = {each.client.space.show(SPACES[0]).state for each in net.members}
    if len(states) != 1:
        raise NodeError("The nodes that were compared hold different states.")


def _are_equal(member: Member) -> bool:
    return all(member.client.space.sync(name).equal for name in SPACES)


def _passed_on(first: Member, second: Member, number: int) -> None:
    """One write at the first, until the second shows it."""
    path = f"heard/{number}"
    version = first.client.put(SPACES[0], path, number).version

    def is_there() -> bool:
        found = second.client.ls(SPACES[0], path).documents
        return any(each.version == version for each in found)

    _wait(is_there)
