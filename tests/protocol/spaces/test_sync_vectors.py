"""Golden bytes of sync: today's code makes the file as it stands, and reads it."""

import importlib.util
import json
from pathlib import Path

import pytest

from nestmate_protocol.spaces.sync.frames import SpacesFrame, pack, unpack

FOLDER = Path(__file__).parents[2] / "vectors"
SPEC = importlib.util.spec_from_file_location("sync", FOLDER / "sync.py")
vectors = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(vectors)
GOLDEN = json.loads(vectors.FILE.read_text())


def test_todays_code_makes_the_golden_bytes_of_sync():
    assert vectors.rendered() == vectors.FILE.read_text()


@pytest.mark.parametrize("name", GOLDEN["frames"])
def test_todays_code_reads_every_golden_frame(name):
    data = bytes.fromhex(GOLDEN["frames"][name])
    frame = unpack(data)
    assert (type(frame).__name__, pack(frame)) == (name, data)


def test_every_frame_has_its_golden_bytes():
    kinds = {kind.__name__ for kind in SpacesFrame.__args__}
    assert set(GOLDEN["frames"]) == kinds
