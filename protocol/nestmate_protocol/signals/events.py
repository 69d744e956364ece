"""Events: what local agents are told of tasks and claims, and with which details.

This file knows no rule; it only gives each event its form.
"""

from nestmate_protocol.effects import Notify, Scalar
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.levels import urgency_share
from nestmate_protocol.signals.records import Signal
from nestmate_protocol.signals.shelf import HeldClaim, OwnTask


def sensed_event(task: TaskId, signal: Signal) -> Notify:
    """``signal.sensed``: somebody's task is heard of for the first time."""
    details: dict[str, Scalar] = {
        "skill": signal.skill,
        "urgency": urgency_share(signal.urgency_code),
    }
    return Notify("signal.sensed", task, signal.issuer, details)


def task_event(kind: str, own: OwnTask, me: Address) -> Notify:
    """``task.granted``, ``task.reopened``, ``task.done`` or ``task.cancelled``."""
    details: dict[str, Scalar] = {
        "skill": own.order.skill,
        "urgency": urgency_share(own.order.urgency_code),
        "generation": own.generation,
        "holder": own.holder.text if own.holder else None,
        "reason": own.reason,
    }
    return Notify(kind, own.task, me, details)


def claim_event(kind: str, claim: HeldClaim, reason: str = "") -> Notify:
    """``claim.granted``, ``claim.lost`` or ``claim.settled``; the author is its issuer.

    The reason is why a claim was lost.
    """
    details: dict[str, Scalar] = {
        "skill": claim.skill,
        "urgency": urgency_share(claim.urgency_code),
        "generation": claim.generation,
        "reason": reason,
    }
    return Notify(kind, claim.task, claim.issuer, details)
