"""The table of operations keeps its own promises, whatever the node does.

Each row is whole and typed, names and routes are unique, and what carries a row out
takes and gives what the row says. Also the text forms requests are written in. Knows
nothing of doors.
"""

import inspect
import subprocess
import sys
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate.errors import NodeError, UsageError
from nestmate.operations import forms
from nestmate.operations.events import EventPage
from nestmate.operations.fields import Request, Response
from nestmate.operations.parameters import parameters
from nestmate.operations.perform import Caller, Node, decode
from nestmate.operations.problems import codes, error_of, problem_of
from nestmate.operations.table import BY_NAME, OPERATIONS, TOOLS

ROWS = pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
HEAVY = {"trio", "libp2p", "starlette", "hypercorn", "mcp", "click", "plyvel", "nacl"}

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_names_routes_and_actions_are_unique():
    assert len(BY_NAME) == len(OPERATIONS)
    assert len({(row.method, row.path) for row in OPERATIONS}) == len(OPERATIONS)
    assert len({(row.tool, row.action) for row in OPERATIONS}) == len(OPERATIONS)


def test_at_most_fifteen_tools_carry_every_operation_in_a_stable_order():
    assert (
        *("status", "id", "agent", "friend", "contact", "peer", "skill"),
        *("signal_deposit", "signal", "claim_take", "claim_done", "claim"),
        *("space", "document", "events_wait"),
    ) == TOOLS


@ROWS
def test_every_operation_says_what_it_does_and_where_it_is(row):
    assert row.help.endswith(".")
    assert row.path.startswith("/v1/")
    assert row.tool in TOOLS
    assert all(issubclass(kind, NodeError) for kind in row.errors)
    carried = [each for each in OPERATIONS if each.tool == row.tool]
    assert bool(row.action) == (len(carried) > 1)


@ROWS
def test_what_carries_an_operation_out_takes_and_gives_what_the_row_says(row):
    hints = typing.get_type_hints(row.function)
    assert inspect.iscoroutinefunction(row.function)
    assert hints.pop("return") is row.response
    assert list(hints.values()) == [Node, row.request, Caller]
    assert issubclass(row.request, Request)
    assert issubclass(row.response, Response)


@ROWS
def test_every_field_says_what_it_means(row):
    for kind in (row.request, row.response):
        schema = msgspec.json.schema_components([kind])[1][kind.__name__]
        for name, field in schema["properties"].items():
            assert field.get("description"), name


@ROWS
def test_arguments_are_fields_and_queries_hold_no_documents(row):
    items = parameters(row)
    assert {item.name for item in items} >= set(row.arguments)
    assert tuple(item.name for item in items if item.positional) == row.arguments
    if row.method == "GET":
        assert "json" not in {item.kind for item in items}


@ROWS
def test_a_stream_answers_pages_and_goes_on_from_a_number(row):
    assert row.stream == (row.response is EventPage)
    assert row.stream == ("since" in row.request.__struct_fields__)


def test_no_two_types_of_the_table_share_a_name():
    kinds = {kind for row in OPERATIONS for kind in (row.request, row.response)}
    assert len({kind.__name__ for kind in kinds}) == len(kinds)


