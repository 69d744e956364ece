"""Carrying: what a board wants to be sent, brought to other boards as a network would.

The part of the core and of the shell: addresses become agents, records with ages become
frames, what is not urgent waits for company, and what cannot be delivered waits for its
agent for a while. Frames are really encoded, and every link they cross is counted. No
record is looked into.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import numpy as np

from nestmate.bench.allocation.stage import Stage
from nestmate.bench.allocation.tally import Opener, Tally
from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.outbox import Outbox
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import BATCH_DELAY_MS_MAX, FRAME_RECORDS_MAX
from nestmate_protocol.records import Carried, make_frame

Items = list[tuple[bytes, int]]
Bring = Callable[[int, tuple[Carried, ...]], None]
SPREAD_SIGMA: Final = 0.1
_MS: Final = 1_000


class Place(Protocol):
    """One machine, as far as carrying goes."""

    number: int

    @property
    def address(self) -> Address:
        """Under which name its agent is known."""
        ...

    def moment(self, now: float) -> Moment:
        """What its clocks say at a time of the world."""
        ...


class Ears(Protocol):
    """Whom frames are brought to."""

    def arrived_at(self, agent: int, source: int, carried: tuple[Carried, ...]) -> None:
        """A frame came straight to an agent."""
        ...

    def heard(self, agent: int, source: int, carried: tuple[Carried, ...]) -> None:
        """A frame came over a topic."""
        ...


@dataclass(slots=True)
class _Batch:
    """Records that wait for company, with their ages as of ``since``."""

    since: float
    items: Items = field(default_factory=list)


class Carrier:
    """Everything between the boards of one run."""

    def __init__(
        self, stage: Stage, seats: Sequence[Place], opener: Opener, ears: Ears
    ) -> None:
        self.tally = Tally(opener)
        self.numbers = {seat.address: seat.number for seat in seats}
        self._stage = stage
        self._seats = seats
        self._opener = opener
        self._ears = ears
        self._meshes = [mesh.copy() for mesh in stage.world.meshes]
        self._outboxes = [Outbox() for _ in seats]
        self._batches: dict[tuple[int, int], _Batch] = {}

    def __repr__(self) -> str:
        return f"<Carrier of {self.tally!r}>"

    def post(self, sender: int, mail: Mapping[Address, dict[bytes, int]]) -> None:
        """Straight to agents, everything for one of them together."""
        stage = self._stage
        for address, records in mail.items():
            receiver = self.numbers[address]
            if self._reaches(sender, receiver):
                self.send(sender, receiver, list(records.items()))
                continue
            now = self._seats[sender].moment(stage.now)
            for record, age_ms in records.items():
                self._outboxes[sender].put(address, record, age_ms, now)

    def send(self, sender: int, receiver: int, items: Items) -> None:
        """One agent's records to another, in as few frames as may be."""
        for first in range(0, len(items), FRAME_RECORDS_MAX):
            part = items[first : first + FRAME_RECORDS_MAX]
            self._count(part, 1)
            carried = self._opened(part)
            self._stage.timeline.after(
                self._stage.links.delay(sender, receiver),
                self._land,
                receiver,
                int(self._stage.crew.lives[receiver]),
                carried,
                partial(self._arrive, sender),
            )

    def waiting(self, sender: int, receiver: int) -> Items:
        """What waited at an agent for another one, which can be reached now."""
        now = self._seats[sender].moment(self._stage.now)
        return self._outboxes[sender].take(self._seats[receiver].address, now)

    def forget(self, agent: int) -> None:
        """A node crashed: what waited there is gone."""
        self._outboxes[agent] = Outbox()

    def join(self, agent: int, skill: int) -> None:
        """Let an agent hear the topic of a skill."""
        self._meshes[skill].join(agent)

    def neighbours(self, agent: int) -> list[int]:
        """Whom an agent meets in the meshes of its own skills."""
        skills = np.flatnonzero(self._stage.world.speeds[agent] > 0)
        met = {
            other: None
            for skill in skills
            for other in self._meshes[int(skill)].neighbours(agent)
        }
        return list(met)

    def publish(
        self, agent: int, skill: int, item: tuple[bytes, int], *, urgent: bool
    ) -> None:
        """Over a topic; what is not urgent waits for company."""
        place, now = (agent, skill), self._stage.now
        batch = self._batches.get(place)
        if batch is None:
            batch = self._batches[place] = _Batch(now)
            if not urgent:
                wait = BATCH_DELAY_MS_MAX / _MS
                life = int(self._stage.crew.lives[agent])
                self._stage.timeline.after(wait, self._flush, place, life, batch)
        record, age_ms = item
        batch.items.append((record, age_ms - round(_MS * (now - batch.since))))
        if urgent or len(batch.items) >= FRAME_RECORDS_MAX:
            self._flush(place, int(self._stage.crew.lives[agent]), batch)

    def _flush(self, place: tuple[int, int], life: int, batch: _Batch) -> None:
        agent, skill = place
        if self._batches.get(place) is not batch:
            return
        del self._batches[place]
        if self._stage.crew.lives[agent] == life:
            waited_ms = round(_MS * (self._stage.now - batch.since))
            items = [(data, max(0, age + waited_ms)) for data, age in batch.items]
            self._spread(agent, skill, items)

    def _spread(self, agent: int, skill: int, items: Items) -> None:
        """Flood one frame over a topic, along its fastest ways."""
        stage, mesh = self._stage, self._meshes[skill]
        terms, agents = stage.world.terms, stage.world.terms.agents
        seconds = mesh.seconds_from(agent)
        heard = np.isfinite(seconds) & stage.crew.alive
        if stage.links.severed:
            heard &= stage.world.side == stage.world.side[agent]
        repairs = stage.rng.geometric(1 - terms.loss, agents) - 1
        noise = stage.rng.lognormal(0, SPREAD_SIGMA, agents)
        arrival = stage.now + seconds * noise + repairs * terms.repair_seconds
        copies = int(mesh.degrees[heard].sum() - heard.sum() + 1)
        self._count(items, copies)
        carried = self._opened(items)
        hear = partial(self._hear, agent)
        lives = stage.crew.lives
        for receiver in np.flatnonzero(heard).tolist():
            if receiver != agent:
                due, life = float(arrival[receiver]), int(lives[receiver])
                stage.timeline.at(due, self._land, receiver, life, carried, hear)

    def _arrive(self, source: int, agent: int, carried: tuple[Carried, ...]) -> None:
        self._ears.arrived_at(agent, source, carried)

    def _hear(self, source: int, agent: int, carried: tuple[Carried, ...]) -> None:
        self._ears.heard(agent, source, carried)

    def _land(
        self, receiver: int, life: int, carried: tuple[Carried, ...], bring: Bring
    ) -> None:
        crew = self._stage.crew
        if not crew.alive[receiver] or crew.lives[receiver] != life:
            return
        self.tally.delivered += len(carried)
        if self._opener.strict:
            carried = tuple(
                Carried(self._opener.received(each.record.data), each.age_ms)
                for each in carried
            )
        bring(receiver, carried)

    def _reaches(self, sender: int, receiver: int) -> bool:
        stage = self._stage
        up = bool(stage.crew.alive[receiver])
        return up and stage.links.joined(sender, receiver)

    def _count(self, items: Items, copies: int) -> None:
        frame = make_frame(items)
        self.tally.count((data for data, _ in items), len(frame), copies)

    def _opened(self, items: Items) -> tuple[Carried, ...]:
        known = self._opener.known
        return tuple(Carried(known(data), age_ms) for data, age_ms in items)
