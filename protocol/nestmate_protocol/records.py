"""Records: the one signed frame, and the one door for foreign bytes.

A record is an untagged COSE_Sign1 (RFC 9052) with EdDSA: its protected header names
the device key and the kind, its payload is a map with small integer keys, and the
network it belongs to is signed along without being sent. Bytes that came in are kept
and passed on as they came. This file knows nothing of what a kind means.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from hashlib import sha256
from typing import Final, NamedTuple

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
from nestmate_protocol.ids import ID_BYTES, DeviceKey, NetworkId, RecordId
from nestmate_protocol.keys import SigningKey, verify
from nestmate_protocol.limits import (
    AGE_MS_MAX,
    FRAME_BYTES_MAX,
    FRAME_RECORDS_MAX,
    PRESENCE_BYTES_MAX,
    RECORD_BYTES_MAX,
    SIGNAL_BYTES_MAX,
)

VERSION: Final = 1
NO_NETWORK: Final = NetworkId(bytes(ID_BYTES))


@unique
class Kind(StrEnum):
    """What a record says; the name is part of what is signed."""

    INCEPTION = "inception"
    ROTATE = "rotate"
    DEVICE = "device"
    RETIRE = "retire"
    CARD = "card"
    PRESENCE = "presence"
    INVITE = "invite"
    SIGNAL = "signal"
    DEPOSIT = "deposit"
    CLAIM = "claim"
    LEASE = "lease"
    BEAT = "beat"
    DONE = "done"
    RECEIPT = "receipt"
    RELEASE = "release"
    CANCEL = "cancel"
    TESTIMONY = "testimony"
    FETCH = "fetch"
    RESULT = "result"
    OP = "op"
    VOTE = "vote"


IDENTITY_KINDS: Final = (Kind.INCEPTION, Kind.ROTATE, Kind.DEVICE, Kind.RETIRE)

# protected header: {1 (alg): -8 (EdDSA), 4 (kid): 32 bytes, 16 (typ): "nestmate/KIND"}
_HEADER: Final = bytes.fromhex("a30127045820")
_KIND_AT: Final = len(_HEADER) + ID_BYTES
_START: Final = bytes.fromhex("8458")  # an array of four; a byte string of < 256
_UNPROTECTED: Final = bytes.fromhex("a0")
_SIGNATURE: Final = bytes.fromhex("5840")
_SIGNATURE_BYTES: Final = 64
_INLINE_MAX: Final = 23
_BYTE_MAX: Final = 0xFF
_FRAME_ROOM: Final = FRAME_BYTES_MAX - 1_024
_ROW_BYTES: Final = 16
_CONTEXT: Final = bytes.fromhex("846a") + b"Signature1"


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What the bytes of one kind have in common: header's end, aad's start, bound."""

    kind: Kind
    typ: bytes
    aad: bytes
    network: NetworkId | None
    bytes_max: int


def _dialect(kind: Kind) -> _Dialect:
    domain = f"nestmate/1/{kind}".encode() + b"\0"
    bounds = {Kind.SIGNAL: SIGNAL_BYTES_MAX, Kind.PRESENCE: PRESENCE_BYTES_MAX}
    return _Dialect(
        kind,
        b"\x10" + encode(f"nestmate/{kind}"),
        encode(domain + bytes(ID_BYTES))[:-ID_BYTES],
        NO_NETWORK if kind in IDENTITY_KINDS else None,
        bounds.get(kind, RECORD_BYTES_MAX),
    )


_DIALECTS: Final = {kind: _dialect(kind) for kind in Kind}
_BY_TYP: Final = {dialect.typ: dialect for dialect in _DIALECTS.values()}


@dataclass(frozen=True, slots=True)
class Record:
    """One verified record; ``data`` is its original bytes.

    ``author`` is the key that signed it. Whether that key speaks for an address is
    for the identity log to say.
    """

    id: RecordId
    kind: Kind
    author: DeviceKey
    fields: Fields = field(compare=False, repr=False)
    data: bytes = field(repr=False)


