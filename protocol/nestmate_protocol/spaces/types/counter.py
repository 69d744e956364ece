"""Counter: what everybody added and took away, counted once however often it is told.

Each entry carries the totals of its writer, a key in one life, so that a lost or a
doubled entry changes nothing: of each writer the greatest totals count. This file knows
no path.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.spaces.ops import Mutation
from nestmate_protocol.spaces.types.entries import Entry, in_order, pair_of

COUNT: Final = 0

Writer = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class CounterView:
    """What a counter shows; ``totals`` are plus and minus of each writer."""

    value: int
    totals: dict[Writer, tuple[int, int]]


def well_formed(mutation: Mutation) -> bool:
    """Whether a counter understands it: its arg are the totals ``[plus, minus]``."""
    return mutation.action == COUNT and pair_of(mutation.arg) is not None


def live(entries: Sequence[Entry]) -> list[Entry]:
    """The entries without which a total would be smaller; of two alike, the first."""
    kept: dict[tuple[Writer, int], Entry] = {}
    for entry in in_order(entries):
        for side, amount in enumerate(_totals(entry)):
            best = kept.get((entry.writer, side))
            if best is None or amount > _totals(best)[side]:
                kept[entry.writer, side] = entry
    return in_order({entry.dot: entry for entry in kept.values()}.values())


def view(live: Collection[Entry]) -> CounterView:
    """The sum of the greatest totals of all writers."""
    totals: dict[Writer, tuple[int, int]] = {}
    for entry in in_order(live):
        plus, minus = totals.get(entry.writer, (0, 0))
        more, less = _totals(entry)
        totals[entry.writer] = max(plus, more), max(minus, less)
    return CounterView(sum(p - m for p, m in totals.values()), totals)


def _totals(entry: Entry) -> tuple[int, int]:
    return pair_of(entry.arg) or (0, 0)
