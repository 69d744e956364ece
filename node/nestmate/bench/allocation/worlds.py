"""The world of one seed: agents and their speeds, how far apart they are, and tasks.

The same terms and the same seed give every rule the same world, so that their results
are paired. Formulas and draws are those of the study the rule was chosen by, so that
figures can be laid side by side with it. Times are seconds. This file knows no rule.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from nestmate.bench.allocation.meshes import Mesh, make_mesh

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that defines a family of worlds and what goes wrong in them.

    ``load`` is a share of what all agents could do at best, set-ups not counted;
    ``size_error`` is the lognormal sigma of declared over true sizes. Windows are
    shares of the horizon, the time of the last arrival. ``up_seconds`` and
    ``down_seconds`` are means of churn, 0 for none. ``stopped_rank`` says which agent
    stops, 0 for the strongest. ``lie`` is what liars multiply urgencies by.
    """

    agents: int = 100
    skills: int = 8
    skills_each: int = 3
    speed_sigma: float = 0.5
    work_seconds: float = 20.0
    work_sigma: float = 0.8
    size_error: float = 0.5
    setup_seconds: float = 4.0
    skew: float = 0.7
    urgencies: tuple[float, ...] = (1.0, 4.0, 16.0)
    shares: tuple[float, ...] = (0.6, 0.3, 0.1)
    load: float = 0.8
    tasks: int = 4_000
    degree: int = 6
    latency_base: float = 0.010
    latency_reach: float = 0.120
    jitter: float = 0.2
    loss: float = 0.02
    resend_seconds: float = 0.25
    repair_seconds: float = 1.0
    lease_seconds: float = 15.0
    drain_seconds: float = 3_000.0
    flips: bool = False
    up_seconds: float = 0.0
    down_seconds: float = 60.0
    killed: float = 0.0
    killed_at: float = 0.4
    cut: Window | None = None
    outage: Window | None = None
    stopped: Window | None = None
    stopped_rank: int = 0
    exclusive: float = 0.0
    liars: float = 0.0
    lie: float = 16.0

    @property
    def window(self) -> Window:
        """The part of the horizon over which throughput under faults is counted."""
        chosen = self.outage or self.cut or self.stopped
        if chosen is not None:
            return chosen
        if self.killed:
            return (self.killed_at, self.killed_at + 0.2)
        return (0.4, 0.6)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One world: ``speeds`` is agents x skills, 0 where an agent lacks the skill.

    ``born``, ``kind``, ``origin``, ``work``, ``size`` (declared), ``worth`` (true
    urgency), ``urgency`` (declared) and ``exclusive`` have one entry per task;
    ``side`` is the half of a cut an agent is in, ``doomed`` who will be killed.
    """

    terms: Terms
    seed: int
    speeds: Floats
    latency: Floats
    mix: Floats
    horizon: float
    born: Floats
    kind: Counts
    origin: Counts
    work: Floats
    size: Floats
    worth: Floats
    urgency: Floats
    exclusive: Flags
    able: tuple[Counts, ...]
    meshes: tuple[Mesh, ...]
    side: Counts
    doomed: Counts
    liars: Counts

    def __repr__(self) -> str:
        return f"<World {self.seed} of {self.terms.agents}>"

    @property
    def stopped(self) -> int:
        """The agent that stops for a while, where one does."""
        strength = (self.speeds * self.mix).sum(1)
        return int(np.argsort(-strength, kind="stable")[self.terms.stopped_rank])


def make_world(terms: Terms, seed: int) -> World:
    """The world that these terms and this seed stand for, always the same."""
    rng = np.random.default_rng([seed, 1])
    agents, tasks = terms.agents, terms.tasks
    speeds = _draw_speeds(terms, rng)
    places = rng.random((agents, 2))
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    latency = terms.latency_base + terms.latency_reach * apart
    np.fill_diagonal(latency, 0.0)
    popularity = 1.0 / (1 + np.arange(terms.skills)) ** terms.skew
    mix = popularity / popularity.sum()
    pace = terms.load * _capacity(terms, speeds, mix)
    born = np.cumsum(rng.exponential(1 / pace, tasks))
    horizon = float(born[-1])
    kind = rng.choice(terms.skills, tasks, p=mix)
    if terms.flips:
        late = born > horizon / 2
        kind[late] = terms.skills - 1 - kind[late]
    origin = rng.integers(agents, size=tasks)
    middle = math.log(terms.work_seconds) - terms.work_sigma**2 / 2
    work = rng.lognormal(middle, terms.work_sigma, tasks)
    error = np.random.default_rng([seed, 2]).lognormal(0, terms.size_error, tasks)
    worth = rng.choice(terms.urgencies, tasks, p=terms.shares)
    able = tuple(np.flatnonzero(speeds[:, each] > 0) for each in range(terms.skills))
    meshes = tuple(make_mesh(latency, each, terms.degree, rng) for each in able)
    side = (np.arange(agents) % 2)[rng.permutation(agents)]
    doomed = rng.permutation(agents)[: round(terms.killed * agents)]
    liars = _draw_liars(terms, seed)
    return World(
        terms=terms,
        seed=seed,
        speeds=speeds,
        latency=latency,
        mix=mix,
        horizon=horizon,
        born=born,
        kind=kind,
        origin=origin,
        work=work,
        size=work * error,
        worth=worth,
        urgency=_declare(terms, worth, np.isin(origin, liars)),
        exclusive=np.random.default_rng([seed, 3]).random(tasks) < terms.exclusive,
        able=able,
        meshes=meshes,
        side=side,
        doomed=doomed,
        liars=liars,
    )


def _draw_speeds(terms: Terms, rng: np.random.Generator) -> Floats:
    """Everybody has one skill in turn and the others by chance; none is orphaned."""
    speeds = np.zeros((terms.agents, terms.skills))
    for agent in range(terms.agents):
        first = agent % terms.skills
        others = [skill for skill in range(terms.skills) if skill != first]
        more = rng.permutation(others)[: terms.skills_each - 1]
        drawn = rng.lognormal(0, terms.speed_sigma, terms.skills_each)
        speeds[agent, [first, *(int(skill) for skill in more)]] = drawn
    return speeds


def _capacity(terms: Terms, speeds: Floats, mix: Floats) -> float:
    """The most tasks per second of this mix that all agents can serve, without set-ups.

    A linear programme over the share of its time that each agent gives each skill.
    """
    agents, skills = np.nonzero(speeds)
    pairs = len(agents)
    bounds = np.zeros((terms.agents + terms.skills, pairs + 1))
    bounds[agents, np.arange(pairs)] = 1.0
    rate = speeds[agents, skills] / terms.work_seconds
    bounds[terms.agents + skills, np.arange(pairs)] = -rate
    bounds[terms.agents :, -1] = mix
    most = np.zeros(terms.agents + terms.skills)
    most[: terms.agents] = 1.0
    goal = np.zeros(pairs + 1)
    goal[-1] = -1.0
    solved = linprog(goal, A_ub=bounds, b_ub=most, bounds=(0, None), method="highs")
    return float(solved.x[-1])


def _draw_liars(terms: Terms, seed: int) -> Counts:
    if not terms.liars:
        return np.zeros(0, int)
    count = max(1, round(terms.liars * terms.agents))
    return np.random.default_rng([seed, 9]).permutation(terms.agents)[:count]


def _declare(terms: Terms, worth: Floats, lies: Flags) -> Floats:
    declared = worth.copy()
    declared[lies] = np.minimum(declared[lies] * terms.lie, max(terms.urgencies))
    return declared