class Carried(NamedTuple):
    """A record and its age in milliseconds, as its bearer says.

    A tuple and no dataclass, because one is made for every record that comes in.
    """

    record: Record
    age_ms: int


def sign_record(
    key: SigningKey, network: NetworkId, kind: Kind, body: Mapping[int, Encodable]
) -> Record:
    """A new record; the version joins the body as field 0.

    Records of identity logs belong to no network, whatever ``network`` says. Raises
    LocalError if the body cannot be encoded or grows beyond the bound of its kind.
    """
    dialect = _DIALECTS[kind]
    payload = encode({**body, 0: VERSION})
    protected = encode(_HEADER + key.public.raw + dialect.typ)
    sealed = encode(payload)
    message = _to_be_signed(dialect, network, protected, sealed)
    signature = _SIGNATURE + key.sign(message)
    data = _START[:1] + protected + _UNPROTECTED + sealed + signature
    if len(data) > dialect.bytes_max:
        raise LocalError(f"this {kind} takes {len(data)} of {dialect.bytes_max} bytes")
    identity = RecordId(sha256(protected + sealed).digest())
    return Record(identity, kind, key.public, Fields(decode(payload)), data)


def open_record(data: bytes, network: NetworkId) -> Record:
    """The record these foreign bytes are, verified; the one door for such bytes.

    Raises RemoteError and nothing else, whatever the bytes.
    """
    letter = read_letter(data, network)
    record = _record_of(letter, data)
    letter.prove()
    return record


class Letter(NamedTuple):
    """A record whose payload was not read and whose signature was not verified.

    For who reads the payload itself, as strictly as ``codec.decode`` would and with a
    look at the version in field 0, or verifies many signatures in one go.
    """

    kind: Kind
    id: RecordId
    author: DeviceKey
    payload: bytes
    message: bytes
    signature: bytes

    def prove(self) -> None:
        """Come back only if its author signed it; RemoteError otherwise."""
        verify(self.author, self.message, self.signature)


def read_letter(data: bytes, network: NetworkId) -> Letter:
    """The parts of the record these foreign bytes say they are.

    Raises RemoteError and nothing else, whatever the bytes.
    """
    if len(data) > RECORD_BYTES_MAX:
        raise RemoteError(Fault.TOO_LARGE, f"{len(data)} bytes")
    if data[:2] != _START or data[3 : 3 + len(_HEADER)] != _HEADER:
        raise RemoteError(Fault.MALFORMED, "not a record")
    protected_end = 3 + data[2]
    start = protected_end + 1
    if data[protected_end:start] != _UNPROTECTED:
        raise RemoteError(Fault.MALFORMED, "not a record")
    dialect = _BY_TYP.get(data[3 + _KIND_AT : protected_end])
    if dialect is None:
        raise RemoteError(Fault.UNKNOWN_KIND)
    if len(data) > dialect.bytes_max:
        raise RemoteError(Fault.TOO_LARGE, f"{dialect.kind} of {len(data)} bytes")
    end = len(data) - len(_SIGNATURE) - _SIGNATURE_BYTES
    if data[end : end + len(_SIGNATURE)] != _SIGNATURE:
        raise RemoteError(Fault.MALFORMED, "no signature of 64 bytes")
    protected, sealed = data[1:protected_end], data[start:end]
    return Letter(
        dialect.kind,
        RecordId(sha256(protected + sealed).digest()),
        DeviceKey(data[3 + len(_HEADER) : 3 + _KIND_AT]),
        _payload(data, start, end),
        _to_be_signed(dialect, network, protected, sealed),
        data[-_SIGNATURE_BYTES:],
    )


def _record_of(letter: Letter, data: bytes) -> Record:
    fields = read_payload(letter.payload)
    return Record(letter.id, letter.kind, letter.author, fields, data)


