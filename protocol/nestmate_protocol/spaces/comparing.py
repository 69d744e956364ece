"""Comparing: a local agent wants to know that members hold the same, now.

Each request is answered once every member that was connected has been compared with, or
when its time is up. This file knows nothing of how two nodes compare.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Reply
from nestmate_protocol.ids import SpaceId
from nestmate_protocol.spaces.requests import Synced

Compared = Callable[[SpaceId, int], tuple[int, int]]
"""With how many members a space was compared since, and how many hold the same."""


@dataclass(frozen=True, slots=True)
class _Wait:
    request: int
    space: SpaceId
    since_ms: int
    until_ms: int
    peers: int


class Comparisons:
    """Who waits for which comparison."""

    def __init__(self, compared: Compared) -> None:
        self._compared = compared
        self._waits: list[_Wait] = []

    def __repr__(self) -> str:
        return f"<Comparisons: {len(self._waits)} wait>"

    def begin(
        self, request: int, space: SpaceId, peers: int, now: Moment, wait_ms: int
    ) -> None:
        """Wait until a space was compared with so many members."""
        until_ms = now.mono_ms + wait_ms
        self._waits.append(_Wait(request, space, now.mono_ms, until_ms, peers))

    def abandon(self, request: int) -> None:
        """Nobody waits for this request's answer any more."""
        self._waits = [each for each in self._waits if each.request != request]

    def answers(self, now: Moment) -> list[Reply]:
        """Answers to those that are done, or have waited long enough."""
        answers: list[Reply] = []
        still: list[_Wait] = []
        for wait in self._waits:
            ended, equal = self._compared(wait.space, wait.since_ms)
            if ended >= wait.peers or wait.until_ms <= now.mono_ms:
                answers.append(Reply(wait.request, Synced(ended, equal)))
            else:
                still.append(wait)
        self._waits = still
        return answers

    def next_wakeup(self) -> int | None:
        """When the first of them gives up, on the monotonic clock in ms."""
        return min((wait.until_ms for wait in self._waits), default=None)
