"""Frames of the BLOBS channel: who has what of a blob, and its chunks.

Each frame is a deterministic CBOR array whose first item is its number. Nothing is
signed: a tree proves itself against the blob's id, and a chunk against the tree. This
file knows nothing of what is done about a frame.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from nestmate_protocol.codec import Encodable, Value, decode, encode, row
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES, BlobId
from nestmate_protocol.limits import (
    BLOB_ASKED_PER_FRAME_MAX,
    BLOB_BYTES_MAX,
    BLOB_CHUNKS_MAX,
    CHUNK_BYTES,
    FRAME_BYTES_MAX,
)

_WANT, _HAVE, _NO, _ASK, _CHUNK = range(1, 6)
_LENGTHS: Final = {_WANT: 3, _HAVE: 6, _NO: 3, _ASK: 3, _CHUNK: 4}
_CODE_MAX: Final = 255


@unique
class Reason(IntEnum):
    """Why nothing comes; reasons of later versions count as ABSENT.

    Who may not have a blob is told the same as if it were not there.
    """

    ABSENT = 0
    BUSY = 1


@dataclass(frozen=True, slots=True)
class Want:
    """Tell me what you have of this blob; with ``tree``, what it is made of as well."""

    blob: BlobId
    tree: bool


@dataclass(frozen=True, slots=True)
class Have:
    """You may have this blob. ``held`` names the chunks I hold, None all of them.

    ``public`` says that anybody may have it; ``hashes`` are there if they were wanted.
    """

    blob: BlobId
    size: int
    public: bool
    held: bytes | None
    hashes: bytes | None


@dataclass(frozen=True, slots=True)
class No:
    """Nothing of this blob comes from me now."""

    blob: BlobId
    reason: Reason


@dataclass(frozen=True, slots=True)
class AskChunks:
    """Send me these chunks; nobody sends any that were not asked for."""

    blob: BlobId
    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk."""

    blob: BlobId
    index: int
    data: bytes


BlobsFrame = Want | Have | No | AskChunks | Chunk


def pack(frame: BlobsFrame) -> bytes:
    """The bytes of a frame."""
    return encode(_items(frame))


def _items(frame: BlobsFrame) -> list[Encodable]:
    match frame:
        case Want(blob, tree):
            return [_WANT, blob.raw, tree]
        case Have(blob, size, public, held, hashes):
            return [_HAVE, blob.raw, size, public, held, hashes]
        case No(blob, reason):
            return [_NO, blob.raw, int(reason)]
        case AskChunks(blob, indexes):
            return [_ASK, blob.raw, indexes]
        case Chunk(blob, index, data):
            return [_CHUNK, blob.raw, index, data]


def unpack(data: bytes) -> BlobsFrame:
    """The frame these foreign bytes are; raises RemoteError and nothing else."""
    fields = row(decode(data, FRAME_BYTES_MAX))
    code = fields.integer(0, 0, _CODE_MAX)
    if len(fields.body) != _LENGTHS.get(code):
        raise RemoteError(Fault.MALFORMED, "no frame of the blobs channel")
    blob = fields.identifier(1, BlobId)
    if code == _WANT:
        return Want(blob, fields.boolean(2))
    if code == _HAVE:
        return Have(
            blob,
            fields.integer(2, 0, BLOB_BYTES_MAX),
            fields.boolean(3),
            fields.octets_or(4, None, 0, BLOB_CHUNKS_MAX // 8),
            fields.octets_or(5, None, 0, BLOB_CHUNKS_MAX * ID_BYTES),
        )
    if code == _NO:
        reason = fields.integer(2, 0, _CODE_MAX)
        return No(blob, Reason(reason) if reason in set(Reason) else Reason.ABSENT)
    if code == _ASK:
        asked = fields.items(2, BLOB_ASKED_PER_FRAME_MAX)
        return AskChunks(blob, tuple(_index(item) for item in asked))
    return Chunk(blob, _index(fields.body.get(2)), fields.octets(3, 1, CHUNK_BYTES))


def _index(item: Value) -> int:
    if type(item) is not int or not 0 <= item < BLOB_CHUNKS_MAX:
        raise RemoteError(Fault.BAD_FIELD, "the number of a chunk")
    return item
