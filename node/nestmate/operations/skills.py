"""Operations on skills: what this agent offers, and who offers what it needs.

Types only; ``runs/skills.py`` carries them out.
"""

from typing import Annotated

from msgspec import Meta

from nestmate.operations.fields import (
    Request,
    Response,
    Schema,
    SkillName,
    Timeout,
)
from nestmate_protocol.limits import SCHEMA_BYTES_MAX


class SkillList(Request, frozen=True):
    """What this agent offers."""


class Skill(Response, frozen=True):
    """One skill: a name, what goes in and out, and free-text hints."""

    name: Annotated[str, Meta(description="The name others look for.")]
    description: Annotated[str, Meta(description="What it does; not verified.")]
    input_schema: Schema
    output_schema: Schema
    price: Annotated[
        str, Meta(description="A decimal with a unit, such as 0.05 USDC; empty: free.")
    ]


class Skills(Response, frozen=True):
    """All skills this agent offers."""

    skills: Annotated[list[Skill], Meta(description="All of them.")]


class SkillAdd(Request, frozen=True):
    """Offer a skill: into the card, into the DHT, and listen for its signals."""

    name: SkillName
    description: Annotated[
        str, Meta(description="What it does.", max_length=SCHEMA_BYTES_MAX)
    ] = ""
    input_schema: Schema = None
    output_schema: Schema = None
    price: Annotated[
        str,
        Meta(description="A decimal with a unit, such as 0.05 USDC.", max_length=64),
    ] = ""


class SkillRemove(Request, frozen=True):
    """Offer a skill no longer."""

    name: SkillName


class SkillFind(Request, frozen=True):
    """Who offers a skill: what is known here, and what the DHT leads to."""

    name: SkillName
    limit: Annotated[
        int, Meta(description="How many results at most.", ge=1, le=1000)
    ] = 20
    timeout: Timeout = 5.0


class SkillResult(Response, frozen=True):
    """One agent that offers the skill."""

    address: Annotated[str, Meta(description="Its address (nest1…).")]
    short: Annotated[str, Meta(description="The address in eight characters.")]
    name: Annotated[str, Meta(description="What we call it; empty for nothing.")]
    skill: Annotated[str, Meta(description="The skill it offers.")]
    description: Annotated[str, Meta(description="What it does; not verified.")]
    input_schema: Schema
    output_schema: Schema
    price: Annotated[str, Meta(description="A decimal with a unit; empty: free.")]
    connected: Annotated[bool, Meta(description="Whether we are connected now.")]
    addrs: Annotated[list[str], Meta(description="Where it is reached, as multiaddrs.")]


class SkillResults(Response, frozen=True):
    """Who offers it, best first."""

    results: Annotated[list[SkillResult], Meta(description="Best first.")]
