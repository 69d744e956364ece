"""Reckoning: how much of the urgency an author asks for counts at this receiver.

There are two ways, by credit and by rank, and a node chooses one; nothing of it is
sent. This file holds what the field and those who show it ask of either.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.records import Link


class Standing(NamedTuple):
    """An author as it is reckoned: ``left`` and ``cap`` in mean signals.

    Both are 0 where no credit is kept. ``asks_cents`` is what it asks for per task,
    ``paid_cents`` what counted of that, ``mean_cents`` what others ask for;
    ``is_known`` tells whether it has a bucket to itself.
    """

    address: Address
    left: float
    cap: float
    asks_cents: float
    paid_cents: float
    mean_cents: float
    is_known: bool


class Reckoning(Protocol):
    """What the field and the desk ask about authors."""

    def counts(
        self,
        author: Address,
        task: TaskId,
        link: Link,
        code: int,
        *,
        already: int,
        now_ms: int,
    ) -> int:
        """The code that counts of one that a record new to us asks for.

        ``already`` is what counted on the same task before, -1 for nothing.
        """
        ...

    def left(self, author: Address, now_ms: int) -> float | None:
        """What an author could spend now, in mean signals; None: no matter here."""
        ...

    def standings(self, now_ms: int) -> Iterator[Standing]:
        """Everybody of whom something is known."""
        ...

    def blank(self, author: Address) -> Standing:
        """Somebody of whom nothing is known."""
        ...
