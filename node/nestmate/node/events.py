"""The local event feed: what happened here, in one monotonic sequence.

Each event is written in the same batch as the state it tells of, so an event is never
lost while its cause survived, nor told twice; and what is told is in the store, so
that whoever was away reads on from any number. The alarm that the store takes no more
is told before it is there, nothing else is. Only a short tail is kept in memory, too.
The feed is bounded in number and in bytes: the oldest events go first, and a reader
that was away for longer is told so. This file knows nothing of who reads.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec
import trio
from msgspec.structs import replace

from nestmate.store.base import KeyValue, Write
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify, Scalar
from nestmate_protocol.limits import (
    EVENTS_BYTES_MAX,
    EVENTS_KEPT_MAX,
    EVENTS_PAGE_MAX,
    EVENTS_TAIL_MAX,
    EVENTS_TRIMMED_MAX,
    EVENTS_UNTOLD_MAX,
)

_PREFIX = b"e/"
_SPAN_KEY = b"e#span"


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
    """Events after a number; ``lagged`` says that older ones are gone already."""

    events: tuple[Event, ...]
    lagged: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept: whichever of the two is reached first."""

    events_max: int = EVENTS_KEPT_MAX
    bytes_max: int = EVENTS_BYTES_MAX


class _Span(msgspec.Struct):
    """The numbers of the first and the last event in the store, and their size."""

    first: int = 1
    last: int = 0
    bytes: int = 0

    @property
    def count(self) -> int:
        return self.last - self.first + 1


