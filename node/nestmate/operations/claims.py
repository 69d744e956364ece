"""Operations on claims: take a task, keep it, finish it or give it back.

Types only; ``runs/claims.py`` carries them out.
"""

from typing import Annotated

from msgspec import Meta

from nestmate.operations.fields import (
    DURATION_PATTERN,
    Document,
    Request,
    Response,
    TaskText,
    Timeout,
    Wait,
)
from nestmate_protocol.limits import REASON_CHARS_MAX, SKILL_CHARS_MAX

TAKE_SKILLS_MAX = 64
SETUP_SECONDS_MAX = 86_400

Reason = Annotated[
    str,
    Meta(description="Why, for the issuer to read.", max_length=REASON_CHARS_MAX),
]


class ClaimTake(Request, frozen=True):
    """Claim one named task, or the best one of a skill as it comes along."""

    task: Annotated[
        str,
        Meta(
            description="A task id (task1…); empty to take by skill.",
            max_length=128,
            extra={"kind": "task"},
        ),
    ] = ""
    skill: Annotated[
        str,
        Meta(
            description="Take the best task of this skill; empty to take by id.",
            max_length=SKILL_CHARS_MAX,
            extra={"kind": "skill"},
        ),
    ] = ""
    also: Annotated[
        tuple[str, ...],
        Meta(
            description="Further skills of which any will do: NAME, or NAME=SPEED to "
            "say how fast.",
            max_length=TAKE_SKILLS_MAX,
            extra={"kind": "texts"},
        ),
    ] = ()
    speed: Annotated[
        float,
        Meta(
            description="How fast at the skill, 1 for average; 0 for as fast as "
            "receipts have shown.",
            ge=0,
        ),
    ] = 0.0
    setup: Annotated[
        float | str,
        Meta(
            description="How long it takes to change to another skill than `context`: "
            "seconds, or text such as 90s or 5m.",
            extra={"kind": "duration"},
            extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0},
        ),
    ] = 0.0
    context: Annotated[
        str | None,
        Meta(
            description="The skill that is set up already; empty for none, null for "
            "that of the last task taken on this node.",
            extra={"kind": "skill"},
        ),
    ] = None
    min_urgency: Annotated[
        float,
        Meta(
            description="Leave out what is less urgent, from 0 to 1; for whoever is "
            "busy and would make way for urgent work.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    timeout: Timeout = 10.0


class ClaimInput(Response, frozen=True):
    """A result that a task takes."""

    task: Annotated[str, Meta(description="Whose result it is (task1…).")]
    result: Document


class Claim(Response, frozen=True):
    """One lease held by this node; ``generation`` is the fence that goes with it."""

    task: Annotated[str, Meta(description="The task id (task1…).")]
    skill: Annotated[str, Meta(description="The skill it asks for.")]
    issuer: Annotated[str, Meta(description="Who asked (nest1…).")]
    generation: Annotated[int, Meta(description="The fence of this lease.")]
    lease_seconds: Annotated[int, Meta(description="One term of the lease.")]
    seconds_left: Annotated[float, Meta(description="Until this term ends.")]
    urgency: Annotated[float, Meta(description="From 0 (whenever) to 1 (now).")]
    body: Document
    partial: Annotated[
        Document, Meta(description="What an earlier holder had achieved, or null.")
    ]
    exclusive: Annotated[bool, Meta(description="Whether it must not run twice.")]
    inputs: Annotated[
        list[ClaimInput],
        Meta(description="The results it takes, in the order asked for."),
    ]


class ClaimList(Request, frozen=True):
    """Which leases this node holds."""


class Claims(Response, frozen=True):
    """All leases held by this node."""

    claims: Annotated[list[Claim], Meta(description="All of them.")]


class ClaimRenew(Request, frozen=True):
    """Still working: ask the issuer for another term."""

    task: TaskText


class ClaimRelease(Request, frozen=True):
    """Give a task back for others."""

    task: TaskText
    reason: Reason = ""
    partial: Document = None


class ClaimDone(Request, frozen=True):
    """The work is done; the result goes to the issuer until it confirms."""

    task: TaskText
    result: Document = None
    parts: Annotated[
        bool,
        Meta(
            description="If it was split: hand in what its parts come to instead, once "
            "all of them are done."
        ),
    ] = False
    timeout: Wait = 0.0


class ClaimFail(Request, frozen=True):
    """The work cannot be done here; the task opens again for others."""

    task: TaskText
    reason: Annotated[Reason, Meta(min_length=1)]
