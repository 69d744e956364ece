"""The takers: local agents that wait for a task to work on.

Whenever a taker is idle and a task of its skill may be claimed, it claims the best:
which may be claimed, and which is best, is the judge's to say. One claim per taker is
on its way at a time; denied or unanswered, the next task has its turn. A lease whose
taker has gone meanwhile goes to another that waits for the skill, or back to its
issuer. Several takers may be slots of one agent: no task is claimed for two of them.
This file knows no record and no peer.
"""

from dataclasses import replace
from itertools import chain
from math import isfinite
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Code, Refusal, Reply
from nestmate_protocol.ids import TaskId
from nestmate_protocol.limits import TAKERS_WAITING_MAX
from nestmate_protocol.signals.alarms import Alarms, wait_ms
from nestmate_protocol.signals.asking import Plan
from nestmate_protocol.signals.cells import Cell, Stage
from nestmate_protocol.signals.courier import pause_ms
from nestmate_protocol.signals.events import claim_event
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.judgement import Judge, Outlook, Shun, Taker
from nestmate_protocol.signals.levels import urgency_code
from nestmate_protocol.signals.outcomes import Listen
from nestmate_protocol.signals.records import is_skill_name
from nestmate_protocol.signals.requests import Ability, TakeTask
from nestmate_protocol.signals.rivals import Rivals
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
_REQUEST, _SKILL = "request", "skill"


