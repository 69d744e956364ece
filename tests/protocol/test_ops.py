"""Ops: what is signed comes back as it was, and no other bytes are taken."""

from dataclasses import replace

import pytest

from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import Address, NetworkId, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.founding import Genesis, found_space, read_genesis
from nestmate_protocol.spaces.ops import (
    Lane,
    Mutation,
    Place,
    Type,
    dot_of,
    op_of,
    open_op,
    sign_op,
    sign_sealed_op,
    without_values,
)

KEY = SigningKey(b"\x11" * 32)
NETWORK = NetworkId(b"\x06" * 32)
SPACE = SpaceId(b"\x51" * 32)
ANN = Address(b"\x21" * 32)
BEFORE = RecordId(b"\x52" * 32)


def place(**other):
    chosen = {"lane": Lane.DATA, "seq": 3, "prev": BEFORE, "cap": dot_of(BEFORE, 2)}
    rest = {"hlc": 7 << 16, "incarnation": b"\x31" * 16}
    return Place(SPACE, **{**chosen, **rest, **other})


def note(path="notes/1"):
    return Mutation(Type.REGISTER, 0, path, superseded=(dot_of(BEFORE, 0),))


def test_an_op_comes_back_as_it_was_signed():
    op = sign_op(KEY, NETWORK, place(), [note(), note("notes/2")], [b"one", None])
    assert open_op(op.data, NETWORK) == op
    assert (op.place, op.author, op.values) == (place(), KEY.public, (b"one", None))
    assert op.space == SPACE
    assert op_of(op.dot(1)) == op.id


def test_every_changed_byte_of_an_op_is_refused():
    op = sign_op(KEY, NETWORK, place(), [note()], [b"one"])
    for at in range(len(op.data)):
        bent = bytearray(op.data)
        bent[at] ^= 1
        with pytest.raises(RemoteError):
            open_op(bytes(bent), NETWORK)


def test_an_op_without_its_values_still_verifies():
    op = sign_op(KEY, NETWORK, place(), [note(), note("a")], [b"one", b"two"])
    bare = open_op(without_values(op, [0]), NETWORK)
    assert (bare.id, bare.values) == (op.id, (None, b"two"))


def test_a_sealed_op_shows_its_place_and_nothing_else():
    op = sign_sealed_op(KEY, NETWORK, place(), b"box", [b"sealed"])
    again = open_op(op.data, NETWORK, sealed=True)
    assert (again.place, again.mutations, again.box) == (place(), None, b"box")
    with pytest.raises(RemoteError):
        open_op(op.data, NETWORK)


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ({"seq": 0}, "prev"),
        ({"prev": None}, "prev"),
        ({"lane": Lane.EPHEMERAL, "seq": 0, "prev": None}, "expiry"),
        ({"expires_ms": 9}, "expiry"),
        ({"lane": Lane.AUTH}, "lane"),
    ],
)
def test_an_op_out_of_place_cannot_be_made(where, fault):
    with pytest.raises(LocalError, match=fault):
        sign_op(KEY, NETWORK, place(**where), [note()], [None])


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/", "x" * 257, "a\nb"])
def test_a_path_has_no_empty_parts_and_nothing_unprintable(path):
    with pytest.raises(LocalError):
        sign_op(KEY, NETWORK, place(), [note(path)], [None])


def test_an_op_of_another_network_is_refused():
    op = sign_op(KEY, NETWORK, place(), [note()], [None])
    with pytest.raises(RemoteError) as refused:
        open_op(op.data, NetworkId(b"\x07" * 32))
    assert refused.value.fault is Fault.BAD_SIGNATURE


def test_a_space_begins_with_a_genesis_and_nothing_beside_it():
    genesis = Genesis("garden", ((ANN, KEY.public),), 1, private=False, salt=bytes(16))
    first = found_space(KEY, NETWORK, genesis, 7 << 16, b"\x31" * 16)
    assert read_genesis(first) == genesis
    [mutation] = first.mutations
    for other in (
        replace(mutation, action=1),
        replace(mutation, superseded=(dot_of(BEFORE, 0),)),
    ):
        bent = sign_op(KEY, NETWORK, first.place, [other], [None])
        with pytest.raises(RemoteError):
            read_genesis(bent)
