"""The rule under test: one shipping board per agent, and the core's part between them.

A board says what it wants in addresses and skills; here that is translated as the core
translates it, and brought to other boards with the world's delays, losses, cuts and
deaths. The boards decide everything; this file knows no rule of signals.
"""

from collections import Counter
from typing import Final

from nestmate.bench.allocation.carrying import Carrier
from nestmate.bench.allocation.hands import Hands, skill_name
from nestmate.bench.allocation.loop import Loop, Steps
from nestmate.bench.allocation.reunions import Reunions
from nestmate.bench.allocation.seats import NETWORK, Seat
from nestmate.bench.allocation.stage import Rule, Stage
from nestmate.bench.allocation.tally import Opener
from nestmate.bench.allocation.watching import Watcher, figures_of
from nestmate_protocol.effects import Notify, Reply, Save
from nestmate_protocol.ids import Address
from nestmate_protocol.records import Carried
from nestmate_protocol.signals.outcomes import (
    Listen,
    Outcome,
    Reject,
    SeekAble,
    ToAgent,
    ToNeighbours,
    ToTopic,
)
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.parameters import Rule as Parameters
from nestmate_protocol.signals.requests import SignalsRequest
from nestmate_protocol.simulation.dice import Dice

NEIGHBOURS: Final = 8


