"""Views: tasks and claims as local agents are shown them.

Pure functions from what the board knows to the values of ``requests``. Foreign text
is cleaned on its way to people.
"""

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import plain
from nestmate_protocol.ids import Address
from nestmate_protocol.signals.cells import Cell, Stage
from nestmate_protocol.signals.levels import affordable_code, urgency_share
from nestmate_protocol.signals.reckoning import Standing
from nestmate_protocol.signals.records import TaskClass
from nestmate_protocol.signals.requests import (
    AuthorView,
    ClaimView,
    TaskStatus,
    TaskView,
)
from nestmate_protocol.signals.shelf import HeldClaim, OwnTask, Source
from nestmate_protocol.signals.worker import Tenure
from nestmate_protocol.signals.yields import InputResult, InputView

_STATUS = {
    Stage.OPEN: TaskStatus.OPEN,
    Stage.GRANTED: TaskStatus.GRANTED,
    Stage.CANCELLED: TaskStatus.CANCELLED,
    Stage.DONE: TaskStatus.DONE,
}


def claim_view(claim: HeldClaim, tenure: Tenure, now: Moment) -> ClaimView:
    """A held lease."""
    return ClaimView(
        task=claim.task,
        skill=plain(claim.skill),
        issuer=claim.issuer,
        generation=claim.generation,
        lease_seconds=claim.lease_seconds,
        seconds_left=max(0, tenure.until_ms - now.mono_ms) / 1_000,
        urgency=urgency_share(claim.urgency_code),
        body=claim.body,
        partial=claim.partial,
        exclusive=claim.task_class == TaskClass.EXCLUSIVE,
        settled=claim.settled,
        inputs=tuple(
            InputResult(supply.task, supply.data or b"") for supply in claim.inputs
        ),
    )


def sensed_view(
    cell: Cell,
    claim: HeldClaim | None,
    credit: float | None,
    ageing: float,
    now: Moment,
) -> TaskView:
    """Somebody else's task, as far as it is known here; ``claim`` is ours on it."""
    life = cell.life
    return TaskView(
        task=cell.task,
        skill=cell.signal.skill,
        issuer=cell.signal.issuer,
        own=False,
        status=_STATUS[life.stage],
        urgency=urgency_share(cell.signal.urgency_code),
        strength=_strength(cell, ageing, now),
        age_seconds=cell.age_seconds(now.mono_ms),
        generation=life.generation,
        holder=Address(life.holder) if life.holder else None,
        body=claim.body if claim and claim.body else cell.signal.body,
        result=claim.result if claim and claim.finished_ms else None,
        reason="",
        deposits=len(cell.shares),
        urgency_paid=urgency_share(cell.urgency_code),
        credit=credit,
        inputs=tuple(InputView(each, None) for each in cell.signal.inputs),
        called_seconds=_called(cell, now),
    )


def own_view(
    own: OwnTask,
    issuer: Address,
    cell: Cell | None,
    ageing: float,
    now: Moment,
    *,
    missing: tuple[Source, ...],
) -> TaskView:
    """A task of our own; ``missing`` are the inputs that are not here yet."""
    order = own.order
    return TaskView(
        task=own.task,
        skill=order.skill,
        issuer=issuer,
        own=True,
        status=own.status,
        urgency=urgency_share(order.urgency_code),
        strength=_strength(cell, ageing, now) if cell else 0.0,
        age_seconds=max(0, now.wall_ms - order.created_ms) / 1_000,
        generation=own.generation,
        holder=own.holder,
        body=order.body,
        result=own.result,
        reason=_waits_for(missing) if own.waits else plain(own.reason),
        deposits=len(cell.shares) if cell else 0,
        urgency_paid=urgency_share(order.urgency_code),
        inputs=tuple(
            InputView(source.task, source not in missing) for source in order.inputs
        ),
        parent=order.parent.task if order.parent else None,
        called_seconds=_called(cell, now) if cell else 0.0,
    )


def author_view(standing: Standing, tasks: int, *, equivocated: bool) -> AuthorView:
    """What an author asked for, got and may still spend; a liar has nothing."""
    return AuthorView(
        address=standing.address,
        credit=0.0 if equivocated else standing.left,
        credit_max=standing.cap,
        asked=_urgency(standing.asks_cents),
        counted=_urgency(standing.paid_cents),
        usual=_urgency(standing.mean_cents),
        tasks=tasks,
        known=standing.is_known,
        equivocated=equivocated,
    )


def _urgency(cents: float) -> float:
    """The user's 0..1 for what a task costs."""
    return urgency_share(affordable_code(round(cents)))


def held_view(claim: HeldClaim) -> TaskView:
    """A task that is worked here and has faded from the field meanwhile."""
    return TaskView(
        task=claim.task,
        skill=claim.skill,
        issuer=claim.issuer,
        own=False,
        status=TaskStatus.GRANTED,
        urgency=urgency_share(claim.urgency_code),
        strength=0.0,
        age_seconds=0.0,
        generation=claim.generation,
        holder=None,
        body=claim.body,
        result=claim.result if claim.finished_ms else None,
        reason="",
        deposits=0,
        urgency_paid=urgency_share(claim.urgency_code),
    )


def _waits_for(missing: tuple[Source, ...]) -> str:
    names = ", ".join(source.task.short for source in missing)
    return f"it waits for the result{'s' if len(missing) > 1 else ''} of {names}"


def _called(cell: Cell, now: Moment) -> float:
    return max(0, now.mono_ms - cell.sent_ms) / 1_000


def _strength(cell: Cell, ageing: float, now: Moment) -> float:
    """What a lease, a receipt or a cancellation has retired calls no more."""
    retired = cell.life.stage != Stage.OPEN
    return 0.0 if retired else cell.strength(now.mono_ms, ageing)
