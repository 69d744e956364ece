"""Snapshots: all pairs of a store in one file that proves itself whole.

The file is a magic line, frames of key and value in key order, and a BLAKE2b-256 over
all of it. It is written beside its place and renamed into it, and nothing is read out
of it before the hash was checked. This file knows nothing of stores.
"""

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from nestmate.errors import ConflictError, StoreError
from nestmate.files import PRIVATE_FILE, sync_folder

Pair = tuple[bytes, bytes]

_MAGIC: Final = b"nestmate snapshot 1\n"
_FRAME: Final = struct.Struct(">II")
_DIGEST_BYTES: Final = 32
_CHUNK_BYTES: Final = 1 << 20


def write_snapshot(path: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs to a new file, readable by its owner only; returns their number.

    Raises ConflictError if the file exists, StoreError when the disk refuses; nothing
    is left behind then.
    """
    if path.exists():
        raise ConflictError(f"{path} is there already.", "Name a new file.")
    neighbour = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(neighbour, flags, PRIVATE_FILE), "wb") as file:
            count = _write_frames(file, pairs)
            file.flush()
            os.fsync(file.fileno())
        neighbour.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        neighbour.unlink(missing_ok=True)
        raise StoreError(
            f"The snapshot {path} could not be written: {error.strerror}.",
            "Look at the disk's free space and at the folder's permissions.",
        ) from error
    return count


def read_snapshot(path: Path) -> Iterator[Pair]:
    """The pairs of a snapshot; the whole file is checked before the first comes.

    Raises StoreError for a file that is missing, damaged or none of ours.
    """
    try:
        with path.open("rb") as file:
            end = _checked_end(path, file)
            file.seek(len(_MAGIC))
            while file.tell() < end:
                key_bytes, value_bytes = _FRAME.unpack(_exactly(file, _FRAME.size))
                if file.tell() + key_bytes + value_bytes > end:
                    raise _damaged(path)
                yield _exactly(file, key_bytes), _exactly(file, value_bytes)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
    except EOFError as error:
        raise _damaged(path) from error


def _write_frames(file: BinaryIO, pairs: Iterable[Pair]) -> int:
    digest = hashlib.blake2b(_MAGIC, digest_size=_DIGEST_BYTES)
    file.write(_MAGIC)
    count = 0
    for key, value in pairs:
        frame = _FRAME.pack(len(key), len(value)) + key + value
        digest.update(frame)
        file.write(frame)
        count += 1
    file.write(digest.digest())
    return count


def _checked_end(path: Path, file: BinaryIO) -> int:
    """Where the frames end, after all of the file was read and proved whole."""
    end = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
    magic = file.read(len(_MAGIC))
    if magic != _MAGIC or end < len(_MAGIC):
        raise _damaged(path)
    digest = hashlib.blake2b(magic, digest_size=_DIGEST_BYTES)
    while (left := end - file.tell()) > 0:
        digest.update(_exactly(file, min(left, _CHUNK_BYTES)))
    if digest.digest() != file.read(_DIGEST_BYTES):
        raise _damaged(path)
    return end


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"{path} is damaged or no snapshot of ours; nothing was read from it.",
        "Try an older snapshot.",
    )
