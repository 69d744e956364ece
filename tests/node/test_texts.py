"""Durations, times and sizes as people type them, read and written back.

Knows nothing of who asks for them.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nestmate import texts
from nestmate.errors import UsageError

DURATIONS = {
    "90s": 90_000,
    "15m": 900_000,
    "24h": 86_400_000,
    "30d": 2_592_000_000,
    "500ms": 500,
    "1h30m": 5_400_000,
    " 0s ": 0,
}
NO_DURATIONS = ["", "s", "90", "1.5h", "-1s", "1 h", "1h 1h", "1h2h", "9w", "99999999d"]
TIMES = {
    "1970-01-01T00:00:00Z": 0,
    "2030-01-31T18:00:00.250Z": 1_896_112_800_250,
    "2030-01-31t20:00:00.25+02:00": 1_896_112_800_250,
}
NO_TIMES = ["", "2030-01-31", "2030-01-31T18:00:00", "2030-02-30T00:00:00Z", "now"]
SIZES = {"0": 0, "4096": 4_096, "4MiB": 4 << 20, "256 KiB": 256 << 10, "5GB": 5 * 10**9}
NO_SIZES = ["", "4mb", "-1", "1.5MiB", "MiB", "4 M"]


@pytest.mark.parametrize(("text", "milliseconds"), DURATIONS.items())
def test_a_duration_is_a_number_and_a_unit(text, milliseconds):
    assert texts.parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(UsageError) as refusal:
        texts.parse_duration_ms(text)
    assert "90s" in refusal.value.hint


def test_whole_seconds_are_asked_for_where_seconds_count():
    assert texts.parse_duration("2000ms") == 2
    with pytest.raises(UsageError):
        texts.parse_duration("1500ms")


@given(some.integers(0, 3 * 10**9))
def test_every_duration_that_is_written_can_be_read(milliseconds):
    text = texts.format_duration_ms(milliseconds)
    assert texts.parse_duration_ms(text) == milliseconds
    assert texts.parse_duration(texts.format_duration(milliseconds)) == milliseconds


def test_durations_are_written_in_the_largest_unit_that_fits():
    assert [texts.format_duration(n) for n in (0, 90, 900, 86_400)] == [
        *("0s", "90s"),
        *("15m", "1d"),
    ]


@pytest.mark.parametrize(("text", "wall_ms"), TIMES.items())
def test_a_time_needs_its_offset(text, wall_ms):
    assert texts.parse_time(text) == wall_ms


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(UsageError):
        texts.parse_time(text)


@given(some.integers(0, 253_402_300_799_999))
def test_every_time_that_is_written_can_be_read(wall_ms):
    assert texts.parse_time(texts.format_time(wall_ms)) == wall_ms


@pytest.mark.parametrize("wall_ms", [-1, 253_402_300_800_000])
def test_a_time_without_a_year_of_four_digits_is_refused(wall_ms):
    with pytest.raises(UsageError):
        texts.format_time(wall_ms)


@pytest.mark.parametrize(("text", "size_bytes"), SIZES.items())
def test_a_size_is_a_number_and_perhaps_a_unit(text, size_bytes):
    assert texts.parse_size(text) == size_bytes


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(UsageError) as refusal:
        texts.parse_size(text)
    assert "4MiB" in refusal.value.hint


@given(some.integers(0, 1 << 62))
def test_every_size_that_is_written_can_be_read(size_bytes):
    assert texts.parse_size(texts.format_size(size_bytes)) == size_bytes
