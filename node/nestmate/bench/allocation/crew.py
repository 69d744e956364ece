"""The crew: who is up, who works on what, and what has been done.

One task at a time per agent; changing the skill costs a set-up. The crew is the truth
of a run, whatever a rule believes, and everything that is scored about work is counted
here. It knows no message and no rule.
"""

import numpy as np

from nestmate.bench.allocation.worlds import Counts, Flags, Floats, World

NOTHING = -1
NEVER = float("inf")


class Crew:
    """All agents of one run; arrays have one entry per agent, or per task."""

    def __init__(self, world: World) -> None:
        agents, tasks = world.terms.agents, world.terms.tasks
        self.world = world
        self.alive: Flags = np.ones(agents, bool)
        self.suspected: Flags = np.zeros(agents, bool)
        self.lives: Counts = np.zeros(agents, int)
        self.task: Counts = np.full(agents, NOTHING)
        self.since: Floats = np.zeros(agents)
        self.until: Floats = np.zeros(agents)
        self.loaded: Counts = np.full(agents, NOTHING)
        self.origin: Counts = world.origin.copy()
        self.done: Floats = np.full(tasks, NEVER)
        self.starts: Counts = np.zeros(tasks, int)
        self.worked: Floats = np.zeros(agents)
        self.setups = 0
        self.useful = 0.0
        self.wasted = 0.0
        self.crashed = 0.0
        self._up_since = np.zeros(agents)
        self._up = np.zeros(agents)

    def __repr__(self) -> str:
        return f"<Crew of {len(self.alive)}, {int((self.task >= 0).sum())} at work>"

    def is_idle(self, agent: int) -> bool:
        """Whether an agent is up and works on nothing."""
        return bool(self.alive[agent]) and self.task[agent] == NOTHING

    def service_seconds(self, agent: int, task: int) -> float:
        """How long a task takes an agent as it is now."""
        return self._seconds(agent, task, float(self.world.work[task]))

    def expected_seconds(self, agent: int, task: int) -> float:
        """As ``service_seconds``, for all that is known: by the declared size."""
        return self._seconds(agent, task, float(self.world.size[task]))

    def start(self, agent: int, task: int, now: float) -> float:
        """Begin a task; when it will be finished."""
        if not self.is_idle(agent):
            raise ValueError(f"agent {agent} cannot start a task now")
        seconds = self.service_seconds(agent, task)
        skill = self.world.kind[task]
        if self.loaded[agent] != skill:
            self.setups += 1
            self.loaded[agent] = skill
        self.starts[task] += 1
        self.task[agent], self.since[agent] = task, now
        self.until[agent] = now + seconds
        return now + seconds

    def finish(self, agent: int, now: float) -> int:
        """An agent's task is done; the first to do it is the one that counts."""
        task = int(self.task[agent])
        seconds = self._leave(agent, now)
        if self.done[task] == NEVER:
            self.done[task] = now
            self.useful += seconds
        else:
            self.wasted += seconds
        return task

    def abort(self, agent: int, now: float) -> None:
        """Stop what an agent does; its work so far is lost."""
        self.wasted += self._leave(agent, now)

    def crash(self, agent: int, now: float) -> int:
        """Down goes an agent, and what it was at is lost; the task, or NOTHING."""
        task = int(self.task[agent])
        if task != NOTHING:
            self.crashed += self._leave(agent, now)
        self.alive[agent] = False
        self.lives[agent] += 1
        self.loaded[agent] = NOTHING
        self._up[agent] += now - self._up_since[agent]
        return task

    def revive(self, agent: int, now: float) -> None:
        """Up it is again, with nothing loaded."""
        self.suspected[agent] = False
        self.alive[agent] = True
        self.lives[agent] += 1
        self._up_since[agent] = now

    def busy_seconds(self, now: float) -> float:
        """How much all agents have worked until now."""
        running = np.where(self.task >= 0, now - self.since, 0.0)
        return float(self.worked.sum() + running.sum())

    def up_seconds(self, now: float) -> float:
        """How long all agents were up until now."""
        running = np.where(self.alive, now - self._up_since, 0.0)
        return float((self._up + running).sum())

    def _seconds(self, agent: int, task: int, size: float) -> float:
        skill = self.world.kind[task]
        setup = self.world.terms.setup_seconds if self.loaded[agent] != skill else 0.0
        return size / float(self.world.speeds[agent, skill]) + setup

    def _leave(self, agent: int, now: float) -> float:
        seconds = now - float(self.since[agent])
        self.worked[agent] += seconds
        self.task[agent] = NOTHING
        self.until[agent] = -1.0
        return seconds
