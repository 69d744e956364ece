"""Trail: whom a signal is given straight to, drawn by what receipts taught of them.

Fast agents are drawn more often, by the sixth power of their learned speed within
bounds, and one in eight is drawn evenly, so that whoever is unknown or has become
better is found out. The draw is without replacement and follows from a seed: not from
the order in which agents are known. This file knows no signal.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import log

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.response import Speeds

_SEED_BYTES = 16
_DRAW_BYTES = 8
_DRAWS = 1 << 8 * _DRAW_BYTES

Able = Callable[[str, Moment], Sequence[Address]]


@dataclass(frozen=True, slots=True)
class Trail:
    """What a draw needs: who is able, how fast they are, by which rule and dice."""

    able: Able
    speeds: Speeds
    rule: Rule
    entropy: Callable[[int], bytes]

    def draw(self, agents: Iterable[Address], count: int, skill: str) -> list[Address]:
        """Up to ``count`` different ones of these agents, in the order drawn.

        Exponential keys over weights give a weighted draw without replacement
        (Efraimidis and Spirakis, 2006).
        """
        seed, rule = self.entropy(_SEED_BYTES), self.rule
        keyed: list[tuple[float, float, Address]] = []
        for agent in agents:
            digest = sha256(seed + agent.raw).digest()
            even = _exponential(digest[_DRAW_BYTES:])
            weight = self.speeds.speed(agent, skill) ** rule.trail_exponent
            weight = min(rule.trail_weight_max, max(rule.trail_weight_min, weight))
            keyed.append((_exponential(digest) / weight, even, agent))
        keyed.sort()
        if len(keyed) <= count:
            return [agent for _, _, agent in keyed]
        fast = count - count // rule.explore_one_in
        rest = sorted((even, agent) for _, even, agent in keyed[fast:])
        explored = [agent for _, agent in rest[: count - fast]]
        return [agent for _, _, agent in keyed[:fast]] + explored


def _exponential(digest: bytes) -> float:
    """A draw from the exponential distribution of mean 1."""
    return -log((int.from_bytes(digest[:_DRAW_BYTES]) + 1) / _DRAWS)
