"""Rivals: who else is at a task, as far as the workers themselves have said.

While an issuer is silent its word on who holds a task cannot be had, and workers tell
each other: a claim to the topic, a beat, a result. What they say is put in one order,
the same at every node, and changes nothing of what the issuer has said: it only tells
when a task is free again as far as is known here, and under which generation. This
file sends nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, unique
from typing import Final, NamedTuple

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import LEASE_SECONDS_DEFAULT
from nestmate_protocol.signals.asking import remember
from nestmate_protocol.signals.cells import Cell, Stage, rank_of
from nestmate_protocol.signals.claims import Lease
from nestmate_protocol.signals.levels import ALERT, FLASH, level_of
from nestmate_protocol.signals.parameters import NEVER, Rule
from nestmate_protocol.signals.records import GENERATION_MAX, Signal, TaskClass
from nestmate_protocol.signals.requests import TaskStatus
from nestmate_protocol.signals.shelf import OwnTask

BUCKET_MS: Final = 100
GENERATIONS_AHEAD_MAX: Final = 64
"""How far workers may have counted on while an issuer was silent."""
_RANKS: Final = 1 << 64


@unique
class Standing(IntEnum):
    """How far a worker says it is with a task; further on comes first."""

    CLAIMS = 0
    WORKS = 1
    DONE = 2


class Rank(NamedTuple):
    """The order of rivals; the lexicographically largest comes first.

    ``haste`` is the negated estimate in tenths of a second; ``tie`` breaks ties, the
    same way at every node.
    """

    generation: int
    standing: Standing
    haste: int
    tie: int


@dataclass(frozen=True, slots=True)
class Stand:
    """The foremost worker at a task; its word counts until ``until_ms``.

    ``n`` is its last beat's, so that no old word of it counts anew. ``data`` is the
    record that said so, ``birth_ms`` its birth on the local clock.
    """

    holder: Address
    rank: Rank
    n: int
    until_ms: int
    data: bytes
    birth_ms: int


class Opening(NamedTuple):
    """Under which generation a task may be had, and from when on."""

    generation: int
    ready_ms: int


@dataclass(frozen=True, slots=True)
class _Leased:
    """What the issuer last said of a holder, and when it should have said more."""

    generation: int
    due_ms: int
    lease_ms: int


def rank(
    task: TaskId,
    generation: int,
    standing: Standing,
    estimate_ms: int,
    worker: Address,
) -> Rank:
    """Where a worker stands among its rivals."""
    tie = rank_of(task, generation, worker)
    return Rank(generation, standing, -(estimate_ms // BUCKET_MS), tie)


def share(task: TaskId, generation: int, worker: Address) -> float:
    """A number from 0 to 1 that differs from worker to worker; smaller comes first."""
    return 1 - rank_of(task, generation, worker) / _RANKS


def may_go_on_alone(signal: Signal) -> bool:
    """Whether a task can be done at all while its issuer is silent.

    One whose effects must not happen twice cannot, nor one whose body has yet to come.
    """
    alone = not signal.inputs and not signal.apart  # which only the issuer can see to
    return alone and signal.task_class is TaskClass.NORMAL and signal.body is not None


def went_on(own: OwnTask, generation: int) -> bool:
    """Whether workers may have come so far by themselves with an open task."""
    ahead = generation - own.generation
    order = own.order
    alone = order.task_class is TaskClass.NORMAL
    alone = alone and not order.inputs and not order.apart
    return (
        alone and own.status == TaskStatus.OPEN and 0 <= ahead <= GENERATIONS_AHEAD_MAX
    )


def _terms(cell: Cell, rule: Rule) -> int:
    """How many terms overdue a lease is when its holder and issuer count as gone.

    It takes both to be gone, or this node to be cut off from both; and the less urgent
    a task is, the longer that can be waited for.
    """
    level = level_of(cell.urgency_code)
    if level is FLASH:
        return rule.overdue_leases_flash
    return rule.overdue_leases_alert if level is ALERT else rule.overdue_leases_slow


class Rivals:
    """Everybody known to be at somebody else's task.

    ``spent`` holds the generations under which this node was at one and is no more.
    """

    def __init__(self, me: Address, rule: Rule, spent: Mapping[bytes, int]) -> None:
        self._me = me
        self._rule = rule
        self._spent = spent
        self._stands: dict[bytes, Stand] = {}
        self._leases: dict[bytes, _Leased] = {}

    def __repr__(self) -> str:
        return f"<Rivals at {len(self._stands)} tasks>"

    def get(self, task: TaskId) -> Stand | None:
        """Who comes first at a task, whether its word still counts or not."""
        return self._stands.get(task.raw)

    def heard(self, task: TaskId, stand: Stand) -> bool:
        """A worker has said how far it is; whether that is not an old word said again.

        The foremost is kept, by its last word.
        """
        known = self._stands.get(task.raw)
        if known is None or (stand.rank, stand.n) > (known.rank, known.n):
            remember(self._stands, task.raw, stand)
            return True
        return known.holder != stand.holder

    def term_end(
        self, standing: Standing, cell: Cell | None, birth_ms: int, now: Moment
    ) -> int:
        """Until when a word of this age counts; a result's counts for good."""
        if standing is Standing.DONE:
            return now.mono_ms + NEVER
        seconds = cell.signal.lease_seconds if cell else LEASE_SECONDS_DEFAULT
        return birth_ms + 1_000 * seconds + self._rule.silent_ms

    def freed(self, task: TaskId, worker: Address, generation: int, now: Moment) -> int:
        """A worker gives a task back; the generation it was at, 0 if it was not."""
        known = self._stands.get(task.raw)
        if known is None or known.holder != worker:
            return 0
        if known.rank.generation != generation:
            return 0
        self._stands[task.raw] = replace(known, until_ms=now.mono_ms)
        return generation

    def leased(self, lease: Lease, now: Moment) -> None:
        """The issuer itself names a holder: that settles what rivals say below it.

        Another word of it is due before twice the estimate has passed.
        """
        raw, lease_ms = lease.task.raw, 1_000 * lease.lease_seconds
        due_ms = now.mono_ms + 2 * lease.estimate_ms
        remember(self._leases, raw, _Leased(lease.generation, due_ms, lease_ms))
        known = self._stands.get(raw)
        if known is not None and known.rank.generation <= lease.generation:
            del self._stands[raw]

    def opened(self, task: TaskId, generation: int, now: Moment) -> None:
        """The issuer is back and calls: who is at its task tells it within a moment."""
        known = self._stands.get(task.raw)
        if known is None:
            return
        if known.rank.generation < generation:
            del self._stands[task.raw]
            return
        until_ms = min(known.until_ms, now.mono_ms + self._rule.return_ms)
        self._stands[task.raw] = replace(known, until_ms=until_ms)

    def opening(self, cell: Cell) -> Opening | None:
        """From when on, and under what, a task may be had; None for not at all."""
        life, signal = cell.life, cell.signal
        if life.stage > Stage.GRANTED:
            return None
        alone = may_go_on_alone(signal)
        stand = self._stands.get(cell.task.raw) if alone else None
        if stand is not None and stand.rank.generation >= life.generation:
            generation = self.unspent(cell.task, stand.rank.generation + 1)
            return Opening(generation, stand.until_ms)
        if life.stage == Stage.OPEN:
            generation = self.unspent(cell.task, life.generation)
            return Opening(generation, cell.called_ms)
        leased = self._leases.get(cell.task.raw)
        if not alone or leased is None or leased.generation != life.generation:
            return None
        generation = self.unspent(cell.task, life.generation + 1)
        terms = _terms(cell, self._rule) + share(cell.task, generation, self._me)
        return Opening(generation, leased.due_ms + round(terms * leased.lease_ms))

    def unspent(self, task: TaskId, generation: int) -> int:
        """A generation under which this node was not yet at a task, as low as can be.

        Whoever gave a task back does not come back to it under the same fence.
        """
        spent = self._spent.get(task.raw, 0)
        return min(GENERATION_MAX, max(generation, spent + 1))

    def news(self, task: TaskId, now: Moment) -> tuple[bytes, int] | None:
        """The foremost worker's record with its age, while its word counts."""
        known = self._stands.get(task.raw)
        if known is None or known.until_ms <= now.mono_ms:
            return None
        return known.data, max(0, now.mono_ms - known.birth_ms)