class Boards(Rule):
    """The signals rule as it ships; ``strict`` makes every node verify everything."""

    def __init__(self, parameters: Parameters = RULE, *, strict: bool = False) -> None:
        self._parameters = parameters
        self._strict = strict

    def join(self, stage: Stage) -> None:
        """Seat everybody."""
        super().join(stage)
        world = stage.world
        dice = Dice(world.seed).fork("allocation")
        self.seats = [
            Seat(number, dice.fork(f"seat {number}"), self._able, self._parameters)
            for number in range(world.terms.agents)
        ]
        self._opener = Opener(NETWORK, strict=self._strict)
        self.carrier = Carrier(stage, self.seats, self._opener, self)
        self.watcher = Watcher()
        self.hands = self.employ(stage)
        self.rejected: Counter[str] = Counter()
        self._authors = {seat.person.key.public: seat.address for seat in self.seats}
        self._skills = {skill_name(n): n for n in range(world.terms.skills)}
        self._known = self._acquaint(dice)
        self._loop = Loop(stage, self)
        self._reunions = Reunions(stage, self.seats, self.carrier, self._loop)

    def employ(self, stage: Stage) -> Hands:
        """The local agents of this run."""
        return Hands(stage, self, self.watcher)

    def begin(self) -> None:
        """Boot every board and let every agent look for work."""
        for seat in self.seats:
            self._loop.carry_out(seat.number, seat.boot(self.stage.now))
        for seat in self.seats:
            self.hands.look(seat.number)

    def arrived(self, task: int) -> None:
        """Its origin deposits it."""
        self.hands.deposit(task)

    def finished(self, agent: int, task: int) -> None:
        """The agent hands in the result."""
        self.hands.finished(agent, task)

    def crashed(self, agent: int, task: int) -> None:
        """Board and agent are gone; the disk stays."""
        self.hands.crashed(agent)
        self.seats[agent].crash()
        self.carrier.forget(agent)
        self._loop.crashed(agent)

    def revived(self, agent: int) -> None:
        """A board boots from its disk and meets the others again."""
        self._loop.carry_out(agent, self.seats[agent].boot(self.stage.now))
        self._reunions.revived(agent)
        self.hands.look(agent)

    def severed(self, *, cut: bool) -> None:
        """After a cut, those on both sides meet again."""
        if not cut:
            self._reunions.healed()

    def ask(self, agent: int, request: int, body: SignalsRequest) -> None:
        """A local agent's request."""
        outcomes = self.seats[agent].ask(request, body, self.stage.now)
        self._loop.carry_out(agent, outcomes)

    def address(self, agent: int) -> Address:
        """Under which name an agent is known."""
        return self.seats[agent].address

    def figures(self) -> dict[str, float]:
        """What only this rule has."""
        tasks, tally = self.stage.world.terms.tasks, self.carrier.tally
        figures = figures_of(self.watcher, tally, self.hands.surplus, tasks)
        return {**figures, "settled_seconds": self._reunions.settled_seconds}

    def _acquaint(self, dice: Dice) -> list[dict[str, list[Address]]]:
        """Whom everybody knows to have each skill, in the order they came to know."""
        world = self.stage.world
        known: list[dict[str, list[Address]]] = []
        for seat in self.seats:
            order = dice.fork(f"knows {seat.number}")
            known.append(
                {
                    name: [
                        self.seats[agent].address
                        for agent in order.shuffled(world.able[skill].tolist())
                        if agent != seat.number
                    ]
                    for name, skill in self._skills.items()
                }
            )
        return known

    def heard(self, agent: int, _: int, carried: tuple[Carried, ...]) -> None:
        """One frame has come over a topic."""
        self._admit(agent, None, carried)

    def arrived_at(self, agent: int, source: int, carried: tuple[Carried, ...]) -> None:
        """One frame has come straight from another agent."""
        self._admit(agent, self.seats[source].address, carried)

    def _admit(
        self, agent: int, bearer: Address | None, carried: tuple[Carried, ...]
    ) -> None:
        """Straight is what its author's own node has brought, to nobody else."""
        seat = self.seats[agent]
        board, now = seat.board, seat.moment(self.stage.now)
        outcomes: list[Outcome] = []
        for each in carried:
            author = self._authors[each.record.author]
            if author.raw != seat.address.raw:
                self.watcher.heard(each.record)
                outcomes += board.admit(
                    each.record,
                    author,
                    each.age_ms,
                    now,
                    straight=author == bearer,
                    wide=bearer is None,
                )
        self._loop.carry_out(agent, outcomes)

    def translate(self, agent: int, outcomes: Steps) -> None:
        """As the core does it: effects at once, records for agents at the end."""
        mail: dict[Address, dict[bytes, int]] = {}
        for outcome in outcomes:
            match outcome:
                case ToAgent(address, record, age_ms):
                    mail.setdefault(address, {})[record] = age_ms
                case ToTopic(skill, record, age_ms, urgent):
                    number, item = self._skills[skill], (record, age_ms)
                    self.carrier.publish(agent, number, item, urgent=urgent)
                case Listen(skill):
                    self.carrier.join(agent, self._skills[skill])
                case Save(writes, durable):
                    self.seats[agent].disk.write(writes, durable=durable)
                case Reply(request, response):
                    self.hands.answered(agent, request, response)
                case Notify():
                    self.watcher.told(outcome)
                    self.hands.notified(agent, outcome)
                case ToNeighbours(frame, _):
                    # Nobody here lies in its chain: what is told is counted, not heard.
                    self.carrier.tally.count((), len(frame), NEIGHBOURS)
                case SeekAble():
                    pass  # everybody knows everybody
                case Reject(fault, _):
                    self.rejected[fault.value] += 1
                case _:
                    raise TypeError(f"no board of a node sends {outcome!r}")
        self.carrier.post(agent, mail)

    def _able(self, agent: int, skill: str) -> list[Address]:
        """Who is known to have a skill and not known to be down."""
        numbers, suspected = self.carrier.numbers, self.stage.crew.suspected
        known = self._known[agent][skill]
        return [each for each in known if not suspected[numbers[each]]]

    def wake(self, agent: int) -> Steps:
        """A board wants to be woken."""
        seat = self.seats[agent]
        return seat.board.wake(seat.moment(self.stage.now))

    def next_wakeup(self, agent: int) -> float | None:
        """When a board wants to be woken; not while its seat is empty."""
        up = self.stage.crew.alive[agent]
        return self.seats[agent].next_wakeup() if up else None
