"""The desk: what local agents ask of signals and claims, met or declined.

One method per request; each gives the steps that follow, the ``Reply`` among them,
unless the answer comes later. A request that cannot be met raises DeclinedError. The
desk checks what a caller may get wrong and leaves every rule to its part.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import plain
from nestmate_protocol.effects import Reply
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    APART_BYTES_MAX,
    DELEGATES_MAX,
    IDEMPOTENCY_KEY_BYTES_MAX,
    LEASE_SECONDS_MAX,
    LEASE_SECONDS_MIN,
    REASON_CHARS_MAX,
    RESULT_BYTES_MAX,
    SIGNAL_TTL_SECONDS_MAX,
    TASK_BODY_BYTES_MAX,
    TASK_INLINE_BODY_BYTES_MAX,
    TASK_INPUTS_MAX,
)
from nestmate_protocol.signals.cells import Stage
from nestmate_protocol.signals.confirmations import Confirmations
from nestmate_protocol.signals.delegation import Delegation
from nestmate_protocol.signals.dependence import Dependence
from nestmate_protocol.signals.details import Archive
from nestmate_protocol.signals.emitter import Emitter
from nestmate_protocol.signals.family import part_key
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.levels import (
    cost_cents,
    level_of,
    size_code,
    urgency_code,
)
from nestmate_protocol.signals.liars import Liars
from nestmate_protocol.signals.orphans import Orphans
from nestmate_protocol.signals.outcomes import Listen, ToAgent, ToTopic
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.records import (
    Deposit,
    TaskClass,
    is_skill_name,
    task_id,
)
from nestmate_protocol.signals.requests import (
    Acknowledged,
    AuthorViews,
    ClaimViews,
    Deposited,
    DepositTask,
    ExplainClaim,
    Explanation,
    FailClaim,
    FinishClaim,
    ListAuthors,
    ListClaims,
    ListSignals,
    ReinforceTask,
    ReleaseClaim,
    RenewClaim,
    ShowTask,
    SignalsRequest,
    TakeTask,
    TaskStatus,
    TaskView,
    TaskViews,
    WithdrawTask,
)
from nestmate_protocol.signals.response import Speeds
from nestmate_protocol.signals.shelf import Order, Source
from nestmate_protocol.signals.takers import Takers
from nestmate_protocol.signals.upshots import Step, busy, conflict, invalid, unknown
from nestmate_protocol.signals.views import (
    author_view,
    claim_view,
    held_view,
    own_view,
    sensed_view,
)
from nestmate_protocol.signals.worker import Worker
from nestmate_protocol.signals.yields import AwaitResult

_KEY_BYTES = 16
_TOO_SOON = "Your signals come too fast."


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts of one board."""

    pen: Pen
    field: Field
    speeds: Speeds
    emitter: Emitter
    issuer: Issuer
    worker: Worker
    orphans: Orphans
    takers: Takers
    confirmations: Confirmations
    archive: Archive
    liars: Liars
    dependence: Dependence
    delegation: Delegation


