"""The memory twin of the store, and the disk it pretends to lie on.

What a ``MemoryDisk`` holds outlives the stores opened on it, so that tests can crash
a node, lose the tail of its disk, fill the disk up, and boot again. It passes the
suite of the LevelDB twin. It knows nothing of files but snapshots.
"""

import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nestmate.errors import BusyError, ConflictError, StoreError
from nestmate.store.base import BootReport, Write, check_key, key_range
from nestmate.store.head import INCARNATION_BYTES
from nestmate.store.snapshot import Pair, read_snapshot, write_snapshot


class MemoryDisk:
    """Batches that were written, and how many of them a crash cannot take."""

    def __init__(self) -> None:
        self.batches: list[tuple[Write, ...]] = []
        self.durable = 0
        self.vouched = 0
        self.refuses = False
        self.held = False

    def __repr__(self) -> str:
        return f"<MemoryDisk {len(self.batches)} batches, {self.durable} durable>"

    def open(self, entropy: Callable[[int], bytes] = os.urandom) -> "MemoryStore":
        """Boot a store; BusyError while another one is open on this disk."""
        if self.held:
            raise BusyError(f"Process {os.getpid()} already works on this disk.")
        lost = max(0, self.vouched - len(self.batches))
        report = BootReport(
            incarnation=entropy(INCARNATION_BYTES),
            batches=len(self.batches),
            lost_batches=lost,
            repaired=False,
        )
        self.durable = self.vouched = len(self.batches)
        self.held = True
        return MemoryStore(self, report)

    def crash(self, lose_batches: int = 0) -> None:
        """End whatever is open; what was not durable is gone, and maybe more.

        ``lose_batches`` takes that many durable ones too, as a lying disk does.
        """
        self.vouched = self.durable
        del self.batches[max(0, self.durable - lose_batches) :]
        self.durable = len(self.batches)
        self.held = False

    @contextmanager
    def full(self) -> Iterator[None]:
        """Refuse every write meanwhile."""
        self.refuses = True
        try:
            yield
        finally:
            self.refuses = False

    def restore(self, snapshot: Path) -> int:
        """Fill an empty disk from a snapshot; returns the number of pairs."""
        if self.held or self.batches:
            raise ConflictError("A snapshot is restored into an empty store only.")
        self.batches = [tuple(read_snapshot(snapshot))]
        return len(self.batches[0])


class MemoryStore:
    """A ``KeyValue`` in memory; see ``MemoryDisk.open``."""

    def __init__(self, disk: MemoryDisk, report: BootReport) -> None:
        self.report = report
        self._disk: MemoryDisk | None = disk
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        for batch in disk.batches:
            self._apply(batch)

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._keys)} keys>"

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        self._open_disk()
        return self._values.get(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[Pair]:
        """All pairs under a prefix as they are now; see the port."""
        self._open_disk()
        low, high = key_range(prefix)
        first = bisect_left(self._keys, low)
        last = len(self._keys) if high is None else bisect_left(self._keys, high)
        if start is not None and reverse:
            last = min(last, bisect_right(self._keys, start))
        elif start is not None:
            first = max(first, bisect_left(self._keys, start))
        found = [(key, self._values[key]) for key in self._keys[first:last]]
        return iter(found[::-1] if reverse else found)

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """All keys of a stretch as they are now; see the port."""
        self._open_disk()
        first, last = bisect_left(self._keys, low), bisect_left(self._keys, high)
        return iter(self._keys[first:last])

    def write(self, writes: Iterable[Write], *, durable: bool) -> None:
        """Apply one atomic batch; StoreError while the disk is full."""
        disk = self._open_disk()
        batch = tuple(writes)
        for key, _ in batch:
            check_key(key)
        if disk.refuses:
            raise StoreError("The disk is full.", "Free some space.")
        if not batch:
            return
        disk.batches.append(batch)
        if durable:
            disk.durable = len(disk.batches)
        self._apply(batch)

    def vouch(self) -> None:
        """Nothing to do: this disk remembers by itself what was durable."""
        self._open_disk()

    def export(self, path: Path) -> int:
        """Write a consistent snapshot to a new file; returns the number of pairs."""
        return write_snapshot(path, self.scan(b""))

    def close(self) -> None:
        """Give the disk back with everything written made durable; idempotent."""
        if self._disk is not None:
            self._disk.durable = self._disk.vouched = len(self._disk.batches)
            self._disk.held = False
            self._disk = None

    def _open_disk(self) -> MemoryDisk:
        if self._disk is None:
            raise StoreError("The store is closed.")
        return self._disk

    def _apply(self, batch: Iterable[Write]) -> None:
        for key, value in batch:
            if value is None:
                if self._values.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = value
