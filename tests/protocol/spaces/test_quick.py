"""Quick reading takes nothing that the codec would not take, and reads it alike."""

from collections.abc import Iterator

import pytest

from nestmate_protocol.errors import RemoteError
from nestmate_protocol.records import read_letter
from nestmate_protocol.simulation.histories import history
from nestmate_protocol.simulation.scribes import NETWORK
from nestmate_protocol.spaces import ops as ops_kept
from nestmate_protocol.spaces import quick

OPS = [op for seed in range(3) for op in history(seed, 20).ops]
STRAYS = (0x00, 0x17, 0x18, 0x40, 0x59, 0x78, 0x80, 0xA0, 0xF6, 0xFF)


def payload_of(op) -> bytes:
    return read_letter(op.header, NETWORK).payload


def spoiled(data: bytes) -> Iterator[bytes]:
    """The bytes with one of them changed, or some cut off or left over."""
    yield from (data[:-1], data + b"\0", data[:-33], b"")
    for at in range(len(data)):
        for stray in {*STRAYS, data[at] ^ 1, (data[at] + 1) & 0xFF}:
            yield data[:at] + bytes((stray,)) + data[at + 1 :]


def by_codec(read, *args):
    try:
        return read(*args)
    except RemoteError:
        return None


def alike(quickly, thoroughly, data) -> None:
    """What is read quickly is read alike with care; what is not may still be good."""
    found = quickly(data)
    assert found is None or found == by_codec(thoroughly, data)


def wire_by_codec(data):
    return ops_kept._read_wire(data)


def header_quickly(data):
    header = quick.read_header(data)
    return None if header is None else by_codec(ops_kept._place_of, header)


def header_by_codec(data):
    header = ops_kept._read_header(ops_kept.read_payload(data))
    return ops_kept._place_of(header)


def rows_by_codec(data):
    return [tuple(row) for row in ops_kept._read_rows(data)]


READERS = {
    "wire": (quick.read_wire, wire_by_codec, lambda op: op.data),
    "header": (header_quickly, header_by_codec, payload_of),
    "rows": (quick.read_rows, rows_by_codec, lambda op: op.skeleton),
}


@pytest.mark.parametrize("part", READERS)
def test_whole_ops_are_read_alike(part):
    quickly, thoroughly, of = READERS[part]
    for op in OPS:
        alike(quickly, thoroughly, of(op))


@pytest.mark.parametrize("part", READERS)
def test_spoiled_ops_are_read_alike(part):
    quickly, thoroughly, of = READERS[part]
    for op in OPS[::14]:
        for data in spoiled(of(op)):
            alike(quickly, thoroughly, data)


def test_data_ops_are_read_quickly():
    data = [op for op in OPS if op.place.lane and len(op.mutations or ()) == 1]
    quickly = [op for op in data if quick.read_rows(op.skeleton) is not None]
    assert len(quickly) > 0.9 * len(data)
    assert all(quick.read_header(payload_of(op)) for op in OPS)
    assert all(quick.read_wire(op.data) for op in OPS)
