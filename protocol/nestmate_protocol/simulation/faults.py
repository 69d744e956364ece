"""Faults: crashes, pauses, cuts, broken connections and clock jumps, by the dice.

Each kind comes again and again at its own mean interval until the safety phase ends;
what it broke is mended after a while or by the heal at the end. This file knows nothing
of what the faults do to a core.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nestmate_protocol.limits import SKEW_MS_MAX
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.nodes import Fuse, Node, drain, fill
from nestmate_protocol.simulation.world import World

DOWN_MS_MAX = 15_000
PAUSE_MS_MAX = 40_000
CUT_MS_MAX = 40_000
FULL_MS_MAX = 20_000
FUSE_EFFECTS_MAX = 8
FUSE_SAVES_MAX = 3
MOVE_RATE = 0.5
STAY_MIN = 3
CLOCK_MS_MAX = SKEW_MS_MAX // 2 - 1_000


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each fault comes, as the mean seconds between two; 0 is never.

    ``jump_ms`` is how far off a wall clock may be set. Whoever leaves is away until
    the heal, but for the first ``leavers_lost``, who are gone for good.
    """

    crash_seconds: int = 0
    pause_seconds: int = 0
    cut_seconds: int = 0
    hangup_seconds: int = 0
    jump_seconds: int = 0
    jump_ms: int = 0
    leave_seconds: int = 0
    full_seconds: int = 0
    leavers_lost: int = 0


PEACE = Rates()


class Faults:
    """Breaks things in a world until told to stop.

    ``movers`` are the numbers of nodes that may come back from a crash at another
    multiaddr; of two friends at most one should be among them, because two who moved
    at once and know nobody else cannot find each other. ``leaves`` are those through
    whom nobody else joined, and who may be gone for good.
    """

    def __init__(self, world: World, rates: Rates, dice: Dice) -> None:
        self.movers: dict[int, None] = {}
        self.leaves: dict[int, None] = {}
        self._world = world
        self._rates = rates
        self._dice = dice
        self._over = False

    def begin(self) -> None:
        """Plan the first fault of each kind."""
        rates = self._rates
        kinds: list[tuple[int, Callable[[Node], None]]] = [
            (rates.crash_seconds, self._crash),
            (rates.pause_seconds, self._pause),
            (rates.cut_seconds, self._cut),
            (rates.hangup_seconds, self._hang_up),
            (rates.jump_seconds, self._jump),
            (rates.leave_seconds, self._leave),
            (rates.full_seconds, self._fill),
        ]
        for mean_seconds, fault in kinds:
            if mean_seconds:
                self._plan(mean_seconds, fault)

    def end(self) -> None:
        """No more faults, and everything is mended; clocks stay a little off."""
        self._over = True
        for node in self._world.nodes:
            node.clock.set_off(self._dice.between(-CLOCK_MS_MAX, CLOCK_MS_MAX))
            drain(node)
        self._world.heal()

    def _plan(self, mean_seconds: int, fault: Callable[[Node], None]) -> None:
        delay_ms = self._dice.below(2_000 * mean_seconds)
        self._world.after(delay_ms, partial(self._strike, mean_seconds, fault))

    def _strike(self, mean_seconds: int, fault: Callable[[Node], None]) -> None:
        if self._over:
            return
        awake = [node for node in self._world.nodes if node.awake]
        if awake:
            fault(self._dice.pick(awake))
        self._plan(mean_seconds, fault)

    def _crash(self, node: Node) -> None:
        """Crash now, or between two of the next effects; come back later."""
        if self._dice.chance(0.6):
            saves_only = self._dice.chance(0.5)
            most = FUSE_SAVES_MAX if saves_only else FUSE_EFFECTS_MAX
            node.fuse = Fuse(self._dice.below(most), saves_only)
        else:
            self._world.crash(node)
        self._revive_later(node)

    def _revive_later(self, node: Node) -> None:
        delay_ms = self._dice.between(50, DOWN_MS_MAX)
        self._world.after(delay_ms, partial(self._revive, node))

    def _revive(self, node: Node) -> None:
        if self._over:
            return
        if node.core is None:
            moves = node.number in self.movers and self._dice.chance(MOVE_RATE)
            self._world.start(node, move=moves)
        elif node.fuse is not None:
            self._revive_later(node)

    def _leave(self, node: Node) -> None:
        """Somebody is not seen again before the heal, or ever; three stay at least."""
        there = [node for node in self._world.nodes if node.core is not None]
        if len(there) <= STAY_MIN:
            return
        self._world.crash(node)
        lost = len(self._world.gone) < self._rates.leavers_lost
        if lost and node.number in self.leaves:
            self._world.gone[node.number] = None

    def _pause(self, node: Node) -> None:
        self._world.pause(node)
        self._world.after(self._dice.between(200, PAUSE_MS_MAX), node.resume)

    def _cut(self, _: Node) -> None:
        """Cut the world in two, both ways or one way only."""
        nodes, dice = self._dice.shuffled(self._world.nodes), self._dice
        place = dice.between(1, max(1, len(nodes) - 1))
        one_way = dice.chance(0.4)
        for a in nodes[:place]:
            for b in nodes[place:]:
                self._world.links.cut(a, b)
                if not one_way:
                    self._world.links.cut(b, a)
        self._world.after(dice.between(500, CUT_MS_MAX), self._world.links.heal)

    def _fill(self, node: Node) -> None:
        fill(node)
        self._world.after(self._dice.between(500, FULL_MS_MAX), partial(drain, node))

    def _hang_up(self, node: Node) -> None:
        others = self._world.links.neighbours(node)
        if others:
            self._world.links.hang_up(node, self._dice.pick(others).peer)

    def _jump(self, node: Node) -> None:
        far_ms = self._rates.jump_ms
        node.clock.set_off(self._dice.between(-far_ms, far_ms))
