"""Agreement: what fields make of the same news on clocks that are an hour apart.

Three agents call for the same work; records pass between fifty nodes by chance, late,
out of order and some of them twice, each with an age and none with a time. In the end
every node computes the intensity from what it has, on its own clock, by the code that
ships. Nobody adds what a link takes to an age, as no node does.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush
from statistics import fmean
from typing import Final

from nestmate.bench.allocation.seats import NETWORK, Person, make_clock, make_person
from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address
from nestmate_protocol.records import Kind, Record
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.levels import FLASH, value_of
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.records import Deposit, Link, Signal, TaskClass, task_id
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.machine import WALL_START_MS, SkewedClock

NODES: Final = 50
SPAN_MS: Final = 120_000
DELAY_MS: Final = (10, 400)
TWICE: Final = 0.2
MEETINGS_PER_SECOND: Final = NODES / 2
EMITTED_MS: Final = (0, 7_000, 15_000)
CODE: Final = FLASH.code_min
TTL_SECONDS: Final = 3_600
LEASE_SECONDS: Final = 15
KEY: Final = b"the same work"
BODY: Final = b"help"
_PERCENT: Final = 100

Told = tuple[tuple[Record, int], ...]


@dataclass(slots=True)
class Replica:
    """One node: its clock, its field, and when each record it has was born there."""

    clock: SkewedClock
    sensed: Field
    births_ms: dict[Record, int] = field(default_factory=dict)

    def tell(self, at_ms: int) -> Told:
        """All it has, with ages."""
        now_ms = self.clock.moment(at_ms).mono_ms
        return tuple((record, now_ms - born) for record, born in self.births_ms.items())

    def absorb(self, told: Told, at_ms: int) -> None:
        """Take in what somebody told, as a board does."""
        now = self.clock.moment(at_ms)
        for record, age_ms in told:
            born_ms = now.mono_ms - age_ms
            known_ms = self.births_ms.get(record, born_ms)
            self.births_ms[record] = min(known_ms, born_ms)
            if record.kind is Kind.SIGNAL:
                self.sensed.sense(Signal.read(record.fields), record, age_ms, now)
            else:
                self.sensed.deposit(Deposit.read(record.fields), age_ms, now)


def agree(seed: int, half_life_seconds: int) -> Mapping[str, float]:
    """Worst and mean error of intensity over all nodes, in per cent of the truth."""
    dice = Dice(seed)
    people = [make_person(dice.fork(f"caller {n}")) for n in range(len(EMITTED_MS))]
    calls = [_call(person, people[0].address, half_life_seconds) for person in people]
    replicas = [_replica(dice.fork(f"replica {number}")) for number in range(NODES)]
    flying = _plan(seed)
    while flying:
        at_ms, number, sender, receiver, told = heappop(flying)
        if told:
            replicas[receiver].absorb(told, at_ms)
        elif sender == receiver:
            replicas[receiver].absorb(((calls[receiver], 0),), at_ms)
        else:
            told = replicas[sender].tell(at_ms)
            for delay_ms in _delays(seed, number) if told else ():
                heappush(flying, (at_ms + delay_ms, number, sender, receiver, told))
    task = task_id(people[0].address, KEY)
    cells = [(each, each.sensed.get(task)) for each in replicas]
    seen = [
        cell.intensity(each.clock.moment(SPAN_MS).mono_ms) if cell else 0.0
        for each, cell in cells
    ]
    half_life_ms = 1_000 * half_life_seconds
    truth = sum(
        value_of(CODE) * 2 ** ((at - SPAN_MS) / half_life_ms) for at in EMITTED_MS
    )
    errors = [_PERCENT * abs(each - truth) / truth for each in seen]
    return {"worst_percent": max(errors), "mean_percent": fmean(errors)}


def _plan(seed: int) -> list[tuple[int, int, int, int, Told]]:
    """When who tells whom; callers tell themselves first of their own call."""
    rng = random.Random(seed)  # noqa: S311 - a world's chance, not a secret
    plan: list[tuple[int, int, int, int, Told]] = [
        (at_ms, place, place, place, ()) for place, at_ms in enumerate(EMITTED_MS)
    ]
    at, number = 0.0, len(plan)
    while (at := at + 1_000 * rng.expovariate(MEETINGS_PER_SECOND)) < SPAN_MS:
        number += 1
        sender, receiver = rng.sample(range(NODES), 2)
        plan.append((int(at), number, sender, receiver, ()))
    return sorted(plan)


def _delays(seed: int, number: int) -> list[int]:
    """After how many ms a message is heard, and heard again, if it is."""
    rng = random.Random(seed * SPAN_MS + number)  # noqa: S311 - a world's chance
    times = 2 if rng.random() < TWICE else 1
    return [rng.randint(*DELAY_MS) for _ in range(times)]


def _replica(dice: Dice) -> Replica:
    clock = make_clock(dice)
    clock.boot(0, dice)
    return Replica(clock, Field(make_person(dice).address))


def _call(person: Person, issuer: Address, half_life_seconds: int) -> Record:
    """The issuer's signal, or somebody else's deposit on the same task."""
    pen = Pen(person.address, NETWORK, person.key, bytes(16))
    pen.start(0, Moment(WALL_START_MS, 0))

    def write(link: Link) -> Signal | Deposit:
        if person.address != issuer:
            return Deposit(issuer, KEY, person.address, link.seq, CODE, link)
        return Signal(
            issuer=issuer,
            key=KEY,
            skill="any",
            urgency_code=CODE,
            size_code=0,
            ttl_seconds=TTL_SECONDS,
            task_class=TaskClass.NORMAL,
            lease_seconds=LEASE_SECONDS,
            link=link,
            body=BODY,
            body_hash=sha256(BODY).digest(),
            body_bytes=len(BODY),
            created_ms=WALL_START_MS,
            generation=1,
            open_ms=0,
            half_life_seconds=half_life_seconds,
        )

    return pen.spend(0, write)[1]
