"""Reading: the part of a blob that somebody asks for, opened if they have its key.

Offsets under a key count what was sealed, not what lies here. This file knows neither
where chunks lie nor how they come.
"""

from nestmate_protocol.blobs.entries import Entry
from nestmate_protocol.blobs.requests import BlobPart, ReadBlob
from nestmate_protocol.blobs.sealing import content_size, open_piece
from nestmate_protocol.blobs.tree import count_of
from nestmate_protocol.effects import Code, Refusal
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.limits import BLOB_PIECE_BYTES, CHUNK_BYTES


def index_of(body: ReadBlob) -> int:
    """The chunk that what is asked for begins in."""
    return body.offset // _step(body)


def is_past(entry: Entry, body: ReadBlob) -> bool:
    """Whether nothing is left; that nothing was sealed, only its chunk can prove."""
    if entry.size < 0 or (body.key and not body.offset):
        return False
    return body.offset >= _size(entry, body)


def unfit(entry: Entry, body: ReadBlob) -> Refusal | None:
    """What is to be said to a key that goes with no sealed blob."""
    if not body.key or entry.size < 0 or entry.sealed:
        return None
    return Refusal(
        Code.INVALID,
        f"blob {entry.blob.short} is not sealed",
        "get it without a key",
    )


def part_of(entry: Entry, body: ReadBlob, chunk: bytes) -> BlobPart | Refusal:
    """What a chunk has of what is asked for."""
    if body.key:
        index = index_of(body)
        last = index == count_of(entry.size) - 1
        try:
            chunk = open_piece(body.key, index, chunk, last=last)
        except RemoteError:
            return Refusal(
                Code.INVALID,
                f"blob {entry.blob.short} does not open with that key",
                "take the key that stands beside it where it is referred to",
            )
    data = chunk[body.offset % _step(body) :]
    return _told(entry, body, data)


def end_of(entry: Entry, body: ReadBlob) -> BlobPart:
    """That nothing is left."""
    return _told(entry, body, b"")


def _told(entry: Entry, body: ReadBlob, data: bytes) -> BlobPart:
    size = _size(entry, body)
    sealed = entry.sealed and not body.key
    return BlobPart(entry.blob, size, body.offset, data, sealed)


def _step(body: ReadBlob) -> int:
    return BLOB_PIECE_BYTES if body.key else CHUNK_BYTES


def _size(entry: Entry, body: ReadBlob) -> int:
    return content_size(entry.size) if body.key else entry.size
