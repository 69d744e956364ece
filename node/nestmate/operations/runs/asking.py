"""Asking the core, and showing what several operations show.

This file knows what the core answers with, not why it was asked.
"""

from typing import Any, TypeVar

from nestmate.errors import NodeError
from nestmate.operations.forms import from_bytes, plain
from nestmate.operations.perform import Node
from nestmate.operations.skills import Skill
from nestmate_protocol.directory.requests import SkillOffer
from nestmate_protocol.inputs import Request as CoreRequest
from nestmate_protocol.limits import ASK_SECONDS_MAX

_View = TypeVar("_View")

WAIT_SECONDS_MAX = float(ASK_SECONDS_MAX)


async def answer(node: Node, request: CoreRequest, kind: type[_View]) -> _View:
    """What the core answers, of the kind expected; raises what the core refuses."""
    value = await node.ask(request)
    if not isinstance(value, kind):
        raise NodeError(
            f"This is a bug in nestmate: {type(request).__name__} was answered with "
            f"{type(value).__name__}.",
            "Look into the log and report it.",
        )
    return value


def show_skill(offer: SkillOffer) -> Skill:
    """One skill as it is shown; its texts may be foreign."""
    return Skill(
        name=plain(offer.name),
        description=plain(offer.description),
        input_schema=show_schema(offer.input_schema),
        output_schema=show_schema(offer.output_schema),
        price=plain(offer.price),
    )


def show_schema(text: str) -> dict[str, Any] | bool | None:
    """A JSON Schema; None for none, or for foreign text that is no schema."""
    schema = from_bytes(text.encode(errors="replace"))
    return schema if isinstance(schema, dict | bool) else None
