"""Golden bytes of hearsay: today's code makes them and reads them as they are meant."""

import importlib.util
import json
from pathlib import Path

import pytest

from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.signals.chains import contradict
from nestmate_protocol.signals.hearsay import is_hearsay, open_hearsay

FOLDER = Path(__file__).parents[1] / "vectors"
SPEC = importlib.util.spec_from_file_location("hearsay", FOLDER / "hearsay.py")
vectors = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(vectors)
GOLDEN = json.loads(vectors.FILE.read_text())
NETWORK = NetworkId(bytes.fromhex(GOLDEN["network"]))


def opened(shown):
    frame = bytes.fromhex(shown["hex"])
    assert is_hearsay(frame)
    return open_hearsay(frame, NETWORK)


def plain(part):
    return part.hex() if isinstance(part, bytes) else part


def test_todays_code_makes_the_golden_bytes():
    assert vectors.rendered() == vectors.FILE.read_text()


def test_heads_say_where_chains_end():
    shown = GOLDEN["heads"]
    heads, witnesses = opened(shown)
    assert [[plain(part) for part in head] for head in heads] == shown["heads"]
    assert witnesses == ()


@pytest.mark.parametrize("shown", GOLDEN["witnesses"], ids=lambda shown: shown["why"])
def test_witnesses_prove_what_they_should_and_nothing_else(shown):
    heads, witnesses = opened(shown)
    assert heads == ()
    assert [record.id.raw.hex() for record, _ in witnesses] == shown["ids"]
    links = [part for witness in witnesses for part in witness]
    assert (len(witnesses) == 2 and contradict(*links)) == shown["proves"]


@pytest.mark.parametrize("shown", GOLDEN["refused"], ids=lambda shown: shown["why"])
def test_what_is_no_hearsay_is_refused(shown):
    with pytest.raises(RemoteError):
        open_hearsay(bytes.fromhex(shown["hex"]), NETWORK)
