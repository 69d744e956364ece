"""State: what a set of ops comes to; the specification, and the judge of the engine.

``state`` is a pure function of a set: the same for everybody who holds the same ops,
in whichever order they came and whoever passed them on. It is written to be read, not
to be fast; ``engine`` finds the same step by step. This file knows no storage and no
peer.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from nestmate_protocol.codec import encode
from nestmate_protocol.grants import Grant, Rights
from nestmate_protocol.ids import DeviceKey, RecordId, SpaceId
from nestmate_protocol.spaces.auth import endorsed_in, is_leave, revocation_in
from nestmate_protocol.spaces.authority import Authority, Ops
from nestmate_protocol.spaces.ops import Dot, Lane, Mutation, Op, Type
from nestmate_protocol.spaces.types import Entry, live_of, right_for, well_formed

Key = tuple[str, Type]
"""What names an object: its path and its type."""

Row = tuple[str, Type, Dot]
"""One live mutation: where, and which."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A grant that counts: whose, from whom, out of which, and whether it is over."""

    grant: Grant
    issuer: DeviceKey
    parent: Dot | None
    revoked: bool


@dataclass(frozen=True, slots=True)
class Fork:
    """Different ops of one author, lane, life and seq: no honest node writes them."""

    author: DeviceKey
    lane: Lane
    incarnation: bytes
    seq: int
    ops: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True)
class State:
    """All that follows from a set of ops.

    ``held`` are the ops that stand; ``lasting`` are those of them that are not of the
    ephemeral lane. ``passing`` were written by who held the cap they name; ``in_force``
    have enough founders behind them; ``valid`` are both, and every mutation is covered.
    ``offered`` is what reconciliation works on. ``live`` are the live entries of each
    object of the data lane, ``ephemeral`` those of the ephemeral lane, both in the
    order of dots. ``left`` are authors who said that they go.
    ``hash`` is the same on replicas that hold the same offered set.
    """

    held: frozenset[RecordId]
    lasting: frozenset[RecordId]
    passing: frozenset[RecordId]
    in_force: frozenset[RecordId]
    valid: frozenset[RecordId]
    offered: frozenset[RecordId]
    members: Mapping[Dot, Membership]
    left: frozenset[DeviceKey]
    forks: tuple[Fork, ...]
    live: Mapping[Key, tuple[Entry, ...]]
    ephemeral: Mapping[Key, tuple[Entry, ...]]
    hash: bytes


def state(space: SpaceId, ops: Ops) -> State:
    """What the ops of a space come to."""
    authority = Authority(space, ops)
    passing = authority.passing
    in_force = frozenset(
        op.id for op in authority.ops.values() if authority.is_in_force(op)
    )
    valid = frozenset(
        op.id
        for op in authority.ops.values()
        if op.id in passing & in_force and is_covered(op, authority)
    )
    written = [authority.ops[each] for each in valid]
    live = _live(op for op in written if op.place.lane is Lane.DATA)
    ephemeral = _latest(op for op in written if op.place.lane is Lane.EPHEMERAL)
    auth = [op for op in written if op.place.lane is Lane.AUTH]
    return State(
        held=frozenset(authority.ops),
        lasting=frozenset(
            op.id
            for op in authority.ops.values()
            if op.place.lane is not Lane.EPHEMERAL
        ),
        passing=passing,
        in_force=in_force,
        valid=valid,
        offered=authority.offered - _outdone(authority, ephemeral),
        members=_members(authority),
        left=frozenset(
            op.author for op in auth if any(map(is_leave, op.mutations or ()))
        ),
        forks=forks_among(authority.ops.values()),
        live=live,
        ephemeral=ephemeral,
        hash=hash_of([*_auth_rows(auth), *_data_rows(live)]),
    )


def is_covered(op: Op, authority: Authority) -> bool:
    """Whether its cap lets its author make every one of its mutations.

    What is sealed cannot be told; whoever cannot read it treats it as not covered.
    """
    return op.mutations is not None and all(
        _covers(op, n, mutation, authority) for n, mutation in enumerate(op.mutations)
    )


