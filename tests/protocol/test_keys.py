"""Keys: published signatures, hostile signatures, and secrets that stay apart."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.keys import (
    SigningKey,
    derive,
    host_peer,
    host_seed,
    open_secret,
    recovery_key,
    rotation_key,
    seal_secret,
    verify,
)

VECTORS = Path(__file__).parent.parent / "vectors"
SPECCHECK = json.loads((VECTORS / "ed25519_speccheck.json").read_text())["cases"]
SEED = bytes(range(32))
ORDER = 2**252 + 27742317777372353535851937790883648493
SEALED = seal_secret(SEED, "correct horse", b"s" * 16, b"n" * 24)


def accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        verify(DeviceKey(key), message, signature)
    except RemoteError as error:
        if error.fault is not Fault.BAD_SIGNATURE:
            raise
        return False
    return True


@pytest.mark.parametrize("case", SPECCHECK, ids=lambda case: f"number-{case['number']}")
def test_of_the_twelve_edge_cases_only_number_three_is_taken(case):
    key, message, signature = (
        bytes.fromhex(case[part]) for part in ("pub_key", "message", "signature")
    )
    assert accepts(key, message, signature) is (case["number"] == 3)
    assert case["accepted"] is (case["number"] == 3)


def test_signatures_are_those_of_rfc_8032():
    # RFC 8032 section 7.1, TEST 2.
    seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    key = SigningKey(bytes.fromhex(seed))
    assert key.public.raw.hex() == (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    )
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@given(message=st.binary(max_size=99), bit=st.integers(0, 511), cut=st.integers(0, 63))
def test_a_signature_holds_for_its_message_and_in_its_own_bytes_only(message, bit, cut):
    key = SigningKey(SEED)
    signature = key.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert accepts(key.public.raw, message, signature)
    assert not accepts(key.public.raw, message + b"\0", signature)
    assert not accepts(key.public.raw, message, bytes(flipped))
    assert not accepts(key.public.raw, message, signature[:cut])
    assert not accepts(key.public.raw, message, signature + b"\0")


def test_a_malleated_signature_is_refused():
    key = SigningKey(SEED)
    signature = key.sign(b"pay")
    larger = int.from_bytes(signature[32:], "little") + ORDER
    malleated = signature[:32] + larger.to_bytes(32, "little")
    assert not accepts(key.public.raw, b"pay", malleated)


@given(junk=st.binary(min_size=128, max_size=128))
def test_junk_keys_and_signatures_are_refused_and_nothing_else_happens(junk):
    assert not accepts(junk[:32], junk[32:64], junk[64:])


def test_what_is_derived_differs_by_seed_and_by_domain():
    seeds = [SEED, bytes(32)]
    domains = ["host", "rotation/1", "rotation/11", "recovery", ""]
    derived = {derive(seed, domain) for seed in seeds for domain in domains}
    assert len(derived | set(seeds)) == len(seeds) * len(domains) + len(seeds)


def test_derivation_never_changes():
    assert derive(SEED, "host").hex() == (
        "e56c24028248d9788c10c398e0e186eb31e88681a6efc43e40f08b6f5368ccef"
    )


def test_the_host_key_is_another_than_the_device_key_and_names_the_peer():
    peer = host_peer(SEED)
    assert peer.raw == SigningKey(host_seed(SEED)).public.raw
    assert peer.raw != SigningKey(SEED).public.raw
    assert peer.text.startswith("12D3KooW")


def test_each_rotation_has_a_key_of_its_own():
    keys = {rotation_key(SEED, number).public for number in range(1, 65)}
    assert len(keys | {recovery_key(SEED).public}) == 65


def test_a_signing_key_does_not_show_its_secret():
    assert SEED.hex() not in repr(SigningKey(SEED))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_size_is_refused(size):
    for use in (SigningKey, host_seed):
        with pytest.raises(LocalError, match="32 bytes"):
            use(bytes(size))


def test_a_sealed_secret_opens_with_its_passphrase():
    assert open_secret(SEALED, "correct horse") == SEED
    assert SEED not in SEALED


def test_a_passphrase_is_the_same_however_its_letters_are_composed():
    sealed = seal_secret(SEED, "b\u00fccher \udc80", b"s" * 16, b"n" * 24)
    assert open_secret(sealed, "bu\u0308cher \udc80") == SEED


@pytest.mark.parametrize("passphrase", ["", "correct horse ", "Correct horse"])
def test_a_wrong_passphrase_opens_nothing(passphrase):
    with pytest.raises(LocalError, match="passphrase is wrong"):
        open_secret(SEALED, passphrase)


@settings(max_examples=15)  # each one takes argon2id's 60 ms
@given(bit=st.integers(0, len(SEALED) * 8 - 1))
def test_a_sealed_secret_with_one_bit_changed_opens_no_more(bit):
    changed = bytearray(SEALED)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(LocalError):
        open_secret(bytes(changed), "correct horse")


@pytest.mark.parametrize("size", [0, 10, 24, 40, 64, 80])
def test_a_sealed_secret_cut_short_opens_no_more(size):
    with pytest.raises(LocalError):
        open_secret(SEALED[:size], "correct horse")


def test_sealing_wants_a_whole_salt_and_a_whole_nonce():
    for salt, nonce in ((b"", b"n" * 24), (b"s" * 16, b"n" * 23)):
        with pytest.raises(LocalError):
            seal_secret(SEED, "x", salt, nonce)
