"""Records: what one says holds for its author, its kind and its network, or not at all.

cbor2 plays the stranger here: it takes our records apart and puts them together as any
COSE library would.
"""

import json
import time
from collections.abc import Callable
from hashlib import sha256

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nestmate_protocol.codec import encode
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import DeviceKey, NetworkId
from nestmate_protocol.keys import SigningKey, verify
from nestmate_protocol.limits import (
    AGE_MS_MAX,
    FRAME_RECORDS_MAX,
    RECORD_BYTES_MAX,
    SIGNAL_BYTES_MAX,
)
from nestmate_protocol.records import (
    IDENTITY_KINDS,
    NO_NETWORK,
    Kind,
    Record,
    make_frame,
    open_frame,
    open_record,
    sign_record,
)

KEY = SigningKey(b"k" * 32)
NETWORK = NetworkId(b"n" * 32)
OTHER_NETWORK = NetworkId(b"o" * 32)
RECORD = sign_record(KEY, NETWORK, Kind.BEAT, {1: b"task", 4: 1_000, 9: "unknown"})
NETWORKED = [kind for kind in Kind if kind not in IDENTITY_KINDS]

# COSE working group, Examples/eddsa-examples: eddsa-sig-01 (COSE_Sign1) and eddsa-01
# (COSE_Sign with one signer), both by the key of RFC 8032 section 7.1, TEST 1.
COSE_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
COSE_SIGN1 = (
    "d28445a201270300a10442313154546869732069732074686520636f6e74656e742e58407142fd2f"
    "f96d56db85bee905a76ba1d0b7321a95c8c4d3607c5781932b7afb8711497dfa751bf40b58b3bcc3"
    "2300b1487f3db34085eef013bf08f4a44d6fef0d"
)
COSE_SIGN = (
    "d8628443a10300a054546869732069732074686520636f6e74656e742e818343a10127a104423131"
    "584077f3eacd11852c4bf9cb1d72fabe6b26fba1d76092b2b5b7ec83b83557652264e69690dbc117"
    "2ddc0bf88411c0d25a507fdb247a20c40d5e245fabd3fc9ec106"
)


def fault_of(data: bytes, network: NetworkId = NETWORK) -> Fault | None:
    try:
        opened = open_record(data, network)
    except RemoteError as error:
        return error.fault
    assert opened.data == data
    return None


def rebuilt(protected: bytes, payload: bytes, aad: bytes) -> bytes:
    """A record as another COSE library would build it, from whatever parts."""
    message = cbor2.dumps(["Signature1", protected, aad, payload])
    return cbor2.dumps([protected, {}, payload, KEY.sign(message)])


def aad_of(kind: str, network: NetworkId = NETWORK) -> bytes:
    return b"nestmate/1/" + kind.encode() + b"\0" + network.raw


def header_of(kind: str) -> dict:
    return {1: -8, 4: KEY.public.raw, 16: f"nestmate/{kind}"}


def test_the_published_cose_sign1_example_verifies():
    protected, _, payload, signature = cbor2.loads(bytes.fromhex(COSE_SIGN1)).value
    message = encode(["Signature1", protected, b"", payload])
    verify(DeviceKey(bytes.fromhex(COSE_KEY)), message, signature)
    with pytest.raises(RemoteError):
        verify(DeviceKey(bytes.fromhex(COSE_KEY)), message + b"\0", signature)


def test_the_published_cose_sign_example_verifies():
    body, _, payload, [signer] = cbor2.loads(bytes.fromhex(COSE_SIGN)).value
    protected, _, signature = signer
    message = encode(["Signature", body, protected, b"", payload])
    verify(DeviceKey(bytes.fromhex(COSE_KEY)), message, signature)


