"""The LevelDB twin of the store, and everything LevelDB does not promise by itself.

It counts batches and compares the count with the head file at boot, holds a lock of
its own, and opens its database anew after the disk refused a write. A damaged database
is refused and left untouched; only on request is a fresh one made of what can be
proved. This file knows nothing of plyvel and of what keys mean.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nestmate.errors import ConflictError, HomeError, StoreError
from nestmate.files import make_private_folder
from nestmate.store.base import BootReport, Write, key_range
from nestmate.store.database import (
    Count,
    DamagedError,
    Database,
    count_pair,
    refused,
    sealed,
    stored_batch,
)
from nestmate.store.head import (
    EMPTY_CHAIN,
    INCARNATION_BYTES,
    Head,
    HeadDamagedError,
    next_chain,
    read_head,
)
from nestmate.store.lock import FolderLock
from nestmate.store.repair import Verify, build, folder_name, repair
from nestmate.store.snapshot import Pair, read_snapshot, write_snapshot

Entropy = Callable[[int], bytes]

VOUCH_SECONDS: Final = 1.0
MEND_SECONDS: Final = 0.5
MEND_SECONDS_MAX: Final = 5.0
CALM_SECONDS: Final = 60.0

_PROBE_BYTES: Final = 1 << 20
_NOBODY: Final = bytes(INCARNATION_BYTES)


@dataclass(frozen=True, slots=True)
class _Boot:
    """Everything a store is made of, once its head is written."""

    folder: Path
    lock: FolderLock
    database: Database
    head: Head
    report: BootReport


class LevelStore:
    """A ``KeyValue`` on disk; see ``open_leveldb``."""

    def __init__(self, boot: "_Boot", clock: Callable[[], float]) -> None:
        self.report = boot.report
        self._folder = boot.folder
        self._lock = boot.lock
        self._database: Database | None = boot.database
        self._head = boot.head
        self._count = self._durable = Count(boot.head.batches, boot.head.chain)
        self._clock = clock
        self._vouched_at = clock()
        self._tried_at = 0.0
        self._patience = MEND_SECONDS
        self._trouble: StoreError | None = None
        self._undo: list[Write] = []
        self._writing = threading.Lock()

    def __repr__(self) -> str:
        return f"<LevelStore {self._folder} {self._count.batches} batches>"

    def get(self, key: bytes) -> bytes | None:
        """The value under a key; StoreError if it cannot be read or proved."""
        return self._open_database().get(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[Pair]:
        """All pairs under a prefix as they are now; see the port."""
        low, high = key_range(prefix)
        if start is not None and reverse:
            after = start + b"\0"
            high = after if high is None else min(high, after)
        elif start is not None:
            low = max(low, start)
        return self._open_database().pairs(low, high, reverse=reverse)

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """All keys of a stretch as they are now; see the port."""
        return self._open_database().keys(low, high)

    def write(self, writes: Iterable[Write], *, durable: bool) -> None:
        """Apply one atomic batch; see the port.

        After the disk refused, the store is read-only until there is room, and opens
        its database anew by itself at a later call. It looks ever more seldom.
        """
        pairs = list(writes)
        if not pairs:
            return
        with self._writing:
            database = self._mended()
            batch, tags = stored_batch(pairs)
            count = Count(self._count.batches + 1, next_chain(self._count.chain, tags))
            try:
                database.write([*batch, count_pair(count)], durable=durable)
            except StoreError as trouble:
                self._fail(database, batch, trouble)
                raise
            self._count = count
            if durable:
                self._durable = count
                if self._clock() - self._vouched_at >= VOUCH_SECONDS:
                    self._vouch()

    def vouch(self) -> None:
        """Bring the head up to date with the last durable batch."""
        with self._writing:
            self._vouch()

    def export(self, path: Path) -> int:
        """Write a consistent snapshot to a new file; returns the number of pairs."""
        return write_snapshot(path, self.scan(b""))

    def close(self) -> None:
        """Make all durable, vouch for it, and give the lock back; idempotent."""
        with self._writing:
            database, self._database = self._database, None
            if database is not None and self._trouble is None:
                self._settle(database)
            if database is not None:
                database.close()
            self._lock.release()

    def _settle(self, database: Database) -> None:
        if self._durable != self._count:
            try:
                database.write([count_pair(self._count)], durable=True)
            except StoreError:
                return
            self._durable = self._count
        self._vouch()

    def _vouch(self) -> None:
        if self._durable.batches == self._head.batches:
            return
        head = Head(
            self._head.generation,
            self._durable.batches,
            self._head.incarnation,
            self._durable.chain,
        )
        try:
            head.write(self._folder)
        except OSError:
            return  # the batches are safe; the next durable write tries again
        self._head = head
        self._vouched_at = self._clock()

    def _open_database(self) -> Database:
        if self._database is None:
            raise self._trouble or StoreError("The store is closed.")
        return self._database

    def _fail(
        self, database: Database, batch: list[Write], trouble: StoreError
    ) -> None:
        """Take no more writes, and remember how to take this one back.

        A write LevelDB refused may still come up when the log is read again.
        """
        now = self._clock()
        if now - self._tried_at >= CALM_SECONDS:
            self._patience = MEND_SECONDS
        self._trouble = trouble
        self._tried_at = now
        self._undo = []
        for key, _ in batch:
            try:
                value = database.get(key)
            except StoreError:
                self._undo = []
                return
            self._undo.append((key, None if value is None else sealed(key, value)))

    def _mended(self) -> Database:
        """The database, opened anew if it is time and there is room."""
        if self._trouble is None:
            return self._open_database()
        now = self._clock()
        if now - self._tried_at < self._patience:
            raise self._trouble
        self._tried_at = now
        self._patience = min(2 * self._patience, MEND_SECONDS_MAX)
        path = self._folder / folder_name(self._head.generation)
        if self._database is not None:
            _probe(self._folder, self._database.log_bytes() + _PROBE_BYTES)
            self._database.close()
            self._database = None
        try:
            database = Database(path)
            found = database.count()
        except DamagedError as damage:
            raise _damaged(self._folder, damage) from damage
        if found != self._count and not (
            self._undo and found.batches == self._count.batches + 1
        ):
            database.close()
            raise StoreError(
                f"The disk held {self._count.batches} batches and now {found.batches}.",
                "Restart the node; what is missing is looked for then.",
            )
        if found != self._count:
            database.write([*self._undo, count_pair(self._count)], durable=True)
        self._database, self._trouble, self._undo = database, None, []
        return database


def open_leveldb(
    folder: Path,
    *,
    recover: bool = False,
    verify: Verify | None = None,
    entropy: Entropy = os.urandom,
    clock: Callable[[], float] = time.monotonic,
) -> LevelStore:
    """Boot the store in a folder, made if need be; its report says what was found.

    A damaged database is refused, or with ``recover`` replaced by what its checksums
    and ``verify(key, value)`` prove; the damaged files stay in either case. ``clock``
    tells seconds. Raises BusyError while another process works on it, HomeError for
    damage, StoreError when the disk refuses.
    """
    with ExitStack() as stack:
        lock = _locked(folder)
        stack.callback(lock.release)
        head = _find_head(folder)
        missing: int | None = None
        try:
            try:
                database = _open_as_vouched(folder, head)
            except DamagedError:
                if not recover:
                    raise
                head, missing = repair(folder, head, verify)
                database = _open_as_vouched(folder, head)
        except DamagedError as damage:
            raise _damaged(folder, damage) from damage
        stack.callback(database.close)
        count = database.count()
        report = BootReport(
            incarnation=entropy(INCARNATION_BYTES),
            batches=count.batches,
            lost_batches=max(missing or 0, head.batches - count.batches),
            repaired=missing is not None,
        )
        head = Head(head.generation, count.batches, report.incarnation, count.chain)
        _put_head(folder, head)
        stack.pop_all()
    return LevelStore(_Boot(folder, lock, database, head, report), clock)


def restore_leveldb(folder: Path, snapshot: Path) -> int:
    """Fill an empty or missing store from a snapshot; returns the number of pairs.

    A crash on the way leaves the store empty. Raises ConflictError for a store that
    holds something, StoreError for a snapshot that is not whole, else as
    ``open_leveldb`` does.
    """
    with ExitStack() as stack:
        lock = _locked(folder)
        stack.callback(lock.release)
        head = _find_head(folder)
        try:
            database = _open_as_vouched(folder, head)
        except DamagedError as damage:
            raise _damaged(folder, damage) from damage
        stack.callback(database.close)
        if database.count().batches:
            raise ConflictError(
                f"{folder} holds a store already and is left untouched.",
                "Restore into a new home.",
            )
        fresh = folder / folder_name(head.generation + 1)
        count, kept = build(fresh, read_snapshot(snapshot), 1)
        _put_head(folder, Head(head.generation + 1, 1, _NOBODY, count.chain))
        database.close()
        shutil.rmtree(database.path, ignore_errors=True)
    return kept


def _find_head(folder: Path) -> Head:
    """The head of a store; a new one if nothing is there; without chain if unknown."""
    try:
        head = read_head(folder)
    except HeadDamagedError:
        head = None
    except OSError as error:
        raise refused(error) from error
    if head is not None:
        return head
    numbers = [path.name.removeprefix("db-") for path in folder.glob("db-*")]
    generations = sorted(int(number) for number in numbers if number.isdigit())
    if generations:
        return Head(generations[-1], 0, _NOBODY, b"")
    head = Head(1, 0, _NOBODY, EMPTY_CHAIN)
    _put_head(folder, head)
    return head


def _open_as_vouched(folder: Path, head: Head) -> Database:
    """The database of a head; DamagedError if it is not what the head speaks of."""
    if not head.chain:
        raise DamagedError("its head file is missing or damaged")
    path = folder / folder_name(head.generation)
    there = (path / "CURRENT").exists()
    if not there and head.batches:
        raise DamagedError("its database is missing")
    database = Database(path, create=not there)
    try:
        count = database.count()
    except DamagedError:
        database.close()
        raise
    if count.batches == head.batches and count.chain != head.chain:
        database.close()
        raise DamagedError("its database tells another history than its head")
    return database


def _locked(folder: Path) -> FolderLock:
    try:
        make_private_folder(folder)
    except OSError as error:
        raise refused(error) from error
    return FolderLock(folder)


def _put_head(folder: Path, head: Head) -> None:
    try:
        head.write(folder)
    except OSError as error:
        raise refused(error) from error


def _probe(folder: Path, size: int) -> None:
    """Raise StoreError unless there is room for so many bytes right now."""
    probe = folder / "probe"
    try:
        with probe.open("wb") as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refused(error) from error
    finally:
        probe.unlink(missing_ok=True)


def _damaged(folder: Path, damage: DamagedError) -> HomeError:
    return HomeError(
        f"The store in {folder} is damaged: {damage}. It is left untouched.",
        "Restore a backup, or start once with `nestmate up --recover`, which keeps "
        "what can be proved whole and leaves the damaged files where they are.",
    )
