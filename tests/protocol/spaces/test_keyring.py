"""Keyrings: secrets reach those they are handed to, and open only what they sealed."""

import json
from dataclasses import replace
from hashlib import sha256, shake_256
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestmate_protocol.codec import decode, encode
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import DeviceKey, NetworkId, SpaceId
from nestmate_protocol.keys import SigningKey, seal, seal_to, unseal
from nestmate_protocol.limits import KEY_READERS_PER_OP_MAX
from nestmate_protocol.spaces.keyring import (
    Keyring,
    handing,
    handing_in,
    sealed,
    secret_of,
)
from nestmate_protocol.spaces.ops import (
    Lane,
    Mutation,
    Place,
    Type,
    digest_of,
    open_op,
    skeleton_of,
)

VECTORS = Path(__file__).parents[2] / "vectors"
NETWORK = NetworkId(b"\x06" * 32)

SPACE = SpaceId(b"\x11" * 32)
ANN, BOB, CID = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
SECRET = secret_of(SPACE, b"\x05" * 32)
PLACE = Place(SPACE, Lane.DATA, 0, None, 7 << 16, None, b"\x31" * 16)
VALUES = st.lists(st.none() | st.binary(max_size=200), min_size=1, max_size=4)


def draws():
    numbers = count()
    return lambda size: shake_256(b"%d" % next(numbers)).digest(size)


def ring_of(*keys):
    """The keyring of a node, after it was handed what its keys were."""
    ring = Keyring(SPACE, keys)
    for mutation in handing(SECRET, [ANN.public, BOB.public], draws()):
        ring.learn(handing_in(mutation))
    return ring


def content_of(values):
    rows = [
        Mutation(Type.REGISTER, 0, f"path/{n}", digest_of(value))
        for n, value in enumerate(values)
    ]
    return tuple(rows), list(values)


@given(values=VALUES)
@settings(max_examples=30)
def test_who_was_handed_the_secret_opens_what_is_sealed(values):
    box, closed = sealed(SECRET, PLACE, ANN.public, content_of(values), draws())
    opened = ring_of(BOB).opened(PLACE, ANN.public, box, closed)
    assert opened == content_of(values)
    assert ring_of(CID).opened(PLACE, ANN.public, box, closed) is None
    assert len(box) % 64 == 16 + 24 + 16
    assert b"path/" not in box


@given(at=st.integers(0, 10_000), values=VALUES)
@settings(max_examples=30)
def test_a_changed_bit_or_another_place_opens_nothing(at, values):
    box, closed = sealed(SECRET, PLACE, ANN.public, content_of(values), draws())
    ring, n = ring_of(BOB), at % len(box)
    changed = box[:n] + bytes([box[n] ^ 1]) + box[n + 1 :]
    assert ring.opened(PLACE, ANN.public, changed, closed) is None
    assert ring.opened(PLACE, BOB.public, box, closed) is None
    later = replace(PLACE, hlc=PLACE.hlc + 1)
    assert ring.opened(later, ANN.public, box, closed) is None
    assert ring.opened(PLACE, ANN.public, box, [*closed, None]) is None


def test_a_value_that_is_not_what_was_promised_is_as_one_that_was_dropped():
    values = [b"one", b"two"]
    box, closed = sealed(SECRET, PLACE, ANN.public, content_of(values), draws())
    ring = ring_of(BOB)
    for swapped in ([closed[1], closed[0]], [b"junk", None], [None, None]):
        assert ring.opened(PLACE, ANN.public, box, swapped)[1] == [None, None]
    other, _ = content_of([b"1", b"2"])
    box, _ = sealed(SECRET, PLACE, ANN.public, (other, [b"1", b"2"]), draws())
    assert ring.opened(PLACE, ANN.public, box, closed)[1] == [None, None]


def test_one_name_is_of_one_secret_in_one_space():
    (mutation,) = handing(SECRET, [BOB.public], draws())
    liar = [b"\x00" * 16, mutation.arg[1]]
    ring = Keyring(SPACE, [BOB])
    assert not ring.learn(handing_in(replace(mutation, arg=liar)))
    assert handing_in(replace(mutation, digest=bytes(32))) is None
    assert not Keyring(SpaceId(b"\x12" * 32), [BOB]).learn(handing_in(mutation))
    assert ring.learn(handing_in(mutation))
    assert not ring.learn(handing_in(mutation))


def test_many_readers_take_several_mutations_and_what_is_no_key_is_left_out():
    keys = [SigningKey(sha256(b"%d" % n).digest()).public for n in range(97)]
    nobody = DeviceKey(bytes(32))
    parts = handing(SECRET, [*keys, nobody], draws())
    sizes = [len(handing_in(part).boxes) for part in parts]
    assert sizes == [KEY_READERS_PER_OP_MAX, 97 - KEY_READERS_PER_OP_MAX]
    assert {key for part in parts for key in handing_in(part).boxes} == {
        key.raw for key in keys
    }
    assert handing(SECRET, [nobody], draws()) == []


@given(
    arg=st.recursive(
        st.none() | st.integers(0, 9) | st.binary(max_size=130),
        lambda inner: st.lists(inner, max_size=3),
    )
)
@settings(max_examples=30)
def test_whatever_comes_instead_of_a_handing_raises_nothing(arg):
    found = handing_in(Mutation(Type.KEYS, 0, "", arg=decode(encode(arg))))
    if found is not None:
        assert not Keyring(SPACE, [BOB]).learn(found)


def test_a_box_is_for_one_key_and_says_when_it_is_none():
    box = seal_to(BOB.public, b"secret", b"\x07" * 32)
    assert BOB.open_box(box) == b"secret"
    for key, data, fault in (
        (ANN, box, Fault.NOT_ENTITLED),
        (BOB, box[:-1], Fault.NOT_ENTITLED),
        (BOB, b"", Fault.BAD_FIELD),
    ):
        with pytest.raises(RemoteError) as caught:
            key.open_box(data)
        assert caught.value.fault is fault
    with pytest.raises(LocalError):
        seal_to(BOB.public, b"secret", b"short")


def test_what_was_sealed_in_one_context_is_not_opened_in_another():
    closed = seal(b"\x05" * 32, b"words", b"n" * 24, b"here")
    assert unseal(b"\x05" * 32, closed, b"here") == b"words"
    for data, context in ((closed, b"there"), (closed[:20], b"here")):
        with pytest.raises(RemoteError):
            unseal(b"\x05" * 32, data, context)


def test_the_golden_ops_open_with_bobs_key_alone():
    golden = [
        json.loads((VECTORS / f"private_{name}.json").read_text())["inputs"]
        for name in ("keys", "op")
    ]
    given, sent = (
        open_op(bytes.fromhex(each["op"]), NETWORK, sealed=True) for each in golden
    )
    ring = Keyring(given.space, [SigningKey(bytes.fromhex(golden[0]["readers"][1]))])
    assert ring.learn(handing_in(given.mutations[0]))
    mutations, values = ring.opened(sent.place, sent.author, sent.box, sent.values)
    skeleton = skeleton_of(mutations, [digest_of(value) for value in values])
    assert skeleton.hex() == golden[1]["clear_skeleton"]
    assert [value and value.hex() for value in values] == golden[1]["clear_values"]