@pytest.mark.parametrize("kind", Kind)
def test_a_stranger_with_a_cose_library_can_verify_every_kind(kind):
    record = sign_record(KEY, NETWORK, kind, {1: "hello"})
    protected, unprotected, payload, signature = cbor2.loads(record.data)
    network = NO_NETWORK if kind in IDENTITY_KINDS else NETWORK
    message = cbor2.dumps(["Signature1", protected, aad_of(kind, network), payload])
    verify(KEY.public, message, signature)
    assert (cbor2.loads(protected), unprotected) == (header_of(kind), {})
    assert cbor2.loads(payload) == {0: 1, 1: "hello"}


@pytest.mark.parametrize("kind", NETWORKED)
def test_a_stranger_with_a_cose_library_can_make_every_kind(kind):
    protected, payload = cbor2.dumps(header_of(kind)), cbor2.dumps({0: 1, 1: b"hi"})
    data = rebuilt(protected, payload, aad_of(kind))
    record = open_record(data, NETWORK)
    named = sha256(cbor2.dumps(protected) + cbor2.dumps(payload)).digest()
    assert (record.kind, record.author, record.id.raw) == (kind, KEY.public, named)
    assert data == sign_record(KEY, NETWORK, kind, {1: b"hi"}).data


@given(body=st.dictionaries(st.integers(1, 99), st.binary(max_size=40), max_size=9))
@pytest.mark.parametrize("kind", Kind)
def test_a_record_comes_back_from_its_bytes(kind, body):
    record = sign_record(KEY, NETWORK, kind, body)
    opened = open_record(record.data, NETWORK)
    assert opened == record
    assert opened.fields.body == {**body, 0: 1}
    assert {opened: 1}[record] == 1


def test_fields_nobody_knows_are_kept_byte_for_byte():
    record = open_record(RECORD.data, NETWORK)
    assert record.fields.text(9, 10) == "unknown"
    assert record.data == RECORD.data


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_refused(bit):
    for place in range(len(RECORD.data)):
        mutant = bytearray(RECORD.data)
        mutant[place] ^= 1 << bit
        assert fault_of(bytes(mutant)) is not None, place


@given(place=st.integers(0, len(RECORD.data) - 1), byte=st.integers(0, 255))
def test_every_changed_byte_is_refused_or_is_the_very_same_record(place, byte):
    mutant = bytearray(RECORD.data)
    mutant[place] = byte
    if fault_of(bytes(mutant)) is None:
        assert bytes(mutant) == RECORD.data


@given(place=st.integers(0, len(RECORD.data)), junk=st.binary(min_size=1, max_size=9))
def test_what_is_cut_or_filled_in_anywhere_is_refused(place, junk):
    data = RECORD.data
    assert fault_of(data[:place] + junk + data[place:]) is not None
    assert place == len(data) or fault_of(data[:place]) is not None
    assert place == len(data) or fault_of(data[:place] + data[place + 1 :]) is not None


@given(data=st.binary(max_size=400))
@example(b"")
@example(b"\x84\x58")
@example(b"\x84\x58\xff\xa3\x01\x27\x04\x58\x20")
def test_arbitrary_bytes_are_no_record_and_nothing_but_remote_error_says_so(data):
    assert fault_of(data) is not None


@given(tail=st.binary(max_size=120), start=st.integers(0, len(RECORD.data)))
def test_arbitrary_endings_are_no_record_either(tail, start):
    if RECORD.data[start:] != tail:
        assert fault_of(RECORD.data[:start] + tail) is not None


@pytest.mark.parametrize("kind", Kind)
def test_a_signature_for_one_kind_is_worth_nothing_for_another(kind):
    payload = cbor2.dumps({0: 1, 1: b"hi"})
    for other in Kind:
        network = NO_NETWORK if other in IDENTITY_KINDS else NETWORK
        data = rebuilt(cbor2.dumps(header_of(kind)), payload, aad_of(other, network))
        assert fault_of(data) is (None if other is kind else Fault.BAD_SIGNATURE)