class Takers:
    """Everyone on this node who waits for work."""

    def __init__(
        self, field: Field, worker: Worker, rivals: Rivals, judge: Judge
    ) -> None:
        self._field = field
        self._worker = worker
        self._rivals = rivals
        self._judge = judge
        self._takers: dict[int, Taker] = {}
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
            taker = _taker(request, body, Ability(cell.signal.skill, body.speed))
            steps = self._claim(taker, cell, now)
        else:
            first = Ability(body.skill, body.speed)
            taker = _taker(request, body, first, *body.also)
            self._takers[request] = taker
            steps = [*map(Listen, taker.speeds), *self._choose(taker, now)]
        self._alarms.set((_REQUEST, request), until_ms)
        return steps

    def abandon(self, request: int) -> None:
        """Nobody waits under this request any more."""
        self._alarms.clear((_REQUEST, request))
        taker = self._takers.pop(request, None)
        if taker is not None and taker.claiming is not None:
            self._worker.asking.forget(taker.claiming)

    def shun(self, task: TaskId, now: Moment) -> None:
        """A task failed here: leave it to others for a while, in the end for good."""
        self._judge.failed(task, now)

    def offered(self, task: TaskId, now: Moment) -> list[Step]:
        """A task may be claimed now that could not be before."""
        cell = self._field.get(task) if self._takers else None
        if cell is None or self._rivals.opening(cell) is None:
            return []
        found = self.first(cell, now)
        if found is None:
            return []
        ready_ms, taker = found
        if ready_ms > now.mono_ms:
            self._alarms.sooner((_SKILL, cell.signal.skill), ready_ms)
            return []
        return self._claim(taker, cell, now)

    def first(self, cell: Cell, now: Moment) -> tuple[int, Taker] | None:
        """The idle taker that may claim a task soonest, and when, in monotonic ms."""
        ready = [
            (ready_ms, place, taker)
            for place, taker in enumerate(self._idle(cell.signal.skill))
            if (ready_ms := self._judge.judge(taker, cell, now).ready_ms) is not None
        ]
        if not ready:
            return None
        ready_ms, _, taker = min(ready)
        return ready_ms, taker

    def waiting(self, skill: str) -> list[Taker]:
        """Everyone who waits for a skill, idle or with a claim on its way."""
        return [taker for taker in self._takers.values() if skill in taker.speeds]

    def reconsider(self, skill: str, now: Moment, *, given_up: bool = False) -> None:
        """What a task of this skill takes has changed: look at once who waits for it.

        With ``given_up`` it is what giving it up costs, which bears on all others.
        Where nothing is waited for, nothing has to be looked at.
        """
        others = self.skills() if self._judge.context == skill else ()
        for each in others if given_up else (skill,):
            if self._alarms.due((_SKILL, each)) is not None:
                self._alarms.sooner((_SKILL, each), now.mono_ms)

    def won(self, task: TaskId, now: Moment) -> list[Step]:
        """A lease has come and is saved: tell whom it is for."""
        claim = self._worker.claims[task.raw]
        self._judge.won(task, claim.skill)
        self.reconsider(claim.skill, now)
        mine = [t for t in self._takers.values() if t.claiming == task]
        idle = [t for t in self._idle(claim.skill) if t.code_min <= claim.urgency_code]
        for taker in mine or idle:
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

    def elsewhere(self, task: TaskId, now: Moment) -> list[Step]:
        """An issuer is silent: on to a task whose issuer is not, if there is any."""
        steps: list[Step] = []
        for taker in [t for t in self._takers.values() if t.claiming == task]:
            best = None if taker.named else self._best(taker, now)
            if best is not None and best.signal.issuer not in self._judge.silence:
                self._worker.asking.forget(task)
                steps += self._claim(taker, best, now)
        return steps

    def unanswered(self, task: TaskId, now: Moment) -> list[Step]:
        """An issuer is silent: leave its task alone for a while and take the next."""
        shun = self._judge.shunned(task) or Shun()
        until_ms = now.mono_ms + pause_ms(shun.tries + 1)
        shun = replace(shun, until_ms=until_ms, tries=shun.tries + 1)
        self._judge.shun(task, shun)
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
        best = self._best(taker, now)
        return [] if best is None else self._claim(taker, best, now)

    def _best(self, taker: Taker, now: Moment) -> Cell | None:
        """The best ripe task; where one is not ripe yet, look again when it is."""
        ripe: list[tuple[float, bytes]] = []
        for cell in chain.from_iterable(map(self._field.of_skill, taker.speeds)):
            outlook, ready_ms, estimate = self._judge.judge(taker, cell, now)
            if ready_ms is None or estimate is None:
                continue
            if outlook is Outlook.RIPE:
                preference = self._judge.preference(estimate, cell, now)
                ripe.append((preference, cell.task.raw))
            else:
                self._alarms.sooner((_SKILL, cell.signal.skill), ready_ms)
        return self._field.get(TaskId(max(ripe)[1])) if ripe else None

    def _claim(self, taker: Taker, cell: Cell, now: Moment) -> list[Step]:
        if not self._worker.has_room():
            _look_again(self._alarms, taker, now.mono_ms + NO_ROOM_MS)
            return []
        self._takers[taker.request] = replace(taker, claiming=cell.task)
        estimate = self._judge.estimate(taker, cell)
        plan = Plan(estimate.service, estimate.setup)
        patient = taker.named is not None
        opening, generation = self._rivals.opening(cell), cell.life.generation
        if opening is not None and cell.life.stage == Stage.OPEN:
            generation = opening.generation
        generation = self._rivals.unspent(cell.task, generation)
        claim = self._worker.asking.claim
        return claim(cell, generation, plan, now, patient=patient)

    def _idle(self, skill: str) -> list[Taker]:
        """Who waits for any task of a skill with no claim on its way; reserves last."""
        idle = [
            taker
            for taker in self._takers.values()
            if skill in taker.speeds and taker.named is None and taker.claiming is None
        ]
        return sorted(idle, key=lambda taker: taker.code_min > 0)

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


def _taker(request: int, body: TakeTask, *abilities: Ability) -> Taker:
    """Who asks so; DeclinedError for what it cannot be."""
    if not 0 <= body.min_urgency <= 1:
        raise invalid("Urgency is a number from 0 to 1.")
    return Taker(
        request,
        _abilities(*abilities),
        _seconds(body.setup_seconds),
        body.task,
        context=body.context,
        code_min=urgency_code(body.min_urgency),
    )


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
