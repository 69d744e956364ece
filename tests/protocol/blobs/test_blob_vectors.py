"""Golden bytes of blobs: today's code makes the file as it stands, and reads it."""

import importlib.util
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.blobs.frames import (
    AskChunks,
    BlobsFrame,
    Chunk,
    No,
    Reason,
    pack,
    unpack,
)
from nestmate_protocol.codec import encode
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import BlobId

FOLDER = Path(__file__).parents[2] / "vectors"
SPEC = importlib.util.spec_from_file_location("blobs", FOLDER / "blobs.py")
vectors = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(vectors)
GOLDEN = json.loads(vectors.FILE.read_text())
RAW = bytes(32)


def test_todays_code_makes_the_golden_bytes_of_blobs():
    assert vectors.rendered() == vectors.FILE.read_text()


@pytest.mark.parametrize("name", GOLDEN["frames"])
def test_todays_code_reads_every_golden_frame(name):
    data = bytes.fromhex(GOLDEN["frames"][name])
    frame = unpack(data)
    assert (type(frame).__name__, pack(frame)) == (name.partition(",")[0], data)


def test_every_frame_has_its_golden_bytes():
    kinds = {kind.__name__ for kind in BlobsFrame.__args__}
    assert {name.partition(",")[0] for name in GOLDEN["frames"]} == kinds


@pytest.mark.parametrize(
    "items",
    [
        [],
        [0, RAW],
        [6, RAW, 1],
        [True, RAW, True],
        [1, RAW],
        [1, RAW[:31], True],
        [1, RAW, 1],
        [2, RAW, 2**40, False, None, None],
        [2, RAW, 1, False, bytes(513), None],
        [4, RAW, [4_096]],
        [4, RAW, [-1]],
        [4, RAW, list(range(17))],
        [5, RAW, 0, b""],
        [5, RAW, 0, bytes(65_537)],
        [5, RAW, None, b"x"],
    ],
    ids=str,
)
def test_a_frame_that_is_not_as_the_spec_says_is_refused(items):
    with pytest.raises(RemoteError):
        unpack(encode(items))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_frame_or_refused(data):
    with suppress(RemoteError):
        assert pack(unpack(data)) == data


def test_reasons_of_later_versions_count_as_absent():
    assert unpack(encode([3, RAW, 9])) == No(BlobId(RAW), Reason.ABSENT)
    assert unpack(encode([4, RAW, []])) == AskChunks(BlobId(RAW), ())
    assert unpack(encode([5, RAW, 1, b"x"])) == Chunk(BlobId(RAW), 1, b"x")
