"""Sealed blobs: what is moved, cut off or bent does not open; ids tell them apart."""

from hashlib import shake_256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.blobs.sealing import (
    content_size,
    cut,
    open_piece,
    seal_all,
    sealed_tree,
)
from nestmate_protocol.blobs.tree import Tree, read_tree
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.limits import BLOB_PIECE_BYTES, CHUNK_BYTES

KEY = b"\x33" * 32
BODY = shake_256(b"a diary").digest(3 * BLOB_PIECE_BYTES + 7)
CHUNKS = list(seal_all(KEY, [BODY]))


def refuses(call, *given, **more):
    with pytest.raises(RemoteError):
        call(*given, **more)


def test_a_chunk_opens_at_its_own_place_alone():
    for index, chunk in enumerate(CHUNKS):
        opened = [
            open_piece(KEY, index, chunk, last=index == len(CHUNKS) - 1),
            BODY[index * BLOB_PIECE_BYTES :][:BLOB_PIECE_BYTES],
        ]
        assert opened[0] == opened[1]
        refuses(open_piece, KEY, index + 1, chunk, last=index == len(CHUNKS) - 1)
        refuses(open_piece, bytes(32), index, chunk, last=index == len(CHUNKS) - 1)


def test_a_blob_that_was_cut_off_does_not_end_where_it_was_cut():
    refuses(open_piece, KEY, 2, CHUNKS[2], last=True)
    refuses(open_piece, KEY, 3, CHUNKS[3], last=False)
    refuses(open_piece, KEY, 3, CHUNKS[3][:-1], last=True)


@given(st.lists(st.integers(0, 2 * CHUNK_BYTES), max_size=4))
def test_however_bytes_come_they_become_the_same_chunks(sizes):
    parts, at = [], 0
    for size in sizes:
        parts.append(BODY[at : at + size])
        at += size
    assert sealed_tree(KEY, [*parts, BODY[at:]]).blob == sealed_tree(KEY, [BODY]).blob


@given(st.integers(0, 3 * CHUNK_BYTES), st.booleans())
def test_nothing_is_lost_where_bytes_are_cut(size, more):
    pieces, rest = cut(BODY[:size], more=more)
    assert b"".join(pieces) + rest == BODY[:size]
    assert all(len(piece) == BLOB_PIECE_BYTES for piece in pieces[:-1])
    assert len(rest) <= BLOB_PIECE_BYTES
    assert pieces if not more else rest or not size


def test_a_sealed_blob_has_an_id_that_a_clear_one_cannot_have():
    tree = sealed_tree(KEY, [BODY])
    assert {len(chunk) for chunk in CHUNKS[:-1]} == {CHUNK_BYTES}
    assert content_size(tree.size) == len(BODY)
    assert read_tree(tree.blob, tree.size, tree.hashes) == tree
    assert Tree(tree.size, tree.hashes).blob != tree.blob


@pytest.mark.parametrize("size", [0, 15, CHUNK_BYTES + 16])
def test_a_tree_that_leaves_no_room_for_tags_is_no_sealed_blobs(size):
    tree = Tree(size, bytes(32 * -(-size // CHUNK_BYTES)), sealed=True)
    refuses(read_tree, tree.blob, tree.size, tree.hashes)
