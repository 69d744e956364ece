"""A LevelDB database: one plyvel handle, its errors mapped, every pair checksummed.

LevelDB's repair skips checksums and hands out wrong values, so each value carries a
CRC-32 of its own, bound to its key. Batches are counted in a pair of their own. This
is the only importer of plyvel; it knows nothing of heads, locks or what keys mean.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import plyvel

from nestmate.errors import BusyError, StoreError
from nestmate.store.base import KEY_BYTES_MAX, RESERVED, Write, check_key
from nestmate.store.head import CHAIN_BYTES, EMPTY_CHAIN
from nestmate.store.snapshot import Pair

COUNT_KEY: Final = RESERVED + b"batches"
_KEYS_AT_ONCE: Final = 1_024

BLOOM_BITS: Final = 10  # a key that is not there is told so without a look at the disk
WRITE_BUFFER_BYTES: Final = 8 << 20

_COUNT: Final = struct.Struct(f">Q{CHAIN_BYTES}s")
_CHECK: Final = struct.Struct(">I")
_DELETED: Final = b"\0\0\0\0"
_NO_ROOM: Final = (b"No space left", b"Permission denied", b"Too many open files")


class DamagedError(Exception):
    """The database is not what was written; the text says in which way."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many batches a database holds, and what they hash to together."""

    batches: int
    chain: bytes

    @classmethod
    def unpacked(cls, raw: bytes) -> "Count":
        """The count in the value of COUNT_KEY."""
        return cls(*_COUNT.unpack(raw))


class Database:
    """One plyvel handle, with its errors mapped and every pair checksummed."""

    def __init__(
        self, path: Path, *, create: bool = False, strict: bool = True
    ) -> None:
        try:
            self._db: Any = plyvel.DB(
                str(path),
                create_if_missing=create,
                paranoid_checks=strict,
                bloom_filter_bits=BLOOM_BITS,
                write_buffer_size=WRITE_BUFFER_BYTES,
            )
        except plyvel.IOError as error:
            if any(cause in error.args[0] for cause in _NO_ROOM):
                raise refused(error) from error
            if b"lock" in error.args[0]:
                raise BusyError("Another process reads this database.") from error
            raise DamagedError(_said(error)) from error
        except plyvel.Error as error:
            raise DamagedError(_said(error)) from error
        self.path = path

    def __repr__(self) -> str:
        return f"<Database {self.path}>"

    def get(self, key: bytes) -> bytes | None:
        """The value under a key, proved by its checksum."""
        try:
            stored: bytes | None = self._db.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise _unreadable(error) from error
        if stored is None:
            return None
        value = opened(key, stored)
        if value is None:
            raise _unreadable(None)
        return value

    def pairs(
        self, low: bytes, high: bytes | None, *, reverse: bool = False
    ) -> Iterator[Pair]:
        """Proved pairs from ``low`` up to, not with, ``high``, as of this moment."""
        iterator = self._iterator(low, high, reverse=reverse)

        def proved() -> Iterator[Pair]:
            crc, pack, start = zlib.crc32, _CHECK.pack, _CHECK.size
            try:
                for key, stored in iterator:
                    value = stored[start:]
                    if stored[:start] != pack(crc(value, crc(key))):
                        raise _unreadable(None)
                    yield key, value
            except (plyvel.Error, RuntimeError) as error:
                raise _unreadable(error) from error

        return proved()

    def stored(
        self, low: bytes, high: bytes | None, *, reverse: bool
    ) -> Iterator[Pair]:
        """Pairs as they lie in LevelDB; StoreError at a bad block."""
        iterator = self._iterator(low, high, reverse=reverse)

        def guarded() -> Iterator[Pair]:
            try:
                yield from iterator
            except (plyvel.Error, RuntimeError) as error:
                raise _unreadable(error) from error

        return guarded()

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """Keys alone, as they lie in LevelDB; StoreError at a bad block."""
        try:
            iterator = self._db.iterator(
                start=low, stop=high, include_value=False, verify_checksums=True
            )
        except (plyvel.Error, RuntimeError) as error:
            raise _unreadable(error) from error

        def chunks() -> Iterator[list[bytes]]:
            try:
                while chunk := list(islice(iterator, _KEYS_AT_ONCE)):
                    yield chunk
            except (plyvel.Error, RuntimeError) as error:
                raise _unreadable(error) from error

        return chain.from_iterable(chunks())

    def write(self, pairs: Iterable[Write], *, durable: bool) -> None:
        """One atomic batch of pairs as they shall lie there; StoreError if refused."""
        try:
            batch = self._db.write_batch(sync=durable)
            for key, stored in pairs:
                if stored is None:
                    batch.delete(key)
                else:
                    batch.put(key, stored)
            batch.write()
        except (plyvel.Error, RuntimeError) as error:
            raise refused(error) from error

    def count(self) -> Count:
        """The batches in here; DamagedError if that cannot be told."""
        try:
            raw = self.get(COUNT_KEY)
            if raw is not None:
                return Count.unpacked(raw)
            if next(self.pairs(b"", None), None) is None:
                return Count(0, EMPTY_CHAIN)
        except StoreError as error:
            raise DamagedError(str(error)) from error
        raise DamagedError("the count of its batches is missing")

    def log_bytes(self) -> int:
        """How much a reopening has to rewrite."""
        return sum(log.stat().st_size for log in self.path.glob("*.log"))

    def close(self) -> None:
        """Let the files go; idempotent."""
        self._db.close()

    def _iterator(
        self, low: bytes, high: bytes | None, *, reverse: bool
    ) -> Iterator[Pair]:
        try:
            found: Iterator[Pair] = self._db.iterator(
                start=low,
                stop=high,
                reverse=reverse,
                verify_checksums=True,
            )
        except (plyvel.Error, RuntimeError) as error:
            raise _unreadable(error) from error
        return found


