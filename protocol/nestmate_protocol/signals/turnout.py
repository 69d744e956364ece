"""Turnout: who came for our own tasks, and who of them was given one.

Kept in memory only, for people who ask; it decides nothing. Bounded in tasks and in
agents per task: of tasks the oldest is forgotten first, of agents the first who came
too late. This file knows no rule.
"""

from dataclasses import dataclass
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.claims import Claim

TASKS_MAX: Final = 1_024
ATTEMPTS_PER_TASK_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Attempt:
    """One agent's claim of one generation; ``at_ms`` is on the monotonic clock."""

    agent: Address
    generation: int
    granted: bool
    at_ms: int


class Turnout:
    """Everyone who claimed one of our own tasks since this node started."""

    def __init__(self) -> None:
        self._tasks: dict[bytes, dict[tuple[bytes, int], Attempt]] = {}

    def __repr__(self) -> str:
        return f"<Turnout for {len(self._tasks)}>"

    def note(self, claim: Claim, now: Moment, *, granted: bool) -> None:
        """An agent claimed; saying it again changes nothing."""
        attempts = self._tasks.setdefault(claim.task.raw, {})
        place = (claim.worker.raw, claim.generation)
        if place not in attempts:
            attempts[place] = Attempt(
                claim.worker, claim.generation, granted, now.mono_ms
            )
        if len(attempts) > ATTEMPTS_PER_TASK_MAX:
            late = (key for key, each in attempts.items() if not each.granted)
            del attempts[next(late, next(iter(attempts)))]
        while len(self._tasks) > TASKS_MAX:
            del self._tasks[next(iter(self._tasks))]

    def of(self, task: TaskId) -> tuple[Attempt, ...]:
        """Who claimed a task, in the order in which they came."""
        return tuple(self._tasks.get(task.raw, {}).values())
