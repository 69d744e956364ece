"""Ops: the signed writes a space is made of, and the one door for foreign ones.

An op travels as ``[header, skeleton, values]``. The header is a signed record and
names the hash of the skeleton; the skeleton lists the mutations and names the hash of
each value; a value may be dropped later, when nobody needs it, and everything else
still verifies. This file knows neither who may write what nor what a write comes to.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, unique
from functools import lru_cache
from hashlib import sha256
from typing import Final, NewType, cast

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
from nestmate_protocol.records import (
    Kind,
    Letter,
    read_letter,
    read_payload,
    sign_record,
)
from nestmate_protocol.spaces import quick

Dot = NewType("Dot", bytes)
"""One mutation of one op: the op's id and the mutation's place in it, 33 bytes."""

DOT_BYTES: Final = ID_BYTES + 1
DIGEST_BYTES: Final = 32
NO_SPACE: Final = SpaceId(bytes(ID_BYTES))
SEQ_MAX: Final = 2**48
_HEADER_ROOM: Final = 512
# By number and not by Unicode's tables, of which two nodes may have two versions.
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


@unique
class Lane(IntEnum):
    """What an op is about; each author has one chain per lane, and sync goes in order.

    Ephemeral ops are no chain: each stands alone and ends at its expiry.
    """

    AUTH = 0
    DATA = 1
    EPHEMERAL = 2

    __hash__ = int.__hash__  # that of enums is many times slower


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
    CLOSE = 22

    __hash__ = int.__hash__  # as above

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
    """What is put into the box of a sealed op, with the digests of clear values."""
    return encode([_row_of(m, d) for m, d in zip(mutations, digests, strict=True)])


def open_op(data: bytes, network: NetworkId, *, sealed: bool = False) -> Op:
    """The op these foreign bytes are, verified; the one door for such bytes.

    ``sealed`` says that the space is private, so that lanes other than AUTH hold
    boxes. Raises RemoteError and nothing else, whatever the bytes.
    """
    op, letter = _read(data, network, sealed=sealed)
    letter.prove()
    return op


def reopen_op(data: bytes, network: NetworkId, *, sealed: bool = False) -> Op:
    """The op that lay on our own disk: its signature was verified when it came in."""
    return _read(data, network, sealed=sealed)[0]


def open_ops(
    wires: Iterable[bytes],
    network: NetworkId,
    *,
    sealed: bool = False,
    is_here: Callable[[Op], bool] = lambda _: False,
) -> list[Op]:
    """Several ops as ``open_op`` has them; one that is none spoils them all.

    ``is_here`` says of one not yet proved that its very bytes were proved before: it is
    left out. All signatures in one go: libsodium's tables stay in the cache that way.
    """
    read = [_read(data, network, sealed=sealed) for data in wires]
    found = [(op, letter) for op, letter in read if not is_here(op)]
    for _, letter in found:
        letter.prove()
    return [op for op, _ in found]


def _read(data: bytes, network: NetworkId, *, sealed: bool) -> tuple[Op, Letter]:
    """The op these bytes say they are, and what is left to be proved."""
    if len(data) > OP_BYTES_MAX:
        raise RemoteError(Fault.TOO_LARGE, f"op of {len(data)} bytes")
    header, skeleton, values = quick.read_wire(data) or _read_wire(data)
    if len(header) > _HEADER_ROOM:
        raise RemoteError(Fault.BAD_FIELD, "header")
    letter = read_letter(header, network)
    if letter.kind is not Kind.OP:
        raise RemoteError(Fault.UNKNOWN_KIND)
    payload = letter.payload
    found = quick.read_header(payload) or _read_header(read_payload(payload))
    place = _place_of(found)
    if found.digest != sha256(skeleton).digest():
        raise RemoteError(Fault.BAD_FIELD, "skeleton")
    mutations: tuple[Mutation, ...] | None = None
    box = b""
    if sealed and place.lane is not Lane.AUTH:
        box, digests = _read_box(skeleton)
    else:
        mutations = read_skeleton(skeleton, place.lane)
        digests = tuple([mutation.digest for mutation in mutations])
    _check_values(values, digests)
    op = Op(
        letter.id,
        letter.author,
        place,
        mutations,
        tuple(values),
        digests,
        header,
        skeleton,
        data,
        box,
    )
    return op, letter


def read_skeleton(skeleton: bytes, lane: Lane) -> tuple[Mutation, ...]:
    """The mutations a skeleton in the clear lists; RemoteError for what is none."""
    quickly = None if len(skeleton) > OP_BYTES_MAX else quick.read_rows(skeleton)
    rows = _read_rows(skeleton) if quickly is None else quickly
    if not 1 <= len(rows) <= MUTATIONS_PER_OP_MAX:
        raise RemoteError(Fault.BAD_FIELD, "mutations")
    mutations = tuple([_mutation_of(each) for each in rows])
    auth = lane is Lane.AUTH
    for mutation in mutations:
        if (mutation.type >= Type.GRANT) is not auth:
            raise RemoteError(Fault.BAD_FIELD, "lane")
    return mutations


def box_in(skeleton: bytes) -> bytes:
    """The box that a sealed skeleton holds; RemoteError for what is none."""
    return _read_box(skeleton)[0]


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


@lru_cache(maxsize=4_096)
def _is_path(path: str) -> bool:
    return (
        0 < len(path.encode()) <= PATH_BYTES_MAX
        and not _UNPRINTABLE.search(path)
        and "//" not in path
        and path[0] != "/"
        and path[-1] != "/"
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


def _read_wire(data: bytes) -> tuple[bytes, bytes, list[bytes | None]]:
    wire = row(decode(data, OP_BYTES_MAX))
    header = wire.octets(0, 1, _HEADER_ROOM)
    skeleton = wire.octets(1, 1, OP_BYTES_MAX)
    values: list[bytes | None] = []
    for item in wire.items(2, MUTATIONS_PER_OP_MAX):
        if item is not None and type(item) is not bytes:
            raise RemoteError(Fault.BAD_FIELD, "value")
        values.append(item)
    return header, skeleton, values


def _read_header(fields: Fields) -> quick.Header:
    prev = fields.identifier_or(4, RecordId, None)
    return quick.Header(
        space=fields.octets(1, ID_BYTES, ID_BYTES),
        lane=fields.integer(2, 0, Lane.EPHEMERAL),
        seq=fields.integer(3, 0, SEQ_MAX),
        prev=None if prev is None else prev.raw,
        hlc=fields.integer(5, 0, INTEGER_MAX),
        cap=fields.octets_or(6, None, DOT_BYTES, DOT_BYTES),
        incarnation=fields.octets(7, INCARNATION_BYTES, INCARNATION_BYTES),
        digest=fields.octets(8, DIGEST_BYTES, DIGEST_BYTES),
        expires_ms=fields.integer_or(9, 0, 1, INTEGER_MAX),
    )


def _place_of(header: quick.Header) -> Place:
    """Where an op stands, if its header does not contradict itself."""
    space, number, seq, prev, hlc, cap, incarnation, _, expires_ms = header
    lane = _LANES.get(number)
    if lane is None or seq > SEQ_MAX:
        raise RemoteError(Fault.BAD_FIELD, "lane or seq")
    if (prev is None) != (seq == 0):
        raise RemoteError(Fault.BROKEN_CHAIN, "prev")
    if (lane is Lane.EPHEMERAL) != (expires_ms > 0) or (lane is Lane.EPHEMERAL and seq):
        raise RemoteError(Fault.BAD_FIELD, "expiry")
    return Place(
        SpaceId(space),
        lane,
        seq,
        None if prev is None else RecordId(prev),
        hlc,
        None if cap is None else Dot(cap),
        incarnation,
        expires_ms,
    )


_LANES: Final = {int(each): each for each in Lane}
_TYPES: Final = {int(each): each for each in Type}
_ROW_ITEMS: Final = 6
_ACTION_MAX: Final = 15


def _read_rows(skeleton: bytes) -> list[quick.Row]:
    rows = decode(skeleton, OP_BYTES_MAX)
    if type(rows) is not list:
        raise RemoteError(Fault.BAD_FIELD, "mutations")
    return [_read_row(each) for each in rows]


def _read_row(item: Value) -> quick.Row:
    if type(item) is not list or len(item) != _ROW_ITEMS:
        raise RemoteError(Fault.BAD_FIELD, "mutation")
    code, action, path, digest, superseded, arg = item
    if type(code) is not int or type(action) is not int or type(path) is not str:
        raise RemoteError(Fault.BAD_FIELD, "type, action or path")
    if digest is not None and (
        type(digest) is not bytes or len(digest) != DIGEST_BYTES
    ):
        raise RemoteError(Fault.BAD_FIELD, "digest")
    if type(superseded) is not list or len(superseded) > SUPERSEDED_PER_MUTATION_MAX:
        raise RemoteError(Fault.BAD_FIELD, "superseded")
    return code, action, path, digest, [read_dot(each) for each in superseded], arg


def _mutation_of(found: quick.Row) -> Mutation:
    code, action, path, digest, superseded, arg = found
    kind = _TYPES.get(code)
    if kind is None or not 0 <= action <= _ACTION_MAX:
        raise RemoteError(Fault.BAD_FIELD, "type or action")
    if not (path == "" if code >= Type.GRANT else _is_path(path)):
        raise RemoteError(Fault.BAD_FIELD, "path")
    dots = cast("tuple[Dot, ...]", tuple(superseded))
    return Mutation(kind, action, path, digest, dots, arg)


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


def _check_values(
    values: Sequence[bytes | None], digests: Sequence[bytes | None]
) -> None:
    """A value is what its digest says or is missing; one too many is refused."""
    if len(values) != len(digests):
        raise RemoteError(Fault.BAD_FIELD, "values")
    for value, digest in zip(values, digests, strict=True):
        if value is not None and sha256(value).digest() != digest:
            raise RemoteError(Fault.BAD_FIELD, "value")
