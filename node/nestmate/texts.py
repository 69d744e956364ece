"""Text forms people type and read: durations, RFC 3339 times, sizes.

Every form that is printed can be typed back. A form nobody can mean is refused with
one sentence and an example; nothing is rounded silently. This file knows nothing of
where the texts come from.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from nestmate.errors import UsageError

_UNIT_MS: Final = {
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_DURATION: Final = re.compile(r"(?:\d{1,12}(?:ms|[smhd]))+")
_DURATION_PART: Final = re.compile(r"(\d+)(ms|[smhd])")
_DURATION_MS_MAX: Final = 100 * 366 * _UNIT_MS["d"]
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[Zz]|[+-]\d\d:\d\d)"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_MS_MAX: Final = 253_402_300_800_000  # the first moment of the year 10000
_SIZE: Final = re.compile(r"(\d{1,20}) ?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?")
_SIZE_BYTES: Final = {
    "TiB": 1 << 40,
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "kB": 10**3,
    "B": 1,
}


def parse_duration_ms(text: str) -> int:
    """Milliseconds of a duration such as ``500ms``, ``90s``, ``24h`` or ``1h30m``.

    Raises UsageError for anything else, and beyond a hundred years.
    """
    way_out = "Write a whole number and a unit, such as 90s, 15m, 24h or 30d."
    if not _DURATION.fullmatch(text.strip()):
        raise UsageError(f"{text[:40]!r} is not a duration.", way_out)
    parts = _DURATION_PART.findall(text)
    if len({unit for _, unit in parts}) != len(parts):
        raise UsageError(f"{text[:40]!r} names a unit twice.", way_out)
    total = sum(int(count) * _UNIT_MS[unit] for count, unit in parts)
    if total > _DURATION_MS_MAX:
        raise UsageError(f"{text[:40]!r} is more than a hundred years.", way_out)
    return total


def parse_duration(text: str) -> int:
    """Whole seconds of a duration; UsageError if it is none or not whole seconds."""
    seconds, rest = divmod(parse_duration_ms(text), 1_000)
    if rest:
        raise UsageError(
            f"{text[:40]!r} is not a whole number of seconds.",
            "Leave the milliseconds away.",
        )
    return seconds


def format_duration_ms(milliseconds: int) -> str:
    """The shortest text that ``parse_duration_ms`` reads back; one unit only."""
    for unit, size in _UNIT_MS.items():
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return "0s"


def format_duration(seconds: int) -> str:
    """The shortest text that ``parse_duration`` reads back; one unit only."""
    return format_duration_ms(seconds * 1_000)


def parse_time(text: str) -> int:
    """Unix milliseconds of an RFC 3339 time; the offset must be there.

    Raises UsageError for anything else, such as a date alone.
    """
    way_out = "Write it like 2030-01-31T18:00:00Z."
    if not _TIME.fullmatch(text.strip()):
        raise UsageError(f"{text[:40]!r} is not an RFC 3339 time.", way_out)
    try:
        moment = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise UsageError(f"{text[:40]!r} is not in any calendar.", way_out) from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def format_time(wall_ms: int) -> str:
    """A Unix time in ms as RFC 3339 UTC; milliseconds only where there are some."""
    if not 0 <= wall_ms < _TIME_MS_MAX:
        raise UsageError(f"{wall_ms} ms is not within the years 1970 to 9999.")
    moment = _EPOCH + timedelta(milliseconds=wall_ms)
    exact = "milliseconds" if wall_ms % 1_000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=exact) + "Z"


def parse_size(text: str) -> int:
    """Bytes of a size such as ``4MiB``, ``256 KiB``, ``5GB`` or ``4096``.

    Raises UsageError for anything else; case matters, as in ``kB`` and ``KiB``.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text[:40]!r} is not a size.",
            "Write a whole number and a unit, such as 4096, 256KiB, 4MiB or 5GB.",
        )
    return int(match[1]) * _SIZE_BYTES[match[2] or "B"]


def format_size(size_bytes: int) -> str:
    """A size in the largest binary unit that keeps it a whole number."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _SIZE_BYTES[unit] == 0:
            return f"{size_bytes // _SIZE_BYTES[unit]}{unit}"
    return f"{size_bytes}B"
