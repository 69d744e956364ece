"""Carries out the operations on claims."""

from nestmate.errors import UsageError
from nestmate.operations.claims import (
    SETUP_SECONDS_MAX,
    Claim,
    ClaimDone,
    ClaimFail,
    ClaimInput,
    ClaimList,
    ClaimRelease,
    ClaimRenew,
    Claims,
    ClaimTake,
)
from nestmate.operations.forms import (
    from_bytes,
    identifier,
    plain,
    read_ability,
    seconds,
    to_bytes,
)
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX, answer
from nestmate.operations.runs.signals import acknowledge
from nestmate.operations.signals import Acknowledged
from nestmate_protocol.ids import TaskId
from nestmate_protocol.limits import RESULT_BYTES_MAX
from nestmate_protocol.signals import requests as core


async def take(node: Node, request: ClaimTake, _caller: Caller) -> Claim:
    """Claim one named task, or the best one of a skill as it comes along."""
    if bool(request.task) == bool(request.skill):
        raise UsageError(
            "Name either a task or a skill.",
            "Give `task` to take that one, or `skill` to take the best there is.",
        )
    wish = core.TakeTask(
        task=identifier(TaskId, request.task, "task") if request.task else None,
        skill=request.skill,
        wait_seconds=seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX),
        speed=request.speed,
        setup_seconds=seconds(request.setup, "setup", 0, SETUP_SECONDS_MAX),
        also=tuple(core.Ability(*read_ability(text)) for text in request.also),
        context=request.context,
        min_urgency=request.min_urgency,
    )
    return _show(await answer(node, wish, core.ClaimView))


async def done(node: Node, request: ClaimDone, _caller: Caller) -> Acknowledged:
    """Hand in the result."""
    wish = core.FinishClaim(
        task=identifier(TaskId, request.task, "task"),
        result=to_bytes(request.result, "result", RESULT_BYTES_MAX),
        parts=request.parts,
        wait_seconds=seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX),
    )
    return acknowledge(await answer(node, wish, core.Acknowledged))


async def renew(node: Node, request: ClaimRenew, _caller: Caller) -> Acknowledged:
    """Ask the issuer for another term."""
    task = identifier(TaskId, request.task, "task")
    return acknowledge(await answer(node, core.RenewClaim(task), core.Acknowledged))


async def release(node: Node, request: ClaimRelease, _caller: Caller) -> Acknowledged:
    """Give a task back for others."""
    wish = core.ReleaseClaim(
        task=identifier(TaskId, request.task, "task"),
        reason=request.reason,
        partial=to_bytes(request.partial, "partial", RESULT_BYTES_MAX),
    )
    return acknowledge(await answer(node, wish, core.Acknowledged))


async def fail(node: Node, request: ClaimFail, _caller: Caller) -> Acknowledged:
    """Say that the work cannot be done here."""
    wish = core.FailClaim(identifier(TaskId, request.task, "task"), request.reason)
    return acknowledge(await answer(node, wish, core.Acknowledged))


async def ls(node: Node, _request: ClaimList, _caller: Caller) -> Claims:
    """Which leases this node holds."""
    views = await answer(node, core.ListClaims(), core.ClaimViews)
    return Claims(claims=[_show(view) for view in views.claims])


def _show(view: core.ClaimView) -> Claim:
    return Claim(
        task=view.task.text,
        skill=plain(view.skill),
        issuer=view.issuer.text,
        generation=view.generation,
        lease_seconds=view.lease_seconds,
        seconds_left=round(view.seconds_left, 3),
        urgency=view.urgency,
        body=from_bytes(view.body),
        partial=from_bytes(view.partial),
        exclusive=view.exclusive,
        inputs=[
            ClaimInput(task=each.task.text, result=from_bytes(each.result))
            for each in view.inputs
        ],
    )
