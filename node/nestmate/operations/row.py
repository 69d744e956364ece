"""What one row of the table of operations is made of, and the types its fields share.

Rows name the function that carries them out as text, so that a command can read the
whole table without loading the node. This file knows no operation.
"""

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from nestmate.errors import NodeError, UsageError
from nestmate_protocol.limits import MULTIADDR_CHARS_MAX, SKILL_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Scope = Literal["read", "act", "own"]
WHO_CHARS_MAX = 128


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for; a field nobody knows is refused, because it is a mistake."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered; every key is always there, ``null`` where nothing is known."""


Who = Annotated[
    str,
    Meta(
        description="An agent: its address (nest1…) or the local name of a contact.",
        min_length=1,
        max_length=WHO_CHARS_MAX,
        extra={"kind": "who"},
    ),
]
TaskText = Annotated[
    str,
    Meta(description="A task id (task1…).", max_length=128, extra={"kind": "task"}),
]
SkillName = Annotated[
    str,
    Meta(
        description="The name of a skill.",
        min_length=1,
        max_length=SKILL_CHARS_MAX,
        extra={"kind": "skill"},
    ),
]
Multiaddr = Annotated[
    str,
    Meta(
        description="A libp2p multiaddr that ends in /p2p/PEER.",
        min_length=1,
        max_length=MULTIADDR_CHARS_MAX,
    ),
]
Timeout = Annotated[
    float | str,
    Meta(
        description="How long to wait at most, 300 s or less: seconds, or text such "
        "as 90s or 5m.",
        extra={"kind": "duration"},
    ),
]
Wait = Annotated[
    float | str,
    Meta(
        description="How long to wait for the other side, 0 for not at all: seconds, "
        "or text such as 90s or 5m.",
        extra={"kind": "duration"},
    ),
]
Document = Annotated[
    Any,
    Meta(
        description="Any JSON value or text; bytes that are neither are written "
        '{"base64": "…"}.',
        extra={"kind": "json"},
    ),
]
Schema = Annotated[
    dict[str, Any] | bool | None,
    Meta(description="A JSON Schema, or null for none.", extra={"kind": "json"}),
]


class Done(Response, frozen=True):
    """It is so."""

    done: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing an agent can ask of its node, on whatever door it came in by.

    ``arguments`` are the fields a command or a Python call takes by position.
    ``errors`` are those worth naming; any operation may also raise UsageError.
    ``stream`` operations answer one page at a time (``since`` in, ``seq`` out) and are
    meant to be asked again. ``tool`` and ``action`` say which MCP tool carries it.
    """

    name: str
    request: type[Request]
    response: type[Response]
    run: str
    help: str
    path: str
    scope: Scope
    tool: str
    action: str = ""
    arguments: tuple[str, ...] = ()
    errors: tuple[type[NodeError], ...] = field(default=(UsageError,))
    stream: bool = False

    @property
    def noun(self) -> str:
        """What it is about; empty where the verb stands alone."""
        return self.name.rpartition(".")[0]

    @property
    def verb(self) -> str:
        """What is done."""
        return self.name.rpartition(".")[2]

    @property
    def method(self) -> str:
        """The HTTP method: what only reads is GET, the rest is POST."""
        return "GET" if self.scope == "read" else "POST"

    def load(self) -> "Callable[..., Awaitable[Response]]":
        """The function that carries it out: async (node, request, caller)."""
        module, _, function = self.run.partition(":")
        found: Callable[..., Awaitable[Response]] = getattr(
            import_module(f"nestmate.operations.runs.{module}"), function
        )
        return found
