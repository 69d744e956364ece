"""Demand: which skills are asked for, and who is set up for them, as heard here.

Demand is a share of the latest tasks heard of, each counting half as much as one
``demand_tasks`` later; an agent is set up for the skill of the last task it was leased.
Both are this node's own view, are never sent, and only make an agent slower to give up
what it is set up for. This file knows no task and no clock.
"""

from collections import Counter
from math import exp2
from typing import Final

from nestmate_protocol.ids import Address
from nestmate_protocol.limits import HOLDERS_KNOWN_MAX, SKILLS_WEIGHED_MAX
from nestmate_protocol.signals.levels import STEPS_PER_DOUBLING
from nestmate_protocol.signals.parameters import RULE, Rule

_SCALE_MAX: Final = 2.0**64


class Demand:
    """What was heard of late."""

    def __init__(self, me: Address, rule: Rule = RULE) -> None:
        self._me = me.raw
        self._step = 2.0 ** (1 / rule.demand_tasks)
        self._scale = 1.0
        self._total = 0.0
        self._codes = 0.0
        self._weights: dict[str, float] = {}
        self._set_up: dict[bytes, str] = {}
        self._holders: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Demand for {len(self._weights)}, {len(self._set_up)} set up>"

    def called(self, skill: str, urgency_code: int) -> None:
        """Somebody asks for a skill."""
        weights, scale = self._weights, self._scale * self._step
        weights[skill] = weights.get(skill, 0.0) + scale
        self._total += scale
        self._codes += scale * urgency_code
        self._scale = scale
        if scale > _SCALE_MAX:
            self._scale, self._total = 1.0, self._total / scale
            self._codes /= scale
            self._weights = {each: weights[each] / scale for each in weights}
        if len(weights) > SKILLS_WEIGHED_MAX:
            del self._weights[min(self._weights, key=self._weights.__getitem__)]

    def taken(self, agent: Address, skill: str) -> bool:
        """An agent has a task of a skill now; whether it was set up for another."""
        before = self._set_up.pop(agent.raw, None)
        self._set_up[agent.raw] = skill
        if before == skill:
            return False
        self._holders[skill] += 1
        if before is not None:
            self._leave(before)
        if len(self._set_up) > HOLDERS_KNOWN_MAX:
            self._leave(self._set_up.pop(next(iter(self._set_up))))
        return True

    def urgency(self) -> float:
        """How urgent tasks are, as the geometric mean, so that no cry moves it far."""
        return exp2(self._codes / self._total / STEPS_PER_DOUBLING)

    def share(self, skill: str) -> float:
        """How much of all demand is for a skill, from 0 to 1."""
        weight = self._weights.get(skill, 0.0)
        return weight / self._total if weight else 0.0

    def holders(self, skill: str) -> int:
        """How many agents are set up for a skill; this one is, or would not ask."""
        mine = self._set_up.get(self._me) == skill
        return self._holders[skill] + (not mine)

    def _leave(self, skill: str) -> None:
        self._holders[skill] -= 1
        if not self._holders[skill]:
            del self._holders[skill]