def test_the_table_and_its_types_load_neither_node_nor_door():
    code = (
        "import sys; from nestmate.operations.table import OPERATIONS as rows;"
        "assert 'msgspec' not in sys.modules; [row.request for row in rows];"
        "[row.response for row in rows]; print(*sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert not HEAVY & set(said.split())


def test_what_reads_documents_loads_nothing_that_only_schemas_need():
    code = "import sys, nestmate.operations.runs.documents; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "nestmate.operations.schemas" in said.split()
    assert "jsonschema" not in said.split()


# --- decoding ---


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"skill": "echo", "urgncy": 1}', "unknown field `urgncy`"),
        (b'{"urgency": 0.5}', "missing required field `skill`"),
        (b'{"skill": "echo", "urgency": 1.5}', "`$.urgency`"),
        (b'{"skill": "echo"', "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"skill": "echo", "body": ' + b"[" * 9_000, "not JSON"),
        (b"[]", "Expected `object`"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_its_place(payload, said):
    with pytest.raises(UsageError) as refusal:
        decode(BY_NAME["signal.deposit"], payload)
    assert said in str(refusal.value)
    assert "urgency" in refusal.value.hint


def test_text_is_read_as_numbers_and_flags_only_where_that_is_asked_for():
    ls = BY_NAME["signal.ls"]
    assert decode(ls, {"limit": "5", "min_strength": "0.5"}, lax=True).limit == 5
    assert decode(BY_NAME["id"], {"card": "true"}, lax=True).card is True
    with pytest.raises(UsageError):
        decode(ls, {"limit": "5"})


def test_an_empty_body_is_an_empty_request():
    assert decode(BY_NAME["invite"], b"").uses == 1


# --- text forms ---


@given(DOCUMENTS)
def test_a_document_comes_back_as_it_went_in(document):
    data = forms.to_bytes(document, "body", 1_000_000)
    again = forms.from_bytes(data)
    assert again == document
    assert forms.to_bytes(again, "body", 1_000_000) == data


@given(st.binary(max_size=64))
def test_any_bytes_can_be_shown_and_sent_again(data):
    shown = forms.from_bytes(data)
    msgspec.json.encode(shown)
    again = forms.to_bytes(shown, "body", 1_000)
    assert forms.from_bytes(again) == shown


def test_text_travels_as_it_is_and_binary_as_base64():
    assert forms.to_bytes("hello", "body", 99) == b"hello"
    assert forms.to_bytes("42", "body", 99) == b'"42"'
    assert forms.to_bytes({"a": 1}, "body", 99) == b'{"a":1}'
    assert forms.to_bytes({"base64": "/w=="}, "body", 99) == b"\xff"
    assert forms.from_bytes(b"\xff") == {"base64": "/w=="}
    assert forms.to_bytes(None, "body", 99) == b""


@pytest.mark.parametrize(
    "document", [{"base64": "?"}, {"base64": 1}, "\ud800", object()]
)
def test_what_is_no_document_is_refused(document):
    with pytest.raises(UsageError, match="`body` cannot be sent"):
        forms.to_bytes(document, "body", 99)


def test_a_document_beyond_its_bound_is_refused_with_the_bound():
    with pytest.raises(UsageError, match="`result` has 11 bytes") as refusal:
        forms.to_bytes("x" * 11, "result", 10)
    assert "10 bytes" in refusal.value.hint


def test_a_foreign_document_cannot_nest_beyond_what_is_shown():
    deep = b"[" * 9_000 + b"]" * 9_000
    assert forms.from_bytes(deep) == deep.decode()
    hundred = b"[" * 100 + b"]" * 100
    assert forms.from_bytes(hundred) == hundred.decode()


@pytest.mark.parametrize(
    ("text", "meant"), [("90s", 90), ("15m", 900), ("2.5", 2.5), (7, 7), ("500ms", 0.5)]
)
def test_durations_are_seconds_or_text(text, meant):
    assert forms.seconds(text, "timeout", 0, 1_000) == meant


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1e9", "2h", ""])
def test_a_duration_that_is_none_or_out_of_bounds_names_its_field(text):
    with pytest.raises(UsageError, match="`timeout`"):
        forms.seconds(text, "timeout", 0, 1_000)


def test_a_deadline_is_a_time_or_a_duration_from_now():
    assert forms.moment_ms("15m", "deadline", 1_000) == 901_000
    assert forms.moment_ms("1970-01-01T00:00:02Z", "deadline", 0) == 2_000
    assert forms.moment_ms("", "deadline", 5) == 0
    with pytest.raises(UsageError, match="`deadline`"):
        forms.moment_ms("tomorrow", "deadline", 0)


def test_foreign_text_cannot_disturb_the_line_it_is_shown_in():
    assert forms.plain("a\x1b[31m\u202eb\nc\x00") == "a[31mb c"


# --- problems ---


@pytest.mark.parametrize("code", codes())
def test_an_error_survives_being_told_as_a_problem(code):
    kind = next(each for each in _kinds(NodeError) if each.code == code)
    again = error_of(problem_of(kind("No.", "Try.")))
    assert (type(again), str(again), again.hint) == (kind, "No.", "Try.")


def _kinds(kind):
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


def test_every_kind_of_error_can_be_told_as_a_problem():
    assert {kind.code for kind in _kinds(NodeError)} == set(codes())
