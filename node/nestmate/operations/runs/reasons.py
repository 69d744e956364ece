"""Carries out the operations that say why."""

from nestmate.operations.forms import identifier, plain
from nestmate.operations.perform import Caller, Node
from nestmate.operations.reasons import (
    Attempt,
    ClaimExplain,
    DepositShown,
    Estimate,
    Listener,
    Reasons,
    Rival,
    StrengthParts,
    TaskShown,
    Telling,
)
from nestmate.operations.runs.asking import answer
from nestmate.operations.runs.signals import show_task, show_votes
from nestmate.operations.signals import SignalShow
from nestmate_protocol.ids import TaskId
from nestmate_protocol.signals import requests as core


async def show(node: Node, request: SignalShow, _caller: Caller) -> TaskShown:
    """Everything this node knows of one task."""
    task = identifier(TaskId, request.task, "task")
    view = await answer(node, core.ShowTask(task), core.TaskView)
    shown = show_task(view)
    detail = view.detail
    return TaskShown(
        **{name: getattr(shown, name) for name in shown.__struct_fields__},
        why=plain(detail.why) if detail else "",
        ready_seconds=_rounded(detail.ready_seconds) if detail else None,
        strength_parts=_parts(detail.strength) if detail and detail.strength else None,
        telling=_telling(detail.telling) if detail and detail.telling else None,
        attempts=[_attempt(each) for each in detail.attempts] if detail else [],
    )


async def explain(node: Node, request: ClaimExplain, _caller: Caller) -> Reasons:
    """Why this node claims a task, or not."""
    task = identifier(TaskId, request.task, "task")
    found = await answer(node, core.ExplainClaim(task), core.Explanation)
    return Reasons(
        task=found.task.text,
        skill=plain(found.skill),
        issuer=found.issuer.text,
        prospect=found.prospect.value,
        why=plain(found.sentence),
        age_seconds=found.age_seconds,
        ready_seconds=_rounded(found.ready_seconds),
        urgency=found.urgency,
        urgency_counted=found.urgency_counted,
        estimate=_estimate(found.estimate) if found.estimate else None,
        preference=found.preference,
        rival=_rival(found.rival) if found.rival else None,
        trust=found.trust,
        shunned_seconds=_rounded(found.shunned_seconds),
        waiting=found.waiting,
        idle=found.idle,
        room=found.room,
        lease_seconds_left=_rounded(found.lease_seconds),
        delegates=show_votes(found.delegates),
    )


def _parts(view: core.StrengthView) -> StrengthParts:
    return StrengthParts(
        weight=view.weight,
        growth=view.growth,
        freshness=view.freshness,
        intensity=view.intensity,
        half_life_seconds=view.half_life_seconds,
        deposits=[
            DepositShown(
                agent=each.agent.text,
                urgency=each.urgency,
                age_seconds=each.age_seconds,
            )
            for each in view.deposits
        ],
    )


def _telling(view: core.TellingView) -> Telling:
    return Telling(
        said=view.said,
        again_seconds=_rounded(view.again_seconds),
        able=view.able,
        told=view.told,
        listeners=[
            Listener(
                agent=each.agent.text,
                speed=_rounded(each.speed),
                hold_seconds=round(each.hold_seconds, 3),
            )
            for each in view.listeners
        ],
        topic=view.topic,
    )


def _attempt(view: core.AttemptView) -> Attempt:
    return Attempt(
        agent=view.agent.text,
        generation=view.generation,
        granted=view.granted,
        seconds_ago=round(view.seconds_ago, 3),
    )


def _estimate(view: core.Estimate) -> Estimate:
    return Estimate(
        size=round(view.size, 3),
        speed=round(view.speed, 3),
        speed_source=view.source.value,
        setup=round(view.setup, 3),
        transfer=round(view.transfer, 3),
        service=round(view.service, 3),
        reference_speed=round(view.reference, 3),
        reference_percentile=view.percentile,
        good=round(view.good, 3),
        margin=round(view.margin, 3),
        loss=round(view.loss, 3),
        gives_up=view.context,
        gives_up_share=round(view.share, 3),
        gives_up_holders=view.holders,
        price=round(view.price, 3),
        hold=round(view.hold, 3),
    )


def _rival(view: core.Rival) -> Rival:
    return Rival(
        task=view.task.text,
        preference=view.preference,
        ready_seconds=round(view.ready_seconds, 3),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
