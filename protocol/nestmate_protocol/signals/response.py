"""Response: how long a task would take here, whether to hold back, which to choose.

Pure functions of values. Their source is the pheromone rule in
``docs/spec/04-signals-and-claims.md``: holding back is ski rental (waiting for a
better agent costs at most as much as not waiting), choosing is the c-mu order. Speeds
are learned from the receipts issuers sign, never believed from adverts. This file
knows no task, no agent's state and no clock.
"""

from collections.abc import Iterable
from math import exp2, log2, sqrt
from typing import Final, NamedTuple

from nestmate_protocol.ids import Address
from nestmate_protocol.limits import SPEEDS_KNOWN_MAX
from nestmate_protocol.signals.parameters import RULE, Rule

_SECONDS_MIN: Final = 0.001


def service_seconds(
    size: float, speed: float, setup: float = 0.0, transfer: float = 0.0
) -> float:
    """How long a task takes an agent: ``p = size / speed + setup + transfer``.

    ``setup`` is 0 where the agent already has the skill's context loaded.
    """
    return size / speed + setup + transfer


def loss_seconds(
    service: float, size: float, reference: float, rule: Rule = RULE
) -> float:
    """What this agent costs against a good one: ``max(0, p - size / ref)``.

    Below 15 % of ``p`` it counts as nothing, because sizes and speeds are guesses.
    """
    loss = max(0.0, service - size / reference)
    return 0.0 if loss < rule.margin * service else loss


def hold_seconds(loss: float, rule: Rule = RULE) -> float:
    """HOLD: the age a task must have before an agent of this loss may claim it."""
    return rule.kappa * loss


def price_seconds(
    setup: float, share: float, holders: int, above: float, rule: Rule = RULE
) -> float:
    """What giving up a context costs others: ``b setup sqrt(share) / holders / above``.

    ``share`` is that of the tasks heard of that ask for it, ``holders`` how many agents
    are set up for it, this one among them. It is the same for all where the holders of
    a context are as the root of its share, which makes the mean wait for one of them
    shortest; whoever holds what more others hold than that gives it up first. Others
    pay it, for tasks like any: a task ``above`` times as urgent as most is held back so
    much less for their sake.
    """
    return rule.price_setups * setup * sqrt(share) / (holders * above)


def preference(
    urgency: float, trust: float, age: float, ageing: float, service: float
) -> float:
    """CHOOSE: the task with the largest ``u_eff trust (1 + age / A) / p`` comes first.

    ``urgency`` is the effective one, ``trust`` 0..1 is in the issuer, ``age``,
    ``ageing`` (A) and ``service`` (p) are in seconds.
    """
    return urgency * trust * (1 + age / ageing) / service


class Lesson(NamedTuple):
    """How fast an agent was at a skill: doublings in sum, over so many ``tasks``."""

    skill: str
    agent: Address
    doublings: float
    tasks: int


