"""Versions: what somebody has read of an object, as text to hand back when writing.

A version is the set of live mutations that were read, no more: whatever was not read
cannot be replaced by mistake. This file knows nothing of what they wrote.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as EncodingError
from collections.abc import Iterable
from typing import Final

from nestmate_protocol.errors import LocalError
from nestmate_protocol.limits import SUPERSEDED_PER_MUTATION_MAX
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot

NOTHING: Final = "none"
"""The version of a path where nothing stands."""

_HINT: Final = "give a version as `get` has shown it, or none where nothing stands"


def version_of(dots: Iterable[Dot]) -> str:
    """The text of a version: ``v`` and base64url of the dots in order, unpadded.

    It never begins with a hyphen, which a command would take for an option.
    """
    raw = b"".join(sorted(dots))
    return "v" + urlsafe_b64encode(raw).decode().rstrip("=") if raw else NOTHING


def read_version(text: str) -> tuple[Dot, ...]:
    """The dots a text stands for; LocalError if it is no version."""
    if text == NOTHING:
        return ()
    try:
        body = text.removeprefix("v")
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (EncodingError, ValueError):
        raise LocalError(f"{text[:80]!r} is no version", _HINT) from None
    dots = tuple(Dot(raw[at : at + DOT_BYTES]) for at in range(0, len(raw), DOT_BYTES))
    whole = len(raw) % DOT_BYTES == 0 and 0 < len(dots) <= SUPERSEDED_PER_MUTATION_MAX
    if not whole or version_of(dots) != text:
        raise LocalError(f"{text[:80]!r} is no version", _HINT)
    return dots
