"""The stage: one rule plays one world, from the first arrival until all is done.

It brings tasks and faults to the rule at their times and carries out what the rule
decides; the rule sees nothing but what it is told. What is played here is scored
elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from nestmate.bench.allocation.crew import NEVER, Crew
from nestmate.bench.allocation.links import Links
from nestmate.bench.allocation.timeline import Timeline
from nestmate.bench.allocation.worlds import World


class Rule:
    """A way to allocate tasks; what it does not care about it leaves as it is here."""

    stage: "Stage"

    def join(self, stage: "Stage") -> None:
        """Take up a world, before anything happens."""
        self.stage = stage

    def begin(self) -> None:
        """All is ready; the first task comes soon."""

    def arrived(self, task: int) -> None:
        """A task has come up at its origin."""

    def finished(self, agent: int, task: int) -> None:
        """An agent has done its work on a task and is idle."""

    def crashed(self, agent: int, task: int) -> None:
        """An agent is down; ``task`` is what it was at, or NOTHING."""

    def revived(self, agent: int) -> None:
        """An agent is up again."""

    def severed(self, *, cut: bool) -> None:
        """The network has been cut in two, or is whole again."""

    def dispatcher(self, *, up: bool) -> None:
        """The one dispatcher has gone or come, where the rule has one."""


@dataclass(frozen=True, slots=True)
class Halftime:
    """What is counted when the last task has arrived, before the tail is drained."""

    busy_seconds: float
    up_seconds: float


class Stage:
    """One run; ``rng`` is for everything but the world itself."""

    def __init__(self, world: World, rule: Rule, start: float = 0.0) -> None:
        self.world = world
        self.rule = rule
        self.rng = np.random.default_rng([world.seed, 7, 0])
        self.timeline = Timeline(start)
        self.crew = Crew(world)
        self.links = Links(world, self.timeline, self.crew, self.rng)
        self._left = world.terms.tasks
        rule.join(self)

    def __repr__(self) -> str:
        return f"<Stage of {self.world!r} at {self.now:.1f}>"

    @property
    def now(self) -> float:
        """The time of the world, in seconds."""
        return self.timeline.now

    def start(self, agent: int, task: int) -> None:
        """An idle agent begins a task."""
        until = self.crew.start(agent, task, self.now)
        life = int(self.crew.lives[agent])
        self.timeline.at(until, self._finish, agent, task, life, until)

    def delay(self, agent: int, seconds: float) -> None:
        """What an agent does takes so much longer than was planned."""
        task, crew = int(self.crew.task[agent]), self.crew
        if task >= 0:
            until = float(crew.until[agent]) + seconds
            crew.until[agent] = until
            life = int(crew.lives[agent])
            self.timeline.at(until, self._finish, agent, task, life, until)

    def abort(self, agent: int) -> None:
        """An agent stops what it does and is idle."""
        self.crew.abort(agent, self.now)

    def run(self) -> Halftime:
        """Play until every task is done, or for the time a run is given to drain."""
        self._plan()
        self.rule.begin()
        horizon, timeline = self.world.horizon, self.timeline
        end = horizon + self.world.terms.drain_seconds
        halftime: Halftime | None = None
        while (due := timeline.next()) is not None and due <= end:
            if halftime is None and due > horizon:
                halftime = self._count()
            timeline.step()
            if self._left == 0 and timeline.now > horizon:
                break
        return halftime or self._count()

    def _plan(self) -> None:
        world, at = self.world, self.timeline.at
        terms, horizon = world.terms, world.horizon
        for task, born in enumerate(world.born):
            at(float(born), self._arrive, task)
        if terms.up_seconds:
            for agent in range(terms.agents):
                at(self.rng.exponential(terms.up_seconds), self.crash, agent)
        for agent in world.doomed:
            at(terms.killed_at * horizon, self.crash, int(agent), True)
        if terms.cut:
            at(terms.cut[0] * horizon, self._sever, True)
            at(terms.cut[1] * horizon, self._sever, False)
        if terms.outage:
            at(terms.outage[0] * horizon, self._dispatcher, False)
            at(terms.outage[1] * horizon, self._dispatcher, True)
        if terms.stopped:
            at(terms.stopped[0] * horizon, self.crash, world.stopped, True)
            at(terms.stopped[1] * horizon, self.revive, world.stopped)

    def _arrive(self, task: int) -> None:
        crew = self.crew
        if not crew.alive[crew.origin[task]]:
            crew.origin[task] = int(self.rng.choice(np.flatnonzero(crew.alive)))
        self.rule.arrived(task)

    def _finish(self, agent: int, task: int, life: int, until: float) -> None:
        crew = self.crew
        if (
            crew.lives[agent] != life
            or crew.task[agent] != task
            or crew.until[agent] != until
        ):
            return  # it was stopped, or crashed, meanwhile
        if crew.done[task] == NEVER:
            self._left -= 1
        crew.finish(agent, self.now)
        self.rule.finished(agent, task)

    def crash(self, agent: int, forever: bool = False) -> None:
        """Down with an agent, for ever or until it has been repaired."""
        if not self.crew.alive[agent]:
            return
        task = self.crew.crash(agent, self.now)
        self.rule.crashed(agent, task)
        self.timeline.after(self.world.terms.lease_seconds, self._suspect, agent)
        if not forever:
            down = self.rng.exponential(self.world.terms.down_seconds)
            self.timeline.after(down, self.revive, agent)

    def revive(self, agent: int) -> None:
        """Up with an agent that is down."""
        if self.crew.alive[agent]:
            return
        self.crew.revive(agent, self.now)
        self.rule.revived(agent)
        if self.world.terms.up_seconds:
            up = self.rng.exponential(self.world.terms.up_seconds)
            self.timeline.after(up, self.crash, agent)

    def _suspect(self, agent: int) -> None:
        """By now everybody has noticed, if it is still down."""
        self.crew.suspected[agent] = not self.crew.alive[agent]

    def _sever(self, cut: bool) -> None:
        self.links.severed = cut
        self.rule.severed(cut=cut)

    def _dispatcher(self, up: bool) -> None:
        self.rule.dispatcher(up=up)

    def _count(self) -> Halftime:
        crew, horizon = self.crew, self.world.horizon
        return Halftime(crew.busy_seconds(horizon), crew.up_seconds(horizon))
