"""Golden bytes: today's code makes every file as it stands, and reads what it makes.

A change here is a change of the wire; see ``tests/vectors/regenerate.py``.
"""

import importlib.util
import json
from pathlib import Path

import cbor2
import pytest

from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey, verify
from nestmate_protocol.records import Kind, open_record

FOLDER = Path(__file__).parent.parent / "vectors"
BY_HAND = {"blobs", "cbor", "ed25519_speccheck", "hearsay", "sync"}
SPEC = importlib.util.spec_from_file_location("regenerate", FOLDER / "regenerate.py")
regenerate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(regenerate)
REGISTRY = regenerate.registry()


def vector_of(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_every_file_is_made_by_the_registry_and_the_other_way_round():
    files = {path.stem for path in FOLDER.glob("*.json")}
    assert files - BY_HAND == set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_todays_code_makes_the_golden_bytes(name):
    text = (FOLDER / f"{name}.json").read_text()
    assert regenerate.rendered(REGISTRY[name]) == text


@pytest.mark.parametrize("name", REGISTRY)
def test_todays_code_reads_the_golden_bytes(name):
    vector = vector_of(name)
    network = NetworkId(bytes.fromhex(vector["inputs"]["network"]))
    record = open_record(bytes.fromhex(vector["hex"]), network)
    assert record.id.raw.hex() == vector["id"]
    assert record.kind == vector["inputs"]["kind"]
    assert record.author == SigningKey(bytes.fromhex(vector["inputs"]["seed"])).public


@pytest.mark.parametrize("name", REGISTRY)
def test_a_stranger_can_verify_the_golden_bytes_from_the_specification_alone(name):
    vector = vector_of(name)
    protected, _, payload, signature = cbor2.loads(bytes.fromhex(vector["hex"]))
    aad = bytes.fromhex(vector["inputs"]["external_aad"])
    message = cbor2.dumps(["Signature1", protected, aad, payload])
    key = SigningKey(bytes.fromhex(vector["inputs"]["seed"]))
    verify(key.public, message, signature)
    assert key.sign(message) == signature


@pytest.mark.parametrize("name", REGISTRY)
def test_golden_bytes_hold_in_no_other_network_unless_they_belong_to_none(name):
    vector = vector_of(name)
    data, other = bytes.fromhex(vector["hex"]), NetworkId(b"x" * 32)
    if vector["inputs"]["network"] == bytes(32).hex():
        assert open_record(data, other).id.raw.hex() == vector["id"]
    else:
        with pytest.raises(RemoteError):
            open_record(data, other)


def test_every_kind_of_record_has_its_golden_bytes():
    shown = {vector_of(name)["inputs"]["kind"] for name in REGISTRY}
    assert shown == set(map(str, Kind))
