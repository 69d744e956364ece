"""Weather: how long frames take, which get lost, and which ways are cut.

A way leads from one node to another; either direction can be cut on its own. This file
knows nothing of connections, nor of what is in a frame.
"""

from dataclasses import dataclass

from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.nodes import Node

RETRANSMIT_MS = 200
RETRANSMITS_MAX = 6


@dataclass(frozen=True, slots=True)
class Weather:
    """How links behave: milliseconds, and shares between 0 and 1.

    ``stragglers`` is the share of frames that take up to ``straggle_ms`` longer,
    ``breaks`` the share whose connection breaks under them.
    """

    latency_ms_min: int = 1
    latency_ms_max: int = 20
    loss: float = 0.0
    duplicates: float = 0.0
    stragglers: float = 0.0
    straggle_ms: int = 3_000
    breaks: float = 0.0


CALM = Weather()


class Ways:
    """The weather between nodes, and the ways that are cut."""

    def __init__(self, dice: Dice) -> None:
        self.weather = CALM
        self._dice = dice
        self._cuts: dict[tuple[int, int], tuple[Node, Node]] = {}

    def latency_ms(self) -> int:
        """How long one frame takes now, loss apart."""
        weather, dice = self.weather, self._dice
        delay_ms = dice.between(weather.latency_ms_min, weather.latency_ms_max)
        if weather.stragglers and dice.chance(weather.stragglers):
            delay_ms += dice.below(weather.straggle_ms)
        return delay_ms

    def stream_ms(self) -> int:
        """How long one frame of a stream takes: what is lost is sent again."""
        delay_ms, weather = self.latency_ms(), self.weather
        for attempt in range(RETRANSMITS_MAX):
            if not weather.loss or not self._dice.chance(weather.loss):
                break
            delay_ms += RETRANSMIT_MS << attempt
        return delay_ms

    def loses(self) -> bool:
        """Whether the weather swallows one frame of gossip."""
        return bool(self.weather.loss) and self._dice.chance(self.weather.loss)

    def doubles(self) -> bool:
        """Whether one frame of gossip is heard twice."""
        rate = self.weather.duplicates
        return bool(rate) and self._dice.chance(rate)

    def breaks(self) -> bool:
        """Whether a connection breaks under one frame."""
        return bool(self.weather.breaks) and self._dice.chance(self.weather.breaks)

    def cut(self, a: Node, b: Node) -> None:
        """Let nothing pass from ``a`` to ``b`` any more."""
        self._cuts[a.number, b.number] = a, b

    def heal(self) -> list[tuple[Node, Node]]:
        """Open every way again; returns those that were cut."""
        cuts, self._cuts = self._cuts, {}
        return list(cuts.values())

    def is_cut(self, a: Node, b: Node) -> bool:
        """Whether nothing passes from ``a`` to ``b``."""
        return (a.number, b.number) in self._cuts

    def apart(self, a: Node, b: Node) -> bool:
        """Whether one of the two ways is cut, so that no connection can be made."""
        return self.is_cut(a, b) or self.is_cut(b, a)