def _covers(op: Op, n: int, mutation: Mutation, authority: Authority) -> bool:
    cap = None if op.place.cap is None else authority.grants[op.place.cap].grant
    match mutation.type:
        case Type.GENESIS:
            return op.id.raw == op.space.raw
        case Type.GRANT:
            return op.dot(n) in authority.grants
        case Type.REVOKE | Type.CLOSE:
            return revocation_in(mutation) is not None
        case Type.ENDORSE:
            return cap is None and endorsed_in(mutation) is not None
        case Type.KEYS:
            return cap is None or Rights.GRANT in cap.rights
        case Type.LEAVE:
            return is_leave(mutation)
        case _:
            right = right_for(mutation)
            return well_formed(mutation) and (
                cap is None or cap.covers(right, mutation.path, mutation.type)
            )


def entries_of(op: Op) -> list[tuple[Key, Entry]]:
    """The mutations of an op, each as its object looks at it."""
    place = op.place
    return [
        (
            (mutation.path, mutation.type),
            Entry(
                dot=op.dot(n),
                author=op.author,
                incarnation=place.incarnation,
                seq=place.seq,
                hlc=place.hlc,
                action=mutation.action,
                digest=mutation.digest,
                value=op.values[n],
                arg=mutation.arg,
                superseded=mutation.superseded,
            ),
        )
        for n, mutation in enumerate(op.mutations or ())
    ]


def _live(ops: Iterable[Op]) -> dict[Key, tuple[Entry, ...]]:
    """What is live in each object, of all that valid ops of the data lane wrote."""
    objects: dict[Key, list[Entry]] = defaultdict(list)
    for op in ops:
        for key, entry in entries_of(op):
            objects[key].append(entry)
    found = {key: tuple(live_of(key[1], objects[key])) for key in sorted(objects)}
    return {key: entries for key, entries in found.items() if entries}


def _latest(ops: Iterable[Op]) -> dict[Key, tuple[Entry, ...]]:
    """Of each object of the ephemeral lane the last word of each author."""
    latest: dict[tuple[Key, DeviceKey], Entry] = {}
    for op in ops:
        for key, entry in entries_of(op):
            known = latest.get((key, op.author))
            if known is None or entry.recency > known.recency:
                latest[key, op.author] = entry
    objects: dict[Key, list[Entry]] = defaultdict(list)
    for (key, _), entry in latest.items():
        objects[key].append(entry)
    return {
        key: tuple(sorted(objects[key], key=lambda entry: entry.dot))
        for key in sorted(objects)
    }


def _outdone(
    authority: Authority, ephemeral: Mapping[Key, tuple[Entry, ...]]
) -> set[RecordId]:
    """The ephemeral ops of which no mutation is a last word, as far as can be read."""
    last = {entry.dot for entries in ephemeral.values() for entry in entries}
    return {
        op.id
        for op in authority.ops.values()
        if op.place.lane is Lane.EPHEMERAL
        and op.mutations is not None
        and not any(op.dot(n) in last for n in range(len(op.mutations)))
    }


def _members(authority: Authority) -> dict[Dot, Membership]:
    """The grants whose carriers count, in the order of dots."""
    return {
        dot: Membership(
            given.grant, given.issuer, given.parent, authority.is_revoked(dot)
        )
        for dot, given in sorted(authority.grants.items())
        if authority.is_given(dot)
    }


def forks_among(ops: Iterable[Op]) -> tuple[Fork, ...]:
    """The proofs that an author contradicted itself within one life."""
    places: dict[tuple[DeviceKey, Lane, bytes, int], list[RecordId]] = defaultdict(list)
    for op in ops:
        place = op.place
        if place.lane is not Lane.EPHEMERAL:
            where = (op.author, place.lane, place.incarnation, place.seq)
            places[where].append(op.id)
    return tuple(
        Fork(*where, tuple(sorted(places[where])))
        for where in sorted(places)
        if len(places[where]) > 1
    )


def _auth_rows(ops: Iterable[Op]) -> list[Row]:
    return [
        ("", mutation.type, op.dot(n))
        for op in ops
        for n, mutation in enumerate(op.mutations or ())
    ]


def _data_rows(live: Mapping[Key, tuple[Entry, ...]]) -> list[Row]:
    return [
        (path, kind, entry.dot)
        for (path, kind), entries in live.items()
        for entry in entries
    ]


def hash_of(rows: Iterable[Row]) -> bytes:
    """SHA-256 over the rows, by path, type and dot, each in its one encoding."""
    total = sha256()
    for path, kind, dot in sorted(rows, key=lambda row: (row[0].encode(), *row[1:])):
        total.update(encode([path, int(kind), dot]))
    return total.digest()