class EventFeed:
    """Everything that happened and is still kept, and a way to wait for the next."""

    def __init__(self, store: KeyValue, retention: Retention | None = None) -> None:
        self._store = store
        self._retention = retention or Retention()
        self._span = _span_of(store)
        self._untold: deque[Event] = deque()
        self._tail: deque[Event] = deque(maxlen=EVENTS_TAIL_MAX)
        self._alarm: Event | None = None
        self.last_seq = self._span.last
        self.left_out = 0
        self._news = trio.Event()

    def __repr__(self) -> str:
        return f"<EventFeed {self.first_seq} to {self.last_seq}>"

    @property
    def first_seq(self) -> int:
        """The number of the oldest event that is kept, one after the last if none."""
        return self._span.first

    @property
    def next_seq(self) -> int:
        """The number the next event will be recorded under."""
        return self._span.last + 1

    @property
    def bytes_kept(self) -> int:
        """How much room the events take that are kept, keys apart."""
        return self._span.bytes

    def record(self, notices: Iterable[Notify], now: Moment) -> list[Write]:
        """Number new events; returns the writes that keep them.

        They are shown to nobody before ``tell``.
        """
        writes: list[Write] = []
        span = self._span
        for notice in notices:
            if self._alarm is not None and len(self._untold) >= EVENTS_UNTOLD_MAX:
                self.left_out += 1
                continue
            event = _event(span.last + 1, notice, now)
            raw = msgspec.json.encode(event)
            span.last = event.seq
            span.bytes += len(raw)
            self._untold.append(event)
            writes.append((_key(event.seq), raw))
        if not writes:
            return []
        return [*writes, *self._trimmed(), (_SPAN_KEY, msgspec.json.encode(span))]

    def alarm(self, notice: Notify, now: Moment) -> list[Write]:
        """Record an event that is shown at once: the store takes none for now.

        It goes before all that was recorded and not told, and until ``tell`` no more
        than EVENTS_UNTOLD_MAX are recorded; ``left_out`` counts the others. Returns
        what keeps it once there is room.
        """
        span, alarm = self._span, _event(self.last_seq + 1, notice, now)
        later = [replace(event, seq=event.seq + 1) for event in self._untold]
        before = sum(len(msgspec.json.encode(event)) for event in self._untold)
        rows = [(event.seq, msgspec.json.encode(event)) for event in (alarm, *later)]
        span.last += 1
        span.bytes += sum(len(raw) for _, raw in rows) - before
        self._untold = deque(later)
        self._alarm, self.left_out = alarm, 0
        self._show([alarm])
        writes: list[Write] = [(_key(seq), raw) for seq, raw in rows]
        return [*writes, (_SPAN_KEY, msgspec.json.encode(span))]

    def tell(self) -> None:
        """Show what was recorded to whoever waits; call once all of it is written."""
        self._alarm = None
        if self._untold:
            self._show(self._untold)
            self._untold.clear()

    def _show(self, events: Iterable[Event]) -> None:
        self._tail.extend(events)
        self.last_seq = self._tail[-1].seq
        self._news.set()
        self._news = trio.Event()

    def after(self, seq: int, limit: int = EVENTS_PAGE_MAX) -> Page:
        """Events with a higher number than ``seq``, oldest first."""
        lagged = seq + 1 < self.first_seq
        if seq >= self.last_seq:
            return Page((), lagged)
        first = max(seq + 1, self.first_seq)
        if self._tail and first >= self._tail[0].seq:
            begin = first - self._tail[0].seq
            return Page(tuple(islice(self._tail, begin, begin + limit)), lagged)
        rows = self._store.scan(_PREFIX, start=_key(first))
        found = (_read(raw) for _, raw in islice(rows, limit))
        return Page(tuple(e for e in found if e.seq <= self.last_seq), lagged)

    def backwards(self, seq: int) -> Iterator[Event]:
        """Events up to this number that are kept now, newest first."""
        if self._alarm is not None and seq >= self._alarm.seq:
            yield self._alarm
        start = _key(max(0, min(seq, self.last_seq)))
        for _, raw in self._store.scan(_PREFIX, start=start, reverse=True):
            event = _read(raw)
            if event.seq < self.first_seq:
                return
            yield event

    def get(self, seq: int) -> Event | None:
        """The event of that number; None if it is not kept, or not told yet."""
        if not self.first_seq <= seq <= self.last_seq:
            return None
        if self._alarm is not None and seq == self._alarm.seq:
            return self._alarm
        raw = self._store.get(_key(seq))
        return None if raw is None else _read(raw)

    async def wait_beyond(self, seq: int, timeout_seconds: float) -> None:
        """Return once an event after ``seq`` is shown, or when time is up."""
        with trio.move_on_after(timeout_seconds):
            while self.last_seq <= seq:
                await self._news.wait()

    def _trimmed(self) -> list[Write]:
        """Takes leave of the oldest events told, as far as there are too many.

        A bound that was lowered is reached little by little.
        """
        span, most = self._span, self._retention
        writes: list[Write] = []
        if span.count <= most.events_max and span.bytes <= most.bytes_max:
            return writes
        rows = self._store.scan(_PREFIX, start=_key(span.first))
        for key, raw in islice(rows, EVENTS_TRIMMED_MAX):
            seq = int.from_bytes(key[len(_PREFIX) :])
            within = span.count <= most.events_max and span.bytes <= most.bytes_max
            if within or seq > self.last_seq:
                break
            writes.append((key, None))
            span.first = seq + 1
            span.bytes -= len(raw)
        return writes


def _span_of(store: KeyValue) -> _Span:
    """What the store holds; counted anew if it is an old one or was repaired."""
    told = store.get(_SPAN_KEY)
    newest = next(store.scan(_PREFIX, reverse=True), None)
    last = 0 if newest is None else _read(newest[1]).seq
    if told is not None:
        span = msgspec.json.decode(told, type=_Span)
        span.last = max(span.last, last)
        return span
    span = _Span(first=last + 1, last=last)
    for key, raw in store.scan(_PREFIX):
        span.first = min(span.first, int.from_bytes(key[len(_PREFIX) :]))
        span.bytes += len(raw)
    return span


def _key(seq: int) -> bytes:
    return _PREFIX + seq.to_bytes(8)


def _read(raw: bytes) -> Event:
    return msgspec.json.decode(raw, type=Event)


def _event(seq: int, notice: Notify, now: Moment) -> Event:
    return Event(
        seq=seq,
        kind=notice.kind,
        at_ms=now.wall_ms,
        task=notice.task.text if notice.task else None,
        author=notice.author.text if notice.author else None,
        details=dict(notice.details or {}),
    )
