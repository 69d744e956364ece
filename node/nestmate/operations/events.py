"""Operations on events: what happened at this node, one page at a time.

Types only; ``runs/events.py`` carries them out.
"""

from typing import Annotated, Any

from msgspec import Meta

from nestmate.operations.fields import Request, Response, Timeout
from nestmate_protocol.limits import EVENTS_KEPT_MAX

Since = Annotated[
    Annotated[int, Meta(ge=0)] | None,
    Meta(description="Only events after this number; null for only new ones."),
]


class EventWait(Request, frozen=True):
    """Wait for events, or read those that were missed."""

    since: Since = None
    timeout: Timeout = 30.0
    kinds: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
        Meta(
            description="Only these types, with * for anything, such as task.*; empty "
            "for all.",
            max_length=16,
        ),
    ] = ()
    limit: Annotated[
        int, Meta(description="How many at most.", ge=1, le=EVENTS_KEPT_MAX)
    ] = 256


class Event(Response, frozen=True):
    """One thing that happened."""

    seq: Annotated[int, Meta(description="Its number at this node, rising.")]
    type: Annotated[str, Meta(description="What happened, such as task.done.")]
    at: Annotated[str, Meta(description="When (RFC 3339).")]
    author: Annotated[str | None, Meta(description="Whose doing it was (nest1…).")]
    ref: Annotated[str | None, Meta(description="What it is about: a task id.")]
    details: Annotated[dict[str, Any], Meta(description="What else there is to say.")]


class EventPage(Response, frozen=True):
    """Events in order, and the number to ask on from."""

    events: Annotated[list[Event], Meta(description="Oldest first.")]
    seq: Annotated[int, Meta(description="Pass it as `since` to read on.")]
    lagged: Annotated[
        bool, Meta(description="Whether older events were lost to this reader.")
    ]