class Speeds:
    """What receipts taught about who does what how fast; unknown speeds are 1.

    What was measured here is kept apart from what others say they have measured, which
    counts in the same way.

    A speed is the geometric mean of declared size over measured time, with one
    observation of 1 added beforehand.
    """

    def __init__(self, rule: Rule = RULE) -> None:
        self._rule = rule
        self._known: dict[tuple[str, Address], tuple[float, int]] = {}
        self._heard: dict[tuple[str, Address], tuple[float, int]] = {}
        self._references: dict[tuple[str, int], float] = {}
        self._service_sum = rule.service_seconds_prior
        self._services = 1

    def __repr__(self) -> str:
        return f"<Speeds of {len(self._known)}>"

    def learn(
        self, agent: Address, skill: str, size: float, measured: float
    ) -> list[tuple[str, Address]]:
        """Take in one receipt: a size in seconds at speed one, done in ``measured``.

        Returns the skills and agents that were forgotten to make room.
        """
        most = self._rule.speed_doublings_max
        step = log2(size / max(measured, _SECONDS_MIN))
        step = max(-most, min(most, step))
        total, count = self._known.pop((skill, agent), (0.0, 1))
        forgotten: list[tuple[str, Address]] = []
        while len(self._known) >= SPEEDS_KNOWN_MAX:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._forget_references(oldest[0])
            forgotten.append(oldest)
        self._known[skill, agent] = (total + step, count + 1)
        self._forget_references(skill)
        if self._services >= self._rule.services_remembered:
            self._service_sum -= self._service_sum / self._services
            self._services -= 1
        self._service_sum += measured
        self._services += 1
        return forgotten

    def lesson(self, agent: Address, skill: str) -> tuple[float, int]:
        """What is known: a sum of doublings, and over how many observations."""
        return self._known.get((skill, agent), (0.0, 1))

    def recall(self, agent: Address, skill: str, doublings: float, count: int) -> None:
        """Take up what ``lesson`` gave before a restart."""
        if len(self._known) < SPEEDS_KNOWN_MAX:
            self._known[skill, agent] = (doublings, count)

    def is_known(self, agent: Address, skill: str) -> bool:
        """Whether any receipt taught how fast this agent is at this skill."""
        return (skill, agent) in self._known or (skill, agent) in self._heard

    def hear(self, lessons: Iterable[Lesson]) -> None:
        """Let what somebody else has measured count."""
        for skill, agent, doublings, count in lessons:
            place = (skill, agent)
            known = self._heard.get(place)
            if known is not None:
                self._heard[place] = (known[0] + doublings, known[1] + count)
            elif len(self._heard) < SPEEDS_KNOWN_MAX:
                self._heard[place] = (doublings, count)
            self._forget_references(skill)

    def unhear(self, lessons: Iterable[Lesson]) -> None:
        """Let what was heard before count no more."""
        for skill, agent, doublings, count in lessons:
            total, tasks = self._heard.pop((skill, agent), (0.0, 0))
            if tasks > count:
                self._heard[skill, agent] = (total - doublings, tasks - count)
            self._forget_references(skill)

    def measured(self, me: Address, count_max: int) -> list[Lesson]:
        """What was measured here of others, the latest first."""
        found: list[Lesson] = []
        for (skill, agent), (doublings, count) in reversed(self._known.items()):
            if agent != me and count > 1 and len(found) < count_max:
                found.append(Lesson(skill, agent, doublings, count - 1))
        return found

    def speed(self, agent: Address, skill: str) -> float:
        """How fast this agent is known to be at this skill, 1 if it is not."""
        total, count = self.lesson(agent, skill)
        doublings, tasks = self._heard.get((skill, agent), (0.0, 0))
        return exp2((total + doublings) / (count + tasks))

    def reference(self, skill: str, percentile: int | None = None) -> float:
        """``ref``: a percentile of known speeds at a skill, 1 without any.

        Without ``percentile`` it is the rule's for tasks that are not flash.
        """
        percentile = percentile or self._rule.reference_percentile
        place = (skill, percentile)
        if place not in self._references:
            places = {**self._known, **self._heard}
            known = sorted(self.speed(who, of) for of, who in places if of == skill)
            self._references[place] = _percentile(known, percentile) if known else 1.0
            while len(self._references) > SPEEDS_KNOWN_MAX:
                del self._references[next(iter(self._references))]
        return self._references[place]

    def _forget_references(self, skill: str) -> None:
        rule = self._rule
        for percentile in (rule.reference_percentile, rule.reference_percentile_flash):
            self._references.pop((skill, percentile), None)

    @property
    def ageing_seconds(self) -> float:
        """``A``: five mean service times, over which a waiting task's weight doubles.

        The mean is over the last 64 receipts, with one of 20 s before the first.
        """
        mean = self._service_sum / self._services
        return max(1.0, self._rule.ageing_services * mean)


def _percentile(ordered: list[float], percentile: int) -> float:
    """A percentile of a sorted list, interpolated between neighbours."""
    place = (len(ordered) - 1) * percentile / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
