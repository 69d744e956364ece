"""Carries out the operations on events."""

import time
from fnmatch import fnmatchcase

import trio

from nestmate.errors import NotFoundError, UsageError
from nestmate.node.cursors import REJECTED, RETRIED, Cursor, DeadLetter
from nestmate.node.events import Event as FeedEvent
from nestmate.node.filters import Filter, begins
from nestmate.operations.cursors import CursorSet, Moved
from nestmate.operations.events import (
    Event,
    EventAck,
    EventFind,
    EventPage,
    EventReject,
    EventWait,
    FoundEvent,
    FoundEvents,
)
from nestmate.operations.fields import Done
from nestmate.operations.forms import past_ms, plain, seconds
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX, answer
from nestmate.texts import format_time
from nestmate_protocol.effects import Notify, Save, Scalar
from nestmate_protocol.errors import LocalError
from nestmate_protocol.friends.requests import ContactView, ShowContact
from nestmate_protocol.ids import Address, SpaceId
from nestmate_protocol.spaces.requests import ShowSpace, SpaceView

PAGE_EVENTS_MAX = 256
# Events looked at before others have their turn, and those in a row that are older
# than what is looked for before nobody expects a younger one further back.
AT_A_TIME = 512
OLDER_MAX = 4_096


async def wait(node: Node, request: EventWait, _caller: Caller) -> EventPage:
    """Wait for events, or read those that were missed."""
    return await read_page(
        node,
        await filter_of(node, request),
        since=request.since,
        timeout=request.timeout,
        limit=request.limit,
        cursor=request.cursor,
    )


async def read_page(
    node: Node,
    wanted: Filter,
    *,
    since: int | None,
    timeout: float | str,
    limit: int,
    cursor: str = "",
) -> EventPage:
    """The next events that match; empty when time is up or events were lost.

    What is not wanted is passed over up to the end of the feed, whatever the time.
    """
    deadline = trio.current_time() + seconds(timeout, "timeout", 0, WAIT_SECONDS_MAX)
    feed = node.events
    place = node.cursors.get(cursor) if cursor else None
    at = since if since is not None else place.seq if place else feed.last_seq
    if at > feed.last_seq:  # a number of another life of this node
        return EventPage(events=[], seq=feed.last_seq, lagged=True)
    chosen: list[Event] = []
    lagged = False
    while True:
        while at < feed.last_seq and len(chosen) < limit:
            page = feed.after(at, AT_A_TIME)
            lagged = lagged or page.lagged
            at = page.events[-1].seq if page.events else feed.last_seq
            for event in page.events:
                shown = event if place is None else _handed_out(node, place, event)
                if shown is not None and wanted.matches(shown):
                    chosen.append(show(shown))
                if len(chosen) == limit:
                    at = event.seq
                    break
            await trio.lowlevel.checkpoint()
        left = deadline - trio.current_time()
        if chosen or lagged or left <= 0:
            return EventPage(events=chosen, seq=at, lagged=lagged)
        await feed.wait_beyond(at, left)


def _handed_out(node: Node, cursor: Cursor, event: FeedEvent) -> FeedEvent | None:
    """What the reader of a cursor is shown in the place of an event, if anything."""
    if cursor.wants(event):
        return event
    details = event.details
    if event.kind != RETRIED or details.get("cursor") != cursor.name:
        return None
    seq = details.get("seq")
    letter = node.cursors.letter(cursor.name, seq) if isinstance(seq, int) else None
    return letter.event if letter else None


async def find(node: Node, request: EventFind, _caller: Caller) -> FoundEvents:
    """What happened, when, and which readers have seen it."""
    now_ms = time.time_ns() // 1_000_000
    wanted = await filter_of(node, request)
    after = past_ms(request.after, "after", now_ms)
    before = past_ms(request.before, "before", now_ms)
    found: list[FeedEvent] = []
    older = 0
    for count, event in enumerate(node.events.backwards(node.events.last_seq), 1):
        if count % AT_A_TIME == 0:
            await trio.lowlevel.checkpoint()
        older = older + 1 if after is not None and event.at_ms < after else 0
        if older == OLDER_MAX or len(found) > request.limit:
            break
        if older or (before is not None and event.at_ms > before):
            continue
        if wanted.matches(event) and _is_about(event, request.query):
            found.append(event)
    events = [_with_readers(node, event) for event in found[: request.limit]]
    return FoundEvents(events=events[::-1], more=len(found) > request.limit)


