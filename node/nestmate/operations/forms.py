"""Text forms of what requests carry: durations, times, ids, and documents.

Documents travel as bytes and are shown as JSON. Text and JSON values come back as
they went in; bytes that are neither are written ``{"base64": …}``. This file knows no
operation.
"""

import base64
import binascii
from contextlib import suppress
from math import isfinite
from typing import Any, TypeVar

import msgspec

from nestmate.errors import UsageError
from nestmate.texts import (
    format_duration_ms,
    format_time,
    parse_duration_ms,
    parse_time,
)
from nestmate_protocol.errors import LocalError
from nestmate_protocol.ids import Identifier, PeerId

DOCUMENT_DEPTH_MAX = 64

_Id = TypeVar("_Id", bound=Identifier)

# Control characters, and those that turn the direction of text around: a foreign
# name must not be able to rewrite the line it is shown in.
_INVISIBLE: dict[int, str | None] = dict.fromkeys(
    (
        *range(0x20),
        *range(0x7F, 0xA0),
        0x61C,
        0x200E,
        0x200F,
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
    )
)
_INVISIBLE |= {ord("\n"): " ", ord("\t"): " "}


def identifier(kind: type[_Id], text: str, field: str) -> _Id:
    """The id a text stands for; UsageError names the field."""
    try:
        return kind.parse(text)
    except LocalError as error:
        hint = error.hint or f"Give the whole text, which starts with {kind.prefix}."
        raise UsageError(f"{error} (in `{field}`)", hint) from None


def seconds(value: float | str, field: str, low: float, high: float) -> float:
    """Seconds from a number or from text such as ``90s``, within bounds.

    Raises UsageError, with the field's name, beyond the bounds.
    """
    found = _seconds(value, field)
    if not low <= found <= high:
        least, most = (format_duration_ms(round(bound * 1000)) for bound in (low, high))
        raise UsageError(
            f"`{field}` is {str(value)[:40]}, which is out of bounds.",
            f"Choose between {least} and {most}.",
        )
    return found


def _seconds(value: float | str, field: str) -> float:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return _duration_ms(value, field) / 1000


def _duration_ms(text: str, field: str) -> int:
    try:
        return parse_duration_ms(text)
    except UsageError as error:
        raise UsageError(f"{error} (in `{field}`)", error.hint) from None


def moment_ms(text: str, field: str, now_ms: int) -> int:
    """Unix ms of an RFC 3339 time or of a duration from now; 0 for empty text."""
    if not text:
        return 0
    if text[0].isdigit() and "-" not in text:
        return now_ms + _duration_ms(text, field)
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{error} (in `{field}`)", error.hint) from None


def past_ms(text: str, field: str, now_ms: int) -> int | None:
    """Unix ms of an RFC 3339 time or of so long ago; None for empty text."""
    if not text:
        return None
    if text[0].isdigit() and "-" not in text:
        return now_ms - _duration_ms(text, field)
    return moment_ms(text, field, now_ms)


def time_or_none(wall_ms: int) -> str | None:
    """RFC 3339 of a Unix time in ms, None for 0, which stands for never."""
    return format_time(wall_ms) if wall_ms else None


def plain(text: str) -> str:
    """Foreign text without characters that could disturb a terminal or a line."""
    return text.translate(_INVISIBLE)


def full_addrs(multiaddrs: tuple[str, ...], peer: PeerId | None) -> list[str]:
    """Multiaddrs with the peer id at their end, ready to be dialled."""
    suffix = f"/p2p/{peer.text}" if peer is not None else ""
    return [f"{plain(multiaddr)}{suffix}" for multiaddr in multiaddrs]


def to_bytes(document: Any, field: str, bytes_max: int) -> bytes:
    """What a document travels as; UsageError if it is too large or no document.

    None is no bytes, text is its UTF-8 unless that would read as another value.
    """
    try:
        data = _encode(document)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"`{field}` cannot be sent: {error}", "Send JSON, text or base64."
        ) from None
    if len(data) > bytes_max:
        raise UsageError(
            f"`{field}` has {len(data)} bytes.", f"Send {bytes_max} bytes at most."
        )
    return data


def _encode(document: Any) -> bytes:
    if document is None:
        return b""
    if isinstance(document, str):
        data = document.encode()
        return data if from_bytes(data) == document else msgspec.json.encode(document)
    if isinstance(document, dict) and set(document) == {"base64"}:
        return _from_base64(document["base64"])
    return msgspec.json.encode(document)


def _from_base64(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError("base64 takes text")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"this is not base64: {error}") from None


def from_bytes(data: bytes | None) -> Any:
    """The document that bytes stand for; they may come from anybody."""
    if not data:
        return None
    try:
        document = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        document = None
    else:
        if _is_flat(document):
            return document
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _is_flat(document: Any) -> bool:
    """Whether it nests no deeper than DOCUMENT_DEPTH_MAX."""
    floor = [document]
    for _ in range(DOCUMENT_DEPTH_MAX):
        inner = [item for item in floor if isinstance(item, dict | list)]
        if not inner:
            return True
        floor = [
            value
            for item in inner
            for value in (item.values() if isinstance(item, dict) else item)
        ]
    return False


def read_ability(text: str) -> tuple[str, float]:
    """A skill and a speed from ``NAME`` or ``NAME=SPEED``; 0 where none is named.

    A name that itself ends like the latter has to be given with a speed. Raises
    UsageError if the speed is none.
    """
    name, mark, told = text.rpartition("=")
    speed = None
    if mark:
        with suppress(ValueError):
            speed = float(told)
    if speed is None:
        return text, 0.0
    if not (isfinite(speed) and speed >= 0):
        raise UsageError(
            f"{told} is no speed of {plain(name)[:80]}.",
            "1 is average, 0.5 half of it.",
        )
    return name, speed
