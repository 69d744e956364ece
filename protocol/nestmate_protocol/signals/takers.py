"""The takers: local agents that wait for a task to work on.

Whenever a taker is idle and a task of its skill may be claimed, it claims the best by
the rule: HOLD says from which age on, CHOOSE says which. One claim per taker is on its
way at a time; denied or unanswered, the next task has its turn. A lease whose taker
has gone meanwhile goes to another that waits for the skill, or back to its issuer.
This file knows no record and no peer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil, isfinite
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Code, Refusal, Reply
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import BYTES_PER_PEER_PER_SECOND, TAKERS_WAITING_MAX
from nestmate_protocol.signals.alarms import Alarms, wait_ms
from nestmate_protocol.signals.courier import pause_ms
from nestmate_protocol.signals.events import claim_event
from nestmate_protocol.signals.field import Cell, Field, Stage
from nestmate_protocol.signals.levels import FLASH, level_of, value_of
from nestmate_protocol.signals.outcomes import Listen
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.records import is_skill_name
from nestmate_protocol.signals.requests import Ability, TakeTask
from nestmate_protocol.signals.response import (
    Speeds,
    hold_seconds,
    loss_seconds,
    preference,
    service_seconds,
)
from nestmate_protocol.signals.upshots import (
    Step,
    busy,
    conflict,
    invalid,
    unknown,
)
from nestmate_protocol.signals.views import claim_view
from nestmate_protocol.signals.worker import Worker

TRY_AGAIN: Final = "Ask again, with a longer wait."
NOT_WANTED: Final = "nobody here waits for it any more"
NO_ROOM_MS: Final = 1_000
_SHUNNED_MAX: Final = 1_024
_REQUEST, _SKILL = "request", "skill"


@dataclass(frozen=True, slots=True)
class Taker:
    """One local agent that waits for work; ``claiming`` is the task on its way to it.

    ``speeds`` holds its skills, with 0 where it does not say how fast it is; ``named``
    is set where it wants that task and no other.
    """

    request: int
    speeds: Mapping[str, float]
    setup_seconds: float
    named: TaskId | None
    claiming: TaskId | None = None


@dataclass(frozen=True, slots=True)
class Shun:
    """A task not to be claimed again before ``until_ms``; never, if that is None."""

    until_ms: int | None
    tries: int


class Takers:
    """Everyone on this node who waits for work."""

    def __init__(
        self,
        me: Address,
        field: Field,
        worker: Worker,
        speeds: Speeds,
        *,
        trust: Callable[[Address], float],
        rule: Rule,
    ) -> None:
        self._me = me
        self._rule = rule
        self._field = field
        self._worker = worker
        self._speeds = speeds
        self._trust = trust
        self._takers: dict[int, Taker] = {}
        self._context = ""
        self._shunned: dict[bytes, Shun] = {}
        self._alarms: Alarms[tuple[str, int | str]] = Alarms()

    def skills(self) -> set[str]:
        """The skills somebody waits for."""
        return {skill for taker in self._takers.values() for skill in taker.speeds}

    def take(self, request: int, body: TakeTask, now: Moment) -> list[Step]:
        """Begin to wait for a task; DeclinedError where that is in vain."""
        if len(self._takers) >= TAKERS_WAITING_MAX:
            raise busy(f"{TAKERS_WAITING_MAX} takers wait on this node already.")
        if (body.task is None) == (not body.skill):
            raise invalid("Name a task to take, or a skill.", "Not both, not neither.")
        until_ms = now.mono_ms + wait_ms(body.wait_seconds)
        if body.task is not None:
            cell = self._claimable(body.task)
            speeds = _abilities(Ability(cell.signal.skill, body.speed))
            taker = Taker(request, speeds, _seconds(body.setup_seconds), cell.task)
            steps = self._claim(taker, cell, now)
        else:
            speeds = _abilities(Ability(body.skill, body.speed), *body.also)
            taker = Taker(request, speeds, _seconds(body.setup_seconds), None)
            self._takers[request] = taker
            steps = [*map(Listen, taker.speeds), *self._choose(taker, now)]
        self._alarms.set((_REQUEST, request), until_ms)
        return steps

    def abandon(self, request: int) -> None:
        """Nobody waits under this request any more."""
        self._alarms.clear((_REQUEST, request))
        taker = self._takers.pop(request, None)
        if taker is not None and taker.claiming is not None:
            self._worker.forget(taker.claiming)

    def shun(self, task: TaskId) -> None:
        """Never claim a task again by itself: it failed here."""
        self._remember(task, Shun(None, 0))

    def offered(self, task: TaskId, now: Moment) -> list[Step]:
        """A task may be claimed now that could not be before."""
        cell = self._field.get(task) if self._takers else None
        if cell is None or cell.life.stage != Stage.OPEN:
            return []
        idle = self._idle(cell.signal.skill)
        if not idle or self._worker.is_engaged(task):
            return []
        ready = [
            (ready_ms, place)
            for place, taker in enumerate(idle)
            if (ready_ms := self._ready_ms(taker, cell)) is not None
        ]
        if not ready:
            return []
        ready_ms, place = min(ready)
        if ready_ms > now.mono_ms:
            self._alarms.sooner((_SKILL, cell.signal.skill), ready_ms)
            return []
        return self._claim(idle[place], cell, now)

    def won(self, task: TaskId, now: Moment) -> list[Step]:
        """A lease has come and is saved: tell whom it is for."""
        self._shunned.pop(task.raw, None)
        claim = self._worker.claims[task.raw]
        self._context = claim.skill
        mine = [t for t in self._takers.values() if t.claiming == task]
        for taker in mine or self._idle(claim.skill):
            self.abandon(taker.request)
            view = claim_view(claim, self._worker.tenures[task.raw], now)
            return [claim_event("claim.granted", claim), Reply(taker.request, view)]
        gone = self._worker.release(task, NOT_WANTED, b"", now, failed=False)
        return gone[1]

    def missed(self, task: TaskId, reason: str, now: Moment) -> list[Step]:
        """A lease will not come: on to the next task, or tell who wanted this one."""
        steps: list[Step] = []
        for taker in [t for t in self._takers.values() if t.claiming == task]:
            cell = self._field.get(task)
            if taker.named is None:
                steps += self._choose(replace(taker, claiming=None), now)
            elif cell is not None and cell.life.stage == Stage.OPEN:
                steps += self._claim(taker, cell, now)
            else:
                self.abandon(taker.request)
                no = Refusal(Code.CONFLICT, f"The task cannot be had: {reason}.")
                steps.append(Reply(taker.request, no))
        return steps

    def unanswered(self, task: TaskId, now: Moment) -> list[Step]:
        """An issuer is silent: leave its task alone for a while and take the next."""
        tries = 1 + (self._shunned[task.raw].tries if task.raw in self._shunned else 0)
        until_ms = now.mono_ms + pause_ms(tries)
        self._remember(task, Shun(until_ms, tries))
        steps: list[Step] = []
        for taker in [t for t in self._takers.values() if t.claiming == task]:
            _look_again(self._alarms, taker, until_ms)
            steps += self._choose(replace(taker, claiming=None), now)
        return steps

    def wake(self, now: Moment) -> list[Step]:
        """Tell those whose time is up, and look again where a task has ripened."""
        steps: list[Step] = []
        for kind, key in self._alarms.ring(now.mono_ms):
            if kind == _REQUEST and isinstance(key, int):
                self.abandon(key)
                late = Refusal(Code.TIMED_OUT, "No lease came in time.", TRY_AGAIN)
                steps.append(Reply(key, late))
            elif isinstance(key, str):
                for taker in self._idle(key):
                    steps += self._choose(taker, now)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._alarms.next()

    def _choose(self, taker: Taker, now: Moment) -> list[Step]:
        """Let an idle taker claim the best ripe task, or wait for one to ripen."""
        self._takers[taker.request] = taker
        ripe: list[tuple[float, bytes]] = []
        for cell in chain.from_iterable(map(self._field.of_skill, taker.speeds)):
            ready_ms = self._ready_ms(taker, cell)
            if ready_ms is None or self._worker.is_engaged(cell.task):
                continue
            if ready_ms > now.mono_ms:
                self._alarms.sooner((_SKILL, cell.signal.skill), ready_ms)
            elif not cell.is_gone(now):
                ripe.append((self._preference(taker, cell, now), cell.task.raw))
        best = self._field.get(TaskId(max(ripe)[1])) if ripe else None
        return [] if best is None else self._claim(taker, best, now)

    def _claim(self, taker: Taker, cell: Cell, now: Moment) -> list[Step]:
        if not self._worker.has_room():
            _look_again(self._alarms, taker, now.mono_ms + NO_ROOM_MS)
            return []
        self._takers[taker.request] = replace(taker, claiming=cell.task)
        _, seconds = self._service(taker, cell)
        patient = taker.named is not None
        return self._worker.claim(cell, seconds, now, patient=patient)

    def _idle(self, skill: str) -> list[Taker]:
        """Who waits for any task of a skill and has no claim on its way."""
        return [
            taker
            for taker in self._takers.values()
            if skill in taker.speeds and taker.named is None and taker.claiming is None
        ]

    def _claimable(self, task: TaskId) -> Cell:
        cell = self._field.get(task)
        if cell is None:
            raise unknown("No such task is sensed here.", "See `nestmate signal ls`.")
        if self._worker.is_engaged(task):
            raise conflict("This node has claimed the task already.")
        if cell.life.stage != Stage.OPEN:
            raise conflict(f"The task is {cell.life.stage.name.lower()} already.")
        if not self._worker.has_room():
            raise busy("This node holds as many claims as it may.", "Finish some.")
        return cell

    def _service(self, taker: Taker, cell: Cell) -> tuple[float, float]:
        """Size, and service time ``p`` with this taker, in seconds.

        A body that has yet to come takes the time of bringing it.
        """
        signal = cell.signal
        size = value_of(signal.size_code)
        declared = taker.speeds.get(signal.skill, 0.0)
        speed = declared or self._speeds.speed(self._me, signal.skill)
        setup = 0.0 if self._context == signal.skill else taker.setup_seconds
        missing = signal.body_bytes if signal.body is None else 0
        transfer = missing / BYTES_PER_PEER_PER_SECOND
        return size, service_seconds(size, speed, setup, transfer)

    def _ready_ms(self, taker: Taker, cell: Cell) -> int | None:
        """HOLD: from when on the task may be claimed from here; None for not at all."""
        shun = self._shunned.get(cell.task.raw)
        if (
            cell.life.stage != Stage.OPEN
            or (shun is not None and shun.until_ms is None)
            or self._trust(cell.signal.issuer) <= 0
        ):
            return None
        hold = hold_seconds(self._loss(taker, cell), self._rule)
        ripe_ms = cell.opened_ms + ceil(1_000 * hold)
        return ripe_ms if shun is None else max(ripe_ms, shun.until_ms or 0)

    def _loss(self, taker: Taker, cell: Cell) -> float:
        """What the task would lose by going to this taker, in seconds."""
        rule, signal = self._rule, cell.signal
        size, service = self._service(taker, cell)
        flash = level_of(signal.urgency_code) is FLASH
        percentile = rule.reference_percentile
        percentile = rule.reference_percentile_flash if flash else percentile
        reference = self._speeds.reference(signal.skill, percentile)
        return loss_seconds(service, size, reference, rule)

    def _preference(self, taker: Taker, cell: Cell, now: Moment) -> float:
        """CHOOSE."""
        _, service = self._service(taker, cell)
        return preference(
            cell.urgency(now.mono_ms),
            self._trust(cell.signal.issuer),
            cell.age_seconds(now.mono_ms),
            self._speeds.ageing_seconds,
            service,
        )

    def _remember(self, task: TaskId, shun: Shun) -> None:
        self._shunned.pop(task.raw, None)
        self._shunned[task.raw] = shun
        while len(self._shunned) > _SHUNNED_MAX:
            del self._shunned[next(iter(self._shunned))]


def _abilities(*abilities: Ability) -> dict[str, float]:
    """Speeds by skill; DeclinedError for what cannot be a skill or a speed."""
    for ability in abilities:
        if not is_skill_name(ability.skill):
            raise invalid(f"{ability.skill[:80]!r} is not a skill's name.")
        if not (isfinite(ability.speed) and ability.speed >= 0):
            raise invalid("A speed is a positive number, 1 for average.")
    return {ability.skill: ability.speed for ability in abilities}


def _seconds(setup: float) -> float:
    if not (isfinite(setup) and setup >= 0):
        raise invalid("A set-up takes zero seconds or more.")
    return setup


def _look_again(
    alarms: Alarms[tuple[str, int | str]], taker: Taker, due_ms: int
) -> None:
    for skill in taker.speeds:
        alarms.sooner((_SKILL, skill), due_ms)
