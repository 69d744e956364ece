"""The chest: the bytes of blobs on disk, and what has to be written there.

By the number of a blob lie its tree, which of its chunks are there, and the chunks. A
chunk and the note that it is there are one write. What was put in is seen at once,
whether it is on disk yet or not. This file knows no blob by name.
"""

from collections.abc import Iterator
from typing import Final

from nestmate_protocol.blobs.entries import Entry
from nestmate_protocol.blobs.ports import Reader
from nestmate_protocol.blobs.requests import Stage
from nestmate_protocol.blobs.tree import Bits, Tree, count_of
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import LocalError
from nestmate_protocol.limits import BLOB_CHUNKS_UNSAVED_MAX

_TREES, _HELD, _CHUNKS, _LOADING = b"b/t/", b"b/h/", b"b/c/", b"b/u/"
_NUMBER_MAX: Final = 2**32 - 1


class Chest:
    """Rows of blobs, by number."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._writes: dict[bytes, bytes | None] = {}
        self._durable = False
        self._numbers = 0

    def __repr__(self) -> str:
        return f"<Chest, {len(self._writes)} writes wait>"

    # --- writes

    def put(self, key: bytes, value: bytes | None, *, durable: bool = False) -> None:
        """Write a row, or delete it for None."""
        self._writes[key] = value
        self._durable |= durable

    def collect(self) -> list[Save]:
        """What has to be written since the last time."""
        saves = [Save(tuple(self._writes.items()), self._durable)]
        saves = saves if self._writes else []
        self._writes, self._durable = {}, False
        return saves

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Rows that an earlier run has written."""
        return list(self._reader.scan(prefix))

    # --- numbers

    def taken(self, number: int) -> None:
        """A number is not free."""
        self._numbers = max(self._numbers, number)

    def next_number(self) -> int:
        """A number that no blob has; LocalError if there is none left."""
        if self._numbers >= _NUMBER_MAX:
            raise LocalError("this node has held too many blobs")
        self._numbers += 1
        return self._numbers

    def erase(self, number: int, count: int) -> None:
        """Delete all of a number's rows, and so many chunks."""
        key = number.to_bytes(4)
        rows = [kind + key for kind in (_LOADING, _TREES, _HELD)]
        rows += [_CHUNKS + key + index.to_bytes(4) for index in range(count)]
        self._writes.update(dict.fromkeys(rows))

    # --- blobs

    def keep_tree(self, entry: Entry, tree: Tree) -> None:
        """Keep what a blob is made of."""
        self.put(_TREES + entry.number.to_bytes(4), tree.hashes)

    def keep_chunk(self, entry: Entry, held: Bits, index: int, data: bytes) -> None:
        """Keep one chunk, and that it is there."""
        number = entry.number.to_bytes(4)
        self.put(_CHUNKS + number + index.to_bytes(4), data)
        self.put(_HELD + number, bytes(held.raw))

    def finish(self, entry: Entry) -> None:
        """All chunks are there."""
        self.put(_HELD + entry.number.to_bytes(4), None)

    def tree(self, entry: Entry) -> Tree | None:
        """What a blob is made of, if that is known."""
        hashes = self._get(_TREES + entry.number.to_bytes(4))
        if entry.size < 0 or hashes is None:
            return None
        return Tree(entry.size, hashes, entry.sealed)

    def bits(self, entry: Entry) -> Bits:
        """Which chunks are here."""
        count = count_of(entry.takes)
        if entry.stage is Stage.WHOLE:
            return Bits(count, None)
        return Bits(count, self._get(_HELD + entry.number.to_bytes(4)) or b"")

    def chunk(self, entry: Entry, index: int) -> bytes | None:
        """The bytes of one chunk."""
        number = entry.number.to_bytes(4)
        return self._get(_CHUNKS + number + index.to_bytes(4))

    # --- what is being put, and has no name yet

    def load(self, number: int, index: int, data: bytes) -> None:
        """Keep the next chunk; now and then wait for the disk, which may be full."""
        key = number.to_bytes(4)
        durable = (index + 1) % BLOB_CHUNKS_UNSAVED_MAX == 0
        self.put(_LOADING + key, (index + 1).to_bytes(4), durable=durable)
        self.put(_CHUNKS + key + index.to_bytes(4), data)

    def name(self, entry: Entry, tree: Tree) -> None:
        """What was put under a number has a name now."""
        self.put(_LOADING + entry.number.to_bytes(4), None)
        self.keep_tree(entry, tree)

    def leftovers(self) -> Iterator[tuple[int, int]]:
        """What an earlier run has not finished: numbers, and how many chunks."""
        for key, raw in self.scan(_LOADING):
            yield int.from_bytes(key[len(_LOADING) :]), int.from_bytes(raw)

    def _get(self, key: bytes) -> bytes | None:
        """A row as it is, or will be as soon as what is collected is written."""
        return self._writes[key] if key in self._writes else self._reader.get(key)
