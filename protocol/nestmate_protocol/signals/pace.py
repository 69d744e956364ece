"""Pace: how fast one author may say new things, the same for others and for us.

A token bucket kept as one integer, the time at which it would be full again (the
generic cell rate algorithm). This file knows nothing of what is said.
"""

from nestmate_protocol.limits import (
    CARDS_KNOWN_MAX,
    SIGNALS_PER_AUTHOR_BURST,
    SIGNALS_PER_AUTHOR_PER_SECOND,
)

_GAP_MS = 1_000 // SIGNALS_PER_AUTHOR_PER_SECOND


class Pace:
    """One bucket of ``burst`` tokens; one token comes back per second."""

    def __init__(self, burst: int = SIGNALS_PER_AUTHOR_BURST) -> None:
        self._room_ms = (burst - 1) * _GAP_MS
        self._full_at_ms: int | None = None

    def __repr__(self) -> str:
        return f"<Pace full at {self._full_at_ms}>"

    def ready_at(self, now_ms: int) -> int:
        """When ``take`` succeeds, in ms; ``now_ms`` if it does already."""
        if self._full_at_ms is None:
            return now_ms
        return max(now_ms, self._full_at_ms - self._room_ms)

    def take(self, now_ms: int) -> bool:
        """Whether there was a token; if so it is gone."""
        full_at = now_ms if self._full_at_ms is None else self._full_at_ms
        if full_at - self._room_ms > now_ms:
            return False
        self._full_at_ms = max(full_at, now_ms) + _GAP_MS
        return True

    def is_full(self, now_ms: int) -> bool:
        """Whether nothing has been taken lately."""
        return self._full_at_ms is None or self._full_at_ms <= now_ms


class Paces:
    """A bucket per author; those that are full again are forgotten."""

    def __init__(self) -> None:
        self._paces: dict[bytes, Pace] = {}

    def __repr__(self) -> str:
        return f"<Paces of {len(self._paces)}>"

    def take(self, author: bytes, now_ms: int) -> bool:
        """Whether this author had a token left; if so it is gone.

        When more authors than can be known are all in a hurry, new ones wait.
        """
        pace = self._paces.get(author)
        if pace is None:
            if len(self._paces) >= CARDS_KNOWN_MAX:
                self.sweep(now_ms)
            if len(self._paces) >= CARDS_KNOWN_MAX:
                return False
            pace = self._paces[author] = Pace()
        return pace.take(now_ms)

    def sweep(self, now_ms: int) -> None:
        """Forget the buckets that are full."""
        full = [author for author, pace in self._paces.items() if pace.is_full(now_ms)]
        for author in full:
            del self._paces[author]
