"""Operations on claims: take a task, keep it, finish it or give it back.

Types only; ``runs/claims.py`` carries them out.
"""

from typing import Annotated

from msgspec import Meta

from nestmate.operations.fields import (
    Document,
    Request,
    Response,
    TaskText,
    Timeout,
    Wait,
)
from nestmate_protocol.limits import REASON_CHARS_MAX, SKILL_CHARS_MAX

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
    timeout: Timeout = 10.0


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
    timeout: Wait = 0.0


class ClaimFail(Request, frozen=True):
    """The work cannot be done here; the task opens again for others."""

    task: TaskText
    reason: Annotated[Reason, Meta(min_length=1)]
