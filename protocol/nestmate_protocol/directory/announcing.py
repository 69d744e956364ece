"""Announcing: when to tell the DHT again where we are and what we offer.

The DHT keeps what it is told with whoever is near and up at that moment; so a node
that has just found company tells it at once, again after a minute and after ten, and
from then on twice a day. This file only keeps the times.
"""

from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.limits import PROVIDE_AGAIN_MS

SOON_MS: Final = 500
AFTER_MS: Final = (60_000, 600_000)


class Announcing:
    """The times at which to announce."""

    def __init__(self) -> None:
        self._due_ms: int | None = None
        self._told = 0

    def __repr__(self) -> str:
        return f"<Announcing {self._told} times>"

    def soon(self, now: Moment) -> None:
        """There is company, or there is news: begin again."""
        self._due_ms = now.mono_ms + SOON_MS
        self._told = 0

    def stop(self) -> None:
        """There is nobody to tell."""
        self._due_ms = None

    def is_due(self, now: Moment) -> bool:
        """Whether to announce now; if so, the next time is set."""
        if self._due_ms is None or self._due_ms > now.mono_ms:
            return False
        last = self._told >= len(AFTER_MS)
        self._due_ms = now.mono_ms + (
            PROVIDE_AGAIN_MS if last else AFTER_MS[self._told]
        )
        self._told += 1
        return True

    def next_wakeup(self) -> int | None:
        """When to announce next; monotonic ms."""
        return self._due_ms
