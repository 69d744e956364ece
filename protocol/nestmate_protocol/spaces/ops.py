"""Ops: the signed writes a space is made of, and the one door for foreign ones.

An op travels as ``[header, skeleton, values]``. The header is a signed record and
names the hash of the skeleton; the skeleton lists the mutations and names the hash of
each value; a value may be dropped later, when nobody needs it, and everything else
still verifies. This file knows neither who may write what nor what a write comes to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, unique
from hashlib import sha256
from typing import Final, NewType

from nestmate_protocol.codec import (
    INTEGER_MAX,
    Encodable,
    Fields,
    Value,
    decode,
    encode,
    row,
)
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import ID_BYTES, DeviceKey, NetworkId, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import (
    INCARNATION_BYTES,
    MUTATIONS_PER_OP_MAX,
    OP_BYTES_MAX,
    PATH_BYTES_MAX,
    SUPERSEDED_PER_MUTATION_MAX,
)
from nestmate_protocol.records import Kind, open_record, sign_record

Dot = NewType("Dot", bytes)
"""One mutation of one op: the op's id and the mutation's place in it, 33 bytes."""

DOT_BYTES: Final = ID_BYTES + 1
DIGEST_BYTES: Final = 32
NO_SPACE: Final = SpaceId(bytes(ID_BYTES))
SEQ_MAX: Final = 2**48
_HEADER_ROOM: Final = 512


@unique
class Lane(IntEnum):
    """What an op is about; each author has one chain per lane, and sync goes in order.

    Ephemeral ops are no chain: each stands alone and ends at its expiry.
    """

    AUTH = 0
    DATA = 1
    EPHEMERAL = 2


@unique
class Type(IntEnum):
    """What a mutation acts on; the types from GRANT on live in the auth lane only."""

    REGISTER = 1
    SET = 2
    COUNTER = 3
    LOG = 4
    LIST = 5
    CLAIM = 6
    BUDGET = 7
    GRANT = 16
    REVOKE = 17
    ENDORSE = 18
    KEYS = 19
    LEAVE = 20
    GENESIS = 21

    @property
    def is_auth(self) -> bool:
        """Whether it says who may do what, rather than what is so."""
        return self >= Type.GRANT


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change. What an action means, and its ``arg``, is for its type to say.

    ``digest`` is SHA-256 of the value that goes with it, None for none; ``superseded``
    are the very mutations that it replaces, and nothing else is replaced.
    """

    type: Type
    action: int
    path: str
    digest: bytes | None = None
    superseded: tuple[Dot, ...] = ()
    arg: Value = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an op stands: in which space and lane, after what, and by which right.

    ``prev`` is the id of the op before it in its author's chain, None at ``seq`` 0.
    ``cap`` is the grant it acts under, None for a founder's own right. ``hlc`` is a
    hybrid logical timestamp (``clocks.Timestamp.to_int``); ``incarnation`` names the
    boot that wrote it. ``expires_ms`` is Unix ms, 0 for never.
    """

    space: SpaceId
    lane: Lane
    seq: int
    prev: RecordId | None
    hlc: int
    cap: Dot | None
    incarnation: bytes
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class Op:
    """One verified op; ``data`` is its original bytes, values included.

    ``mutations`` is None while it is sealed: its skeleton cannot be read here, and
    ``box`` is what stands in its place. A value is None where the mutation has none,
    or where it was dropped. ``digests`` are those of the values.
    """

    id: RecordId
    author: DeviceKey
    place: Place
    mutations: tuple[Mutation, ...] | None
    values: tuple[bytes | None, ...] = field(repr=False)
    digests: tuple[bytes | None, ...] = field(repr=False)
    header: bytes = field(repr=False)
    skeleton: bytes = field(repr=False)
    data: bytes = field(repr=False)
    box: bytes = field(default=b"", repr=False)

    @property
    def space(self) -> SpaceId:
        """The space it belongs to; the first op of a space names it by its own id."""
        place = self.place.space
        return SpaceId(self.id.raw) if place == NO_SPACE else place

    def dot(self, n: int) -> Dot:
        """The name of mutation ``n``."""
        return dot_of(self.id, n)


def dot_of(op: RecordId, n: int) -> Dot:
    """The name of mutation ``n`` of an op."""
    return Dot(op.raw + bytes((n,)))


def op_of(dot: Dot) -> RecordId:
    """The op a mutation is part of."""
    return RecordId(dot[:ID_BYTES])


def read_dot(raw: Value) -> Dot:
    """A dot out of foreign bytes; RemoteError if it is none."""
    if type(raw) is not bytes or len(raw) != DOT_BYTES:
        raise RemoteError(Fault.BAD_FIELD, "dot")
    return Dot(raw)


def sign_op(
    key: SigningKey,
    network: NetworkId,
    place: Place,
    mutations: Sequence[Mutation],
    values: Sequence[bytes | None],
) -> Op:
    """A new op in the clear; there is one value, or None, for each mutation.

    The mutations' digests are those of the values, whatever they said before. Raises
    LocalError if it is too large, or breaks a rule any reader would refuse it for.
    """
    if len(values) != len(mutations):
        raise LocalError("an op takes one value, or none, for each mutation")
    digests = [digest_of(value) for value in values]
    skeleton = encode([_row_of(m, d) for m, d in zip(mutations, digests, strict=True)])
    return _sign(key, network, place, skeleton, values, sealed=False)


def sign_sealed_op(
    key: SigningKey,
    network: NetworkId,
    place: Place,
    box: bytes,
    values: Sequence[bytes | None],
) -> Op:
    """A new op of a private space: ``box`` and the values are ciphertext already."""
    skeleton = encode([box, [digest_of(value) for value in values]])
    return _sign(key, network, place, skeleton, values, sealed=True)


def skeleton_of(
    mutations: Sequence[Mutation], digests: Sequence[bytes | None]
) -> bytes:
    """What is put into the box of a sealed op, with the digests of what travels."""
    return encode([_row_of(m, d) for m, d in zip(mutations, digests, strict=True)])


def open_op(data: bytes, network: NetworkId, *, sealed: bool = False) -> Op:
    """The op these foreign bytes are, verified; the one door for such bytes.

    ``sealed`` says that the space is private, so that lanes other than AUTH hold
    boxes. Raises RemoteError and nothing else, whatever the bytes.
    """
    if len(data) > OP_BYTES_MAX:
        raise RemoteError(Fault.TOO_LARGE, f"op of {len(data)} bytes")
    wire = row(decode(data, OP_BYTES_MAX))
    header = wire.octets(0, 1, _HEADER_ROOM)
    record = open_record(header, network)
    if record.kind is not Kind.OP:
        raise RemoteError(Fault.UNKNOWN_KIND)
    place = _read_place(record.fields)
    skeleton = wire.octets(1, 1, OP_BYTES_MAX)
    if record.fields.octets(8, DIGEST_BYTES, DIGEST_BYTES) != sha256(skeleton).digest():
        raise RemoteError(Fault.BAD_FIELD, "skeleton")
    values = _read_values(wire.items(2, MUTATIONS_PER_OP_MAX))
    mutations: tuple[Mutation, ...] | None = None
    box = b""
    if sealed and place.lane is not Lane.AUTH:
        box, digests = _read_box(skeleton)
    else:
        mutations = read_skeleton(skeleton, place.lane)
        digests = tuple(mutation.digest for mutation in mutations)
    _check_values(values, digests)
    return Op(
        record.id,
        record.author,
        place,
        mutations,
        values,
        digests,
        header,
        skeleton,
        data,
        box,
    )


def read_skeleton(skeleton: bytes, lane: Lane) -> tuple[Mutation, ...]:
    """The mutations a skeleton in the clear lists; RemoteError for what is none."""
    rows = decode(skeleton, OP_BYTES_MAX)
    if type(rows) is not list or not 1 <= len(rows) <= MUTATIONS_PER_OP_MAX:
        raise RemoteError(Fault.BAD_FIELD, "mutations")
    mutations = tuple([_read_mutation(each) for each in rows])
    if any((m.type >= Type.GRANT) != (lane is Lane.AUTH) for m in mutations):
        raise RemoteError(Fault.BAD_FIELD, "lane")
    return mutations


def without_values(op: Op, dropped: Iterable[int]) -> bytes:
    """The op's bytes with the values of these mutations dropped."""
    gone = set(dropped)
    kept = [None if n in gone else value for n, value in enumerate(op.values)]
    return encode([op.header, op.skeleton, kept])


