"""Rules that pull: idle agents ask for work, and nothing queues at a worker.

Late binding (Ousterhout et al., Sparrow, SOSP 2013) reserves at several able agents and
binds when one is free; random pull looks at random peers for the oldest task.
"""

from nestmate.bench.allocation.crew import NEVER, NOTHING
from nestmate.bench.allocation.pushing import GIVE_UP_SECONDS, sample
from nestmate.bench.allocation.stage import Rule, Stage

RESERVE_AGAIN_SECONDS = 60.0


class LateBinding(Rule):
    """Reservations at ``reserved`` able agents; the first free one gets the task."""

    def __init__(self, reserved: int) -> None:
        self._reserved = reserved

    def join(self, stage: Stage) -> None:
        """Take up a world."""
        super().join(stage)
        agents = stage.world.terms.agents
        self._kept: list[dict[int, None]] = [{} for _ in range(agents)]
        self._asking = [False] * agents
        self._taken: dict[int, int] = {}

    def arrived(self, task: int) -> None:
        """Leave reservations."""
        self._reserve(task)

    def finished(self, agent: int, task: int) -> None:
        """On to the best reservation."""
        self._next(agent)

    def crashed(self, agent: int, task: int) -> None:
        """Reservations are forgotten, work is lost after a lease."""
        self._kept[agent] = {}
        self._asking[agent] = False
        if task != NOTHING:
            lease = self.stage.world.terms.lease_seconds
            self.stage.timeline.after(lease, self._lost, task, agent)

    def severed(self, *, cut: bool) -> None:
        """What is done on the far side is as good as lost after a lease."""
        if not cut:
            return
        crew, lease = self.stage.crew, self.stage.world.terms.lease_seconds
        for task, agent in list(self._taken.items()):
            joined = self.stage.links.joined(agent, int(crew.origin[task]))
            if crew.done[task] == NEVER and not joined:
                self.stage.timeline.after(lease, self._lost_if_cut, task, agent)

    def _reserve(self, task: int) -> None:
        stage = self.stage
        origin, skill = int(stage.crew.origin[task]), int(stage.world.kind[task])
        for agent in sample(stage, skill, self._reserved).tolist():
            stage.links.send(origin, agent, self._keep, agent, task)
        stage.timeline.after(RESERVE_AGAIN_SECONDS, self._check, task)

    def _check(self, task: int) -> None:
        """All who have a reservation are down or swamped: ask others."""
        stage = self.stage
        if task in self._taken or stage.now >= stage.world.horizon + GIVE_UP_SECONDS:
            return
        if stage.crew.alive[stage.crew.origin[task]]:
            self._reserve(task)
        else:
            stage.timeline.after(stage.world.terms.lease_seconds, self._check, task)

    def _keep(self, agent: int, task: int) -> None:
        self._kept[agent][task] = None
        self._next(agent)

    def _next(self, agent: int) -> None:
        crew, kept = self.stage.crew, self._kept[agent]
        if not kept or self._asking[agent] or not crew.is_idle(agent):
            return
        urgency = self.stage.world.urgency
        best = max(kept, key=lambda t: urgency[t] / crew.expected_seconds(agent, t))
        del kept[best]
        self._asking[agent] = True
        self.stage.links.send(
            agent,
            int(crew.origin[best]),
            self._asked,
            agent,
            best,
            failed=lambda: self._refused(agent),
        )

    def _asked(self, agent: int, task: int) -> None:
        origin = int(self.stage.crew.origin[task])
        if task in self._taken:
            self.stage.links.send(origin, agent, self._refused, agent)
            return
        self._taken[task] = agent
        self.stage.links.send(
            origin,
            agent,
            self._given,
            agent,
            task,
            failed=lambda: self._lost(task, agent),
        )

    def _refused(self, agent: int) -> None:
        self._asking[agent] = False
        self._next(agent)

    def _given(self, agent: int, task: int) -> None:
        self._asking[agent] = False
        if self.stage.crew.is_idle(agent):
            self.stage.start(agent, task)

    def _lost(self, task: int, agent: int) -> None:
        if self._taken.get(task) == agent and self.stage.crew.done[task] == NEVER:
            del self._taken[task]
            self._check(task)

    def _lost_if_cut(self, task: int, agent: int) -> None:
        if self.stage.links.severed:
            self._lost(task, agent)


