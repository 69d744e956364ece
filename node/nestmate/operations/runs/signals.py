"""Carries out the operations on signals."""

import time
from collections.abc import Iterable
from hashlib import sha256

from nestmate.node.filters import Filter
from nestmate.operations.events import EventPage
from nestmate.operations.forms import (
    from_bytes,
    identifier,
    moment_ms,
    plain,
    seconds,
    to_bytes,
)
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX, answer
from nestmate.operations.runs.events import PAGE_EVENTS_MAX, read_page
from nestmate.operations.signals import (
    Acknowledged,
    Author,
    Authors,
    DelegateVote,
    Deposited,
    SignalAuthors,
    SignalDeposit,
    SignalList,
    SignalReinforce,
    SignalResult,
    Signals,
    SignalTail,
    SignalWithdraw,
    Task,
    TaskInput,
    TaskResult,
)
from nestmate_protocol.directory import requests as directory
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    IDEMPOTENCY_KEY_BYTES_MAX,
    LEASE_SECONDS_MAX,
    LEASE_SECONDS_MIN,
    SIGNAL_TTL_SECONDS_MAX,
    TASK_BODY_BYTES_MAX,
)
from nestmate_protocol.signals import requests as core
from nestmate_protocol.signals import yields
from nestmate_protocol.signals.votes import VoteView

TAIL_KINDS = ("signal.*", "task.*", "claim.*")


async def deposit(node: Node, request: SignalDeposit, _caller: Caller) -> Deposited:
    """Ask whoever has a skill for help with one task."""
    ttl = seconds(request.ttl, "ttl", 1, SIGNAL_TTL_SECONDS_MAX)
    now_ms = int(time.time() * 1000)
    task = core.DepositTask(
        skill=request.skill,
        urgency=request.urgency,
        body=to_bytes(request.body, "body", TASK_BODY_BYTES_MAX),
        size_seconds=seconds(request.size, "size", 0, SIGNAL_TTL_SECONDS_MAX),
        ttl_seconds=int(ttl),
        lease_seconds=int(
            seconds(request.lease, "lease", LEASE_SECONDS_MIN, LEASE_SECONDS_MAX)
        ),
        half_life_seconds=int(
            seconds(request.half_life, "half_life", 0, SIGNAL_TTL_SECONDS_MAX)
        ),
        deadline_ms=moment_ms(request.deadline, "deadline", now_ms),
        exclusive=request.exclusive,
        key=_key(request.key),
        inputs=tuple(identifier(TaskId, text, "inputs") for text in request.inputs),
        shared=request.share,
        parent=identifier(TaskId, request.parent, "parent") if request.parent else None,
        apart=request.apart.encode(),
        delegates=tuple([await _agent(node, who) for who in request.delegates]),
    )
    made = await answer(node, task, core.Deposited)
    return Deposited(task=made.task.text)


def _key(text: str) -> bytes:
    """A key as it travels: by its hash, where it is longer than that."""
    key = text.encode()
    return key if len(key) <= IDEMPOTENCY_KEY_BYTES_MAX else sha256(key).digest()


async def ls(node: Node, request: SignalList, _caller: Caller) -> Signals:
    """Which tasks are sensed here, strongest first."""
    wish = core.ListSignals(request.skill, request.min_strength, request.limit)
    views = await answer(node, wish, core.TaskViews)
    return Signals(signals=[show_task(view) for view in views.tasks])


async def authors(node: Node, request: SignalAuthors, _caller: Caller) -> Authors:
    """Whose calls were heard of late, and what credit they have left here."""
    views = await answer(node, core.ListAuthors(request.limit), core.AuthorViews)
    return Authors(
        authors=[
            Author(
                address=view.address.text,
                credit=view.credit,
                credit_max=view.credit_max,
                asked=view.asked,
                counted=view.counted,
                usual=view.usual,
                tasks=view.tasks,
                known=view.known,
                equivocated=view.equivocated,
            )
            for view in views.authors
        ]
    )


async def result(node: Node, request: SignalResult, _caller: Caller) -> TaskResult:
    """What a task came to, here or at its issuer's."""
    wish = yields.AwaitResult(
        task=identifier(TaskId, request.task, "task"),
        issuer=identifier(Address, request.issuer, "issuer")
        if request.issuer
        else None,
        wait_seconds=seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX),
    )
    view = await answer(node, wish, yields.ResultView)
    return TaskResult(
        task=view.task.text,
        issuer=view.issuer.text,
        result=from_bytes(view.result),
        sha256=sha256(view.result).hexdigest(),
        bytes=len(view.result),
    )


async def reinforce(
    node: Node, request: SignalReinforce, _caller: Caller
) -> Acknowledged:
    """We need this too."""
    task = identifier(TaskId, request.task, "task")
    return acknowledge(await answer(node, core.ReinforceTask(task), core.Acknowledged))


async def withdraw(
    node: Node, request: SignalWithdraw, _caller: Caller
) -> Acknowledged:
    """Cancel a task of our own."""
    task = identifier(TaskId, request.task, "task")
    return acknowledge(await answer(node, core.WithdrawTask(task), core.Acknowledged))


async def tail(node: Node, request: SignalTail, _caller: Caller) -> EventPage:
    """The next page of what happens to signals and tasks."""
    return await read_page(
        node,
        Filter(kinds=TAIL_KINDS, skill=request.skill),
        since=request.since,
        timeout=request.timeout,
        limit=PAGE_EVENTS_MAX,
    )


def acknowledge(said: core.Acknowledged) -> Acknowledged:
    """What the core acknowledged, as it is shown."""
    return Acknowledged(task=said.task.text, generation=said.generation)


def show_votes(views: Iterable[VoteView]) -> list[DelegateVote]:
    """How delegates have voted, as it is shown."""
    return [
        DelegateVote(
            delegate=each.delegate.text,
            generation=each.generation,
            round=each.round,
            holder=each.holder.text if each.holder else None,
        )
        for each in views
    ]


async def _agent(node: Node, who: str) -> Address:
    """The address of an agent, which may be given by the name of a contact."""
    if who.startswith("nest1"):
        return identifier(Address, who, "delegates")
    view = await answer(node, directory.WhoIs(who, 0), directory.AgentView)
    return view.address


def show_task(view: core.TaskView) -> Task:
    """A task as it is shown; its texts may be foreign."""
    return Task(
        task=view.task.text,
        skill=plain(view.skill),
        issuer=view.issuer.text,
        own=view.own,
        status=view.status.value,
        urgency=view.urgency,
        strength=view.strength,
        age_seconds=view.age_seconds,
        generation=view.generation,
        holder=view.holder.text if view.holder else None,
        body=from_bytes(view.body),
        result=from_bytes(view.result),
        reason=plain(view.reason),
        deposits=view.deposits,
        urgency_paid=view.urgency_paid,
        credit=view.credit,
        inputs=[
            TaskInput(task=each.task.text, here=each.is_here) for each in view.inputs
        ],
        parent=view.parent.text if view.parent else None,
        called_seconds=view.called_seconds,
        delegates=show_votes(view.delegates),
    )
