"""Hands: the local agent on a seat, which deposits, takes, works and finishes.

It does what a person's program does at a node's door, through the same requests: with
room for work, it waits for a task of any of its skills; with a lease, it works and
beats; done, it hands the result in. It stops when its node says that the claim is lost.
An agent may take ``ahead`` tasks beyond the one it works on; most take none.
"""

from collections import deque
from math import log2
from typing import Final, Protocol

from nestmate.bench.allocation.stage import Stage
from nestmate.bench.allocation.watching import Watcher
from nestmate_protocol.effects import Notify, Refusal
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import ASK_SECONDS_MAX, URGENCY_CODE_MAX
from nestmate_protocol.signals.levels import STEPS_PER_DOUBLING
from nestmate_protocol.signals.requests import (
    Ability,
    ClaimView,
    Deposited,
    DepositTask,
    FinishClaim,
    ReleaseClaim,
    RenewClaim,
    SignalsRequest,
    TakeTask,
)

WAIT_SECONDS: Final = ASK_SECONDS_MAX
TTL_SECONDS: Final = 24 * 3_600
BEATS_PER_LEASE: Final = 3
RESULT: Final = b"done"
LOST: Final = "claim.lost"


class Door(Protocol):
    """How a local agent reaches its board."""

    def ask(self, agent: int, request: int, body: SignalsRequest) -> None:
        """Put a request under a number; it is answered by and by."""
        ...

    def address(self, agent: int) -> Address:
        """Under which name an agent is known."""
        ...


class Hands:
    """All local agents of a run."""

    def __init__(
        self, stage: Stage, door: Door, watcher: Watcher, ahead: int = 0
    ) -> None:
        self.surplus = 0
        self._stage = stage
        self._door = door
        self._watcher = watcher
        self._ahead = ahead
        self._requests = 0
        agents = stage.world.terms.agents
        self._deposits: dict[int, int] = {}
        self._waiting: dict[int, int] = {}
        self._queues: list[deque[ClaimView]] = [deque() for _ in range(agents)]
        self._held: list[dict[int, ClaimView]] = [{} for _ in range(agents)]

    def __repr__(self) -> str:
        return f"<Hands at {sum(map(len, self._held))} tasks>"

    def deposit(self, task: int) -> None:
        """Ask for help with a task that has come up."""
        stage = self._stage
        world, origin = stage.world, int(stage.crew.origin[task])
        body = DepositTask(
            skill=skill_name(int(world.kind[task])),
            urgency=urgency_share(float(world.urgency[task])),
            body=b"%d" % task,
            size_seconds=float(world.size[task]),
            ttl_seconds=TTL_SECONDS,
            lease_seconds=round(world.terms.lease_seconds),
            exclusive=bool(world.exclusive[task]),
            key=b"task %d" % task,
        )
        self._deposits[self._requests + 1] = task
        self._ask(origin, body)

    def look(self, agent: int) -> None:
        """Wait for a task of any of its skills, if there is room for one."""
        if agent in self._waiting or not self._has_room(agent):
            return
        world = self._stage.world
        speeds = world.speeds[agent]
        able = [
            Ability(skill_name(skill), float(speeds[skill]))
            for skill in speeds.nonzero()[0].tolist()
        ]
        if not able:
            return
        first, *rest = able
        self._waiting[agent] = self._requests + 1
        body = TakeTask(
            skill=first.skill,
            speed=first.speed,
            also=tuple(rest),
            setup_seconds=world.terms.setup_seconds,
            wait_seconds=WAIT_SECONDS,
        )
        self._ask(agent, body)

    def answered(self, agent: int, request: int, response: object) -> None:
        """The board answers one request."""
        match response:
            case Deposited(task):
                number = self._deposits.pop(request)
                if self._stage.world.exclusive[number]:
                    self._watcher.is_exclusive(task.raw)
            case ClaimView():
                self._won(agent, request, response)
            case Refusal():
                if self._waiting.get(agent) == request:
                    del self._waiting[agent]
                    self.look(agent)  # a wait has an end; begin another one
            case _:
                pass  # an acknowledgement

    def notified(self, agent: int, event: Notify) -> None:
        """The board says what has happened."""
        if event.kind != LOST:
            return
        for number, claim in list(self._held[agent].items()):
            if claim.task == event.task:
                self._lose(agent, number)

    def finished(self, agent: int, task: int) -> None:
        """The work is done: hand the result in, and on to the next."""
        claim = self._held[agent].pop(task, None)
        if claim is not None:
            self._ask(agent, FinishClaim(claim.task, RESULT))
        self._go_on(agent)

    def crashed(self, agent: int) -> None:
        """Whatever was waited for or held is gone."""
        self._waiting.pop(agent, None)
        self._queues[agent].clear()
        self._held[agent].clear()

    def _ask(self, agent: int, body: SignalsRequest) -> None:
        self._requests += 1
        self._door.ask(agent, self._requests, body)

    def _has_room(self, agent: int) -> bool:
        if not self._stage.crew.alive[agent]:
            return False
        return len(self._held[agent]) <= self._ahead

    def _won(self, agent: int, request: int, claim: ClaimView) -> None:
        """A lease has come: work on it in its turn, and look for more with room."""
        if self._waiting.get(agent) == request:
            del self._waiting[agent]
        if not self._has_room(agent):
            self.surplus += 1
            self._ask(agent, ReleaseClaim(claim.task, "busy meanwhile"))
            return
        number = int(claim.body)
        self._held[agent][number] = claim
        self._watcher.started(self._door.address(agent), claim)
        self._beat_later(agent, number, claim)
        self._queues[agent].append(claim)
        self._go_on(agent)

    def _go_on(self, agent: int) -> None:
        """Begin what is next, if nothing is being done, and look for more."""
        if self._queues[agent] and self._stage.crew.is_idle(agent):
            self._stage.start(agent, int(self._queues[agent].popleft().body))
        self.look(agent)

    def _lose(self, agent: int, number: int) -> None:
        """A claim is lost: stop, if that is what is being done."""
        claim = self._held[agent].pop(number)
        if claim in self._queues[agent]:
            self._queues[agent].remove(claim)
        elif self._stage.crew.task[agent] == number:
            self._stage.abort(agent)
        self._stage.timeline.after(0.0, self._go_on, agent)

    def _beat_later(self, agent: int, number: int, claim: ClaimView) -> None:
        pause = self._stage.world.terms.lease_seconds / BEATS_PER_LEASE
        self._stage.timeline.after(pause, self._beat, agent, number, claim)

    def _beat(self, agent: int, number: int, claim: ClaimView) -> None:
        if self._held[agent].get(number) is claim:
            self._ask(agent, RenewClaim(claim.task))
            self._beat_later(agent, number, claim)


def skill_name(skill: int) -> str:
    """What a skill is called."""
    return f"skill {skill}"


def urgency_share(urgency: float) -> float:
    """The user's 0..1 for a declared urgency of 1 or more."""
    return round(STEPS_PER_DOUBLING * log2(urgency)) / URGENCY_CODE_MAX