def repair_files(path: Path) -> None:
    """Let LevelDB mend a database as it sees fit; the result is not to be believed."""
    try:
        plyvel.repair_db(str(path))
    except plyvel.Error as error:
        raise DamagedError(_said(error)) from error


def stored_batch(writes: Iterable[Write]) -> tuple[list[Write], bytes]:
    """Writes as they shall lie in LevelDB, and the checksums of all of them."""
    batch: list[Write] = []
    tags: list[bytes] = []
    crc, pack = zlib.crc32, _CHECK.pack
    for key, value in writes:
        if not 0 < len(key) <= KEY_BYTES_MAX or not key[0]:
            check_key(key)
        if value is None:
            batch.append((key, None))
            tags.append(_DELETED + key)
        else:
            tag = pack(crc(value, crc(key)))
            batch.append((key, tag + value))
            tags.append(tag)
    return batch, b"".join(tags)


def sealed(key: bytes, value: bytes) -> bytes:
    """A value as it lies there, behind the CRC-32 of key and value."""
    return _CHECK.pack(zlib.crc32(value, zlib.crc32(key))) + value


def opened(key: bytes, stored: bytes) -> bytes | None:
    """The value that was sealed under this key, or None if the checksum differs."""
    value = stored[_CHECK.size :]
    check = _CHECK.pack(zlib.crc32(value, zlib.crc32(key)))
    return value if stored[: _CHECK.size] == check else None


def count_pair(count: Count) -> Write:
    """The write that keeps a count, part of every batch."""
    return COUNT_KEY, sealed(COUNT_KEY, _COUNT.pack(count.batches, count.chain))


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def refused(error: Exception) -> StoreError:
    """The sentence for a disk that would not do what it was asked."""
    said = (error.strerror if isinstance(error, OSError) else None) or _said(error)
    return StoreError(
        f"The disk refused: {said}.",
        "Free some space, and look at the permissions of the home folder.",
    )


def _unreadable(error: Exception | None) -> StoreError:
    said = _said(error) if error else "a checksum does not fit"
    return StoreError(
        f"The store cannot be read: {said}.",
        "Restart the node; if it comes back, restore a backup.",
    )
