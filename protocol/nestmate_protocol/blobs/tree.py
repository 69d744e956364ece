"""The tree of a blob: its size and the hash of each chunk, under one root.

A blob is cut into chunks of CHUNK_BYTES, of which the last may be shorter. Whoever has
the list of their hashes can prove it against the blob's id, and each chunk, in
whatever order they come, against the list. The id of a sealed blob has another root, so
that everybody can tell one. This file keeps nothing and asks nobody.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES, BlobId
from nestmate_protocol.limits import BLOB_PIECE_BYTES, CHUNK_BYTES

_ROOT: Final = b"nestmate/1/blob\0"
_SEALED_ROOT: Final = b"nestmate/1/sealed blob\0"
_TAG_BYTES: Final = CHUNK_BYTES - BLOB_PIECE_BYTES


def count_of(size: int) -> int:
    """How many chunks so many bytes are."""
    return -(-size // CHUNK_BYTES)


def hash_of(chunk: bytes) -> bytes:
    """The hash of one chunk."""
    return sha256(chunk).digest()


@dataclass(frozen=True, slots=True)
class Tree:
    """The size of a blob, and the hashes of its chunks, one after the other.

    ``sealed`` says that its chunks can be read only with a key.
    """

    size: int
    hashes: bytes
    sealed: bool = False

    @property
    def blob(self) -> BlobId:
        """The root: what the blob is called."""
        root = _SEALED_ROOT if self.sealed else _ROOT
        return BlobId(sha256(root + self.size.to_bytes(8) + self.hashes).digest())

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return count_of(self.size)

    def length(self, index: int) -> int:
        """How many bytes a chunk has."""
        return min(CHUNK_BYTES, self.size - index * CHUNK_BYTES)

    def holds(self, index: int, chunk: bytes) -> bool:
        """Whether these bytes are that chunk."""
        start = index * ID_BYTES
        return (
            0 <= index < self.count
            and len(chunk) == self.length(index)
            and hash_of(chunk) == self.hashes[start : start + ID_BYTES]
        )


def read_tree(blob: BlobId, size: int, hashes: bytes) -> Tree:
    """The tree these foreign values are; RemoteError if it is not that of ``blob``."""
    trees = (Tree(size, hashes), Tree(size, hashes, sealed=True))
    for tree in trees:
        if tree.blob == blob and len(hashes) == tree.count * ID_BYTES:
            if tree.sealed and not _is_whole(tree):
                break
            return tree
    raise RemoteError(Fault.BROKEN_CHAIN, "not the tree of this blob")


def _is_whole(tree: Tree) -> bool:
    """Whether each chunk has room for a tag, and each but an only one for more."""
    least = _TAG_BYTES if tree.count == 1 else _TAG_BYTES + 1
    return tree.size > 0 and tree.length(tree.count - 1) >= least


class Bits:
    """Which chunks are there."""

    __slots__ = ("_count", "_missing", "raw")

    def __init__(self, count: int, raw: bytes | None = b"") -> None:
        """None of ``count``, or those that ``raw`` names; all of them for None."""
        full = (1 << count) - 1
        told = full if raw is None else int.from_bytes(raw, "little") & full
        self._count = count
        self.raw = bytearray(told.to_bytes(-(-count // 8), "little"))
        self._missing = dict.fromkeys(i for i in range(count) if not told >> i & 1)

    def __repr__(self) -> str:
        return f"<Bits {len(self)} of {self._count}>"

    def __contains__(self, index: int) -> bool:
        return 0 <= index < self._count and index not in self._missing

    def __len__(self) -> int:
        return self._count - len(self._missing)

    @property
    def full(self) -> bool:
        """Whether all are there."""
        return not self._missing

    def missing(self) -> Iterator[int]:
        """Those that are not there, the lowest first."""
        return iter(self._missing)

    def add(self, index: int) -> None:
        """One more is there."""
        del self._missing[index]
        self.raw[index >> 3] |= 1 << (index & 7)
