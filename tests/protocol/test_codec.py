"""The codec: one encoding for each value, and RemoteError for every other spelling.

cbor2 is the second opinion here: whatever our reader accepts, it must write the same.
"""

import json
import time
from itertools import product
from pathlib import Path

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nestmate_protocol.codec import (
    INTEGER_MAX,
    INTEGER_MIN,
    Fields,
    decode,
    encode,
    plain,
)
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import CBOR_ITEMS_MAX, RECORD_BYTES_MAX

FORMS = json.loads((Path(__file__).parent.parent / "vectors/cbor.json").read_text())
INTEGERS = st.integers(INTEGER_MIN, INTEGER_MAX) | st.integers(-300, 300)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
KEYS = INTEGERS | TEXT
LEAVES = st.none() | st.booleans() | INTEGERS | st.binary(max_size=300) | TEXT
VALUES = st.recursive(
    LEAVES,
    lambda below: (
        st.lists(below, max_size=5) | st.dictionaries(KEYS, below, max_size=5)
    ),
    max_leaves=20,
)


def depth_of(value: object) -> int:
    below = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth_of, below), default=0)


def fault_of(data: bytes) -> Fault | None:
    """How the reader refuses some bytes; None if it takes them, as it then must."""
    try:
        value = decode(data)
    except RemoteError as error:
        return error.fault
    assert encode(value) == data
    assert cbor2.dumps(value) == data
    return None


