"""Carrying out one operation, the same way for every door.

Decode, refuse what makes no sense, check the scope, run, measure. Whatever door it
came by, a caller gets a response or a NodeError. This file knows no operation and no
door.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from nestmate.errors import DeniedError, NodeError, NotFoundError, UsageError
from nestmate.operations.fields import Request, Response
from nestmate.operations.row import Operation, Scope
from nestmate.operations.table import BY_NAME

if TYPE_CHECKING:
    from nestmate.home import Home
    from nestmate.node.cursors import Cursors
    from nestmate.node.events import EventFeed
    from nestmate_protocol.effects import Notify, Save
    from nestmate_protocol.inputs import Request as CoreRequest

ALL_SCOPES: frozenset[Scope] = frozenset({"read", "act", "own"})
DOCS = "docs/reference/operations.md"


class Node(Protocol):
    """What operations ask of the node they run on."""

    @property
    def events(self) -> "EventFeed":
        """The local event feed."""
        ...

    @property
    def cursors(self) -> "Cursors":
        """How far each reader of the feed has come."""
        ...

    @property
    def home(self) -> "Home":
        """Where everything of this node lies."""
        ...

    @property
    def store_trouble(self) -> str:
        """Why the disk takes no writes, as a sentence; empty if it does."""
        ...

    async def ask(self, request: "CoreRequest") -> object:
        """Put one request to the core; raises the NodeError its refusal stands for."""
        ...

    async def keep(self, make: Callable[[], Sequence["Save | Notify"]]) -> None:
        """Write and tell what ``make`` says once it is called, which is in turn.

        Raises what it raises, and DiskFullError if something is not on disk yet.
        """
        ...

    def stop(self) -> None:
        """Begin to stop."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: by which kind of door, as which user, in the name of which agent."""

    kind: Literal["cli", "http", "mcp", "python"]
    uid: int | None = None
    agent: str = ""
    scopes: frozenset[Scope] = ALL_SCOPES


@dataclass(slots=True)
class Meter:
    """How often operations ran, how they ended, and how long they took in all.

    Keys are operation names, and pairs of name and outcome (``ok`` or a code).
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, outcome: str, seconds: float) -> None:
        """Take note of one run."""
        self.outcomes[name, outcome] += 1
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


async def perform(
    node: Node,
    name: str,
    payload: bytes | Mapping[str, Any],
    caller: Caller,
    *,
    meter: Meter | None = None,
) -> Response:
    """Carry out the operation of that name; ``payload`` is JSON or its values.

    Raises UsageError for a payload that makes no sense, DeniedError beyond the
    caller's scopes, NotFoundError for an unknown name, or what the operation raises.
    """
    operation = BY_NAME.get(name)
    if operation is None:
        raise NotFoundError(f"There is no operation {name[:64]!r}.", f"See {DOCS}.")
    if operation.scope not in caller.scopes:
        raise DeniedError(
            f"{caller.agent or 'this caller'} may not call {name}.",
            f"It takes the scope {operation.scope!r}.",
        )
    began, outcome = time.monotonic(), "abandoned"
    try:
        request = decode(operation, payload)
        response = await operation.function(node, request, caller)
        outcome = "ok"
    except NodeError as error:
        outcome = error.code
        raise
    finally:
        if meter is not None:
            meter.count(name, outcome, time.monotonic() - began)
    return response


def decode(
    operation: Operation, payload: bytes | Mapping[str, Any], *, lax: bool = False
) -> Request:
    """The request a payload stands for; ``lax`` reads numbers and flags from text.

    Raises UsageError that names the place (a JSON path) and what would be right.
    """
    try:
        if isinstance(payload, bytes):
            return msgspec.json.decode(payload or b"{}", type=operation.request)
        return msgspec.convert(payload, operation.request, strict=not lax)
    except msgspec.ValidationError as error:
        raise UsageError(str(error), _hint(operation)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"This is not JSON: {error}", _hint(operation)) from None


def _hint(operation: Operation) -> str:
    names = ", ".join(operation.request.__struct_fields__)
    takes = f"takes {names}" if names else "takes nothing"
    return f"{operation.name} {takes}; see {DOCS}."