def digest_of(value: bytes | None) -> bytes | None:
    """How a skeleton names a value."""
    return None if value is None else sha256(value).digest()


def check_path(path: str) -> None:
    """Raise LocalError for what is no path: text of segments with ``/`` between."""
    if not _is_path(path):
        raise LocalError(
            f"{path[:80]!r} is no path",
            f"a path is 1 to {PATH_BYTES_MAX} bytes of text such as tasks/7/status, "
            "without empty parts",
        )


def _is_path(path: str) -> bool:
    return (
        0 < len(path.encode()) <= PATH_BYTES_MAX
        and path.isprintable()
        and "" not in path.split("/")
    )


def _row_of(mutation: Mutation, digest: bytes | None) -> list[Encodable]:
    return [
        int(mutation.type),
        mutation.action,
        mutation.path,
        digest,
        list(mutation.superseded),
        mutation.arg,
    ]


def _sign(
    key: SigningKey,
    network: NetworkId,
    place: Place,
    skeleton: bytes,
    values: Sequence[bytes | None],
    *,
    sealed: bool,
) -> Op:
    body: dict[int, Encodable] = {
        1: place.space.raw,
        2: int(place.lane),
        3: place.seq,
        5: place.hlc,
        7: place.incarnation,
        8: sha256(skeleton).digest(),
    }
    if place.prev is not None:
        body[4] = place.prev.raw
    if place.cap is not None:
        body[6] = place.cap
    if place.expires_ms:
        body[9] = place.expires_ms
    header = sign_record(key, network, Kind.OP, body).data
    data = encode([header, skeleton, list(values)])
    try:
        return open_op(data, network, sealed=sealed)
    except RemoteError as error:
        raise LocalError(
            f"this op cannot be: {error}", f"an op takes at most {OP_BYTES_MAX} bytes"
        ) from None


