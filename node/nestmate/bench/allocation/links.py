"""Links: what a direct message takes from one agent to another, and what it costs.

Loss shows as a repeated transmission; over a cut and to the dead nothing arrives, and
the sender learns so after a while. This file knows nothing of what is said.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nestmate.bench.allocation.crew import Crew
from nestmate.bench.allocation.timeline import Action, Timeline
from nestmate.bench.allocation.worlds import World

PATIENCE_SECONDS = 2.0
"""After so long a sender takes it that nobody was there."""


class Links:
    """All direct links; ``messages`` counts what went over any of them."""

    def __init__(
        self, world: World, timeline: Timeline, crew: Crew, rng: np.random.Generator
    ) -> None:
        self.messages = 0
        self.severed = False
        self._terms = world.terms
        self._latency = world.latency
        self._side = world.side
        self._timeline = timeline
        self._crew = crew
        self._rng = rng

    def __repr__(self) -> str:
        return f"<Links after {self.messages} messages>"

    def delay(self, sender: int, receiver: int) -> float:
        """Seconds one message takes this time."""
        if sender == receiver:
            return 0.0
        return self.delay_over(float(self._latency[sender, receiver]))

    def delay_over(self, latency: float) -> float:
        """Seconds one message takes over a link of this latency this time."""
        terms = self._terms
        delay = latency * math.exp(self._rng.normal(0, terms.jitter))
        while self._rng.random() < terms.loss:
            delay += terms.resend_seconds
        return delay

    def joined(self, one: int, other: int) -> bool:
        """Whether no cut lies between two agents."""
        return not self.severed or bool(self._side[one] == self._side[other])

    def send(
        self,
        sender: int,
        receiver: int,
        action: Action,
        *arguments: Any,
        failed: Callable[[], object] | None = None,
    ) -> None:
        """Let ``action`` happen at the receiver; ``failed`` at the sender, if not."""
        if sender != receiver:
            self.messages += 1
        if self._crew.alive[receiver] and self.joined(sender, receiver):
            life = int(self._crew.lives[receiver])
            arrival = self._timeline.now + self.delay(sender, receiver)
            self._timeline.at(
                arrival, self._land, receiver, life, action, arguments, failed
            )
        elif failed is not None:
            self._timeline.after(PATIENCE_SECONDS, failed)

    def _land(
        self,
        receiver: int,
        life: int,
        action: Action,
        arguments: tuple[Any, ...],
        failed: Callable[[], object] | None,
    ) -> None:
        if self._crew.alive[receiver] and self._crew.lives[receiver] == life:
            action(*arguments)
        elif failed is not None:
            self._timeline.after(PATIENCE_SECONDS, failed)
