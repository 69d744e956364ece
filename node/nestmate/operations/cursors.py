"""Operations on cursors: named places in the feed of events, and their dead letters.

Types only; ``runs/cursors.py`` carries them out.
"""

from typing import Annotated

from msgspec import Meta

from nestmate.operations.events import (
    AtPath,
    ByAuthor,
    CursorName,
    Event,
    InSpace,
    Kinds,
    Seq,
)
from nestmate.operations.fields import Request, Response
from nestmate_protocol.limits import CURSOR_CHARS_MAX


class CursorList(Request, frozen=True):
    """All cursors there are."""


class CursorSet(Request, frozen=True):
    """Make a cursor, or change one; its filters are replaced if any is given."""

    cursor: CursorName
    seq: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Move it here, back or forth: read again what comes after."),
    ] = None
    start: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Where a new cursor begins; null for only new events."),
    ] = None
    kinds: Kinds = ()
    space: InSpace = ""
    path: AtPath = ""
    author: ByAuthor = ""


class CursorRemove(Request, frozen=True):
    """Forget a cursor and its dead letters."""

    cursor: CursorName


class Cursor(Response, frozen=True):
    """A named place in the feed: everything before is done."""

    cursor: Annotated[str, Meta(description="Its name.")]
    seq: Annotated[int, Meta(description="The number up to which all is done.")]
    behind: Annotated[
        int, Meta(description="How many numbers it is behind, wanted or not.")
    ]
    kinds: Annotated[list[str], Meta(description="The types it takes; empty for all.")]
    space: Annotated[str, Meta(description="The space it takes; empty for all.")]
    path: Annotated[str, Meta(description="The path it takes; empty for all.")]
    author: Annotated[str, Meta(description="The author it takes; empty for all.")]
    made: Annotated[str, Meta(description="When it was made (RFC 3339).")]
    moved: Annotated[str, Meta(description="When it was moved last (RFC 3339).")]
    dead: Annotated[int, Meta(description="How many dead letters it has.")]


class Cursors(Response, frozen=True):
    """All cursors."""

    cursors: Annotated[list[Cursor], Meta(description="By name.")]


class Moved(Response, frozen=True):
    """Where a cursor is now."""

    cursor: Annotated[str, Meta(description="Its name.")]
    seq: Annotated[int, Meta(description="The number up to which all is done.")]


class LetterList(Request, frozen=True):
    """The dead letters of one cursor, or of all."""

    cursor: Annotated[
        str,
        Meta(
            description="Only what was given up with this cursor.",
            max_length=CURSOR_CHARS_MAX,
        ),
    ] = ""


class LetterRetry(Request, frozen=True):
    """Hand dead letters out once more; they are settled when they are acked."""

    cursor: CursorName
    seq: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="The number of the event; null for all of the cursor's."),
    ] = None


class LetterRemove(Request, frozen=True):
    """Forget a dead letter."""

    cursor: CursorName
    seq: Seq


class DeadLetter(Response, frozen=True):
    """An event a reader gave up."""

    cursor: Annotated[str, Meta(description="Whose reader gave it up.")]
    reason: Annotated[str, Meta(description="What stood in the way.")]
    tries: Annotated[int, Meta(description="How often it was tried.")]
    at: Annotated[str, Meta(description="When it was given up (RFC 3339).")]
    retrying: Annotated[
        bool, Meta(description="Whether it is being handed out once more.")
    ]
    event: Annotated[Event, Meta(description="The event itself.")]


class DeadLetters(Response, frozen=True):
    """What was given up."""

    letters: Annotated[
        list[DeadLetter], Meta(description="By cursor, oldest event first.")
    ]


class Retrying(Response, frozen=True):
    """What is handed out once more."""

    events: Annotated[list[int], Meta(description="The numbers of the events.")]
