"""What peers send is proved once: the very bytes that are held are not proved again."""

from hashlib import sha256

import pytest

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import Fault
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.simulation.scribes import (
    NETWORK,
    START_MS,
    Draft,
    Scribe,
    put,
)
from nestmate_protocol.spaces import ops
from nestmate_protocol.spaces.catalogue import Listing
from nestmate_protocol.spaces.copies import Copies
from nestmate_protocol.spaces.ops import open_ops
from nestmate_protocol.spaces.replica import Held
from nestmate_protocol.spaces.requests import Standing
from nestmate_protocol.spaces.sync.ports import Taken

NOW = Moment(START_MS + 10**9, 1)


@pytest.fixture
def wires():
    """A founding and one write of the founder."""
    ann = Scribe("ann")
    return [ann.found([ann]).data, ann.write(Draft([put("a", [])], [b"1"])).data]


@pytest.fixture
def hut(disk, wires):
    """A replica that holds both; takes ops, as the answer of ``Held.take``."""
    founding = open_ops(wires[:1], NETWORK)[0]
    me = SigningKey(sha256(b"hut").digest())
    copies = Copies(disk, me, NETWORK)
    copies.open(Listing(founding.space, 1, Standing.MEMBER, "hut"))
    held = Held(copies, me, NETWORK)
    assert len(held.take(founding.space, wires, NOW).new) == len(wires)
    return lambda sent: held.take(founding.space, sent, NOW)


def signed_otherwise(wire):
    """The same op, so the same id, under a signature that is none."""
    header = open_ops([wire], NETWORK)[0].header
    return wire.replace(header, header[:-1] + bytes((header[-1] ^ 1,)))


def test_what_is_held_is_not_proved_again(hut, wires, monkeypatch):
    def no_proof(letter):
        raise AssertionError(letter)

    monkeypatch.setattr(ops.Letter, "prove", no_proof)
    assert hut(wires) == Taken(new=())


def test_an_op_that_is_held_is_refused_under_another_signature(hut, wires):
    forged = signed_otherwise(wires[1])
    assert hut([forged, wires[1]]).faults == (Fault.BAD_SIGNATURE,)


def test_what_is_here_is_left_out_and_all_else_is_opened(wires):
    first = open_ops(wires[:1], NETWORK)[0].id
    found = open_ops(wires, NETWORK, is_here=lambda op: op.id == first)
    assert [op.data for op in found] == wires[1:]