class RandomPull(Rule):
    """Tasks stay where they came up; idle agents ask a random peer twice a second."""

    POLL_SECONDS = 0.5

    def join(self, stage: Stage) -> None:
        """Take up a world."""
        super().join(stage)
        agents = stage.world.terms.agents
        self._queues: list[list[int]] = [[] for _ in range(agents)]
        self._asking = [False] * agents
        self._given_to: dict[int, int] = {}

    def begin(self) -> None:
        """Everybody begins to ask at a moment of its own."""
        for agent in range(self.stage.world.terms.agents):
            first = float(self.stage.rng.uniform(0, self.POLL_SECONDS))
            life = int(self.stage.crew.lives[agent])
            self.stage.timeline.at(first, self._tick, agent, life)

    def arrived(self, task: int) -> None:
        """It waits at its origin, or is done there."""
        origin = int(self.stage.crew.origin[task])
        self._queues[origin].append(task)
        if self.stage.crew.is_idle(origin) and not self._asking[origin]:
            self._take_own(origin)

    def finished(self, agent: int, task: int) -> None:
        """On to the next."""
        life = int(self.stage.crew.lives[agent])
        self.stage.timeline.after(0.0, self._tick, agent, life)

    def revived(self, agent: int) -> None:
        """It asks again."""
        self.finished(agent, NOTHING)

    def crashed(self, agent: int, task: int) -> None:
        """Its task goes back to its origin after a lease."""
        self._asking[agent] = False
        if task != NOTHING:
            lease = self.stage.world.terms.lease_seconds
            self.stage.timeline.after(lease, self._lost, task, agent)

    def severed(self, *, cut: bool) -> None:
        """What is done on the far side is as good as lost after a lease."""
        if not cut:
            return
        crew, lease = self.stage.crew, self.stage.world.terms.lease_seconds
        for task, agent in list(self._given_to.items()):
            joined = self.stage.links.joined(agent, int(crew.origin[task]))
            if crew.done[task] == NEVER and not joined:
                self.stage.timeline.after(lease, self._lost_if_cut, task, agent)

    def _tick(self, agent: int, life: int) -> None:
        stage = self.stage
        if stage.crew.lives[agent] != life or not stage.crew.is_idle(agent):
            return
        if not self._asking[agent]:
            if self._take_own(agent):
                return
            victim = int(stage.rng.integers(stage.world.terms.agents))
            if victim != agent:
                self._asking[agent] = True
                stage.links.send(
                    agent,
                    victim,
                    self._asked,
                    agent,
                    victim,
                    failed=lambda: self._refused(agent),
                )
        stage.timeline.after(self.POLL_SECONDS, self._tick, agent, life)

    def _pick(self, agent: int, victim: int) -> int:
        world = self.stage.world
        for task in self._queues[victim]:
            if world.speeds[agent, world.kind[task]] > 0:
                self._queues[victim].remove(task)
                self._given_to[task] = agent
                return task
        return NOTHING

    def _take_own(self, agent: int) -> bool:
        task = self._pick(agent, agent)
        if task != NOTHING:
            self.stage.start(agent, task)
        return task != NOTHING

    def _asked(self, agent: int, victim: int) -> None:
        task = self._pick(agent, victim)
        links = self.stage.links
        if task == NOTHING:
            links.send(victim, agent, self._refused, agent)
            return
        links.send(
            victim,
            agent,
            self._given,
            agent,
            task,
            failed=lambda: self._lost(task, agent),
        )

    def _refused(self, agent: int) -> None:
        self._asking[agent] = False

    def _given(self, agent: int, task: int) -> None:
        self._asking[agent] = False
        if self.stage.crew.is_idle(agent):
            self.stage.start(agent, task)
        else:
            self._lost(task, agent)

    def _lost(self, task: int, agent: int) -> None:
        if self._given_to.get(task) == agent and self.stage.crew.done[task] == NEVER:
            del self._given_to[task]
            self._queues[int(self.stage.crew.origin[task])].append(task)

    def _lost_if_cut(self, task: int, agent: int) -> None:
        if self.stage.links.severed:
            self._lost(task, agent)