class Desk:
    """Where local agents' requests are met."""

    def __init__(self, parts: Parts, entropy: Callable[[int], bytes]) -> None:
        self._parts = parts
        self._entropy = entropy

    def __repr__(self) -> str:
        return f"<Desk of {self._parts.pen.me.short}>"

    def ask(self, request: int, body: SignalsRequest, now: Moment) -> list[Step]:
        """Meet a request; DeclinedError says why not."""
        match body:
            case DepositTask():
                return self._deposit(request, body, now)
            case AwaitResult():
                return self._parts.dependence.wishes.ask(request, body, now)
            case ListSignals():
                return [Reply(request, TaskViews(self._list(body, now)))]
            case ShowTask(task):
                return [Reply(request, self._detailed(task, now))]
            case ListAuthors(limit):
                return [Reply(request, self._authors(limit, now))]
            case ReinforceTask(task):
                return self._reinforce(request, task, now)
            case WithdrawTask(task):
                return self._withdraw(request, task)
            case TakeTask():
                return self._parts.takers.take(request, body, now)
            case ListClaims():
                return [Reply(request, self._claims(now))]
            case ExplainClaim(task):
                return [Reply(request, self._explained(task, now))]
            case RenewClaim(task):
                fence, steps = self._parts.worker.renew(task, now)
                steps += self._parts.orphans.renewed(task, now)
                return [*steps, Reply(request, Acknowledged(task, fence))]
            case ReleaseClaim() | FailClaim():
                return self._release(request, body, now)
            case FinishClaim():
                return self._finish(request, body, now)
            case _:
                assert_never(body)

    def _deposit(self, request: int, body: DepositTask, now: Moment) -> list[Step]:
        parts, key = self._parts, body.key or self._entropy(_KEY_BYTES)
        order = _order(body, key, now)
        if body.parent is not None:
            order = replace(order, key=part_key(body.parent, body))
        known = parts.issuer.tasks.get(task_id(parts.pen.me, order.key).raw)
        if known is not None and known.order.parent is not None:
            order = replace(order, parent=known.order.parent)
        else:
            order = replace(order, parent=parts.dependence.family.parent(body))
        order = replace(order, inputs=self._sources(body.inputs, order.key))
        if body.delegates:
            order = replace(order, delegates=_delegates(body, parts.pen.me))
        task, steps = parts.issuer.deposit(order, now)
        parts.dependence.family.adopted(parts.issuer.tasks[task.raw], now)
        steps += parts.dependence.flow.begin(task, now)
        return [Listen(order.skill), *steps, Reply(request, Deposited(task))]

    def _sources(self, tasks: tuple[TaskId, ...], key: bytes) -> tuple[Source, ...]:
        """Where results are to come from; DeclinedError for what is not known here."""
        parts, sources = self._parts, dict[bytes, Source]()
        if len(tasks) > TASK_INPUTS_MAX:
            raise invalid(f"A task takes at most {TASK_INPUTS_MAX} inputs.")
        known = parts.issuer.tasks.get(task_id(parts.pen.me, key).raw)
        if known is not None and tuple(s.task for s in known.order.inputs) == tasks:
            return known.order.inputs
        for task in tasks:
            cell = parts.field.get(task)
            if task.raw in parts.issuer.tasks:
                sources[task.raw] = Source(task, parts.pen.me)
            elif cell is not None:
                sources[task.raw] = Source(task, cell.signal.issuer)
            else:
                raise unknown(
                    f"The input {task.short} is no task known here.",
                    "An input is a task of your own, or one of `nestmate signal ls`.",
                )
        return tuple(sources.values())

    def _list(self, body: ListSignals, now: Moment) -> tuple[TaskView, ...]:
        cells = self._parts.field
        sensed = cells.of_skill(body.skill) if body.skill else iter(cells)
        views = [
            self._show(cell.task, now)
            for cell in sensed
            if cell.life.stage == Stage.OPEN and not cell.is_gone(now)
        ]
        strong = [view for view in views if view.strength >= body.min_strength]
        strong.sort(key=lambda view: (-view.strength, view.task))
        return tuple(strong[: max(0, body.limit)])

    def _show(self, task: TaskId, now: Moment) -> TaskView:
        votes = self._parts.delegation.views(task)
        return replace(self._shown(task, now), delegates=votes)

    def _shown(self, task: TaskId, now: Moment) -> TaskView:
        parts = self._parts
        ageing = parts.speeds.ageing_seconds
        cell = parts.field.get(task)
        own = parts.issuer.tasks.get(task.raw)
        claim = parts.worker.claims.get(task.raw)
        if own is not None:
            missing = parts.issuer.stock.missing(own) if own.waits else ()
            me = parts.pen.me
            return own_view(own, me, cell, ageing, now, missing=missing)
        if cell is not None and (
            cell.life.stage != Stage.OPEN or not cell.is_gone(now)
        ):
            left = parts.field.reckoning.left(cell.signal.issuer, now.mono_ms)
            return sensed_view(cell, claim, left, ageing, now)
        if claim is not None:
            return held_view(claim)
        raise unknown("No such task is known here.", "See `nestmate signal ls`.")

    def _detailed(self, task: TaskId, now: Moment) -> TaskView:
        parts, view = self._parts, self._show(task, now)
        cell, own = parts.field.get(task), parts.issuer.tasks.get(task.raw)
        if own is not None:
            return replace(view, detail=parts.archive.own(own, cell, now))
        if cell is not None:
            return replace(view, detail=parts.archive.sensed(cell, now))
        return view

    def _explained(self, task: TaskId, now: Moment) -> Explanation:
        explained = self._parts.archive.explainer.explain(task, now)
        votes = self._parts.delegation.views(task)
        return replace(explained, delegates=votes)

    def _authors(self, limit: int, now: Moment) -> AuthorViews:
        """Those heard of late, and liars although nothing more is heard of them."""
        parts = self._parts
        field, liars = parts.field, parts.liars.addresses()
        standings = list(field.reckoning.standings(now.mono_ms))
        unheard = set(liars) - {standing.address for standing in standings}
        standings += map(field.reckoning.blank, sorted(unheard))
        tasks = Counter(cell.signal.issuer.raw for cell in field)
        views = [
            author_view(
                standing,
                tasks[standing.address.raw],
                equivocated=standing.address in liars,
            )
            for standing in standings
        ]
        views.sort(key=lambda view: (view.credit, view.address))
        return AuthorViews(tuple(views[: max(0, limit)]))

    def _reinforce(self, request: int, task: TaskId, now: Moment) -> list[Step]:
        parts = self._parts
        own = parts.issuer.tasks.get(task.raw)
        if own is not None:
            if own.status != TaskStatus.OPEN:
                raise conflict(f"The task is {own.status.value} already.")
            if own.waits:
                raise conflict("The task waits for its inputs; nobody can do it yet.")
            steps = parts.emitter.again(task, now)
            if steps is None:
                raise busy(_TOO_SOON, "Try again in a few seconds.")
            return [*steps, Reply(request, Acknowledged(task, own.generation))]
        cell = parts.field.get(task)
        if cell is None or cell.is_gone(now):
            raise unknown("No such task is sensed here.", "See `nestmate signal ls`.")
        if cell.life.stage > Stage.GRANTED:
            raise conflict(f"The task is {cell.life.stage.name.lower()} already.")
        if not parts.emitter.may_spend(now):
            raise busy(_TOO_SOON, "Try again in a few seconds.")
        signal, me = cell.signal, parts.pen.me
        code = signal.urgency_code
        deposit, record, save = parts.pen.spend(
            cost_cents(code),
            lambda link: Deposit(signal.issuer, signal.key, me, link.seq, code, link),
        )
        parts.field.deposit(deposit, 0, now)
        urgent = level_of(code).name == "flash"
        return [
            save,
            Listen(signal.skill),
            ToTopic(signal.skill, record.data, 0, urgent),
            ToAgent(signal.issuer, record.data),
            Reply(request, Acknowledged(task, cell.life.generation)),
        ]

    def _withdraw(self, request: int, task: TaskId) -> list[Step]:
        issuer = self._parts.issuer
        steps = issuer.withdraw(task)
        fence = issuer.tasks[task.raw].generation
        return [*steps, Reply(request, Acknowledged(task, fence))]

    def _claims(self, now: Moment) -> ClaimViews:
        worker = self._parts.worker
        return ClaimViews(
            tuple(
                claim_view(worker.claims[raw], tenure, now)
                for raw, tenure in worker.tenures.items()
                if worker.claims[raw].is_whole
            )
        )

    def _release(
        self, request: int, body: ReleaseClaim | FailClaim, now: Moment
    ) -> list[Step]:
        failed = isinstance(body, FailClaim)
        partial = body.partial if isinstance(body, ReleaseClaim) else b""
        if len(partial) > RESULT_BYTES_MAX:
            raise invalid(f"A partial result takes at most {RESULT_BYTES_MAX} bytes.")
        reason = plain(body.reason)[:REASON_CHARS_MAX]
        fence, steps = self._parts.worker.release(
            body.task, reason, partial, now, failed=failed
        )
        if failed:
            self._parts.takers.shun(body.task, now)
        return [*steps, Reply(request, Acknowledged(body.task, fence))]

    def _finish(self, request: int, body: FinishClaim, now: Moment) -> list[Step]:
        if len(body.result) > RESULT_BYTES_MAX:
            raise invalid(
                f"A result takes at most {RESULT_BYTES_MAX} bytes.",
                "Put the result where it can be fetched, and return where that is.",
            )
        worker = self._parts.worker
        family = self._parts.dependence.family
        gathered = family.gather(body.task, now) if body.parts else None
        if gathered is not None:
            fence, steps = worker.claims[body.task.raw].generation, gathered
        else:
            fence, steps = worker.finish(body.task, body.result, now)
            steps += self._parts.orphans.finished(body.task, now)
        if body.wait_seconds > 0 and body.task.raw in worker.claims:
            wait = self._parts.confirmations.wait
            wait(request, body.task, body.wait_seconds, now)
            return steps
        return [*steps, Reply(request, Acknowledged(body.task, fence))]


