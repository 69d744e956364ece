"""Repair and building: whole new databases out of pairs that were proved.

A damaged database is never written to: LevelDB's repair works on a copy, what the copy
holds is proved pair by pair, and what is proved goes into a fresh database of the next
generation. This file knows nothing of locks or of who asked.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from nestmate.errors import StoreError
from nestmate.store.base import check_key
from nestmate.store.database import (
    COUNT_KEY,
    Count,
    DamagedError,
    Database,
    count_pair,
    opened,
    refused,
    repair_files,
    sealed,
)
from nestmate.store.head import EMPTY_CHAIN, Head, next_chain
from nestmate.store.salvage import salvage
from nestmate.store.snapshot import Pair

Verify = Callable[[bytes, bytes], bool]

_BUILD_BYTES: Final = 1 << 20


def folder_name(generation: int) -> str:
    """The folder of one generation of the database."""
    return f"db-{generation}"


def repair(folder: Path, head: Head, verify: Verify | None) -> tuple[Head, int]:
    """Make a fresh database of all that can be proved; the damaged one stays as it is.

    Returns the head of the fresh one, not yet written, and how many batches are
    missing at least. Raises DamagedError if nothing can be proved.
    """
    fresh = folder / folder_name(head.generation + 1)
    copy = folder / "repair"
    told: list[Count] = []
    try:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder / folder_name(head.generation), copy)
        repair_files(copy)
        with closing(Database(copy, strict=False)) as source:
            pairs = _proved(source, verify, told)
            count, kept = build(fresh, pairs, head.batches + 1)
        shutil.rmtree(copy)
        if not kept:
            shutil.rmtree(fresh)
    except OSError as error:
        raise refused(error) from error
    if not kept:
        raise DamagedError("nothing in it can be proved")
    lost = max(0, head.batches - told[0].batches) if told else 1
    return Head(head.generation + 1, count.batches, head.incarnation, count.chain), lost


def _proved(
    source: Database, verify: Verify | None, told: list[Count]
) -> Iterator[Pair]:
    """Pairs whose checksum fits and which ``verify`` takes; the count goes aside."""
    for key, stored in salvage(source.stored):
        value = opened(key, stored)
        if value is None:
            continue
        if key == COUNT_KEY:
            told.append(Count.unpacked(value))
        elif verify is None or verify(key, value):
            yield key, value


def build(path: Path, pairs: Iterable[Pair], batches: int) -> tuple[Count, int]:
    """A whole new database at a path, synced; returns its count and its pairs.

    Nothing is left there when the pairs turn out to be damaged or the disk refuses.
    """
    shutil.rmtree(path, ignore_errors=True)
    count = Count(batches, next_chain(EMPTY_CHAIN, path.name.encode()))
    database = Database(path, create=True)
    try:
        kept = _fill(database, pairs)
        database.write([count_pair(count)], durable=True)
    except StoreError:
        database.close()
        shutil.rmtree(path, ignore_errors=True)
        raise
    database.close()
    return count, kept


def _fill(database: Database, pairs: Iterable[Pair]) -> int:
    kept, size = 0, 0
    batch: list[tuple[bytes, bytes]] = []
    for key, value in pairs:
        check_key(key)
        batch.append((key, sealed(key, value)))
        kept += 1
        size += len(key) + len(value)
        if size >= _BUILD_BYTES:
            database.write(batch, durable=True)
            batch, size = [], 0
    database.write(batch, durable=True)
    return kept
