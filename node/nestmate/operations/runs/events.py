"""Carries out the operations on events."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import trio

from nestmate.node.events import Event as FeedEvent
from nestmate.operations.events import Event, EventPage, EventWait
from nestmate.operations.forms import plain, seconds
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX
from nestmate.texts import format_time

PAGE_EVENTS_MAX = 256


async def wait(node: Node, request: EventWait, _caller: Caller) -> EventPage:
    """Wait for events, or read those that were missed."""
    return await read_page(
        node,
        since=request.since,
        timeout=request.timeout,
        kinds=request.kinds,
        limit=request.limit,
    )


async def read_page(
    node: Node,
    *,
    since: int | None,
    timeout: float | str,
    kinds: Sequence[str],
    limit: int,
    skill: str = "",
) -> EventPage:
    """The next events that match; empty when time is up or events were lost."""
    deadline = trio.current_time() + seconds(timeout, "timeout", 0, WAIT_SECONDS_MAX)
    feed = node.events
    cursor = feed.last_seq if since is None else since
    if cursor > feed.last_seq:  # a number of another life of this node
        return EventPage(events=[], seq=feed.last_seq, lagged=True)
    while True:
        page = feed.after(cursor)
        chosen = [event for event in page.events if _matches(event, kinds, skill)]
        if page.events:
            cursor = page.events[-1].seq
        if len(chosen) > limit:
            chosen = chosen[:limit]
            cursor = chosen[-1].seq
        left = deadline - trio.current_time()
        if chosen or page.lagged or left <= 0:
            return EventPage(
                events=[_show(event) for event in chosen],
                seq=cursor,
                lagged=page.lagged,
            )
        await feed.wait_beyond(cursor, left)


def _matches(event: FeedEvent, kinds: Sequence[str], skill: str) -> bool:
    if kinds and not any(fnmatchcase(event.kind, kind) for kind in kinds):
        return False
    return not skill or event.details.get("skill") == skill


def _show(event: FeedEvent) -> Event:
    details = {
        key: plain(value) if isinstance(value, str) else value
        for key, value in event.details.items()
    }
    return Event(
        seq=event.seq,
        type=event.kind,
        at=format_time(event.at_ms),
        author=event.author,
        ref=event.task,
        details=details,
    )
