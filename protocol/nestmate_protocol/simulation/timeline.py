"""The timeline: a heap of (time, number, event), and a hash over all that happened.

Events at one millisecond happen in the order in which they were planned, so the order
of everything is a function of the seed. The trace hash covers every event and whatever
is added to it; two runs with one trace hash did the same. This file knows nothing of
what an event does.
"""

from collections import Counter, deque
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush

TAIL_EVENTS = 50

Action = Callable[[], None]


class Timeline:
    """The world's own time, in whole milliseconds from 0."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.events = 0
        self.counts: Counter[str] = Counter()
        self.tail: deque[tuple[int, str, Callable[[], str]]] = deque(maxlen=TAIL_EVENTS)
        self._heap: list[tuple[int, int, Action]] = []
        self._planned = 0
        self._trace = blake2b(digest_size=16)

    def at(self, delay_ms: int, action: Action) -> None:
        """Plan an event; it happens ``delay_ms`` from now."""
        self._planned += 1
        heappush(self._heap, (self.now_ms + delay_ms, self._planned, action))

    def run(self, until_ms: int, stop: Callable[[], bool]) -> None:
        """Let things happen until a time of the world, or until ``stop`` says so."""
        heap = self._heap
        while heap and heap[0][0] <= until_ms and not stop():
            self.now_ms, _, action = heappop(heap)
            self.events += 1
            action()
        if not stop():
            self.now_ms = max(self.now_ms, until_ms)

    def note(self, who: str, what: str, tell: Callable[[], str]) -> None:
        """Count an event and keep it in the tail; it is told in words only if asked."""
        self.counts[what] += 1
        self.tail.append((self.now_ms, f"{who} {what}", tell))
        self._trace.update(b"%d %s %s\n" % (self.now_ms, who.encode(), what.encode()))

    def mark(self, data: bytes) -> None:
        """Take bytes into the trace hash."""
        self._trace.update(b"%d:" % len(data))
        self._trace.update(data)

    @property
    def trace_hash(self) -> str:
        """The hash over everything so far."""
        return self._trace.hexdigest()

    def last_events(self) -> tuple[str, ...]:
        """The tail in words, oldest first."""
        return tuple(
            f"{now_ms / 1000:10.3f} {title} {tell()}".rstrip()
            for now_ms, title, tell in self.tail
        )
