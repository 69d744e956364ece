"""Reunions: those that could not reach each other meet again, as nodes do.

Whoever had a connection notices the other by and by, sends what waited for it and says
again what was not answered; neighbours in a topic tell each other what they sense. It
is also looked for how long after a cut two agents are at one task. This file knows the
board by two of its methods.
"""

from typing import Final

import numpy as np

from nestmate.bench.allocation.carrying import Carrier
from nestmate.bench.allocation.loop import Loop
from nestmate.bench.allocation.seats import Seat
from nestmate.bench.allocation.stage import Stage
from nestmate.bench.allocation.timeline import Action

GREETED_MAX: Final = 8
"""How many neighbours tell a node what they sense when it comes back."""

LOOK_SECONDS: Final = 0.25
SETTLING_SECONDS_MAX: Final = 60.0


class Reunions:
    """All meetings of a run; ``settled_seconds`` is how long doubles outlived a cut."""

    def __init__(
        self, stage: Stage, seats: list[Seat], carrier: Carrier, loop: Loop
    ) -> None:
        self.settled_seconds = 0.0
        self._stage = stage
        self._seats = seats
        self._carrier = carrier
        self._loop = loop
        self._healed = 0.0

    def __repr__(self) -> str:
        return f"<Reunions of {len(self._seats)}>"

    def revived(self, agent: int) -> None:
        """An agent is back: all the others notice."""
        for other in range(len(self._seats)):
            if other != agent:
                self._soon(self._meet, agent, other)
        for other in self._carrier.neighbours(agent)[:GREETED_MAX]:
            self._soon(self._greet, agent, other)

    def healed(self) -> None:
        """A cut is over: those on both sides notice."""
        self._healed = self._stage.now
        self._look_for_doubles()
        side = self._stage.world.side
        for one in range(len(self._seats)):
            for other in range(one):
                if side[one] != side[other]:
                    self._soon(self._meet, one, other)
            for other in self._carrier.neighbours(one):
                if side[one] != side[other]:
                    self._soon(self._greet, one, other)

    def _soon(self, action: Action, one: int, other: int) -> None:
        """Each of two does something within the time that repairs take."""
        repair = self._stage.world.terms.repair_seconds
        for near, far in ((one, other), (other, one)):
            delay = float(self._stage.rng.uniform(0, repair))
            self._stage.timeline.after(delay, action, near, far)

    def _meet(self, near: int, far: int) -> None:
        if not self._can_meet(near, far):
            return
        waiting = self._carrier.waiting(near, far)
        if waiting:
            self._carrier.send(near, far, waiting)
        seat = self._seats[near]
        now = seat.moment(self._stage.now)
        outcomes = seat.board.agent_up(self._seats[far].address, now)
        if outcomes:
            self._loop.carry_out(near, outcomes)

    def _greet(self, near: int, far: int) -> None:
        if self._can_meet(near, far):
            seat = self._seats[near]
            now, to = seat.moment(self._stage.now), self._seats[far].address
            told = seat.board.greeting(to, now)
            self._carrier.send(near, far, list(told))

    def _can_meet(self, near: int, far: int) -> bool:
        alive = self._stage.crew.alive
        joined = self._stage.links.joined(near, far)
        return bool(alive[near]) and bool(alive[far]) and joined

    def _look_for_doubles(self) -> None:
        after = self._stage.now - self._healed
        tasks = self._stage.crew.task
        at_work = tasks[tasks >= 0]
        if len(np.unique(at_work)) < len(at_work):
            self.settled_seconds = after
        if after < SETTLING_SECONDS_MAX:
            self._stage.timeline.after(LOOK_SECONDS, self._look_for_doubles)
