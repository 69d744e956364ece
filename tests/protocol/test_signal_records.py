"""The thirteen kinds of records of signals: what they hold goes out and comes back the
same, and whatever else comes in is refused as the fault of its author.
"""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.codec import Fields, decode, encode
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    DELEGATES_MAX,
    SIGNAL_BYTES_MAX,
    SIZE_CODE_MAX,
    TASK_INLINE_BODY_BYTES_MAX,
    TASK_INPUTS_MAX,
    URGENCY_CODE_MAX,
)
from nestmate_protocol.records import Kind
from nestmate_protocol.signals import (
    claims,
    levels,
    records,
    results,
    testimony,
    votes,
)
from nestmate_protocol.signals.records import Link, TaskClass, is_skill_name, task_id

PATH = Path(__file__).parent.parent / "vectors" / "kinds_signals.py"
SPEC = importlib.util.spec_from_file_location("kinds_signals", PATH)
story = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(story)

BODIES = {
    Kind.SIGNAL: records.Signal,
    Kind.DEPOSIT: records.Deposit,
    Kind.CLAIM: claims.Claim,
    Kind.LEASE: claims.Lease,
    Kind.BEAT: claims.Beat,
    Kind.DONE: claims.Done,
    Kind.RECEIPT: claims.Receipt,
    Kind.RELEASE: claims.Release,
    Kind.CANCEL: claims.Cancel,
    Kind.TESTIMONY: testimony.Testimony,
    Kind.FETCH: results.Fetch,
    Kind.RESULT: results.Result,
    Kind.VOTE: votes.Vote,
}
RECORDS = {name: make()[2] for name, make in story.VECTORS.items()}
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.binary(max_size=40),
    st.text(max_size=80),
    st.lists(st.integers(0, 9), max_size=3),
)


def read(record):
    return BODIES[record.kind].read(record.fields)


def read_or_refuse(kind, fields):
    """The body, or the fault for which it was refused."""
    try:
        return BODIES[kind].read(fields)
    except RemoteError as error:
        return error.fault


def with_field(record, key, value):
    return Fields({**record.fields.body, key: value})


def test_every_kind_of_the_subject_has_a_body():
    assert {record.kind for record in RECORDS.values()} == set(BODIES)


@pytest.mark.parametrize("name", RECORDS)
def test_a_body_comes_back_as_it_went_out(name):
    body = read(RECORDS[name])
    assert {**body.fields(), 0: 1} == RECORDS[name].fields.body
    assert BODIES[RECORDS[name].kind].read(Fields(body.fields())) == body


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
def test_any_foreign_value_in_any_field_is_read_or_refused(name, data):
    record = RECORDS[name]
    key = data.draw(st.sampled_from(sorted(record.fields.body)))
    fields = with_field(record, key, data.draw(WRONG))
    body = read_or_refuse(record.kind, fields)
    if body is not Fault.BAD_FIELD:
        assert BODIES[record.kind].read(Fields(body.fields())) == body


@pytest.mark.parametrize("name", RECORDS)
def test_a_missing_field_is_refused_or_means_nothing(name):
    record = RECORDS[name]
    for key in record.fields.body:
        rest = {k: v for k, v in record.fields.body.items() if k != key}
        body = read_or_refuse(record.kind, Fields(rest))
        assert body is Fault.BAD_FIELD or key not in body.fields()


@pytest.mark.parametrize("name", RECORDS)
def test_fields_of_a_later_version_are_left_alone(name):
    record = RECORDS[name]
    fields = with_field(record, 99, [1, {2: b"new"}])
    assert BODIES[record.kind].read(fields) == read(record)


def test_a_signal_whose_body_is_not_its_hash_is_refused():
    with pytest.raises(RemoteError, match="the body is not"):
        records.Signal.read(with_field(RECORDS["signal"], 13, b"another body"))


def test_a_result_that_is_not_its_hash_is_refused():
    with pytest.raises(RemoteError, match="the result is not"):
        claims.Done.read(with_field(RECORDS["done"], 4, b"another result"))


def test_a_signal_with_all_it_may_hold_fits_its_bound():
    body = b"x" * TASK_INLINE_BODY_BYTES_MAX
    full = read(RECORDS["signal_full"])._replace(
        key=b"k" * 32,
        skill="ö" * 64,
        body=body,
        body_bytes=len(body),
        delegates=(Address(b"d" * 32),) * DELEGATES_MAX,
        inputs=(TaskId(b"t" * 32),) * (TASK_INPUTS_MAX - 3),
        link=Link(b"i" * 16, 2**62, b"p" * 32, 2**62),
    )
    made = story.sign_record(
        story.SigningKey(b"s" * 32), story.NETWORK, Kind.SIGNAL, full.fields()
    )
    assert len(made.data) <= SIGNAL_BYTES_MAX


def test_a_task_is_named_by_its_issuer_and_its_key_alone():
    ann, bob = story.ANN_ADDRESS, story.BOB_ADDRESS
    assert task_id(ann, b"1") == task_id(ann, b"1")
    assert len({task_id(ann, b"1"), task_id(ann, b"2"), task_id(bob, b"1")}) == 3


@pytest.mark.parametrize("name", ["translate", "code.review", "日本語", "a b"])
def test_what_can_be_printed_can_name_a_skill(name):
    assert is_skill_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\n", "x" * 65, "\u202egnp"])
def test_what_cannot_be_printed_or_is_padded_names_no_skill(name):
    assert not is_skill_name(name)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_urgency_never_has_a_smaller_code(one, other):
    low, high = sorted((one, other))
    assert 0 <= levels.urgency_code(low) <= levels.urgency_code(high)
    assert levels.urgency_code(high) <= URGENCY_CODE_MAX


@given(st.integers(0, 100))
def test_an_urgency_written_with_two_places_comes_back_as_written(hundredths):
    assert levels.urgency_share(levels.urgency_code(hundredths / 100)) == (
        hundredths / 100
    )


@given(st.floats(1, 240))
def test_a_size_code_is_within_half_a_step_of_the_size(seconds):
    assert levels.value_of(levels.size_code(seconds)) == pytest.approx(
        seconds, rel=2 ** (0.5 / 16) - 1 + 1e-9
    )


def test_sizes_beyond_the_scale_take_its_ends():
    assert levels.size_code(0.01) == 0
    assert levels.size_code(1e9) == SIZE_CODE_MAX


@pytest.mark.parametrize(
    ("urgency", "name"),
    [(0, "slow"), (0.24, "slow"), (0.25, "alert"), (0.49, "alert"), (0.5, "flash")],
)
def test_each_level_begins_where_the_specification_says(urgency, name):
    code = levels.urgency_code(urgency)
    assert levels.level_of(code).name == name
    expected = {"slow": (1, 4), "alert": (4, 16), "flash": (16, 246)}[name]
    assert expected[0] <= levels.value_of(code) < expected[1]


def test_the_body_of_a_record_survives_the_codec():
    for record in RECORDS.values():
        again = decode(encode(record.fields.body))
        assert BODIES[record.kind].read(Fields(again)) == read(record)


def test_a_class_beyond_the_known_ones_is_refused():
    with pytest.raises(RemoteError):
        records.Signal.read(with_field(RECORDS["signal"], 7, len(TaskClass)))
