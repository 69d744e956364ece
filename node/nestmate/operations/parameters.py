"""The fields of a request as a command line or a signature wants to know them.

Read off the request types, so that no door spells a field a second time. This file
knows no operation.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
from msgspec import NODEFAULT, Meta

from nestmate.operations.row import Operation

Kind = Literal[
    "text",
    "number",
    "integer",
    "flag",
    "duration",
    "json",
    "texts",
    "choice",
    "who",
    "task",
    "skill",
    "space",
]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field: what kind of value it takes, and what to say about it.

    ``positional`` fields are given by place; ``default`` is None where ``required``.
    ``kind`` says how to read text: ``who``, ``task`` and ``skill`` are text with a
    completion of their own, ``texts`` may be given several times.
    """

    name: str
    kind: Kind
    help: str
    required: bool
    positional: bool
    default: Any
    choices: tuple[str, ...] = ()


def parameters(operation: Operation) -> tuple[Parameter, ...]:
    """What the operation takes: positional fields first, then as declared."""
    found = {
        field.name: _parameter(operation, field)
        for field in msgspec.structs.fields(operation.request)
    }
    placed = [found.pop(name) for name in operation.arguments]
    return (*placed, *found.values())


def _parameter(operation: Operation, field: msgspec.structs.FieldInfo) -> Parameter:
    metas = [item for item in _notes(field.type) if isinstance(item, Meta)]
    help_line = next((m.description for m in reversed(metas) if m.description), "")
    kind = next((m.extra["kind"] for m in metas if m.extra), None)
    bare = _bare(field.type)
    choices = get_args(bare) if _is_choice(bare) else ()
    return Parameter(
        name=field.name,
        kind=kind or _kind(bare),
        help=help_line or "",
        required=field.required,
        positional=field.name in operation.arguments,
        default=None if field.default is NODEFAULT else field.default,
        choices=choices,
    )


def _notes(annotated: Any) -> tuple[Any, ...]:
    return getattr(annotated, "__metadata__", ())


def _bare(annotated: Any) -> Any:
    while _notes(annotated):
        annotated = annotated.__origin__
    return annotated


def _is_choice(bare: Any) -> bool:
    return getattr(bare, "__origin__", None) is Literal


def _kind(bare: Any) -> Kind:
    if _is_choice(bare):
        return "choice"
    if bare is bool:
        return "flag"
    if bare is float:
        return "number"
    if bare is int or int in map(_bare, get_args(bare)):
        return "integer"
    if getattr(bare, "__origin__", None) is tuple:
        return "texts"
    return "text"
