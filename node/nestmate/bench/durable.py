"""Durable writes: records signed and committed together, beside the bare disk.

The raw twin appends the same bytes to a file and asks the disk for the same promise.
Both take turns, now one first and now the other, so that both meet the same disk.
``durable.commit`` is the time one commit takes, ``durable.records`` how many records
per second come through, signing included. TMPDIR says on which disk.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nestmate.bench.figures import (
    ROUNDS,
    Figure,
    Unit,
    at_least_share,
    at_most_more,
    in_rounds,
)
from nestmate.bench.verifying import seconds_to_sign
from nestmate.store.leveldb import LevelStore, open_leveldb
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import COMMIT_RECORDS_MAX
from nestmate_protocol.records import Kind, sign_record

if TYPE_CHECKING:
    from nestmate_protocol.codec import Encodable

MORE_MS_MAX: Final = 1.0
SIGN_PERCENT: Final = 25
COMMITS: Final = 100
COMMITS_QUICK: Final = 4
BODY_BYTES: Final = 300
_MS: Final = 1_000.0

Pair = tuple[bytes, bytes]


def measure(quick: bool) -> Iterable[Figure]:
    """Two figures: the median of one commit in ms, and records per second."""
    commits = COMMITS_QUICK if quick else COMMITS
    with tempfile.TemporaryDirectory(prefix="nm-bench-") as name:
        folder = Path(name)
        store = open_leveldb(folder / "store")
        try:
            rounds = [_round(folder, store, commits, each) for each in range(ROUNDS)]
        finally:
            store.close()
    yield in_rounds(
        "durable.commit",
        Unit.MILLISECONDS,
        [(raw, ours) for raw, ours, _ in rounds],
        at_most_more(MORE_MS_MAX, Unit.MILLISECONDS),
    )
    count = commits * COMMIT_RECORDS_MAX
    yield in_rounds(
        "durable.records",
        Unit.PER_SECOND,
        [(count / seconds_to_sign(count), rate) for _, _, rate in rounds],
        at_least_share(SIGN_PERCENT),
    )


def _round(
    folder: Path, store: LevelStore, commits: int, number: int
) -> tuple[float, float, float]:
    """Medians of raw and own commits in ms, and own records per second."""
    key = SigningKey(sha256(b"durable").digest())
    network = NetworkId(bytes(32))
    raw: list[float] = []
    ours: list[float] = []
    signing: list[float] = []
    with (folder / f"raw-{number}").open("ab", buffering=0) as file:
        for commit in range(commits):
            began = time.perf_counter()
            batch: list[Pair] = []
            for place in range(COMMIT_RECORDS_MAX):
                at = (number * commits + commit) * COMMIT_RECORDS_MAX + place
                body: dict[int, Encodable] = {1: at, 2: bytes(BODY_BYTES)}
                data = sign_record(key, network, Kind.BEAT, body).data
                batch.append((b"b/" + at.to_bytes(8), data))
            signing.append(time.perf_counter() - began)
            if commit % 2:
                raw.append(_seconds_raw(file.fileno(), batch))
            ours.append(_seconds_ours(store, batch))
            if not commit % 2:
                raw.append(_seconds_raw(file.fileno(), batch))
    writing = statistics.median(ours)
    rate = COMMIT_RECORDS_MAX / (statistics.median(signing) + writing)
    return statistics.median(raw) * _MS, writing * _MS, rate


def _seconds_ours(store: LevelStore, batch: Sequence[Pair]) -> float:
    began = time.perf_counter()
    store.write(batch, durable=True)
    return time.perf_counter() - began


def _seconds_raw(file: int, batch: Sequence[Pair]) -> float:
    data = b"".join(key + value for key, value in batch)
    began = time.perf_counter()
    os.write(file, data)
    os.fdatasync(file)
    return time.perf_counter() - began
