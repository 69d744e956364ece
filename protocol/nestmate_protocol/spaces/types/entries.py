"""Entries: the valid mutations of one object, as its type looks at them.

An object is a path and a type; its entries are the mutations of valid ops there. What
is live among them, and what they show, is a pure function of the entries: never of the
order they came in or of anybody's clock. This file knows no op and no type.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nestmate_protocol.codec import Value
from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.limits import AMOUNT_MAX
from nestmate_protocol.spaces.ops import Dot


@dataclass(frozen=True, slots=True)
class Entry:
    """One mutation, with what its op says about it.

    ``value`` is None where the mutation has none or where it was dropped; ``digest``
    tells which. ``superseded`` are the dots that it replaces in its object.
    """

    dot: Dot
    author: DeviceKey
    incarnation: bytes
    seq: int
    hlc: int
    action: int
    digest: bytes | None
    value: bytes | None
    arg: Value
    superseded: tuple[Dot, ...] = ()

    @property
    def writer(self) -> tuple[bytes, bytes]:
        """Who wrote it, and in which life."""
        return self.author.raw, self.incarnation

    @property
    def recency(self) -> tuple[int, Dot]:
        """The later of two entries is greater; ties are broken, never even."""
        return self.hlc, self.dot


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The entries by their dots, the one order in which everything lists them."""
    return sorted(entries, key=lambda entry: entry.dot)


def not_superseded(entries: Sequence[Entry]) -> list[Entry]:
    """The entries that no other entry of the same object names as replaced."""
    gone = {dot for entry in entries for dot in entry.superseded}
    return [entry for entry in entries if entry.dot not in gone]


def is_amount(value: Value) -> bool:
    """Whether it is a whole number from 0 to AMOUNT_MAX."""
    return type(value) is int and 0 <= value <= AMOUNT_MAX


def pair_of(arg: Value) -> tuple[int, int] | None:
    """Two amounts that an arg is made of, None if it is not."""
    match arg:
        case [int(one), int(other)] if is_amount(one) and is_amount(other):
            return one, other
        case _:
            return None
