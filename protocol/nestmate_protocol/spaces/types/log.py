"""Log: everything that was appended, by time and never taken back.

The order is that of hybrid logical timestamps, then of dots: the same everywhere, and
cosmetic, because a writer may lie about the time. This file knows no path.
"""

from collections.abc import Collection, Sequence
from typing import Final

from nestmate_protocol.spaces.ops import Mutation
from nestmate_protocol.spaces.types.entries import Entry, in_order

APPEND: Final = 0


def well_formed(mutation: Mutation) -> bool:
    """Whether a log understands it."""
    return (
        mutation.action == APPEND
        and mutation.digest is not None
        and mutation.arg is None
    )


def live(entries: Sequence[Entry]) -> list[Entry]:
    """All of them."""
    return in_order(entries)


def view(live: Collection[Entry]) -> tuple[Entry, ...]:
    """The lines, first to last."""
    return tuple(sorted(live, key=lambda entry: entry.recency))
