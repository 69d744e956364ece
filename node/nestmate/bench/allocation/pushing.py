"""Rules that push: an origin picks a worker, and the worker keeps a queue.

Contract net (announce, bid, award), two choices (the same with two), and stealing on
top. Queues are served in the c-mu order, as every rule here orders what it has. Lost
work goes back to its origin after a lease; an origin that is down cannot place it again
before it is back.
"""

import numpy as np

from nestmate.bench.allocation.crew import NEVER, NOTHING
from nestmate.bench.allocation.stage import Rule, Stage
from nestmate.bench.allocation.worlds import Counts

GIVE_UP_SECONDS = 600.0
BID_SECONDS = 0.1
NO_BIDS_SECONDS = 1.0


def sample(stage: Stage, skill: int, count: int | None) -> Counts:
    """So many of those who have a skill and are not known to be down; None for all."""
    able = stage.world.able[skill]
    able = able[~stage.crew.suspected[able]]
    if count is None or count >= len(able):
        return able
    return able[np.argsort(stage.rng.exponential(1.0, len(able)))[:count]]


class Bidding:
    """One announcement: the bids so far, until it is closed."""

    def __init__(self, announced: int) -> None:
        self.open = True
        self.left = announced
        self.bids: list[tuple[float, int]] = []


class ContractNet(Rule):
    """Announce to ``announced`` able agents (None for all), award to the best bid."""

    def __init__(self, announced: int | None = None) -> None:
        self._announced = announced

    def join(self, stage: Stage) -> None:
        """Take up a world."""
        super().join(stage)
        terms = stage.world.terms
        self._queues: list[list[int]] = [[] for _ in range(terms.agents)]
        self._placed: dict[int, int] = {}
        farthest = terms.latency_base + 1.4 * terms.latency_reach
        self._deadline = BID_SECONDS + 3 * farthest

    def arrived(self, task: int) -> None:
        """Ask who would do it when."""
        self._announce(task)

    def finished(self, agent: int, task: int) -> None:
        """On with the queue."""
        self._serve(agent)

    def crashed(self, agent: int, task: int) -> None:
        """Its origin notices the loss of each task after a lease."""
        lost = self._queues[agent] + ([task] if task != NOTHING else [])
        self._queues[agent] = []
        lease = self.stage.world.terms.lease_seconds
        for each in lost:
            self.stage.timeline.after(lease, self._again, each, agent)

    def severed(self, *, cut: bool) -> None:
        """What lies on the far side is as good as lost after a lease."""
        if not cut:
            return
        crew, lease = self.stage.crew, self.stage.world.terms.lease_seconds
        for task, agent in list(self._placed.items()):
            joined = self.stage.links.joined(agent, int(crew.origin[task]))
            if crew.done[task] == NEVER and not joined:
                self.stage.timeline.after(lease, self._again_if_cut, task, agent)

    def _announce(self, task: int) -> None:
        stage = self.stage
        origin = int(stage.crew.origin[task])
        asked = sample(stage, int(stage.world.kind[task]), self._announced)
        bidding = Bidding(len(asked))
        for agent in asked.tolist():
            stage.links.send(origin, agent, self._bid, bidding, agent, task)
        stage.timeline.after(self._deadline, self._close, bidding, task)

    def _bid(self, bidding: Bidding, agent: int, task: int) -> None:
        origin = int(self.stage.crew.origin[task])
        offer = (self._completion_seconds(agent, task), agent)
        self.stage.links.send(agent, origin, self._hear, bidding, offer, task)

    def _hear(self, bidding: Bidding, offer: tuple[float, int], task: int) -> None:
        if bidding.open:
            bidding.bids.append(offer)
            bidding.left -= 1
            if bidding.left == 0:
                self._close(bidding, task)

    def _close(self, bidding: Bidding, task: int) -> None:
        if not bidding.open:
            return
        bidding.open = False
        if not self.stage.crew.alive[self.stage.crew.origin[task]]:
            self._placed[task] = NOTHING
            self._again(task, NOTHING)
        elif bidding.bids:
            self._place(task, min(bidding.bids)[1])
        else:
            self.stage.timeline.after(NO_BIDS_SECONDS, self._announce, task)

    def _place(self, task: int, agent: int) -> None:
        self._placed[task] = agent
        self.stage.links.send(
            int(self.stage.crew.origin[task]),
            agent,
            self._queue,
            task,
            agent,
            failed=lambda: self._again(task, agent),
        )

    def _again(self, task: int, agent: int) -> None:
        """Its origin takes a lost task up again, as soon as it can."""
        stage = self.stage
        if stage.crew.done[task] != NEVER or self._placed.get(task) != agent:
            return
        if stage.crew.alive[stage.crew.origin[task]]:
            self._announce(task)
        elif stage.now < stage.world.horizon + GIVE_UP_SECONDS:
            lease = stage.world.terms.lease_seconds
            stage.timeline.after(lease, self._again, task, agent)

    def _again_if_cut(self, task: int, agent: int) -> None:
        if self.stage.links.severed:
            self._again(task, agent)

    def _queue(self, task: int, agent: int) -> None:
        self._queues[agent].append(task)
        self._serve(agent)

    def _serve(self, agent: int) -> None:
        queue = self._queues[agent]
        if queue and self.stage.crew.is_idle(agent):
            best = max(queue, key=lambda task: self._index(agent, task))
            queue.remove(best)
            self.stage.start(agent, best)

    def _index(self, agent: int, task: int) -> float:
        expected = self.stage.crew.expected_seconds(agent, task)
        return float(self.stage.world.urgency[task]) / expected

    def _completion_seconds(self, agent: int, task: int) -> float:
        """When an agent would have done a task: what comes before it, and itself."""
        crew = self.stage.crew
        mine = self._index(agent, task)
        busy = max(float(crew.until[agent]) - self.stage.now, 0.0)
        before = sum(
            crew.expected_seconds(agent, other)
            for other in self._queues[agent]
            if self._index(agent, other) >= mine
        )
        left = busy if crew.task[agent] >= 0 else 0.0
        return left + before + crew.expected_seconds(agent, task)


