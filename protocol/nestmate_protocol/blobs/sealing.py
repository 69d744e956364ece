"""Sealing: the bytes of a blob under a key that no other blob has, piece by piece.

A piece and its tag are one chunk, so that whoever holds the chunks can prove and give
them without the key. Its place, and whether it is the last, stand in the nonce: what is
moved, left out or cut off does not open. The same bytes under the same key are always
the same chunks; a key is drawn anew for every blob and used for nothing else.
This file keeps nothing, draws nothing and knows nobody.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from nestmate_protocol.blobs.tree import Tree, count_of, hash_of
from nestmate_protocol.keys import NONCE_BYTES, TAG_BYTES, seal, unseal
from nestmate_protocol.limits import BLOB_PIECE_BYTES

_CONTEXT: Final = b"nestmate/1/sealed blob"
_PLACE_BYTES: Final = NONCE_BYTES - 1


def content_size(size: int) -> int:
    """How many bytes are in a sealed blob of so many."""
    return size - TAG_BYTES * count_of(size)


def seal_piece(key: bytes, index: int, piece: bytes, *, last: bool) -> bytes:
    """The chunk that a piece of BLOB_PIECE_BYTES is; the ``last`` may be shorter."""
    return seal(key, piece, _nonce(index, last=last), _CONTEXT)[NONCE_BYTES:]


def open_piece(key: bytes, index: int, chunk: bytes, *, last: bool) -> bytes:
    """The piece in a chunk; RemoteError under another key, or at another place."""
    return unseal(key, _nonce(index, last=last) + chunk, _CONTEXT)


def cut(data: bytes, *, more: bool) -> tuple[list[bytes], bytes]:
    """The pieces in what is at hand, and what is left as long as there is ``more``.

    Which piece is the last is known only at the end, so that something is left till
    then. Nothing at all is one empty piece.
    """
    count = max(1, -(-len(data) // BLOB_PIECE_BYTES))
    ends = range(BLOB_PIECE_BYTES, count * BLOB_PIECE_BYTES, BLOB_PIECE_BYTES)
    pieces = [data[end - BLOB_PIECE_BYTES : end] for end in ends]
    rest = data[(count - 1) * BLOB_PIECE_BYTES :]
    return (pieces, rest) if more else ([*pieces, rest], b"")


def seal_all(key: bytes, parts: Iterable[bytes]) -> Iterator[bytes]:
    """All chunks that bytes become, which may come in parts of any size."""
    index, rest = 0, b""
    for part in parts:
        pieces, rest = cut(rest + part, more=True)
        for piece in pieces:
            yield seal_piece(key, index, piece, last=False)
            index += 1
    yield seal_piece(key, index, rest, last=True)


def sealed_tree(key: bytes, parts: Iterable[bytes]) -> Tree:
    """The tree of what bytes become under a key."""
    size, hashes = 0, bytearray()
    for chunk in seal_all(key, parts):
        size += len(chunk)
        hashes += hash_of(chunk)
    return Tree(size, bytes(hashes), sealed=True)


def _nonce(index: int, *, last: bool) -> bytes:
    return index.to_bytes(_PLACE_BYTES) + bytes((last,))
