"""The plan of a trial: who asks, who works, in which half, and what is asked when.

All of it follows from a few numbers and a seed. This file starts nothing and knows no
node, only numbers from 1.
"""

import random
from dataclasses import dataclass
from typing import Final

from nestmate.testnet.crew import CRAFTS, Craft

NODES_PER_ASKER: Final = 5
ASKERS_MIN: Final = 2
WORKERS_PER_CRAFT_MIN: Final = 4
LEASE_BEYOND_CUT_SECONDS: Final = 10.0
WORK_PER_CUT: Final = 2.5
SHARES: Final = (0.5, 0.3, 0.2)  # of all tasks: before the cut, during it, after it
LEVEL_SHARES: Final = {"slow": 0.5, "alert": 0.3, "flash": 0.2}
SPREAD: Final = (0.5, 1.5)  # of the mean time a task takes


@dataclass(frozen=True, slots=True)
class Worker:
    """A node that works, and its craft."""

    node: int
    craft: Craft


@dataclass(frozen=True, slots=True)
class Wish:
    """A task that somebody will ask for."""

    asker: int
    craft: Craft
    level: str
    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of a trial; ``lease_seconds`` 0 outlasts the cut."""

    nodes: int
    tasks: int
    kills: int
    cut_seconds: float
    seed: int
    lease_seconds: float = 0.0

    @property
    def lease(self) -> float:
        """How long a worker may be silent before its task is given away."""
        return self.lease_seconds or self.cut_seconds + LEASE_BEYOND_CUT_SECONDS

    @property
    def askers(self) -> tuple[int, ...]:
        """Those who ask, of either half in turn."""
        return self._order()[: self._askers]

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those who work; each craft has as many in one half as in the other."""
        nodes = self._order()[self._askers :]
        count = max(1, min(len(CRAFTS), len(nodes) // WORKERS_PER_CRAFT_MIN))
        return tuple(
            Worker(node, CRAFTS[at // 2 % count]) for at, node in enumerate(nodes)
        )

    @property
    def halves(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Who is with whom during the cut."""
        workers = [worker.node for worker in self.workers]
        one, other = ((*self.askers[at::2], *workers[at::2]) for at in range(2))
        return tuple(sorted(one)), tuple(sorted(other))

    @property
    def kills_by_part(self) -> tuple[int, int, int]:
        """How many workers die before the cut, during it and after it."""
        before, during, after = (len(range(at, self.kills, 3)) for at in range(3))
        return before, during, after

    def wishes(self) -> tuple[tuple[Wish, ...], ...]:
        """What is asked before the cut, during it and after it; levels mixed."""
        dice = random.Random(f"wishes {self.seed}")  # noqa: S311 - a picture, not a secret
        levels = [
            level
            for level, share in LEVEL_SHARES.items()
            for _ in range(round(share * self.tasks))
        ]
        levels = (levels + ["slow"] * self.tasks)[: self.tasks]
        dice.shuffle(levels)
        crafts = [worker.craft for worker in self.workers]
        mean = WORK_PER_CUT * self.cut_seconds * len(self.workers) / self.tasks
        wishes: list[Wish] = []
        for at, level in enumerate(levels):
            craft = dice.choice(crafts)
            text = f"task {at}\nof {self.tasks}\n{level} {craft.skill}\n"
            seconds = round(mean * dice.uniform(*SPREAD), 2)
            asker = self.askers[at % len(self.askers)]
            wishes.append(Wish(asker, craft, level, seconds, text))
        first = round(SHARES[0] * self.tasks)
        second = first + round(SHARES[1] * self.tasks)
        parts = wishes[:first], wishes[first:second], wishes[second:]
        return tuple(tuple(part) for part in parts)

    @property
    def _askers(self) -> int:
        return max(ASKERS_MIN, self.nodes // NODES_PER_ASKER)

    def _order(self) -> tuple[int, ...]:
        numbers = list(range(1, self.nodes + 1))
        random.Random(f"order {self.seed}").shuffle(numbers)  # noqa: S311 - as above
        return tuple(numbers)
