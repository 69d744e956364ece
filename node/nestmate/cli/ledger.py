"""What was read and is not done yet, in the order it was read.

Events may be done in another order than they came in, but a cursor has one place only:
it may stand where everything before is done. This file asks nobody and waits for
nobody but threads.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Entry:
    """One event to be dealt with, or the end of a page, which is none."""

    seq: int
    event: Mapping[str, Any] | None = None
    done: bool = False


class Ledger:
    """Hands events from who reads them to who deals with them; shared by threads.

    No more than ``room`` of them wait; whoever reads is held up meanwhile.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._open: deque[Entry] = deque()
        self._waiting: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._over = self._full = False

    def __repr__(self) -> str:
        return f"<Ledger {len(self._open)} open>"

    def put(self, event: Mapping[str, Any]) -> bool:
        """Hand an event on, once there is room; False if it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._has_room)
            if not self._over:
                entry = Entry(event["seq"], event)
                self._open.append(entry)
                self._waiting.append(entry)
                self._changed.notify_all()
            return not self._over

    def turn_page(self, seq: int) -> int | None:
        """All up to this number was handed on; what may be acked by that, if any."""
        with self._changed:
            entry = Entry(seq)
            self._open.append(entry)
        return self.settle(entry)

    def take(self) -> Entry | None:
        """The next event to deal with, once there is one; None if it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._full or self._waiting)
            if self._over or not self._waiting:
                return None
            entry = self._waiting.popleft()
            self._changed.notify_all()
            return entry

    def settle(self, entry: Entry) -> int | None:
        """This one is done; up to which number all is, if that has changed."""
        with self._changed:
            entry.done = True
            seqs: list[int] = []
            while self._open and self._open[0].done:
                seqs.append(self._open.popleft().seq)
            return max(seqs) if seqs else None

    def finish(self) -> None:
        """Nothing comes any more; what waits is still to be done."""
        with self._changed:
            self._full = True
            self._changed.notify_all()

    def close(self) -> None:
        """It is over, whatever waits."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @property
    def _has_room(self) -> bool:
        return len(self._waiting) < self._room
