"""Timetable: when to reconcile which space, and with whom.

Every space has its turn every SYNC_EVERY_MS, a fifth sooner or later, with a member
that chance picks; whoever has a reason asks for one sooner. This file knows neither
links nor runs.
"""

from collections.abc import Callable
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import PeerId, SpaceId
from nestmate_protocol.limits import SYNC_EVERY_MS

_CHANCES: Final = 2**16


class Timetable:
    """Times on the monotonic clock, in ms."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._every: dict[SpaceId, int] = {}
        self._soon: dict[tuple[SpaceId, PeerId], int] = {}

    def __repr__(self) -> str:
        return f"<Timetable of {len(self._every)} spaces, {len(self._soon)} soon>"

    def chance(self, below: int) -> int:
        """A number that nobody can guess, from 0 on."""
        return int.from_bytes(self._entropy(4)) % below

    def add(self, space: SpaceId, now: Moment) -> None:
        """A space has its turns from now on."""
        self._every.setdefault(space, self._next(now))

    def drop(self, space: SpaceId) -> None:
        """A space has no turns any more."""
        self._every.pop(space, None)
        self._soon = {k: at for k, at in self._soon.items() if k[0] != space}

    def forget(self, peer: PeerId) -> None:
        """A peer is gone."""
        self._soon = {k: at for k, at in self._soon.items() if k[1] != peer}

    def soon(
        self, space: SpaceId, peer: PeerId, now: Moment, within_ms: int = 0
    ) -> None:
        """Have a space reconciled with a peer within a time, unless it is sooner."""
        at = now.mono_ms + (within_ms // 2 + self.chance(within_ms // 2 + 1))
        known = self._soon.get((space, peer), at)
        self._soon[space, peer] = min(at, known)

    def due(self, now: Moment) -> list[tuple[SpaceId, PeerId | None]]:
        """What is due, once; no peer where any member will do."""
        ready = [pair for pair, at in self._soon.items() if at <= now.mono_ms]
        for pair in ready:
            del self._soon[pair]
        found: list[tuple[SpaceId, PeerId | None]] = [*ready]
        for space, at in self._every.items():
            if at <= now.mono_ms:
                found.append((space, None))
                self._every[space] = self._next(now)
        return found

    def next_wakeup(self) -> int | None:
        """When something is due; None for never."""
        return min((*self._every.values(), *self._soon.values()), default=None)

    def _next(self, now: Moment) -> int:
        fifth = SYNC_EVERY_MS // 5
        return now.mono_ms + SYNC_EVERY_MS - fifth + self.chance(2 * fifth)