def make_frame(items: Sequence[tuple[bytes, int]]) -> bytes:
    """Several records with their ages in milliseconds, as they travel together.

    ``[1, [[age, record], ...]]``; 1 to FRAME_RECORDS_MAX records.
    """
    if not 1 <= len(items) <= FRAME_RECORDS_MAX:
        raise LocalError(f"a frame takes 1 to {FRAME_RECORDS_MAX} records")
    if not all(0 <= age_ms <= AGE_MS_MAX for _, age_ms in items):
        raise LocalError(f"an age is 0 to {AGE_MS_MAX} ms")
    frame = encode([VERSION, [[age_ms, data] for data, age_ms in items]])
    if len(frame) > FRAME_BYTES_MAX:
        raise LocalError(f"a frame takes at most {FRAME_BYTES_MAX} bytes")
    return frame


def make_frames(records: Iterable[tuple[bytes, int]]) -> list[bytes]:
    """Records with their ages, in as few frames as their bounds allow."""
    frames: list[list[tuple[bytes, int]]] = []
    room = 0
    for record, age_ms in records:
        room -= len(record) + _ROW_BYTES
        if room < 0 or len(frames[-1]) == FRAME_RECORDS_MAX:
            frames.append([])
            room = _FRAME_ROOM - len(record) - _ROW_BYTES
        frames[-1].append((record, min(max(0, age_ms), AGE_MS_MAX)))
    return [make_frame(frame) for frame in frames]


def open_frame(data: bytes, network: NetworkId) -> tuple[Carried, ...]:
    """The records of a frame, each verified; one bad record spoils the frame.

    Raises RemoteError and nothing else, whatever the bytes.
    """
    frame = row(decode(data, FRAME_BYTES_MAX))
    if frame.integer(0, 0, INTEGER_MAX) != VERSION:
        raise RemoteError(Fault.UNKNOWN_VERSION, "frame")
    rows = frame.items(1, FRAME_RECORDS_MAX)
    if not rows:
        raise RemoteError(Fault.BAD_FIELD, "empty frame")
    carried, letters = [], []
    for item in rows:
        letter, record, age_ms = _read_row(item, network)
        carried.append(Carried(record, age_ms))
        letters.append(letter)
    # All signatures in one go: libsodium's tables stay in the cache that way.
    for letter in letters:
        letter.prove()
    return tuple(carried)


def _read_row(item: Value, network: NetworkId) -> tuple[Letter, Record, int]:
    """One record of a frame, yet to be proved, and its age in ms."""
    if type(item) is not list or len(item) < len(Carried._fields):
        raise RemoteError(Fault.BAD_FIELD, "a record and its age")
    age_ms, data = item[:2]
    if type(age_ms) is not int or not 0 <= age_ms <= AGE_MS_MAX:
        raise RemoteError(Fault.BAD_FIELD, "age")
    if type(data) is not bytes:
        raise RemoteError(Fault.BAD_FIELD, "record")
    letter = read_letter(data, network)
    return letter, _record_of(letter, data), age_ms


def _to_be_signed(
    dialect: _Dialect, network: NetworkId, protected: bytes, sealed: bytes
) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4, from parts already encoded."""
    place = dialect.network or network
    return _CONTEXT + protected + dialect.aad + place.raw + sealed


def _payload(data: bytes, start: int, end: int) -> bytes:
    """What is in the byte string from ``start`` to ``end``, its head included."""
    total = end - start
    width = 1 if total <= _INLINE_MAX + 1 else 2 if total <= _BYTE_MAX + 2 else 3
    if total < 1 or data[start : start + width] != _octets_head(total - width):
        raise RemoteError(Fault.MALFORMED, "payload")
    return data[start + width : end]


def read_payload(payload: bytes) -> Fields:
    """The fields of the payload of a record, its version seen to."""
    body = decode(payload)
    if not isinstance(body, dict):
        raise RemoteError(Fault.MALFORMED, "payload is no map")
    version = body.get(0)
    if type(version) is not int or version != VERSION:
        raise RemoteError(Fault.UNKNOWN_VERSION)
    return Fields(body)


def _octets_head(size: int) -> bytes:
    if size <= _INLINE_MAX:
        return bytes((0x40 + size,))
    if size <= _BYTE_MAX:
        return bytes((0x58, size))
    return b"\x59" + size.to_bytes(2)
