"""Pace: how fast one author may say new things, the same for others and for us.

A token bucket kept as one integer, the time at which it is full again (the generic
cell rate algorithm). This file knows nothing of what is said.
"""

from typing import Final

from nestmate_protocol.limits import (
    CARDS_KNOWN_MAX,
    SIGNALS_PER_AUTHOR_BURST,
    SIGNALS_PER_AUTHOR_PER_SECOND,
)

_GAP_MS: Final = 1_000 // SIGNALS_PER_AUTHOR_PER_SECOND
_ROOM_MS: Final = (SIGNALS_PER_AUTHOR_BURST - 1) * _GAP_MS


class Pace:
    """One bucket of ``burst`` tokens; one token comes back per second."""

    def __init__(self, burst: int) -> None:
        self._room_ms = (burst - 1) * _GAP_MS
        self._full_ms: int | None = None

    def __repr__(self) -> str:
        return f"<Pace full at {self._full_ms}>"

    def ready_at(self, now_ms: int) -> int:
        """When ``take`` succeeds, in ms; ``now_ms`` if it does already."""
        if self._full_ms is None:
            return now_ms
        return max(now_ms, self._full_ms - self._room_ms)

    def take(self, now_ms: int) -> bool:
        """Whether there was a token; if so it is gone."""
        if self.ready_at(now_ms) > now_ms:
            return False
        full_ms = now_ms if self._full_ms is None else self._full_ms
        self._full_ms = max(full_ms, now_ms) + _GAP_MS
        return True


class Paces:
    """A bucket per author; those that are full again are forgotten."""

    def __init__(self) -> None:
        self._full_ms: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<Paces of {len(self._full_ms)}>"

    def take(self, author: bytes, now_ms: int) -> bool:
        """Whether this author had a token left; if so it is gone.

        When more authors than can be known are all in a hurry, new ones wait.
        """
        full_ms = self._full_ms.get(author)
        if full_ms is None:
            if len(self._full_ms) >= CARDS_KNOWN_MAX:
                self.sweep(now_ms)
            if len(self._full_ms) >= CARDS_KNOWN_MAX:
                return False
            full_ms = now_ms
        elif full_ms - _ROOM_MS > now_ms:
            return False
        self._full_ms[author] = max(full_ms, now_ms) + _GAP_MS
        return True

    def sweep(self, now_ms: int) -> None:
        """Forget the buckets that are full."""
        self._full_ms = {a: ms for a, ms in self._full_ms.items() if ms > now_ms}
