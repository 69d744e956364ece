"""Rebuilding: every row but those of ops, made anew from these.

It is needed where the layout of rows has changed, or where they cannot be read. It goes
in batches, each of which the caller writes before it asks for the next; after a crash
it goes on where it was. Ops are put aside in an order in which most of them find what
they rest on, and admitted once more; those of the auth lane come first and say whether
the others are sealed. This file knows no rule.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import NetworkId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import REBUILT_PER_BATCH
from nestmate_protocol.spaces.engine import stored
from nestmate_protocol.spaces.engine.rows import ASIDE, Pair, Reader, Write
from nestmate_protocol.spaces.engine.whole import Engine
from nestmate_protocol.spaces.ops import Op, reopen_op

_LETTERS: Final = tuple(
    bytes((letter,)) for letter in range(ord("a"), ord("z") + 1) if letter != ASIDE[0]
)

Batch = tuple[Write, ...]


def rebuild(
    space: SpaceId,
    reader: Reader,
    prefix: bytes,
    network: NetworkId,
    now: Moment,
    *,
    keys: Iterable[SigningKey] = (),
) -> Iterator[Batch]:
    """The batches that make all rows of a space anew; ``keys`` open what is sealed.

    Afterwards the space is to be opened with a new engine. An op that cannot be read
    even so is let go; it comes back from whoever else has it.
    """
    yield from _put_aside(reader, prefix)
    yield from _clear(reader, prefix)
    engine = Engine(space, reader, prefix, keys=keys, patient=True)
    aside = prefix + ASIDE
    while rows := list(islice(reader.scan(aside), REBUILT_PER_BATCH)):
        for _, wire in rows:
            with suppress(RemoteError):
                op = reopen_op(wire, network, sealed=engine.is_private)
                _admit(engine, op, now)
        gone = tuple([(key, None) for key, _ in rows])
        yield (*engine.drain(), *gone)
        engine.news()


def _admit(engine: Engine, op: Op, now: Moment) -> None:
    """What is on disk was no longer from the future when it came."""
    wall_ms = max(now.wall_ms, op.place.hlc >> 16)
    engine.admit(op, Moment(wall_ms, now.mono_ms))


def _put_aside(reader: Reader, prefix: bytes) -> Iterator[Batch]:
    """Move every op to where rebuilding finds it: by lane, then by seq."""

    def moved(rows: Iterable[Pair]) -> Iterator[Write]:
        for key, raw in rows:
            held = stored.unpack(raw)
            place = bytes((held.lane,)) + held.seq.to_bytes(8) + key[-32:]
            yield prefix + ASIDE + place, held.wire
            yield key, None

    first = prefix + stored.AT
    while rows := list(islice(reader.scan(first), REBUILT_PER_BATCH)):
        yield tuple(moved(rows))


def _clear(reader: Reader, prefix: bytes) -> Iterator[Batch]:
    """Delete every other row."""
    for letter in _LETTERS:
        first = prefix + letter
        while rows := list(islice(reader.scan(first), REBUILT_PER_BATCH)):
            yield tuple([(key, None) for key, _ in rows])
