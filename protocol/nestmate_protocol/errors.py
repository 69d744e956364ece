"""Errors: whose mistake it was, and what to do about it.

There are two families. ``LocalError`` is a mistake of our own caller and carries the
way out; ``RemoteError`` is a fault in bytes that came from somewhere else, and is the
only exception that may leave a function that was given foreign bytes. This file knows
nothing of what the bytes meant.
"""

from enum import Enum, unique


@unique
class Fault(Enum):
    """What is wrong with something a peer sent; counted, never logged per packet."""

    TOO_LARGE = "too large"
    MALFORMED = "malformed"
    NOT_CANONICAL = "not canonical"
    UNKNOWN_KIND = "unknown kind"
    UNKNOWN_VERSION = "unknown version"
    BAD_SIGNATURE = "bad signature"
    BAD_FIELD = "bad field"
    BROKEN_CHAIN = "broken chain"
    NOT_ENTITLED = "not entitled"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from the future"
    OVER_LIMIT = "over limit"
    REPLAYED = "replayed"
    STALE_GENERATION = "stale generation"


class ProtocolError(Exception):
    """Anything this package raises on purpose."""


class LocalError(ProtocolError):
    """Our caller asked for something that cannot be; the hint says what can.

    ``str()`` is a sentence for a human; ``hint`` is the next thing to try.
    """

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint


class RemoteError(ProtocolError):
    """Foreign bytes are not what they claim to be; ``fault`` says in which way."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault
        self.detail = detail