def _delegates(body: DepositTask, me: Address) -> tuple[Address, ...]:
    """The three who are to vote; DeclinedError if they cannot.

    Of two that are named the depositor is the third.
    """
    named = tuple(dict.fromkeys(body.delegates))
    named = named if len(named) == DELEGATES_MAX else (me, *named)
    if len(set(named)) != DELEGATES_MAX:
        raise invalid(
            f"A task has {DELEGATES_MAX} delegates, of whom you may be one.",
            "Name two other agents, or three.",
        )
    if not body.exclusive:
        raise invalid(
            "Only an exclusive task has delegates.",
            "Any other task goes on by itself while its issuer is silent.",
        )
    if body.inputs or body.apart or len(body.body) > TASK_INLINE_BODY_BYTES_MAX:
        raise invalid(
            "Delegates can give a task away only if its signal says it all: no inputs,"
            f" no `apart`, and a body of at most {TASK_INLINE_BODY_BYTES_MAX} bytes.",
            "Put the input where it can be fetched, and send where that is.",
        )
    return named


def _order(body: DepositTask, key: bytes, now: Moment) -> Order:
    """What is asked for, in the units of the records; DeclinedError if it cannot be."""
    if not is_skill_name(body.skill):
        raise invalid(
            f"{body.skill[:80]!r} is not a skill's name.",
            "A skill is 1 to 64 printable characters, such as translate.",
        )
    if not 0 <= body.urgency <= 1:
        raise invalid("Urgency is a number from 0 to 1.")
    if not (isfinite(body.size_seconds) and body.size_seconds > 0):
        raise invalid("A task's size is a positive number of seconds.")
    if len(body.body) > TASK_BODY_BYTES_MAX:
        raise invalid(
            f"A task's body takes at most {TASK_BODY_BYTES_MAX} bytes.",
            "Put the input where it can be fetched, and send where that is.",
        )
    if len(key) > IDEMPOTENCY_KEY_BYTES_MAX:
        raise invalid(f"A key takes at most {IDEMPOTENCY_KEY_BYTES_MAX} bytes.")
    if len(body.apart) > APART_BYTES_MAX:
        raise invalid(f"`apart` takes at most {APART_BYTES_MAX} bytes.")
    level = level_of(urgency_code(body.urgency))
    ttl_seconds = body.ttl_seconds or level.ttl_seconds
    if not 1 <= ttl_seconds <= SIGNAL_TTL_SECONDS_MAX:
        raise invalid(f"A task lives 1 to {SIGNAL_TTL_SECONDS_MAX} seconds.")
    if not LEASE_SECONDS_MIN <= body.lease_seconds <= LEASE_SECONDS_MAX:
        raise invalid(f"A lease is {LEASE_SECONDS_MIN} to {LEASE_SECONDS_MAX} seconds.")
    if not 0 <= body.half_life_seconds <= SIGNAL_TTL_SECONDS_MAX:
        raise invalid(f"A half-life is at most {SIGNAL_TTL_SECONDS_MAX} seconds.")
    if body.deadline_ms and body.deadline_ms <= now.wall_ms:
        raise invalid("The deadline has passed already.")
    return Order(
        key=key,
        skill=body.skill,
        urgency_code=urgency_code(body.urgency),
        size_code=size_code(body.size_seconds),
        ttl_seconds=ttl_seconds,
        lease_seconds=body.lease_seconds,
        half_life_seconds=body.half_life_seconds,
        deadline_ms=body.deadline_ms,
        task_class=TaskClass.EXCLUSIVE if body.exclusive else TaskClass.NORMAL,
        body=body.body,
        created_ms=now.wall_ms,
        shared=body.shared,
        apart=body.apart,
    )
