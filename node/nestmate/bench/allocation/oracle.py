"""The oracle and its mortal twin, the central dispatcher.

At every event the oracle solves an assignment of all waiting tasks to all agents, idle
and busy ones, with true sizes, no latency and no messages; a task is held back where a
busy agent would finish it sooner. It does not know the future, so it is strong but no
proven optimum. The dispatcher does the same with declared sizes and what messages tell
it, in their time, and can be down or on the far side of a cut.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment

from nestmate.bench.allocation.crew import NOTHING
from nestmate.bench.allocation.links import PATIENCE_SECONDS
from nestmate.bench.allocation.stage import Rule, Stage
from nestmate.bench.allocation.worlds import Counts, Flags, Floats

UNABLE_SECONDS = 1e7
WAIT_COST_SECONDS = 1e4
ASSIGNED_MAX = 800
"""Beyond so many waiting tasks the assignment is replaced by the greedy order."""
RECOVERY_SECONDS = 1.0
INDEX_MIN = 1e-5
"""Below it a pair is one that cannot be."""


class Oracle(Rule):
    """Omniscient, at once, for nothing."""

    def join(self, stage: Stage) -> None:
        """Take up a world."""
        super().join(stage)
        self.waiting: list[int] = []

    def arrived(self, task: int) -> None:
        """One more task waits."""
        self.waiting.append(task)
        self.dispatch()

    def finished(self, agent: int, task: int) -> None:
        """One more agent is idle."""
        self.dispatch()

    def revived(self, agent: int) -> None:
        """One more agent is there."""
        self.dispatch()

    def crashed(self, agent: int, task: int) -> None:
        """Its task waits again."""
        if task != NOTHING:
            self.waiting.append(task)
            self.dispatch()

    def severed(self, *, cut: bool) -> None:
        """Means nothing to who needs no network."""
        self.dispatch()

    def dispatch(self) -> None:
        """Give idle agents what the best assignment gives them."""
        idle = self.idle()
        if not self.waiting or not len(idle):
            return
        tasks = np.array(self.waiting)
        if len(tasks) > ASSIGNED_MAX:
            pairs = self._greedy(idle, tasks)
        else:
            pairs = self._assignment(idle, tasks)
        for agent, task in pairs:
            self.waiting.remove(task)
            self.launch(agent, task)

    def idle(self) -> Counts:
        """Who can begin at once, as far as is known."""
        crew = self.stage.crew
        return np.flatnonzero(crew.alive & (crew.task == NOTHING))

    def sizes(self) -> Floats:
        """What is known of the work in each task."""
        return self.stage.world.work

    def remaining(self) -> Floats:
        """For how long each agent is still busy, as far as is known."""
        crew = self.stage.crew
        left = np.maximum(crew.until - self.stage.now, 0)
        return np.where(crew.task >= 0, left, 0.0)

    def launch(self, agent: int, task: int) -> None:
        """Let an agent begin."""
        self.stage.start(agent, task)

    def _costs(self, agents: Counts, tasks: Counts) -> Floats:
        world = self.stage.world
        kinds = world.kind[tasks]
        speeds = world.speeds[np.ix_(agents, kinds)]
        sizes = self.sizes()[tasks][None]
        seconds = np.where(speeds > 0, sizes / np.maximum(speeds, 1e-9), UNABLE_SECONDS)
        changes = self.stage.crew.loaded[agents][:, None] != kinds[None]
        return seconds + world.terms.setup_seconds * changes

    def _assignment(self, idle: Counts, tasks: Counts) -> list[tuple[int, int]]:
        """Minimise urgency-weighted completion over everybody who is up."""
        urgency = self.stage.world.urgency[tasks]
        agents = np.flatnonzero(self.stage.crew.alive)
        service = self._costs(agents, tasks)
        cost = urgency[None] * (self.remaining()[agents][:, None] + service)
        near = _near(cost)
        agents, service, cost = agents[near], service[near], cost[near]
        waits = np.repeat(urgency[None] * WAIT_COST_SECONDS, len(tasks), 0)
        rows, columns = linear_sum_assignment(np.vstack([cost, waits]))
        free = set(idle.tolist())
        return [
            (int(agents[row]), int(tasks[column]))
            for row, column in zip(rows, columns, strict=True)
            if row < len(agents)
            and service[row, column] < UNABLE_SECONDS / 10
            and int(agents[row]) in free
        ]

    def _greedy(self, idle: Counts, tasks: Counts) -> list[tuple[int, int]]:
        """The c-mu order: again and again the pair of most urgency per second."""
        index = self.stage.world.urgency[tasks][None] / self._costs(idle, tasks)
        pairs: list[tuple[int, int]] = []
        while True:
            row, column = divmod(int(np.argmax(index)), index.shape[1])
            if index[row, column] <= INDEX_MIN:
                return pairs
            pairs.append((int(idle[row]), int(tasks[column])))
            index[row, :] = index[:, column] = -1


def _near(cost: Floats) -> Counts:
    """The rows that an optimal assignment can use, in their order.

    With n columns, one of the n cheapest rows of a column is free whatever the other
    columns take, so that no dearer one is needed.
    """
    rows, columns = cost.shape
    if rows <= columns:
        return np.arange(rows)
    return np.unique(np.argpartition(cost, columns - 1, axis=0)[:columns])


class Dispatcher(Oracle):
    """One process that everybody asks; while it is down nothing is dispatched."""

    def join(self, stage: Stage) -> None:
        """Take up a world."""
        super().join(stage)
        agents = stage.world.terms.agents
        self._up = True
        self._free: Flags = np.ones(agents, bool)
        self._busy_until = np.zeros(agents)
        self._latency = float(np.mean(stage.world.latency))
        self._near = stage.world.side == 0

    def arrived(self, task: int) -> None:
        """Its origin tells the dispatcher."""
        self._tell(int(self.stage.crew.origin[task]), self._received, task)

    def finished(self, agent: int, task: int) -> None:
        """The agent tells the dispatcher."""
        self._tell(agent, self._freed, agent)

    def revived(self, agent: int) -> None:
        """The agent tells the dispatcher."""
        self._tell(agent, self._freed, agent)

    def crashed(self, agent: int, task: int) -> None:
        """Nobody tells the dispatcher; it notices when a lease runs out."""
        lease = self.stage.world.terms.lease_seconds
        self.stage.timeline.after(lease, self._lost, agent, task)

    def severed(self, *, cut: bool) -> None:
        """After a cut, all can be reached again."""
        if not cut:
            self.stage.timeline.after(RECOVERY_SECONDS, self.dispatch)

    def dispatcher(self, *, up: bool) -> None:
        """It goes, or comes back with its state rebuilt."""
        self._up = up
        if up:
            self.stage.timeline.after(RECOVERY_SECONDS, self.dispatch)

    def dispatch(self) -> None:
        """As the oracle, while it is up."""
        if self._up:
            super().dispatch()

    def idle(self) -> Counts:
        """Who was free by the last message, and can be reached."""
        reached = self._near if self.stage.links.severed else np.ones_like(self._near)
        return np.flatnonzero(self._free & reached)

    def sizes(self) -> Floats:
        """Declared sizes."""
        return self.stage.world.size

    def remaining(self) -> Floats:
        """By the dispatcher's own reckoning."""
        return np.maximum(self._busy_until - self.stage.now, 0) * ~self._free

    def launch(self, agent: int, task: int) -> None:
        """Tell an agent to begin."""
        stage = self.stage
        self._free[agent] = False
        expected = stage.crew.expected_seconds(agent, task)
        self._busy_until[agent] = stage.now + self._latency + expected
        stage.links.messages += 1
        delay = stage.links.delay_over(self._latency)
        stage.timeline.after(delay, self._begin, agent, task)

    def _begin(self, agent: int, task: int) -> None:
        if self.stage.crew.is_idle(agent) and self._reaches(agent):
            self.stage.start(agent, task)
        else:
            lease = self.stage.world.terms.lease_seconds
            self.stage.timeline.after(lease, self._lost, agent, task)

    def _reaches(self, agent: int) -> bool:
        return not self.stage.links.severed or bool(self._near[agent])

    def _tell(self, agent: int, action: Callable[[int], None], subject: int) -> None:
        stage = self.stage
        stage.links.messages += 1
        if self._up and self._reaches(agent):
            delay = stage.links.delay_over(self._latency)
            stage.timeline.after(delay, action, subject)
        elif stage.crew.alive[agent]:
            stage.timeline.after(PATIENCE_SECONDS, self._tell, agent, action, subject)

    def _received(self, task: int) -> None:
        if not self._up:
            self.stage.timeline.after(PATIENCE_SECONDS, self._received, task)
            return
        self.waiting.append(task)
        self.dispatch()

    def _freed(self, agent: int) -> None:
        self._free[agent] = True
        self.dispatch()

    def _lost(self, agent: int, task: int) -> None:
        if not self.stage.crew.alive[agent]:
            self._free[agent] = False
        if task != NOTHING:
            self.waiting.append(task)
            self.dispatch()
