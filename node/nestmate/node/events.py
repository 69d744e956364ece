"""The local event feed: what happened here, in one monotonic sequence.

Each event is written in the same batch as the state it tells of, so an event is never
lost while its cause survived, nor told twice. The feed is bounded: the oldest events
go first, and a reader that was away for longer is told from where on it can read.
This file knows nothing of who reads.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import trio

from nestmate.store.base import KeyValue, Write
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify, Scalar
from nestmate_protocol.limits import EVENTS_KEPT_MAX

_PREFIX = b"e/"


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened; ``at_ms`` is Unix time, ids are in text form."""

    seq: int
    kind: str
    at_ms: int
    task: str | None = None
    author: str | None = None
    details: dict[str, Scalar] = {}


@dataclass(frozen=True, slots=True)
class Page:
    """Events after a cursor; ``lagged`` says that older ones are gone already."""

    events: tuple[Event, ...]
    lagged: bool


class EventFeed:
    """The last EVENTS_KEPT_MAX events, and a way to wait for the next."""

    def __init__(self, store: KeyValue) -> None:
        kept = [msgspec.json.decode(raw, type=Event) for _, raw in store.scan(_PREFIX)]
        self._kept: deque[Event] = deque(kept, maxlen=EVENTS_KEPT_MAX)
        self._surplus = [event.seq for event in kept[:-EVENTS_KEPT_MAX]]
        self.last_seq = kept[-1].seq if kept else 0
        self._news = trio.Event()

    def __repr__(self) -> str:
        return f"<EventFeed up to {self.last_seq}>"

    def record(
        self, notices: Iterable[Notify], now: Moment
    ) -> tuple[list[Event], list[Write]]:
        """Number new events; returns them and the writes that keep them."""
        events: list[Event] = []
        writes: list[Write] = [(_key(seq), None) for seq in self._surplus]
        self._surplus = []
        for notice in notices:
            event = _event(self.last_seq + 1, notice, now)
            self.last_seq = event.seq
            events.append(event)
            writes.append((_key(event.seq), msgspec.json.encode(event)))
            if event.seq > EVENTS_KEPT_MAX:
                writes.append((_key(event.seq - EVENTS_KEPT_MAX), None))
        return events, writes

    def tell(self, events: Iterable[Event]) -> None:
        """Show recorded events to whoever waits; call after they are written."""
        before = len(self._kept), self._kept[-1] if self._kept else None
        self._kept.extend(events)
        if before != (len(self._kept), self._kept[-1] if self._kept else None):
            self._news.set()
            self._news = trio.Event()

    def after(self, seq: int, limit: int = EVENTS_KEPT_MAX) -> Page:
        """Events with a higher number than ``seq``, oldest first."""
        fresh = [event for event in self._kept if event.seq > seq]
        first = self._kept[0].seq if self._kept else self.last_seq + 1
        return Page(tuple(fresh[:limit]), lagged=seq + 1 < first)

    async def wait_beyond(self, seq: int, timeout_seconds: float) -> None:
        """Return once an event after ``seq`` is shown, or when time is up."""
        with trio.move_on_after(timeout_seconds):
            while not self._kept or self._kept[-1].seq <= seq:
                await self._news.wait()


def _key(seq: int) -> bytes:
    return _PREFIX + seq.to_bytes(8)


def _event(seq: int, notice: Notify, now: Moment) -> Event:
    return Event(
        seq=seq,
        kind=notice.kind,
        at_ms=now.wall_ms,
        task=notice.task.text if notice.task else None,
        author=notice.author.text if notice.author else None,
        details=dict(notice.details or {}),
    )
