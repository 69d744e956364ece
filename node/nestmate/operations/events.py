"""Operations on events: what happened at this node, one page at a time.

Types only; ``runs/events.py`` carries them out.
"""

from typing import Annotated, Any

from msgspec import Meta

from nestmate.operations.fields import WHO_CHARS_MAX, Request, Response, Timeout
from nestmate_protocol.limits import (
    CURSOR_CHARS_MAX,
    EVENTS_PAGE_MAX,
    REASON_CHARS_MAX,
)

PLACE_CHARS_MAX = 1_024

Since = Annotated[
    Annotated[int, Meta(ge=0)] | None,
    Meta(description="Only events after this number; null for only new ones."),
]
Seq = Annotated[int, Meta(description="The number of an event.", ge=0)]
Kinds = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
    Meta(
        description="Only these types, with * for anything, such as task.*; empty "
        "for all.",
        max_length=16,
    ),
]
InSpace = Annotated[
    str,
    Meta(
        description="Only events of this space: its id or its name.",
        max_length=PLACE_CHARS_MAX,
    ),
]
AtPath = Annotated[
    str,
    Meta(
        description="Only what concerns this path or one below it.",
        max_length=PLACE_CHARS_MAX,
    ),
]
ByAuthor = Annotated[
    str,
    Meta(
        description="Only this agent's doing: its address or the name of a contact.",
        max_length=WHO_CHARS_MAX,
        extra={"kind": "who"},
    ),
]
CursorName = Annotated[
    str,
    Meta(
        description="The name of a cursor: letters, digits, dots, hyphens.",
        min_length=1,
        max_length=CURSOR_CHARS_MAX,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    ),
]
ReadWith = Annotated[
    str,
    Meta(
        description="Read with this cursor: what it filters, after what it has acked.",
        max_length=CURSOR_CHARS_MAX,
    ),
]


class EventWait(Request, frozen=True):
    """Wait for events, or read those that were missed."""

    since: Since = None
    timeout: Timeout = 30.0
    kinds: Kinds = ()
    limit: Annotated[
        int, Meta(description="How many at most.", ge=1, le=EVENTS_PAGE_MAX)
    ] = 256
    cursor: ReadWith = ""
    space: InSpace = ""
    path: AtPath = ""
    author: ByAuthor = ""


class Event(Response, frozen=True):
    """One thing that happened."""

    seq: Annotated[int, Meta(description="Its number at this node, rising.")]
    type: Annotated[str, Meta(description="What happened, such as task.done.")]
    at: Annotated[str, Meta(description="When (RFC 3339).")]
    author: Annotated[str | None, Meta(description="Whose doing it was (nest1…).")]
    ref: Annotated[
        str | None, Meta(description="What it is about: a task id, or a version.")
    ]
    details: Annotated[dict[str, Any], Meta(description="What else there is to say.")]


class EventPage(Response, frozen=True):
    """Events in order, and the number to ask on from."""

    events: Annotated[list[Event], Meta(description="Oldest first.")]
    seq: Annotated[int, Meta(description="Pass it as `since` to read on.")]
    lagged: Annotated[
        bool, Meta(description="Whether older events were lost to this reader.")
    ]


class EventFind(Request, frozen=True):
    """What happened, when, and which readers have seen it."""

    query: Annotated[
        str,
        Meta(
            description="A type with * for anything, or whatever an event is about: "
            "a task, version, address, space, or the beginning of a path.",
            max_length=PLACE_CHARS_MAX,
        ),
    ] = ""
    kinds: Kinds = ()
    space: InSpace = ""
    path: AtPath = ""
    author: ByAuthor = ""
    after: Annotated[
        str,
        Meta(description="Not before this: a time, or how long ago, such as 15m."),
    ] = ""
    before: Annotated[
        str, Meta(description="Not after this: a time, or how long ago.")
    ] = ""
    limit: Annotated[
        int, Meta(description="How many at most, the newest.", ge=1, le=1_000)
    ] = 100


class FoundEvent(Event, frozen=True):
    """One thing that happened, and what has become of it among the readers."""

    seen: Annotated[list[str], Meta(description="Cursors whose readers are done.")]
    waiting: Annotated[list[str], Meta(description="Cursors that have it before them.")]
    dead: Annotated[list[str], Meta(description="Cursors whose readers gave it up.")]


class FoundEvents(Response, frozen=True):
    """What was found of what is kept."""

    events: Annotated[list[FoundEvent], Meta(description="Oldest first.")]
    more: Annotated[bool, Meta(description="Whether there are more, which are older.")]


class EventAck(Request, frozen=True):
    """Everything up to a number is done; the cursor's reader goes on from there."""

    cursor: CursorName
    seq: Seq


class EventReject(Request, frozen=True):
    """Give an event up: it becomes a dead letter of the cursor."""

    cursor: CursorName
    seq: Seq
    reason: Annotated[
        str,
        Meta(
            description="What stood in the way, as others can know it.",
            max_length=REASON_CHARS_MAX,
        ),
    ] = ""
    tries: Annotated[
        int, Meta(description="How often it was tried.", ge=0, le=1_000_000)
    ] = 1
