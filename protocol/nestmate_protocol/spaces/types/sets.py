"""Set: values that are in or out; whoever removes one removes what it saw of it.

Adding wins: an element that was added again elsewhere, unseen by the remover, stays.
Two elements are one if their values are. This file knows no path.
"""

from collections.abc import Collection, Sequence
from typing import Final

from nestmate_protocol.spaces.ops import Mutation
from nestmate_protocol.spaces.types.entries import Entry, in_order, not_superseded

ADD: Final = 0
REMOVE: Final = 1


def well_formed(mutation: Mutation) -> bool:
    """Whether a set understands it."""
    return mutation.arg is None and (
        (mutation.action == ADD and mutation.digest is not None)
        or (mutation.action == REMOVE and mutation.digest is None)
    )


def live(entries: Sequence[Entry]) -> list[Entry]:
    """The additions that nobody removed."""
    return in_order(each for each in not_superseded(entries) if each.action == ADD)


def view(live: Collection[Entry]) -> dict[bytes, tuple[Entry, ...]]:
    """The elements by their digests, each with all additions that keep it in."""
    elements: dict[bytes, tuple[Entry, ...]] = {}
    for entry in in_order(live):
        digest = entry.digest or b""
        elements[digest] = (*elements.get(digest, ()), entry)
    return dict(sorted(elements.items()))