def _is_about(event: FeedEvent, query: str) -> bool:
    if not query or fnmatchcase(event.kind, query):
        return True
    # That a type was given up is no event of that type.
    texts = [text for key, text in event.details.items() if key != "type"]
    return query in (event.task, event.author, *texts) or begins(
        event.details.get("path"), query
    )


def _with_readers(node: Node, event: FeedEvent) -> FoundEvent:
    seen: list[str] = []
    waiting: list[str] = []
    dead: list[str] = []
    for cursor in node.cursors:
        if node.cursors.is_dead(cursor.name, event.seq):
            dead.append(cursor.name)
        elif cursor.wants(event):
            (seen if event.seq <= cursor.seq else waiting).append(cursor.name)
    shown = show(event)
    return FoundEvent(
        seq=shown.seq,
        type=shown.type,
        at=shown.at,
        author=shown.author,
        ref=shown.ref,
        details=shown.details,
        seen=seen,
        waiting=waiting,
        dead=dead,
    )


async def ack(node: Node, request: EventAck, _caller: Caller) -> Moved:
    """Everything up to a number is done."""
    check_told(node, request.seq)
    now_ms = time.time_ns() // 1_000_000

    def moved() -> list[Save]:
        writes = node.cursors.move(request.cursor, request.seq, now_ms)
        return [Save(writes, durable=False)]

    if node.cursors.get(request.cursor).seq < request.seq:
        await node.keep(moved)
    return Moved(cursor=request.cursor, seq=node.cursors.get(request.cursor).seq)


async def reject(node: Node, request: EventReject, _caller: Caller) -> Done:
    """Give an event up: it becomes a dead letter of the cursor."""
    check_told(node, request.seq)
    now_ms, name = time.time_ns() // 1_000_000, request.cursor

    def buried() -> list[Save | Notify]:
        node.cursors.get(name)
        event = node.events.get(request.seq)
        if event is None and (old := node.cursors.letter(name, request.seq)):
            event = old.event
        if event is None:
            raise NotFoundError(
                f"Event {request.seq} is not kept any more.", "Ack it, and go on."
            )
        letter = DeadLetter(event, plain(request.reason), request.tries, now_ms)
        return [Save(node.cursors.bury(name, letter)), *_told_of(name, letter)]

    await node.keep(buried)
    return Done()


def _told_of(cursor: str, letter: DeadLetter) -> list[Notify]:
    """The event that something was given up, unless that was such an event itself.

    Two readers who cannot deal with each other's failures must not go on for ever.
    """
    event = letter.event
    if event.kind == REJECTED:
        return []
    told: dict[str, Scalar] = {
        "cursor": cursor,
        "seq": event.seq,
        "type": event.kind,
        "reason": letter.reason,
        "tries": letter.tries,
    }
    return [Notify(REJECTED, details=told)]


def check_told(node: Node, seq: int) -> None:
    """Raise UsageError for a number that no event has yet."""
    if seq > node.events.last_seq:
        raise UsageError(
            f"There is no event {seq} yet; the last one is {node.events.last_seq}.",
            "Give the `seq` of an event, or of a page, that you have read.",
        )


async def filter_of(node: Node, request: EventWait | EventFind | CursorSet) -> Filter:
    """What a request wants; NotFoundError for a space or an author nobody knows."""
    return Filter(
        kinds=request.kinds,
        space=await space_of(node, request.space),
        path=request.path,
        author=await author_of(node, request.author),
    )


async def space_of(node: Node, text: str) -> str:
    """The id of the space that a reader means; empty for any.

    A name is looked up once, for what others call their space is theirs to choose.
    """
    if not text:
        return ""
    try:
        return SpaceId.parse(text).text
    except LocalError:
        return (await answer(node, ShowSpace(text), SpaceView)).space.text


async def author_of(node: Node, who: str) -> str:
    """The address that a reader means; empty for anybody's."""
    if not who:
        return ""
    try:
        return Address.parse(who).text
    except LocalError:
        return (await answer(node, ShowContact(who), ContactView)).address.text


def show(event: FeedEvent) -> Event:
    """An event as it is shown; its texts may be foreign."""
    details = {
        key: plain(value) if isinstance(value, str) else value
        for key, value in event.details.items()
    }
    ref = details.get("ref")
    return Event(
        seq=event.seq,
        type=event.kind,
        at=format_time(event.at_ms),
        author=event.author,
        ref=event.task or (ref if isinstance(ref, str) else None),
        details=details,
    )
