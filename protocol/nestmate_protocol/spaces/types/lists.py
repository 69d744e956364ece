"""List: elements in an order that anybody can add to anywhere, with nobody to ask.

An element's position is a byte string; between any two there is room for another. Two
writers may choose the same one: then the dots decide. Moving and replacing are an
insertion that supersedes the old element. This file knows no path.
"""

from collections.abc import Collection, Sequence
from typing import Final

from nestmate_protocol.errors import LocalError
from nestmate_protocol.limits import LIST_POSITION_BYTES_MAX
from nestmate_protocol.spaces.ops import Mutation
from nestmate_protocol.spaces.types.entries import Entry, in_order, not_superseded

INSERT: Final = 0
REMOVE: Final = 1

_END: Final = 256  # one more than any byte: what stands after everything
_COUNTED: Final = 4  # so many bytes are counted up and down at the ends of a list
_FIRST: Final = 0x80000001


def well_formed(mutation: Mutation) -> bool:
    """Whether a list understands it: its arg is the position, or nothing to remove."""
    if mutation.action == REMOVE:
        return mutation.arg is None and mutation.digest is None
    return (
        mutation.action == INSERT
        and mutation.digest is not None
        and type(mutation.arg) is bytes
        and is_position(mutation.arg)
    )


def is_position(position: bytes) -> bool:
    """Whether it is one: some bytes, the last of them not 0."""
    return 0 < len(position) <= LIST_POSITION_BYTES_MAX and position[-1] != 0


def live(entries: Sequence[Entry]) -> list[Entry]:
    """The elements that nobody removed or replaced."""
    return in_order(each for each in not_superseded(entries) if each.action == INSERT)


def view(live: Collection[Entry]) -> tuple[Entry, ...]:
    """The elements, first to last."""
    return tuple(sorted(live, key=lambda entry: (position_of(entry), entry.dot)))


def position_of(entry: Entry) -> bytes:
    """Where an element stands."""
    return entry.arg if isinstance(entry.arg, bytes) else b""


def between(before: bytes, after: bytes, salt: bytes = b"") -> bytes:
    """A position after ``before`` and before ``after``; empty is the list's own end.

    ``salt`` are a few random bytes that keep two writers apart who insert at one place
    at one time. At the ends positions are counted, inside the room is halved, so that
    a list may grow for ever at its ends, and by some hundred elements at any one place
    before it wants to be spread out. Raises LocalError where there is no room.
    """
    if after and before >= after:
        raise LocalError("there is nothing between these two elements")
    made = _beside(before, after) or _halved(before, after)
    position = (made + salt).rstrip(b"\0")
    if len(position) > LIST_POSITION_BYTES_MAX:
        raise LocalError(
            "there is no room left between these two elements",
            "insert the elements around them anew, further apart",
        )
    return position


def _beside(before: bytes, after: bytes) -> bytes:
    """The next position outwards at an end of the list, empty if it is used up."""
    if not before and not after:
        return _FIRST.to_bytes(_COUNTED)
    edge = int.from_bytes((before or after)[:_COUNTED].ljust(_COUNTED, b"\0"))
    following = edge + 1 if not after else edge - 1 if not before else 0
    if following & 0xFF == 0:
        following += 1 if not after else -1
    inside = not (before and after) and 0 < following < 1 << 8 * _COUNTED
    return following.to_bytes(_COUNTED) if inside else b""


def _halved(before: bytes, after: bytes) -> bytes:
    """The shortest position in the middle between two, as digits to the base 256."""
    made = bytearray()
    bounded = bool(after)
    while True:
        place = len(made)
        low = before[place] if place < len(before) else 0
        high = after[place] if bounded else _END
        if high - low > 1:
            made.append((low + high) // 2)
            return bytes(made)
        made.append(low)
        bounded = bounded and low == high