def _read_place(fields: Fields) -> Place:
    lane = Lane(fields.integer(2, 0, Lane.EPHEMERAL))
    seq = fields.integer(3, 0, SEQ_MAX)
    prev = fields.identifier_or(4, RecordId, None)
    cap = fields.octets_or(6, None, DOT_BYTES, DOT_BYTES)
    expires_ms = fields.integer_or(9, 0, 1, INTEGER_MAX)
    if (prev is None) != (seq == 0):
        raise RemoteError(Fault.BROKEN_CHAIN, "prev")
    if (lane is Lane.EPHEMERAL) != (expires_ms > 0) or (lane is Lane.EPHEMERAL and seq):
        raise RemoteError(Fault.BAD_FIELD, "expiry")
    return Place(
        space=fields.identifier(1, SpaceId),
        lane=lane,
        seq=seq,
        prev=prev,
        hlc=fields.integer(5, 0, INTEGER_MAX),
        cap=None if cap is None else Dot(cap),
        incarnation=fields.octets(7, INCARNATION_BYTES, INCARNATION_BYTES),
        expires_ms=expires_ms,
    )


_TYPES: Final = {int(each): each for each in Type}
_ROW_ITEMS: Final = 6
_ACTION_MAX: Final = 15


def _read_mutation(item: Value) -> Mutation:
    if type(item) is not list or len(item) != _ROW_ITEMS:
        raise RemoteError(Fault.BAD_FIELD, "mutation")
    code, action, path, digest, superseded, arg = item
    kind = _TYPES.get(code) if type(code) is int else None
    if kind is None or type(action) is not int or not 0 <= action <= _ACTION_MAX:
        raise RemoteError(Fault.BAD_FIELD, "type or action")
    if type(path) is not str or not (path == "" if kind.is_auth else _is_path(path)):
        raise RemoteError(Fault.BAD_FIELD, "path")
    if digest is not None and not _is_digest(digest):
        raise RemoteError(Fault.BAD_FIELD, "digest")
    if type(superseded) is not list or len(superseded) > SUPERSEDED_PER_MUTATION_MAX:
        raise RemoteError(Fault.BAD_FIELD, "superseded")
    dots = tuple([read_dot(each) for each in superseded])
    return Mutation(
        kind, action, path, digest if type(digest) is bytes else None, dots, arg
    )


def _is_digest(item: Value) -> bool:
    return type(item) is bytes and len(item) == DIGEST_BYTES


def _read_box(skeleton: bytes) -> tuple[bytes, tuple[bytes | None, ...]]:
    box = row(decode(skeleton, OP_BYTES_MAX))
    digests: list[bytes | None] = []
    for item in box.items(1, MUTATIONS_PER_OP_MAX):
        if item is not None and not _is_digest(item):
            raise RemoteError(Fault.BAD_FIELD, "digest")
        digests.append(item if type(item) is bytes else None)
    return box.octets(0, 1, OP_BYTES_MAX), tuple(digests)


def _read_values(items: list[Value]) -> tuple[bytes | None, ...]:
    values: list[bytes | None] = []
    for item in items:
        if item is not None and type(item) is not bytes:
            raise RemoteError(Fault.BAD_FIELD, "value")
        values.append(item)
    return tuple(values)


def _check_values(
    values: tuple[bytes | None, ...], digests: tuple[bytes | None, ...]
) -> None:
    """A value is what its digest says or is missing; one too many is refused."""
    if len(values) != len(digests):
        raise RemoteError(Fault.BAD_FIELD, "values")
    for value, digest in zip(values, digests, strict=True):
        if value is not None and sha256(value).digest() != digest:
            raise RemoteError(Fault.BAD_FIELD, "value")
