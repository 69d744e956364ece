"""Identifiers: their text forms against published vectors, and what parsing refuses."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol import ids
from nestmate_protocol.errors import LocalError
from nestmate_protocol.ids import (
    Address,
    DeviceKey,
    NetworkId,
    PeerId,
    RecordId,
    TaskId,
)

TYPES = (Address, DeviceKey, NetworkId, PeerId, RecordId, TaskId)
RAW = st.binary(min_size=32, max_size=32)

# BIP 350, "Test vectors": the first list is valid Bech32m, the second is not.
BIP350_VALID = (
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "1" + "1" + "l" * 83 + "udsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
)
BIP350_INVALID = ("m1vuxwez", "in1muywd", "a12uel5l")


def checksum_holds(text: str) -> bool:
    prefix, _, data = text.rpartition("1")
    values = [ids._CHARSET.index(character) for character in data]
    return ids._polymod(ids._expand(prefix) + values) == ids._BECH32M


@pytest.mark.parametrize("text", BIP350_VALID)
def test_the_checksum_takes_the_published_bech32m_vectors(text):
    assert checksum_holds(text)


@pytest.mark.parametrize("text", BIP350_INVALID)
def test_the_checksum_refuses_what_bip_350_calls_invalid(text):
    assert not checksum_holds(text)


@pytest.mark.parametrize("cls", TYPES)
@given(raw=RAW)
def test_every_identifier_comes_back_from_its_own_text(cls, raw):
    assert cls.parse(cls(raw).text) == cls(raw)
    assert cls.parse(f"  {cls(raw)}\n").raw == raw


@pytest.mark.parametrize("cls", [each for each in TYPES if each is not PeerId])
@given(raw=RAW, place=st.integers(0, 57), letter=st.sampled_from(ids._CHARSET))
def test_one_mistyped_character_is_always_noticed(cls, raw, place, letter):
    text = cls(raw).text
    at = len(cls.prefix) + 1 + place
    mistyped = text[:at] + letter + text[at + 1 :]
    if mistyped != text:
        with pytest.raises(LocalError):
            cls.parse(mistyped)


@given(raw=RAW)
def test_an_identifier_of_one_type_is_none_of_another(raw):
    values = [cls(raw) for cls in TYPES]
    assert len(set(values)) == len(TYPES)
    for cls in TYPES:
        for other in TYPES:
            if other is not cls:
                with pytest.raises(LocalError):
                    other.parse(cls(raw).text)


@given(text=st.text(st.sampled_from(string.printable), max_size=80))
def test_any_text_is_an_identifier_or_a_sentence_that_says_why_not(text):
    for cls in TYPES:
        try:
            parsed = cls.parse(text)
        except LocalError as error:
            sentence = str(error)
        else:
            sentence = parsed.text
            assert sentence == text.strip()
        assert sentence


def test_a_peer_id_is_written_as_libp2p_writes_it():
    # The example of an Ed25519 peer id in libp2p's specification of peer ids.
    text = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
    assert PeerId.parse(text).text == text
    assert PeerId.parse(text).short == text[-8:]


def test_only_ed25519_peer_ids_are_taken():
    with pytest.raises(LocalError, match="Ed25519"):
        PeerId.parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N")


def test_an_identifier_takes_thirty_two_bytes_and_nothing_else():
    for size in (0, 31, 33):
        with pytest.raises(LocalError, match="32 bytes"):
            Address(bytes(size))


def test_texts_in_mixed_case_are_refused():
    with pytest.raises(LocalError, match="mixes cases"):
        Address.parse(Address(bytes(32)).text.replace("nest", "Nest"))


def test_identifiers_sort_by_their_bytes_and_show_their_short_form():
    low, high = Address(b"\0" * 32), Address(b"\1" * 32)
    assert sorted([high, low]) == [low, high]
    assert low.short in repr(low)
    assert low.text.startswith("nest1")
