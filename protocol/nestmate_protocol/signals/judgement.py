"""Judgement: what one taker makes of one task, as a value.

HOLD says from which age on a task may be claimed here, CHOOSE which of several comes
first. Claiming follows from the values made here and from nothing else, and so does
the explanation that people are given: they cannot differ. This file remembers which
tasks to leave alone and which skill was loaded last; it claims nothing and knows no
record.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from math import ceil
from typing import Final, NamedTuple

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import BYTES_PER_PEER_PER_SECOND
from nestmate_protocol.signals.cells import Cell
from nestmate_protocol.signals.demand import Demand
from nestmate_protocol.signals.levels import FLASH, level_of, value_of
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.requests import Estimate, SpeedSource
from nestmate_protocol.signals.response import (
    Speeds,
    hold_seconds,
    loss_seconds,
    preference,
    price_seconds,
    service_seconds,
)
from nestmate_protocol.signals.rivals import Opening
from nestmate_protocol.signals.silence import Silence
from nestmate_protocol.signals.votes import voters

_SHUNNED_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class Taker:
    """One local agent that waits for work; ``claiming`` is the task on its way to it.

    ``speeds`` holds its skills, with 0 where it does not say how fast it is; ``named``
    is set where it wants that task and no other. ``context`` is the skill it is set up
    for, None for that of the last task taken here. ``code_min`` above 0 makes it a
    reserve: busy, and to be asked only for what is so urgent.
    """

    request: int
    speeds: Mapping[str, float]
    setup_seconds: float
    named: TaskId | None
    claiming: TaskId | None = None
    context: str | None = None
    code_min: int = 0


@dataclass(frozen=True, slots=True)
class Shun:
    """A task not to be claimed again before ``until_ms``; never, if that is None.

    ``tries`` are claims without an answer, ``failures`` are how often it failed here.
    """

    until_ms: int | None = 0
    tries: int = 0
    failures: int = 0


@unique
class Outlook(StrEnum):
    """What comes of a task at one taker, as things stand.

    Only a ``RIPE`` task is claimed; ``HELD``, ``SILENT``, ``PAUSED`` and ``TAKEN`` ones
    become ripe by waiting until ``Judgement.ready_ms``; the others do not. ``PAUSED``
    is what failed here and is tried again, ``TAKEN`` what others are at unless they
    fall silent, ``FAILED`` what failed too often, and ``RELAXED`` what is less urgent
    than the taker wants.
    """

    RIPE = "ripe"
    HELD = "held"
    SILENT = "silent"
    PAUSED = "paused"
    TAKEN = "taken"
    RELAXED = "relaxed"
    CLOSED = "closed"
    ENGAGED = "engaged"
    GONE = "gone"
    FAILED = "failed"
    DISTRUSTED = "distrusted"


class Judgement(NamedTuple):
    """What comes of a task at one taker; ``ready_ms`` is on the monotonic clock.

    There is no ``ready_ms`` and no ``estimate`` where no waiting helps.
    """

    outlook: Outlook
    ready_ms: int | None = None
    estimate: Estimate | None = None


_BARRED: Final = {
    outlook: Judgement(outlook)
    for outlook in Outlook
    if outlook
    not in {
        Outlook.RIPE,
        Outlook.HELD,
        Outlook.SILENT,
        Outlook.PAUSED,
        Outlook.TAKEN,
    }
}


class Judge:
    """The one that judges for all takers of a node; ``rule`` holds every figure."""

    def __init__(
        self,
        me: Address,
        speeds: Speeds,
        *,
        trust: Callable[[Address], float],
        engaged: Callable[[TaskId], bool],
        opening: Callable[[Cell], Opening | None],
        rule: Rule,
    ) -> None:
        """``engaged`` says whether this node claims, holds or has finished a task.

        ``opening`` says from when on it can be had at all, as far as others are at it.
        """
        self.context = ""
        self._me = me
        self._speeds = speeds
        self._trust = trust
        self._engaged = engaged
        self._opening = opening
        self._rule = rule
        self._shunned: dict[bytes, Shun] = {}
        self.silence = Silence()
        self.demand = Demand(me, rule)

    def __repr__(self) -> str:
        return f"<Judge with {self.context!r}, {len(self._shunned)} shunned>"

    def judge(self, taker: Taker, cell: Cell, now: Moment) -> Judgement:
        """HOLD: whether the task may be claimed from here now, later or not at all."""
        shun = self._shunned.get(cell.task.raw)
        opening = self._opening(cell)
        if opening is None:
            return _BARRED[Outlook.CLOSED]
        if self._engaged(cell.task):
            return _BARRED[Outlook.ENGAGED]
        if shun is not None and shun.until_ms is None:
            return _BARRED[Outlook.FAILED]
        if self._trust(cell.signal.issuer) <= 0:
            return _BARRED[Outlook.DISTRUSTED]
        if cell.is_gone(now):
            return _BARRED[Outlook.GONE]
        if taker.code_min and value_of(taker.code_min) > cell.urgency(now.mono_ms):
            return _BARRED[Outlook.RELAXED]
        estimate = self.estimate(taker, cell)
        ready_ms = opening.ready_ms + ceil(1_000 * estimate.hold)
        taken = opening.ready_ms > now.mono_ms
        outlook = Outlook.TAKEN if taken else Outlook.HELD
        if shun is not None and shun.until_ms is not None and shun.until_ms > ready_ms:
            ready_ms = shun.until_ms
            outlook = Outlook.SILENT if shun.tries else Outlook.PAUSED
        if ready_ms <= now.mono_ms:
            outlook = Outlook.RIPE
        return Judgement(outlook, ready_ms, estimate)

    def estimate(self, taker: Taker, cell: Cell) -> Estimate:
        """How long the task takes this taker, and what it would lose by that.

        A body that has yet to come takes the time of bringing it.
        """
        skill = cell.signal.skill
        context = self.context if taker.context is None else taker.context
        setup = 0.0 if context == skill else taker.setup_seconds
        found = self._estimate(self._me, cell, taker.speeds.get(skill, 0.0), setup)
        if setup and context:
            found = self._priced(found, context, value_of(cell.urgency_code))
        reserved = self._rule.reserve_hold_seconds if taker.code_min else 0.0
        return found if found.hold >= reserved else found._replace(hold=reserved)

    def _priced(self, found: Estimate, context: str, urgency: float) -> Estimate:
        """What the others lose as well, where a context in demand is given up."""
        demand = self.demand
        share, holders = demand.share(context), demand.holders(context)
        price = 0.0
        if share:
            above = urgency / demand.urgency()
            price = price_seconds(found.setup, share, holders, above, self._rule)
        return found._replace(
            hold=found.hold + price,
            price=price,
            context=context,
            share=share,
            holders=holders,
        )

    def guess(self, agent: Address, cell: Cell) -> Estimate:
        """What ``estimate`` would be for another agent, by receipts known here."""
        return self._estimate(agent, cell, 0.0, 0.0)

    def _estimate(
        self, agent: Address, cell: Cell, declared: float, setup: float
    ) -> Estimate:
        rule, speeds, signal = self._rule, self._speeds, cell.signal
        size = value_of(signal.size_code)
        speed, source = declared, SpeedSource.DECLARED
        if not declared:
            known = speeds.is_known(agent, signal.skill)
            source = SpeedSource.LEARNED if known else SpeedSource.UNKNOWN
            speed = speeds.speed(agent, signal.skill)
        missing = signal.body_bytes if signal.body is None else 0
        transfer = missing / BYTES_PER_PEER_PER_SECOND
        service = service_seconds(size, speed, setup, transfer)
        flash = level_of(cell.urgency_code) is FLASH
        percentile = rule.reference_percentile
        percentile = rule.reference_percentile_flash if flash else percentile
        reference = speeds.reference(signal.skill, percentile)
        loss = loss_seconds(service, size, reference, rule)
        return Estimate(
            size=size,
            speed=speed,
            source=source,
            setup=setup,
            transfer=transfer,
            service=service,
            reference=reference,
            percentile=percentile,
            good=size / reference,
            margin=rule.margin * service,
            loss=loss,
            hold=hold_seconds(loss, rule),
        )

    def preference(self, estimate: Estimate, cell: Cell, now: Moment) -> float:
        """CHOOSE: of the ripe tasks, that with the largest comes first.

        One of a silent issuer counts next to nothing beside those of all others, unless
        its delegates decide.
        """
        silent = cell.signal.issuer in self.silence and not voters(cell.signal)
        weight = self._rule.silence_weight if silent else 1.0
        return weight * preference(
            cell.urgency(now.mono_ms),
            self._trust(cell.signal.issuer),
            cell.age_seconds(now.mono_ms),
            self._speeds.ageing_seconds,
            estimate.service,
        )

    def trust(self, issuer: Address) -> float:
        """How much an issuer's word weighs here, 0..1."""
        return self._trust(issuer)

    def shunned(self, task: TaskId) -> Shun | None:
        """Until when a task is left alone here, if it is."""
        return self._shunned.get(task.raw)

    def shun(self, task: TaskId, shun: Shun) -> None:
        """Leave a task alone for a while, or for good."""
        self._shunned.pop(task.raw, None)
        self._shunned[task.raw] = shun
        while len(self._shunned) > _SHUNNED_MAX:
            del self._shunned[next(iter(self._shunned))]

    def failed(self, task: TaskId, now: Moment) -> None:
        """A task failed here: leave it alone for longer each time, then for good."""
        failures = 1 + (self._shunned.get(task.raw) or Shun()).failures
        pause_ms = self._rule.failed_pause_ms << (failures - 1)
        again = failures <= self._rule.failed_retries_max
        self.shun(task, Shun(now.mono_ms + pause_ms if again else None, 0, failures))

    def won(self, task: TaskId, skill: str) -> None:
        """A task of this skill is worked here now."""
        shun = self._shunned.pop(task.raw, Shun())
        if shun.failures:
            self.shun(task, Shun(failures=shun.failures))
        self.context = skill
