"""Carries out the operations on the node itself."""

import platform
from importlib import import_module, metadata
from typing import TYPE_CHECKING

from nestmate.operations.forms import full_addrs, plain
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import answer
from nestmate.operations.status import (
    DoctorCheck,
    Finding,
    Findings,
    NodeStop,
    Status,
    StatusShow,
    Stopping,
    Version,
    VersionShow,
)
from nestmate_protocol.directory.requests import ShowStatus, StatusView
from nestmate_protocol.signals.requests import ListSignals, TaskView, TaskViews

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

PROTOCOL_VERSION = 1
LOOKED_AT_MAX = 32
_SEVERITIES = ("error", "warning", "note", "ok")


async def show(node: Node, _request: StatusShow, _caller: Caller) -> Status:
    """How this node is doing, and what to do next."""
    view = await answer(node, ShowStatus(), StatusView)
    open_tasks = await answer(node, ListSignals(limit=LOOKED_AT_MAX), TaskViews)
    return Status(
        state="read-only" if node.store_trouble else "running",
        address=view.address.text,
        short=view.address.short,
        peer_id=view.peer.text,
        network=view.network.text,
        addrs=full_addrs(view.multiaddrs, view.peer),
        peers=view.peers,
        contacts=view.contacts,
        skills=list(view.skills),
        tasks_own=view.tasks_own,
        tasks_sensed=view.tasks_sensed,
        claims=view.claims,
        spaces=view.spaces,
        up_seconds=round(view.up_seconds, 3),
        faults=dict(view.faults),
        version=metadata.version("nestmate"),
        home=str(node.home.root),
        next=next_step(view, open_tasks.tasks, node.store_trouble),
    )


def next_step(
    view: StatusView, open_tasks: "Sequence[TaskView]", store_trouble: str = ""
) -> str:
    """The one thing that helps most from here, as a sentence with its command."""
    if store_trouble:
        return f"{store_trouble} Free some space: this node goes on by itself then."
    if not view.contacts and not view.peers:
        return (
            "Make an invite for a friend with `nestmate invite`, or take one up with "
            "`nestmate join INVITE`."
        )
    if not view.peers:
        return (
            "No friend's node answers just now; this node keeps trying, and "
            "`nestmate doctor` says what may be wrong."
        )
    if view.claims:
        return "Finish what you hold: see `nestmate claim ls`."
    needed = [task.skill for task in open_tasks if not task.own]
    doable = [skill for skill in needed if skill in view.skills]
    if doable:
        return f"Somebody needs {doable[0]}: `nestmate work {doable[0]} -- COMMAND`."
    if any(task.own for task in open_tasks):
        return "Watch your tasks with `nestmate signal tail`."
    if needed:
        return (
            f"Somebody needs {plain(needed[0])}, which you do not offer yet: "
            "`nestmate skill add NAME`."
        )
    if not view.skills:
        return (
            "Offer what you can do with `nestmate skill add NAME`, or ask for help "
            "with `nestmate signal deposit SKILL`."
        )
    return (
        f"Do what others ask for with `nestmate work {view.skills[0]} -- COMMAND`, or "
        "ask for help with `nestmate signal deposit SKILL`."
    )


async def version(_node: Node, _request: VersionShow, _caller: Caller) -> Version:
    """Which release runs here."""
    return Version(
        version=metadata.version("nestmate"),
        protocol=PROTOCOL_VERSION,
        python=platform.python_version(),
    )


async def doctor(node: Node, _request: DoctorCheck, _caller: Caller) -> Findings:
    """Examine the running node."""
    # The doctor looks at homes and doors as well, so it lives above this floor; like
    # every function of the table it is looked up by name.
    checks: Callable[[Node], Awaitable[list[Finding]]] = import_module(
        "nestmate.doctor"
    ).checks
    findings = await checks(node)
    return Findings(
        findings=sorted(findings, key=lambda f: _SEVERITIES.index(f.severity))
    )


async def down(node: Node, _request: NodeStop, _caller: Caller) -> Stopping:
    """Begin to stop; the answer still goes out."""
    node.stop()
    return Stopping()
