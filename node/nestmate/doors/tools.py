"""Tools for agents, read off the table of operations.

A tool that carries several operations takes an ``action``, and any field any of them
takes; which of them a call needs is checked when the operation is known. A tool that
is called after one of them (``events_wait``) does that one where no action is given.
Pure: the same table makes the same tools in the same order. This file does not speak
MCP.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from nestmate.errors import UsageError
from nestmate.operations.row import Operation
from nestmate.operations.table import OPERATIONS, TOOLS

ACTION = "action"


@dataclass(frozen=True, slots=True)
class ToolSheet:
    """One tool: its name, what it says of itself, and the JSON Schema of its input."""

    name: str
    description: str
    schema: Mapping[str, Any]
    reads_only: bool


@dataclass(frozen=True, slots=True)
class ResourceSheet:
    """One readable thing: its URI, the operation behind it, and what it is.

    ``changed_by`` are the beginnings of events after which it may read differently.
    """

    uri: str
    operation: str
    title: str
    changed_by: tuple[str, ...] = ()


RESOURCES: tuple[ResourceSheet, ...] = (
    ResourceSheet("nestmate://id", "id", "Who this node is", ("self.",)),
    ResourceSheet(
        "nestmate://peers", "peer.ls", "The nodes this one is connected to", ("peer.",)
    ),
    ResourceSheet(
        "nestmate://signals/hot",
        "signal.ls",
        "Tasks sensed here, strongest first",
        ("signal.", "task.", "claim."),
    ),
    ResourceSheet("nestmate://claims", "claim.ls", "Leases held here", ("claim.",)),
)
EVENTS_TEMPLATE = "nestmate://events/{since}"
EVENTS_PREFIX = "nestmate://events/"


def changed_by(kinds: Iterable[str]) -> tuple[str, ...]:
    """The URIs of what may read differently after events of these kinds."""
    happened = tuple(kinds)
    return tuple(
        sheet.uri
        for sheet in RESOURCES
        if any(kind.startswith(sheet.changed_by) for kind in happened)
    )


def tool_sheets() -> tuple[ToolSheet, ...]:
    """All tools, in their stable order."""
    return tuple(_sheet(name, rows_of(name)) for name in TOOLS)


def rows_of(tool: str) -> tuple[Operation, ...]:
    """The operations a tool carries."""
    return tuple(row for row in OPERATIONS if row.tool == tool)


def operation_of(tool: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Which operation a call means, and what is left for it.

    Raises UsageError for an unknown tool or action.
    """
    rows = rows_of(tool)
    if not rows:
        raise UsageError(f"There is no tool {tool[:64]!r}.", "List the tools first.")
    if len(rows) == 1:
        return rows[0].name, dict(arguments)
    rest = {key: value for key, value in arguments.items() if key != ACTION}
    action = arguments.get(ACTION, usual_action(tool))
    for row in rows:
        if row.action == action:
            return row.name, rest
    actions = ", ".join(row.action for row in rows)
    raise UsageError(f"{tool} needs an `action`.", f"One of: {actions}.")


def usual_action(tool: str) -> str:
    """The action of a tool that is called after it; empty if none is."""
    actions = [row.action for row in rows_of(tool)]
    return next((each for each in actions if each and tool.endswith(f"_{each}")), "")


def _sheet(name: str, rows: tuple[Operation, ...]) -> ToolSheet:
    reads_only = all(row.scope == "read" for row in rows)
    if len(rows) == 1:
        return ToolSheet(name, rows[0].help, _schema(rows[0]), reads_only)
    lines = [f"{row.action}: {row.help}{_needs(row)}" for row in rows]
    action = {"type": "string", "enum": [row.action for row in rows]}
    usual = usual_action(name)
    properties: dict[str, Any] = {
        ACTION: action | ({"default": usual} if usual else {})
    }
    for row in rows:
        for key, value in _schema(row)["properties"].items():
            properties.setdefault(key, value)
    schema = {
        "type": "object",
        "properties": properties,
        "required": [] if usual else [ACTION],
        "additionalProperties": False,
    }
    return ToolSheet(name, "\n".join(lines), schema, reads_only)


def _needs(row: Operation) -> str:
    required = _schema(row).get("required", [])
    return f" Needs {', '.join(required)}." if required else ""


def _schema(row: Operation) -> dict[str, Any]:
    told = msgspec.json.schema(row.request)
    definitions = told["$defs"]
    schema: dict[str, Any] = definitions[told["$ref"].rpartition("/")[2]]
    return schema