class Stealing(ContractNet):
    """An idle agent asks a random able peer each second for what it would do sooner."""

    POLL_SECONDS = 1.0
    GAIN_SECONDS_MIN = 1.0

    def begin(self) -> None:
        """Everybody begins to ask at a moment of its own."""
        for agent in range(self.stage.world.terms.agents):
            first = float(self.stage.rng.uniform(0, self.POLL_SECONDS))
            life = int(self.stage.crew.lives[agent])
            self.stage.timeline.at(first, self._tick, agent, life)

    def revived(self, agent: int) -> None:
        """It asks again."""
        self._tick(agent, int(self.stage.crew.lives[agent]))

    def finished(self, agent: int, task: int) -> None:
        """On with the queue, or with somebody else's."""
        super().finished(agent, task)
        if self.stage.crew.is_idle(agent):
            self._beg(agent)

    def _tick(self, agent: int, life: int) -> None:
        if self.stage.crew.lives[agent] == life:
            if self.stage.crew.is_idle(agent):
                self._beg(agent)
            self.stage.timeline.after(self.POLL_SECONDS, self._tick, agent, life)

    def _beg(self, agent: int) -> None:
        world = self.stage.world
        skills = np.flatnonzero(world.speeds[agent] > 0)
        odds = world.mix[skills] / world.mix[skills].sum()
        skill = int(self.stage.rng.choice(skills, p=odds))
        victim = int(sample(self.stage, skill, 1)[0])
        if victim != agent:
            self.stage.links.send(agent, victim, self._give, agent, victim)

    def _give(self, agent: int, victim: int) -> None:
        stage, best, most = self.stage, NOTHING, self.GAIN_SECONDS_MIN
        for task in self._queues[victim]:
            if stage.world.speeds[agent, stage.world.kind[task]] > 0:
                sooner = stage.crew.expected_seconds(agent, task)
                gain = self._completion_seconds(victim, task) - sooner
                if gain > most:
                    best, most = task, gain
        if best == NOTHING:
            stage.links.messages += 1
            return
        self._queues[victim].remove(best)
        self._placed[best] = agent
        stage.links.send(
            victim,
            agent,
            self._queue,
            best,
            agent,
            failed=lambda: self._again(best, agent),
        )
