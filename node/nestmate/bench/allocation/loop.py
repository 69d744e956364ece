"""The loop: what machines want is carried out in order, and each is woken in time.

What follows from carrying out one step waits until that step is over, as it does in a
node's inbox. This file knows nothing of what is carried out.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from nestmate.bench.allocation.stage import Stage
from nestmate_protocol.signals.outcomes import Outcome

Steps = Sequence[Outcome]


class Machines(Protocol):
    """What the loop is told by whoever keeps the machines of a run."""

    def translate(self, agent: int, outcomes: Steps) -> None:
        """Make happen what one machine wants."""
        ...

    def wake(self, agent: int) -> Steps:
        """Wake one machine."""
        ...

    def next_wakeup(self, agent: int) -> float | None:
        """When a machine wants to be woken, in seconds of the world."""
        ...


class Loop:
    """Steps and wakeups of all machines of a run."""

    def __init__(self, stage: Stage, machines: Machines) -> None:
        self._stage = stage
        self._machines = machines
        self._wakes: list[float | None] = [None] * stage.world.terms.agents
        self._steps: deque[tuple[int, int, Steps]] = deque()
        self._busy = False

    def __repr__(self) -> str:
        return f"<Loop with {len(self._steps)} steps waiting>"

    def carry_out(self, agent: int, outcomes: Steps) -> None:
        """Make happen, in its turn, what a machine wants."""
        lives = self._stage.crew.lives
        self._steps.append((agent, int(lives[agent]), outcomes))
        if self._busy:
            return
        self._busy = True
        while self._steps:
            agent, life, outcomes = self._steps.popleft()
            if lives[agent] == life:
                self._machines.translate(agent, outcomes)
                self._plan(agent)
        self._busy = False

    def crashed(self, agent: int) -> None:
        """A machine wakes no more."""
        self._wakes[agent] = None

    def _plan(self, agent: int) -> None:
        due = self._machines.next_wakeup(agent)
        planned = self._wakes[agent]
        if due is not None and (planned is None or due < planned):
            due = max(due, self._stage.now)
            self._wakes[agent] = due
            self._stage.timeline.at(due, self._wake, agent, due)

    def _wake(self, agent: int, due: float) -> None:
        if self._wakes[agent] == due:
            self._wakes[agent] = None
            self.carry_out(agent, self._machines.wake(agent))
