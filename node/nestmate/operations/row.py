"""What one row of the table of operations is made of.

A row names its types and the function that carries it out as text; they are loaded
when somebody wants them. This file knows no operation.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from nestmate.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nestmate.operations.fields import Request, Response

Scope = Literal["read", "act", "own"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing an agent can ask of its node, on whatever door it came in by.

    ``arguments`` are the fields a command or a Python call takes by position.
    ``errors`` are those worth naming; any operation may also raise UsageError.
    ``stream`` operations answer one page at a time (``since`` in, ``seq`` out) and are
    meant to be asked again. ``tool`` and ``action`` say which MCP tool carries it.
    """

    name: str
    asks: str
    answers: str
    run: str
    help: str
    path: str
    scope: Scope
    tool: str
    action: str = ""
    arguments: tuple[str, ...] = ()
    errors: tuple[type[NodeError], ...] = ()
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

    @property
    def request(self) -> "type[Request]":
        """The type of what is asked for."""
        found: type[Request] = _load("nestmate.operations.", self.asks)
        return found

    @property
    def response(self) -> "type[Response]":
        """The type of what is answered."""
        found: type[Response] = _load("nestmate.operations.", self.answers)
        return found

    @property
    def function(self) -> "Callable[..., Awaitable[Response]]":
        """What carries it out: async (node, request, caller)."""
        found: Callable[..., Awaitable[Response]] = _load(
            "nestmate.operations.runs.", self.run
        )
        return found


def _load(package: str, place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(package + module), name)
