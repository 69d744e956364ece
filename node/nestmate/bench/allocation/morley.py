"""Morley's truck painting, six problems, by the boards that ship.

A booth is an agent, a truck a task of urgency 1, a colour a skill and a flush a set-up:
1,000 minutes, a truck each minute, 7 booths that each paint one truck in 3 minutes and
let three more queue. The problems and the published figures, means of 100 runs, are
those of Cicirello and Smith, Wasp-like agents for distributed factory coordination,
JAAMAS 8(3), 2004, tables 1 to 6.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from nestmate.bench.allocation.boards import Boards
from nestmate.bench.allocation.crew import NEVER
from nestmate.bench.allocation.hands import Hands
from nestmate.bench.allocation.meshes import make_mesh
from nestmate.bench.allocation.stage import Stage
from nestmate.bench.allocation.worlds import Counts, Floats, Terms, World
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.parameters import Rule as Parameters

MINUTE: Final = 60.0
BOOTHS: Final = 7
COLOURS: Final = 14
QUEUE_MAX: Final = 3
PAINT_MINUTES: Final = 3
TRUCKS: Final = 1_000
LINK_SECONDS: Final = 0.005
LEASE_SECONDS: Final = 60.0
FLUSH_MINUTES: Final = {2: 10}
BREAKDOWN_ODDS: Final = {3: 0.05, 4: 0.1}
BREAKDOWN_MINUTES: Final = (1, 20)
TWO_COLOURS, CHANGING_MIX = 5, 6
CHANGES_AT: Final = (300, 700)

Figures = Mapping[str, float]

# rule -> problem -> set-ups, cycle in minutes, trucks done
PUBLISHED: Final[Mapping[str, Mapping[int, tuple[float, float, float]]]] = {
    "r-wasps": {
        1: (287.61, 7.16, 994.03),
        2: (265.33, 26.72, 972.22),
        3: (291.80, 9.26, 991.74),
        4: (296.34, 11.24, 989.82),
        5: (277.99, 8.00, 993.17),
        6: (284.54, 8.00, 993.13),
    },
    "morley": {
        1: (438.22, 3.87, 997.09),
        2: (406.13, 42.37, 873.69),
        3: (447.52, 4.33, 996.73),
        4: (460.15, 4.85, 996.20),
        5: (516.83, 3.82, 997.18),
        6: (470.25, 3.85, 997.00),
    },
    "campos1": {
        1: (530.52, 3.53, 997.53),
        2: (480.12, 136.47, 710.78),
        3: (520.80, 3.80, 997.19),
        4: (528.55, 4.15, 996.85),
        5: (570.43, 3.57, 997.43),
        6: (532.98, 3.53, 997.55),
    },
    "campos2": {
        1: (369.38, 6.65, 994.43),
        2: (478.20, 131.84, 713.84),
        3: (379.34, 7.18, 993.82),
        4: (389.12, 7.81, 993.62),
        5: (334.31, 5.55, 995.45),
        6: (351.90, 6.09, 994.43),
    },
}


def published(rule: str, problem: int) -> Figures:
    """What a rule of the literature reached."""
    setups, cycle, done = PUBLISHED[rule][problem]
    return {"setups": setups, "cycle": cycle, "done": done}


def paint(
    problem: int, seed: int, trucks: int = TRUCKS, parameters: Parameters = RULE
) -> Figures:
    """One plant, a minute for each truck: set-ups, mean cycle in minutes, trucks done.

    The cycle is over trucks that were done in time.
    """
    stage = Stage(make_plant(problem, seed, trucks), Plant(problem, parameters))
    stage.run()
    crew = stage.crew
    done = crew.done != NEVER
    cycle = (crew.done - stage.world.born)[done].mean() / MINUTE
    return {
        "setups": float(crew.setups),
        "cycle": float(cycle),
        "done": float(done.sum()),
    }


def make_plant(problem: int, seed: int, trucks: int) -> World:
    """Seven booths that can paint anything, and a yard where the trucks come up."""
    rng = np.random.default_rng([seed, 20])
    agents = BOOTHS + 1
    latency = np.full((agents, agents), LINK_SECONDS)
    np.fill_diagonal(latency, 0.0)
    speeds = np.ones((agents, COLOURS))
    speeds[BOOTHS] = 0.0
    born = np.arange(trucks) * MINUTE
    work = np.full(trucks, PAINT_MINUTES * MINUTE)
    kind = [rng.choice(COLOURS, p=colour_odds(problem, m)) for m in range(trucks)]
    booths = np.arange(BOOTHS)
    return World(
        terms=Terms(
            agents=agents,
            skills=COLOURS,
            setup_seconds=FLUSH_MINUTES.get(problem, 1) * MINUTE,
            tasks=trucks,
            jitter=0.0,
            loss=0.0,
            lease_seconds=LEASE_SECONDS,
            drain_seconds=0.0,
        ),
        seed=seed,
        speeds=speeds,
        latency=latency,
        mix=np.full(COLOURS, 1 / COLOURS),
        horizon=trucks * MINUTE,
        born=born,
        kind=np.array(kind),
        origin=np.full(trucks, BOOTHS),
        work=work,
        size=work,
        worth=np.ones(trucks),
        urgency=np.ones(trucks),
        exclusive=np.zeros(trucks, bool),
        able=(booths,) * COLOURS,
        meshes=tuple(make_mesh(latency, booths, BOOTHS, rng) for _ in range(COLOURS)),
        side=np.zeros(agents, int),
        doomed=np.zeros(0, int),
        liars=np.zeros(0, int),
    )


def colour_odds(problem: int, minute: int) -> Floats:
    """How likely each colour is: mostly one, or two, or changing from time to time."""
    first, second = CHANGES_AT
    leading = [0]
    if problem == TWO_COLOURS:
        leading = [0, 1]
    elif problem == CHANGING_MIX and minute >= first:
        leading = [0, 1] if minute < second else [1]
    odds = np.full(COLOURS, 0.5 / (COLOURS - len(leading)))
    odds[leading] = 0.5 / len(leading)
    return odds


class Booths(Hands):
    """Local agents that let trucks queue, and may be broken for a while."""

    def __init__(self, stage: Stage, plant: "Plant") -> None:
        super().__init__(stage, plant, plant.watcher, QUEUE_MAX)
        self._down_until = [0.0] * stage.world.terms.agents

    def break_down(self, booth: int, seconds: float) -> None:
        """A booth stands still, with all that is in it."""
        now = self._stage.now
        until = max(self._down_until[booth], now + seconds)
        self._stage.delay(booth, until - max(self._down_until[booth], now))
        self._down_until[booth] = until
        self._stage.timeline.at(until, self._go_on, booth)

    def _has_room(self, agent: int) -> bool:
        return not self._is_down(agent) and super()._has_room(agent)

    def _go_on(self, agent: int) -> None:
        if not self._is_down(agent):
            super()._go_on(agent)

    def _is_down(self, agent: int) -> bool:
        return self._down_until[agent] > self._stage.now


class Plant(Boards):
    """The boards of one plant, whose booths break down in some problems."""

    def __init__(self, problem: int, parameters: Parameters = RULE) -> None:
        super().__init__(parameters)
        self._problem = problem

    def employ(self, stage: Stage) -> Hands:
        """Booths instead of agents that take one task at a time."""
        self._booths = Booths(stage, self)
        return self._booths

    def begin(self) -> None:
        """Every booth begins with a colour, and its breakdowns are drawn."""
        stage = self.stage
        rng = np.random.default_rng([stage.world.seed, 21])
        colours: Counts = rng.integers(COLOURS, size=BOOTHS)
        stage.crew.loaded[:BOOTHS] = colours
        odds = BREAKDOWN_ODDS.get(self._problem, 0.0)
        for minute in range(stage.world.terms.tasks):
            if odds and rng.random() < odds:
                booth = int(rng.integers(BOOTHS))
                seconds = float(rng.uniform(*BREAKDOWN_MINUTES)) * MINUTE
                at = minute * MINUTE
                stage.timeline.at(at, self._booths.break_down, booth, seconds)
        super().begin()
