"""Scenarios: named worlds, from calm to everything at once.

A scenario is a value that says how the weather is and which faults come how often. The
scenario ``swarm`` stands for all of them: each seed draws which faults exist in it and
how strong they are, so that no fault hides another. This file runs nothing.
"""

from dataclasses import dataclass, replace

from nestmate_protocol.errors import LocalError
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.faults import PEACE, Rates
from nestmate_protocol.simulation.weather import CALM, Weather

DAY_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of world.

    ``seconds`` is how long faults last before the world heals; ``tasks`` how many are
    deposited in that time, and ``exclusive`` the share of them that must not be done
    twice; ``hostile`` how many nodes mean harm besides the honest
    ones, and with ``bans`` enough strikes shut one of those out; ``drift_ppm`` and
    ``offset_ms`` are how far clocks may be off; ``sync_ms_max`` how slow a disk is;
    ``writes`` is how often something is written to a space they share;
    ``dht_failures`` the share of look-ups and announcements that come to nothing.
    """

    name: str
    tells: str
    seconds: int = 60
    tasks: int = 6
    exclusive: float = 0.2
    weather: Weather = CALM
    rates: Rates = PEACE
    hostile: int = 0
    bans: bool = False
    drift_ppm: int = 0
    offset_ms: int = 0
    sync_ms_max: int = 2
    dht_failures: float = 0.0
    writes: int = 0
    swarm: bool = False

    @property
    def calm(self) -> "Scenario":
        """The same without any fault, for comparison."""
        return Scenario(self.name, self.tells, swarm=self.swarm)


BAD_WEATHER = Weather(
    latency_ms_max=300, loss=0.2, duplicates=0.1, stragglers=0.1, breaks=0.005
)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("calm", "nothing goes wrong"),
        Scenario(
            "lossy",
            "frames are lost, doubled, late and out of order; connections break",
            weather=BAD_WEATHER,
            rates=Rates(hangup_seconds=10),
            dht_failures=0.3,
        ),
        Scenario(
            "partition",
            "the network falls in two and heals, sometimes one way only",
            rates=Rates(cut_seconds=15, hangup_seconds=30),
        ),
        Scenario(
            "orphans",
            "nodes leave with their tasks open, one of them for good; the net is cut",
            tasks=24,
            rates=Rates(leave_seconds=20, leavers_lost=1, cut_seconds=20),
        ),
        Scenario(
            "delegates",
            "others decide on exclusive tasks; nodes leave and crash, the net is cut",
            tasks=12,
            exclusive=0.9,
            rates=Rates(
                leave_seconds=30, leavers_lost=1, cut_seconds=20, crash_seconds=25
            ),
        ),
        Scenario(
            "crashes",
            "nodes die between any two effects, lose their disk's tail, come back",
            rates=Rates(crash_seconds=6, pause_seconds=20),
            sync_ms_max=30,
        ),
        Scenario(
            "hostile",
            "a peer sends garbage, replays, forgeries and floods",
            hostile=1,
        ),
        Scenario(
            "skew",
            "clocks run fast or slow, stand wrong and jump; nodes pause",
            rates=Rates(pause_seconds=15, jump_seconds=10, jump_ms=DAY_MS),
            drift_ppm=500,
            offset_ms=DAY_MS,
        ),
        Scenario(
            "rush",
            "more tasks than hands, and connections break; slow work makes way",
            tasks=24,
            rates=Rates(hangup_seconds=20),
        ),
        Scenario(
            "spaces",
            "agents share a space; nodes die and lose their tail, the net is cut",
            tasks=1,
            weather=Weather(latency_ms_max=100, loss=0.02, breaks=0.002),
            rates=Rates(
                crash_seconds=10, cut_seconds=20, hangup_seconds=20, pause_seconds=30
            ),
            sync_ms_max=20,
            writes=80,
        ),
        Scenario(
            "full",
            "disks are full for a while; agents share a space; nodes die",
            tasks=8,
            rates=Rates(full_seconds=5, crash_seconds=25, hangup_seconds=30),
            sync_ms_max=20,
            writes=40,
        ),
        Scenario(
            "swarm",
            "each seed draws which of all faults exist, and how strong they are",
            swarm=True,
        ),
    )
}


def scenario_named(name: str) -> Scenario:
    """The scenario of that name; LocalError names those there are."""
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise LocalError(
            f"there is no scenario {name!r}", f"there are: {', '.join(SCENARIOS)}"
        )
    return scenario


def drawn(scenario: Scenario, dice: Dice, loss: float | None) -> Scenario:
    """The scenario as one seed has it; ``loss`` replaces the share of lost frames."""
    if scenario.swarm:
        scenario = _swarm(scenario, dice)
    if loss is not None:
        weather = replace(scenario.weather, loss=loss)
        scenario = replace(scenario, weather=weather)
    return scenario


def _swarm(scenario: Scenario, dice: Dice) -> Scenario:
    def share(most: float) -> float:
        return most * dice.below(101) / 100 if dice.chance(0.5) else 0.0

    def every(low: int, high: int) -> int:
        return dice.between(low, high) if dice.chance(0.5) else 0

    return replace(
        scenario,
        weather=Weather(
            latency_ms_max=dice.pick([2, 20, 200, 2_000]),
            loss=share(0.4),
            duplicates=share(0.3),
            stragglers=share(0.2),
            straggle_ms=dice.pick([1_000, 10_000, 30_000]),
            breaks=share(0.01),
        ),
        rates=Rates(
            crash_seconds=every(3, 30),
            pause_seconds=every(5, 40),
            cut_seconds=every(5, 40),
            hangup_seconds=every(3, 30),
            jump_seconds=every(3, 30),
            jump_ms=dice.pick([1_000, 300_000, DAY_MS]),
            leave_seconds=every(10, 60),
        ),
        hostile=1 if dice.chance(0.4) else 0,
        bans=dice.chance(0.5),
        drift_ppm=dice.pick([0, 50, 500]),
        offset_ms=dice.pick([0, 1_000, 200_000, DAY_MS]),
        sync_ms_max=dice.pick([0, 2, 50, 400]),
        dht_failures=share(0.8),
        writes=dice.pick([0, 0, 20]),
    )
