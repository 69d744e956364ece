"""Filling: ops by the ten thousand, written into the stores of homes that are at rest.

Every op is signed once and admitted by the engine of the first home, and its rows are
written to all of them, as if the others had heard them. Eight authors write registers
over and over, ten times each. This file knows neither nodes nor what is measured.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

from nestmate.errors import NodeError
from nestmate.home import Home
from nestmate.keyfile import LocalIdentity, load_identity
from nestmate.node.assembly import SystemClock
from nestmate.store.base import Write
from nestmate.store.leveldb import LevelStore, open_leveldb
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

WRITERS: Final = 8  # one author alone may not fill a space with a million
WRITES_PER_PATH: Final = 10
BATCH: Final = 256
VALUE: Final = b'{"state":"claimed","by":"agent-%d","urgency":0.7,"note":"%048d"}'
_LIFE: Final = bytes(INCARNATION_BYTES)


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
class Filled:
    """What filling took: ops, their bytes, and seconds of the processor."""

    ops: int = 0
    octets: int = 0
    seconds: float = 0.0


def fill(homes: Sequence[Path], names: Sequence[str], count: int) -> Filled:
    """So many ops in each space, named so by all homes; the first admits them."""
    filled = Filled()
    with ExitStack() as stack:
        halves = [_half(home, stack) for home in homes]
        began = time.process_time()
        for name in names:
            for other in halves[1:]:
                _align(halves[0], other, name)
            _fill_space(halves, name, count, filled)
        filled.seconds = time.process_time() - began
    return filled


def path_of(number: int) -> str:
    """Where the register of that number lies."""
    return f"tasks/{number:06d}/state"


def last_path(count: int) -> str:
    """Where the last of so many ops has written."""
    return path_of((count - 1) % _paths(count))


def _paths(count: int) -> int:
    return max(1, count // WRITES_PER_PATH)


def _half(folder: Path, stack: ExitStack) -> _Half:
    home = Home(folder)
    store = open_leveldb(home.store)
    stack.callback(store.close)
    network = network_id(home.read_config().network)
    half = _Half(load_identity(home.identity), network, store)
    known = Catalogue()
    known.restore(store.scan(catalogue.PREFIX), 0)
    half.listings = {listing.name: listing for listing in known}
    return half


def _align(first: _Half, other: _Half, name: str) -> None:
    """Let another home begin with the very rows of the first."""
    here, there = first.listings[name].prefix, other.listings[name].prefix
    gone = [(key, None) for key, _ in other.store.scan(there)]
    kept = [(there + k[len(here) :], raw) for k, raw in first.store.scan(here)]
    other.store.write([*gone, *kept], durable=True)


def _fill_space(halves: Sequence[_Half], name: str, count: int, filled: Filled) -> None:
    first, *others = halves
    listing = first.listings[name]
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
        for other in others:
            moved = _moved(rows, len(listing.prefix), other.listings[name].prefix)
            other.store.write(moved, durable=False)
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
    paths = _paths(count)
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
        wrote = Mutation(Type.REGISTER, 0, path_of(at), superseded=replaced)
        value = VALUE % (number % WRITERS, number)
        op = sign_op(writer.key, network, place, [wrote], [value])
        writer.last, stands[at] = op, op.dot(0)
        yield op