def diagnostic(value: object) -> str:
    """RFC 8949 section 8, as far as our values go."""
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    if isinstance(value, list):
        return f"[{', '.join(map(diagnostic, value))}]"
    if isinstance(value, dict):
        pairs = (f"{diagnostic(k)}: {diagnostic(v)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=False)


@given(value=VALUES.filter(lambda value: depth_of(value) <= 8))
def test_every_value_comes_back_from_its_encoding(value):
    data = encode(value)
    again = decode(data, len(data))
    assert again == value
    assert encode(again) == data


@pytest.mark.parametrize("form", FORMS["accepted"], ids=lambda form: form["hex"])
def test_the_published_accepted_forms_are_taken(form):
    data = bytes.fromhex(form["hex"])
    assert fault_of(data) is None
    assert diagnostic(decode(data)) == form["value"]


@pytest.mark.parametrize("form", FORMS["refused"], ids=lambda form: form["hex"] or "-")
def test_the_published_refused_forms_are_refused(form):
    assert fault_of(bytes.fromhex(form["hex"])) is not None, form["why"]


def test_every_string_of_up_to_two_bytes_is_the_one_encoding_or_refused():
    taken = [
        bytes(digits)
        for size in (0, 1, 2)
        for digits in product(range(256), repeat=size)
        if fault_of(bytes(digits)) is None
    ]
    # 24 + 24 small integers, four empty strings and containers and three simple
    # values; then 2 x 232 integers, 256 + 128 strings of one, 55 arrays of one.
    assert len(taken) == 55 + 464 + 256 + 128 + 55


@given(data=st.binary(max_size=200))
@example(b"\xbf\xff")
def test_arbitrary_bytes_are_the_one_encoding_or_refused(data):
    fault_of(data)


@given(value=VALUES, place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_mutated_encodings_are_the_one_encoding_or_refused(value, place, byte):
    try:
        data = bytearray(encode(value))
    except LocalError:
        return
    data[place % len(data)] = byte
    fault_of(bytes(data))


def test_keys_sort_by_their_bytes_and_not_by_their_length():
    unsorted = {"": 1, 24: 2, -1: 3, 0: 4, "a": 5, 1000: 6}
    data = encode(unsorted)
    assert list(decode(data)) == [0, 24, 1000, -1, "", "a"]
    assert data != cbor2.dumps(unsorted, canonical=True)
    assert fault_of(cbor2.dumps(unsorted, canonical=True)) is Fault.NOT_CANONICAL


@given(keys=st.lists(KEYS, unique=True, min_size=2, max_size=8))
def test_a_map_has_one_order_only(keys):
    good = encode(dict.fromkeys(keys))
    pairs = [encode(key) + b"\xf6" for key in keys]
    data = bytes((0xA0 + len(keys),)) + b"".join(pairs)
    assert (fault_of(data) is None) == (data == good)


def test_true_and_one_are_two_keys_and_neither_hides_the_other():
    assert fault_of(bytes.fromhex("a20100f500")) is Fault.MALFORMED


@pytest.mark.parametrize("head", ["5b", "7b", "9b", "bb"])
def test_huge_lengths_are_refused_at_once(head):
    data = bytes.fromhex(head) + (2**62).to_bytes(8) + bytes(16_000)
    started = time.process_time()
    for _ in range(100):
        assert fault_of(data) is not None
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x00", b"\xd8\x1c\x81"])
def test_deep_nesting_is_refused_at_once(opening):
    data = (opening * RECORD_BYTES_MAX)[:RECORD_BYTES_MAX]
    started = time.process_time()
    for _ in range(100):
        assert fault_of(data) is not None
    assert time.process_time() - started < 0.1


def test_items_are_counted_over_the_whole_record():
    row = b"\x99\x0f\xfe" + b"\x00" * 4_094
    assert fault_of(b"\x81" + row) is None
    assert fault_of(b"\x82" + row + b"\x80") is None
    assert fault_of(b"\x83" + row + b"\x80\x80") is Fault.OVER_LIMIT
    assert (
        fault_of(b"\x99\x10\x01" + b"\x00" * (CBOR_ITEMS_MAX + 1)) is Fault.OVER_LIMIT
    )


def test_size_is_judged_before_anything_is_read():
    with pytest.raises(RemoteError) as refused:
        decode(bytes(RECORD_BYTES_MAX + 1))
    assert refused.value.fault is Fault.TOO_LARGE


UNWRITABLE = (
    *(1.0, INTEGER_MAX + 1, INTEGER_MIN - 1, {2**64: 1}, "\ud800", {"\ud800": 1}),
    *({True: 1}, {b"": 1}, {1.0: 1}, {1, 2}, ..., bytearray(b"x"), [[[[[[[[[]]]]]]]]]),
)


@pytest.mark.parametrize("value", UNWRITABLE, ids=repr)
def test_what_has_no_place_in_a_record_is_not_written(value):
    with pytest.raises(LocalError):
        encode(value)


READINGS = {
    "integer": lambda fields, key: fields.integer(key, 0, 9),
    "octets": lambda fields, key: fields.octets(key, 1, 2),
    "text": lambda fields, key: fields.text(key, 3),
    "boolean": lambda fields, key: fields.boolean(key),
    "identifier": lambda fields, key: fields.identifier(key, Address),
}


TYPES = {
    "integer": int,
    "octets": bytes,
    "text": str,
    "boolean": bool,
    "identifier": bytes,
}


@pytest.mark.parametrize("reading", READINGS)
@given(value=VALUES)
def test_a_field_is_of_its_type_and_within_its_bounds_or_refused(reading, value):
    fields = Fields({1: value})
    try:
        read = READINGS[reading](fields, 1)
    except RemoteError as error:
        refused = error.fault, error.detail
    else:
        refused = Fault.BAD_FIELD, "field 1"
        assert value == (read.raw if reading == "identifier" else read)
        assert type(value) is TYPES[reading]
        assert reading != "integer" or 0 <= value <= 9
    assert refused == (Fault.BAD_FIELD, "field 1")


def test_a_boolean_is_no_integer_and_one_is_not_true():
    fields = Fields({1: True, 2: 1})
    for reading, key in (("integer", 1), ("boolean", 2)):
        with pytest.raises(RemoteError):
            READINGS[reading](fields, key)


def test_missing_and_null_fields_give_the_default_but_bad_ones_do_not():
    fields = Fields({1: None, 2: "no"})
    for key in (1, 9):
        assert fields.integer_or(key, 7, 0, 9) == 7
        assert fields.octets_or(key, None, 0, 9) is None
        assert fields.text_or(key, "", 9) == ""
        assert fields.boolean_or(key, default=True) is True
        assert fields.identifier_or(key, Address, None) is None
        assert fields.items(key, 9) == []
    for read in (fields.integer_or, fields.octets_or):
        with pytest.raises(RemoteError):
            read(2, None, 0, 9)


def test_arrays_are_read_by_position_and_rows_one_by_one():
    fields = Fields({1: [[b"a", 5], [b"b"]], 2: [bytes(32)], 3: [1], 4: [{0: b"b"}]})
    first, second = fields.rows(1, 2)
    assert (first.octets(0, 1, 1), first.integer(1, 0, 9)) == (b"a", 5)
    assert second.octets(0, 1, 1) == b"b"
    assert fields.identifiers(2, Address, 1) == (Address(bytes(32)),)
    with pytest.raises(RemoteError):
        fields.identifiers(3, Address, 1)
    for key, count_max in ((1, 1), (3, 1), (4, 1)):
        with pytest.raises(RemoteError):
            fields.rows(key, count_max)


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("code.review", "code.review"),
        ("a\u202eb\u2066c\u200f", "abc"),
        ("\x1b[31mred\x07", "[31mred"),
        (" two\n\tlines \u2028", "two lines"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("\u0301\U000e0041\ue000", "\u0301"),
    ],
)
def test_foreign_text_cannot_move_the_cursor_or_turn_the_line(foreign, shown):
    assert plain(foreign) == shown


@given(text=st.text(max_size=60))
def test_plain_text_is_one_printable_line_and_stays_as_it_is(text):
    shown = plain(text)
    assert shown.isprintable()
    assert plain(shown) == shown
