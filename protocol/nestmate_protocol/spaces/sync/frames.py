"""Frames of the SPACES channel: what two nodes say about the spaces they share.

Each frame is a deterministic CBOR array whose first item is its number. A space is
named once, by a tag that only those who know it can tell, and by a small number of the
sender's choice after that. Ops travel as their authors signed them; nothing else is
signed but the proof. This file knows nothing of what is done about a frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum, unique
from typing import Final, Self

from nestmate_protocol.codec import Encodable, Fields, Value, decode, encode, row
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import DeviceKey, RecordId, SpaceId
from nestmate_protocol.keys import SIGNATURE_BYTES
from nestmate_protocol.limits import (
    ASKED_PER_FRAME_MAX,
    FRAME_BYTES_MAX,
    LEAVES_PER_FRAME_MAX,
    NAME_CHARS_MAX,
    OP_BYTES_MAX,
    OPS_PER_FRAME_MAX,
    PROOFS_PER_SPACE_MAX,
    RANGES_BYTES_MAX,
    SPACES_MAX,
)
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot, Lane
from nestmate_protocol.spaces.ranges import FINGERPRINT_BYTES

SALT_BYTES: Final = 16
TAG_BYTES: Final = 16
LEAF_BYTES: Final = 32 + 1 + 8 + 32
_NUMBER_MAX: Final = 2**48

_HELLO, _TAGS, _PROOF, _STATE, _RANGES, _OPS, _DONE = range(1, 8)
_CREDIT, _ASK, _LEAVES, _OFFER = range(8, 12)


@unique
class End(IntEnum):
    """How a run ended; unknown reasons of later versions count as UNEQUAL."""

    EQUAL = 0
    UNEQUAL = 1
    DENIED = 2
    BUSY = 3


@dataclass(frozen=True, slots=True)
class Stand:
    """How many ops a lane offers, and their fingerprint."""

    count: int
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """My salt, and the tag of each of my spaces under it."""

    salt: bytes
    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Tags:
    """More spaces of mine."""

    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """I shall call this space so, and here is what proves my keys."""

    number: int
    tag: bytes
    proofs: tuple[tuple[DeviceKey, bytes], ...]


@dataclass(frozen=True, slots=True)
class State:
    """What I hold, lane by lane; None for an empty lane.

    ``sent`` is how many frames of ops I sent over this connection, ``took`` how many
    ops were news to me since my last state.
    """

    number: int
    run: int
    sent: int
    took: int
    lanes: tuple[Stand | None, Stand | None, Stand | None]
    frontier: bytes


@dataclass(frozen=True, slots=True)
class Ranges:
    """One message of reconciling a lane."""

    number: int
    run: int
    lane: Lane
    data: bytes


@dataclass(frozen=True, slots=True)
class Ops:
    """Ops you lack; ``run`` is 0 for those that came up outside a run.

    ``goes_on`` is never on the wire: these are more of a frame that was taken apart.
    """

    number: int
    run: int
    ops: tuple[bytes, ...]
    goes_on: bool = False

    def parts(self, ops_max: int) -> Iterator[Self]:
        """The same in parts of so many ops, the first of them as if it were all."""
        for at in range(0, len(self.ops), ops_max):
            yield replace(self, ops=self.ops[at : at + ops_max], goes_on=at > 0)


@dataclass(frozen=True, slots=True)
class Done:
    """This run has ended."""

    number: int
    run: int
    end: End


@dataclass(frozen=True, slots=True)
class Credit:
    """I have dealt with so many of your frames of ops, all in all."""

    received: int


@dataclass(frozen=True, slots=True)
class AskOps:
    """Send me these ops."""

    number: int
    ops: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True)
class LeavesOf:
    """The ends of all chains I hold: author, lane, seq and id of the last op."""

    number: int
    run: int
    leaves: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """There is a space for you: this mutation of this op grants you something."""

    space: SpaceId
    name: str
    grant: Dot


SpacesFrame = (
    Hello
    | Tags
    | Proof
    | State
    | Ranges
    | Ops
    | Done
    | Credit
    | AskOps
    | LeavesOf
    | Offer
)


def pack(frame: SpacesFrame) -> bytes:
    """The bytes of a frame."""
    return encode(_items(frame))


def _items(frame: SpacesFrame) -> list[Encodable]:
    match frame:
        case Hello(salt, tags):
            return [_HELLO, salt, tags]
        case Tags(tags):
            return [_TAGS, tags]
        case Proof(number, tag, proofs):
            return [_PROOF, number, tag, [[key.raw, sig] for key, sig in proofs]]
        case State(number, run, sent, took, lanes, frontier):
            stands: list[Encodable] = [
                [lane.count, lane.fingerprint] if lane else None for lane in lanes
            ]
            return [_STATE, number, run, sent, took, stands, frontier]
        case Ranges(number, run, lane, data):
            return [_RANGES, number, run, int(lane), data]
        case Ops(number, run, ops):
            return [_OPS, number, run, ops]
        case Done(number, run, end):
            return [_DONE, number, run, int(end)]
        case Credit(received):
            return [_CREDIT, received]
        case AskOps(number, ops):
            return [_ASK, number, [op.raw for op in ops]]
        case LeavesOf(number, run, leaves):
            return [_LEAVES, number, run, leaves]
        case Offer(space, name, grant):
            return [_OFFER, space.raw, name, grant]


def unpack(data: bytes) -> SpacesFrame:
    """The frame these foreign bytes are; raises RemoteError and nothing else."""
    fields = row(decode(data, FRAME_BYTES_MAX))
    code = fields.integer(0, 0, _OFFER)
    length = _LENGTHS.get(code)
    if len(fields.body) != length:
        raise RemoteError(Fault.MALFORMED, "no frame of the spaces channel")
    if code == _HELLO:
        salt = fields.octets(1, SALT_BYTES, SALT_BYTES)
        return Hello(salt, _chunks(fields, 2, SPACES_MAX, TAG_BYTES))
    if code == _TAGS:
        return Tags(_chunks(fields, 1, SPACES_MAX, TAG_BYTES))
    if code == _CREDIT:
        return Credit(_number(fields, 1))
    if code == _OFFER:
        grant = Dot(fields.octets(3, DOT_BYTES, DOT_BYTES))
        space = fields.identifier(1, SpaceId)
        return Offer(space, fields.text(2, NAME_CHARS_MAX), grant)
    return _about_a_space(code, fields)


def _about_a_space(code: int, fields: Fields) -> SpacesFrame:
    number = _number(fields, 1)
    if code == _PROOF:
        tag = fields.octets(2, TAG_BYTES, TAG_BYTES)
        rows = fields.rows(3, PROOFS_PER_SPACE_MAX)
        if not rows:
            raise RemoteError(Fault.BAD_FIELD, "no proofs")
        return Proof(number, tag, tuple(_proof(each) for each in rows))
    if code == _ASK:
        ops = fields.identifiers(2, RecordId, ASKED_PER_FRAME_MAX)
        return AskOps(number, ops)
    run = _number(fields, 2)
    if code == _STATE:
        return _state(number, run, fields)
    if code == _RANGES:
        lane = Lane(fields.integer(3, 0, max(Lane)))
        return Ranges(number, run, lane, fields.octets(4, 0, RANGES_BYTES_MAX))
    if code == _OPS:
        return Ops(number, run, _ops(fields.items(3, OPS_PER_FRAME_MAX)))
    if code == _LEAVES:
        leaves = _chunks(fields, 3, LEAVES_PER_FRAME_MAX, LEAF_BYTES)
        return LeavesOf(number, run, leaves)
    end = fields.integer(3, 0, _NUMBER_MAX)
    return Done(number, run, End(end) if end in set(End) else End.UNEQUAL)


_LENGTHS: Final = {
    _HELLO: 3,
    _TAGS: 2,
    _PROOF: 4,
    _STATE: 7,
    _RANGES: 5,
    _OPS: 4,
    _DONE: 4,
    _CREDIT: 2,
    _ASK: 3,
    _LEAVES: 4,
    _OFFER: 4,
}


def _number(fields: Fields, at: int) -> int:
    return fields.integer(at, 0, _NUMBER_MAX)


def _chunks(fields: Fields, at: int, count_max: int, width: int) -> tuple[bytes, ...]:
    items = fields.items(at, count_max)
    return tuple(_chunk(item, width, width) for item in items)


def _ops(items: list[Value]) -> tuple[bytes, ...]:
    if not items:
        raise RemoteError(Fault.BAD_FIELD, "no ops")
    return tuple(_chunk(item, 1, OP_BYTES_MAX) for item in items)


def _chunk(item: Value, low: int, high: int) -> bytes:
    if type(item) is not bytes or not low <= len(item) <= high:
        raise RemoteError(Fault.BAD_FIELD, "bytes")
    return item


def _proof(fields: Fields) -> tuple[DeviceKey, bytes]:
    signature = fields.octets(1, SIGNATURE_BYTES, SIGNATURE_BYTES)
    return fields.identifier(0, DeviceKey), signature


def _state(number: int, run: int, fields: Fields) -> State:
    stands = [_stand(item) for item in fields.items(5, len(Lane))]
    if len(stands) != len(Lane):
        raise RemoteError(Fault.BAD_FIELD, "lanes")
    return State(
        number,
        run,
        _number(fields, 3),
        _number(fields, 4),
        (stands[0], stands[1], stands[2]),
        fields.octets(6, FINGERPRINT_BYTES, FINGERPRINT_BYTES),
    )


def _stand(item: Value) -> Stand | None:
    if item is None:
        return None
    fields = row(item)
    count = fields.integer(0, 1, _NUMBER_MAX)
    return Stand(count, fields.octets(1, FINGERPRINT_BYTES, FINGERPRINT_BYTES))