@pytest.mark.parametrize("kind", Kind)
def test_only_records_of_identity_logs_hold_in_every_network(kind):
    record = sign_record(KEY, NETWORK, kind, {})
    elsewhere = None if kind in IDENTITY_KINDS else Fault.BAD_SIGNATURE
    assert fault_of(record.data) is None
    assert fault_of(record.data, OTHER_NETWORK) is elsewhere


HEADERS = {
    "no kind": {1: -8, 4: KEY.public.raw},
    "an unknown kind": header_of("whatever"),
    "a kind in capitals": header_of("BEAT"),
    "another algorithm": {**header_of("beat"), 1: -7},
    "a short key": {**header_of("beat"), 4: b"k" * 31},
    "something more": {**header_of("beat"), 17: 1},
    "a key as text": {**header_of("beat"), 4: "k" * 32},
    "another order": {16: "nestmate/beat", 1: -8, 4: KEY.public.raw},
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_protected_header_with_anything_else_in_it_is_refused(header):
    protected = cbor2.dumps(HEADERS[header])
    data = rebuilt(protected, cbor2.dumps({0: 1}), aad_of("beat"))
    assert fault_of(data) in {Fault.MALFORMED, Fault.UNKNOWN_KIND}


PAYLOADS = {
    "no version": ({1: 1}, Fault.UNKNOWN_VERSION),
    "version two": ({0: 2}, Fault.UNKNOWN_VERSION),
    "version true": ({0: True}, Fault.UNKNOWN_VERSION),
    "version as text": ({0: "1"}, Fault.UNKNOWN_VERSION),
    "an array": ([1], Fault.MALFORMED),
    "an integer": (1, Fault.MALFORMED),
    "a float": ({0: 1, 1: 0.5}, Fault.MALFORMED),
    "unsorted keys": ({1: 1, 0: 1}, Fault.NOT_CANONICAL),
}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_well_signed_payload_that_says_nothing_here_is_refused(payload):
    body, fault = PAYLOADS[payload]
    data = rebuilt(cbor2.dumps(header_of("beat")), cbor2.dumps(body), aad_of("beat"))
    assert fault_of(data) is fault


@pytest.mark.parametrize(
    "size", [0, 1, 20, 21, 22, 23, 24, 250, 251, 252, 253, 254, 300]
)
def test_a_payload_of_any_length_has_one_head_only(size):
    protected = cbor2.dumps(header_of("beat"))
    payload = cbor2.dumps({0: 1, 1: b"x" * size})
    data = rebuilt(protected, payload, aad_of("beat"))
    assert fault_of(data) is None
    head = cbor2.dumps(payload)[: -len(payload)]
    wider = {1: b"\x58", 2: b"\x59\0", 3: b"\x5a\0\0"}[len(head)]
    wider += len(payload).to_bytes(len(wider))[-1:] if len(head) == 1 else head[1:]
    assert fault_of(data.replace(head + payload, wider + payload)) is Fault.MALFORMED


def test_a_record_that_is_tagged_or_has_an_unprotected_header_is_refused():
    protected, _, payload, signature = cbor2.loads(RECORD.data)
    tagged = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
    unprotected = cbor2.dumps([protected, {4: b"11"}, payload, signature])
    detached = cbor2.dumps([protected, {}, None, signature])
    for data in (tagged, unprotected, detached, RECORD.data + b"\0"):
        assert fault_of(data) is Fault.MALFORMED


def test_each_kind_has_its_bound_when_read_and_when_written():
    large = sign_record(KEY, NETWORK, Kind.DONE, {1: b"x" * SIGNAL_BYTES_MAX})
    with pytest.raises(LocalError, match="of 2048 bytes"):
        sign_record(KEY, NETWORK, Kind.SIGNAL, {1: b"x" * SIGNAL_BYTES_MAX})
    payload = cbor2.dumps({0: 1, 1: b"x" * SIGNAL_BYTES_MAX})
    data = rebuilt(cbor2.dumps(header_of("signal")), payload, aad_of("signal"))
    assert fault_of(large.data) is None
    assert fault_of(data) is Fault.TOO_LARGE
    assert fault_of(bytes(RECORD_BYTES_MAX + 1)) is Fault.TOO_LARGE


def test_the_version_of_a_body_is_not_for_its_author_to_choose():
    assert sign_record(KEY, NETWORK, Kind.BEAT, {0: 9}).fields.body == {0: 1}


def test_a_frame_gives_back_its_records_in_order_and_with_their_ages():
    records = [sign_record(KEY, NETWORK, Kind.BEAT, {1: n}) for n in range(3)]
    ages = [0, 77, AGE_MS_MAX]
    frame = make_frame([(r.data, age) for r, age in zip(records, ages, strict=True)])
    carried = open_frame(frame, NETWORK)
    assert [each.record for each in carried] == records
    assert [each.age_ms for each in carried] == ages


UNWRITABLE_FRAMES = {
    "empty": [],
    "too many": [(RECORD.data, 0)] * (FRAME_RECORDS_MAX + 1),
    "unborn": [(RECORD.data, -1)],
    "ancient": [(RECORD.data, AGE_MS_MAX + 1)],
    "too large": [(b"x" * RECORD_BYTES_MAX, 0)] * 17,
}


@pytest.mark.parametrize("frame", UNWRITABLE_FRAMES)
def test_a_frame_out_of_bounds_is_not_written(frame):
    with pytest.raises(LocalError):
        make_frame(UNWRITABLE_FRAMES[frame])


GOOD_ROW = [5, RECORD.data]
FRAMES = {
    "no list": {},
    "no version": [],
    "version two": [2, [GOOD_ROW]],
    "no records": [1],
    "no records at all": [1, []],
    "too many": [1, [GOOD_ROW] * (FRAME_RECORDS_MAX + 1)],
    "a row that is none": [1, [5]],
    "a row without record": [1, [[5]]],
    "a negative age": [1, [[-1, RECORD.data]]],
    "an age as text": [1, [["5", RECORD.data]]],
    "an ancient record": [1, [[AGE_MS_MAX + 1, RECORD.data]]],
    "a record that is none": [1, [GOOD_ROW, [5, b"\x84"]]],
}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_bad_frame_is_refused_as_a_whole(frame):
    with pytest.raises(RemoteError):
        open_frame(encode(FRAMES[frame]), NETWORK)


@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_no_frame(data):
    with pytest.raises(RemoteError):
        open_frame(data, NETWORK)


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_mutated_frame_is_refused_or_holds_the_same_records(place, byte):
    frame = bytearray(make_frame([(RECORD.data, 5), (RECORD.data, 99)]))
    frame[place % len(frame)] = byte
    try:
        carried = open_frame(bytes(frame), NETWORK)
    except RemoteError:
        return
    assert {each.record for each in carried} == {RECORD}


def test_reading_a_record_keeps_most_of_the_rate_of_judging_its_signature():
    body = {1: b"t" * 32, 2: b"w" * 32, 3: 7, 4: 900, 5: b"k" * 16, 6: 2**40}
    record = sign_record(KEY, NETWORK, Kind.SIGNAL, body)
    protected, _, payload, signature = cbor2.loads(record.data)
    message = cbor2.dumps(["Signature1", protected, aad_of("signal"), payload])

    def seconds(work: Callable[[], object]) -> float:
        started = time.process_time()
        for _ in range(500):
            work()
        return time.process_time() - started

    raw = min(seconds(lambda: verify(KEY.public, message, signature)) for _ in "12345")
    ours = min(seconds(lambda: open_record(record.data, NETWORK)) for _ in "12345")
    assert raw / ours > 0.7


def test_a_record_shows_its_kind_and_not_its_contents():
    assert isinstance(RECORD, Record)
    assert "unknown" not in repr(RECORD)
    assert json.dumps(RECORD.kind) == '"beat"'
