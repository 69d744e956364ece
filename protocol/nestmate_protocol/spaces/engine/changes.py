"""Changes: what an admission came to, as plain values from which events are made.

They are told in the order in which they came about. This file knows no rule.
"""

from dataclasses import dataclass, field
from enum import Enum, unique
from typing import NamedTuple

from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import DeviceKey, RecordId
from nestmate_protocol.spaces.ops import Dot, Lane, Type


@unique
class Verdict(Enum):
    """What became of an op that was offered to the engine.

    ``PENDING`` waits in memory for an op it rests on, ``PARKED`` for its time to come;
    ``REFUSED`` was not kept and is not to be kept. All others are on disk with the next
    batch, ``QUARANTINED`` for a while only.
    """

    NEW = "new"
    KNOWN = "known"
    QUARANTINED = "quarantined"
    PENDING = "pending"
    PARKED = "parked"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one op.

    ``missing`` is what a pending one waits for first. ``fault`` says why it was refused
    and is a fault of its author, except OVER_LIMIT. ``released`` are ops that waited
    for this one and were admitted after it.
    """

    verdict: Verdict
    missing: RecordId | None = None
    fault: Fault | None = None
    released: tuple[RecordId, ...] = ()


class Changed(NamedTuple):
    """An object looks different; ``dot`` is the mutation that did it."""

    path: str
    type: Type
    dot: Dot


class ConflictOpened(NamedTuple):
    """A register holds more than one value."""

    path: str


class ConflictResolved(NamedTuple):
    """A register holds one value again, or none."""

    path: str


class Voided(NamedTuple):
    """An op that counted does not any more: what it rests on was taken away."""

    op: RecordId
    author: DeviceKey
    lane: Lane


class Restored(NamedTuple):
    """An op that did not count does, because what it rests on is back."""

    op: RecordId
    author: DeviceKey
    lane: Lane


class Forked(NamedTuple):
    """An author gave one place in its chain to two ops; together they prove it."""

    author: DeviceKey
    one: RecordId
    other: RecordId


class Granted(NamedTuple):
    """A grant has come into force, or again."""

    grant: Dot


class Ungranted(NamedTuple):
    """A grant is in force no more."""

    grant: Dot


class Offer(NamedTuple):
    """An op has entered or left what is offered to others in a lane.

    ``key`` is its hybrid timestamp in 8 bytes, then its id.
    """

    lane: Lane
    key: bytes
    entered: bool


Change = (
    Changed
    | ConflictOpened
    | ConflictResolved
    | Voided
    | Restored
    | Forked
    | Granted
    | Ungranted
)


@dataclass(frozen=True, slots=True)
class News:
    """All that has changed since it was last taken."""

    changes: tuple[Change, ...]
    offers: tuple[Offer, ...]


@dataclass(slots=True)
class Telling:
    """Where the rooms of an engine put their news."""

    changes: list[Change] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)

    def take(self) -> News:
        """All news so far, once."""
        news = News(tuple(self.changes), tuple(self.offers))
        self.changes.clear()
        self.offers.clear()
        return news
