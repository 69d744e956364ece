"""The clerk of a council: its ballots and their sittings, kept and told of.

It says on which tasks this node has a vote, bounds how many those are, saves what was
voted, and puts ballots into words. What to vote is not its affair.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Save
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    BALLOT_KEPT_MS,
    BALLOTS_KEPT_MAX,
    BALLOTS_OF_STRANGERS_MAX,
    BALLOTS_PER_AUTHOR_MAX,
)
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.ballots import (
    Ballot,
    ballot_key,
    read_ballot,
    write_ballot,
)
from nestmate_protocol.signals.cells import Cell, Life, Stage
from nestmate_protocol.signals.courier import pause_ms
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.outcomes import ToAgent
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.polls import Polls
from nestmate_protocol.signals.shelf import OwnTask
from nestmate_protocol.signals.upshots import Step
from nestmate_protocol.signals.votes import Vote, voters

ROUND: Final = "round"
REMIND: Final = "remind"


@dataclass(slots=True)
class Sitting:
    """What of a ballot need not outlive a restart.

    ``candidates`` asked for the task, in this order; ``promises`` were given in the
    round this node has the chair of; ``seen`` is the last round heard of;
    ``released`` are generations given back, with whom by.
    """

    candidates: dict[bytes, Address] = field(default_factory=dict)
    promises: dict[bytes, Vote] = field(default_factory=dict)
    seen: int = 1
    released: set[tuple[int, bytes]] = field(default_factory=set)
    reminders: int = 0


class Clerk:
    """All ballots of this node; ``polls`` holds what others were heard to vote."""

    def __init__(
        self,
        pen: Pen,
        cells: Field,
        rule: Rule,
        *,
        own: Mapping[bytes, OwnTask],
        trust: Callable[[Address], float],
    ) -> None:
        self.polls = Polls()
        self.ballots: dict[bytes, Ballot] = {}
        self.sittings: dict[bytes, Sitting] = {}
        self.alarms: Alarms[tuple[str, bytes]] = Alarms()
        self._pen = pen
        self._field = cells
        self._rule = rule
        self._own = own
        self._trust = trust

    def __repr__(self) -> str:
        return f"<Clerk of {len(self.ballots)} ballots>"

    def recall(self, values: Iterable[bytes], now: Moment) -> list[Step]:
        """Take up saved ballots; LocalError if the store is damaged."""
        saved = [read_ballot(value) for value in values]
        late = [ballot for ballot in saved if ballot.end_ms <= now.wall_ms]
        writes = tuple((ballot_key(ballot.task), None) for ballot in late)
        for ballot in saved:
            if ballot in late:
                continue
            raw = ballot.task.raw
            self.ballots[raw] = ballot
            self.sittings[raw] = Sitting()
            last = ballot.last_vote(self._pen.me)
            if last is not None and not ballot.over:
                self.polls.note(last, self._pen.sign(last).data)
                self.alarms.set((REMIND, raw), now.mono_ms + pause_ms(1))
        return [Save(writes, durable=False)] if writes else []

    def roster(self, task: TaskId) -> tuple[Address, ...]:
        """Who votes on a task, as far as is known here; nobody on most."""
        ballot, cell = self.ballots.get(task.raw), self._field.get(task)
        if ballot is not None:
            return ballot.delegates
        if (own := self._own.get(task.raw)) is not None:
            return own.order.delegates
        return voters(cell.signal) if cell is not None else ()

    def ballot(self, task: TaskId, now: Moment) -> Ballot | None:
        """This node's ballot on a task; None if it has no vote, or no room for one."""
        known, cell = self.ballots.get(task.raw), self._field.get(task)
        if known is None:
            if cell is None or self._pen.me not in voters(cell.signal):
                return None
            return self._admit(cell, now)
        life = cell.life if cell is not None else Life(1, Stage.OPEN)
        if life.stage > Stage.GRANTED or life.generation <= known.generation:
            return known
        moved = known.promised(life.generation, 1)
        if moved is not None:  # saved with its first word: it may promise this anew
            self.keep(moved)
        return moved or known

    def _admit(self, cell: Cell, now: Moment) -> Ballot | None:
        """A first ballot on a task, if its issuer may have one more of us."""
        signal, ballots = cell.signal, self.ballots
        known_from = self._rule.credit_known_trust
        gone = [raw for raw, each in ballots.items() if each.end_ms <= now.wall_ms]
        for raw in gone:
            del ballots[raw], self.sittings[raw]
        theirs = sum(each.issuer == signal.issuer for each in ballots.values())
        strange = self._trust(signal.issuer) < known_from
        most = BALLOTS_OF_STRANGERS_MAX if strange else BALLOTS_KEPT_MAX
        if theirs >= BALLOTS_PER_AUTHOR_MAX or len(ballots) >= most:
            return None
        ttl_ms = 1_000 * signal.ttl_seconds
        ballot = ballots[cell.task.raw] = Ballot(
            task=cell.task,
            issuer=signal.issuer,
            skill=signal.skill,
            delegates=signal.delegates,
            lease_seconds=signal.lease_seconds,
            end_ms=max(now.wall_ms, signal.created_ms) + ttl_ms + BALLOT_KEPT_MS,
            generation=cell.life.generation,
            over=cell.life.stage > Stage.GRANTED,
        )
        self.sittings[cell.task.raw] = Sitting()
        return ballot

    def keep(self, ballot: Ballot) -> Save:
        """A ballot has moved on: what belongs to the place before it is over."""
        raw, before = ballot.task.raw, self.ballots[ballot.task.raw]
        self.ballots[raw] = ballot
        sitting = self.sittings[raw]
        if ballot.place != before.place:
            sitting.promises.clear()
            self.alarms.clear((ROUND, raw))
        if ballot.generation != before.generation:
            sitting.seen = 1
            sitting.released = {
                each for each in sitting.released if each[0] >= ballot.generation
            }
            self.alarms.clear((REMIND, raw))
        sitting.seen = max(sitting.seen, ballot.round)
        return Save((write_ballot(ballot),))

    def end(self, ballot: Ballot) -> list[Step]:
        """Nothing is left to vote on; it is remembered, lest it begin anew."""
        raw = ballot.task.raw
        if ballot.over:
            return []
        over = self.ballots[raw] = replace(ballot, over=True)
        self.alarms.clear((ROUND, raw))
        self.alarms.clear((REMIND, raw))
        return [Save((write_ballot(over),))]

    def say(self, agents: Iterable[Address], ballot: Ballot) -> list[Step]:
        """Say how far a ballot is, as the other delegates need it."""
        data = self._pen.sign(ballot.word(self._pen.me)).data
        return [ToAgent(agent, data) for agent in agents]

    def tell(self, agents: Iterable[Address], ballot: Ballot) -> list[Step]:
        """Say our last vote, as whoever counts votes needs it, and how far we are."""
        me = self._pen.me
        words = [ballot.word(me)]
        last = ballot.last_vote(me)
        if last is not None and last != words[0]:
            words.insert(0, last)
        data = [self._pen.sign(word).data for word in words]
        return [ToAgent(agent, each) for agent in agents for each in data]

    def call(
        self, agents: Iterable[Address], ballot: Ballot, now: Moment
    ) -> list[Step]:
        """Let agents know what a vote is about."""
        cell = self._field.get(ballot.task)
        if cell is None:
            return []
        age_ms = now.mono_ms - cell.sent_ms
        return [ToAgent(agent, cell.data, age_ms) for agent in agents]

    def others(self, agents: Iterable[Address]) -> list[Address]:
        """Agents without this one, and none of them twice."""
        return [each for each in dict.fromkeys(agents) if each != self._pen.me]


def learn(cells: Field, task: TaskId, life: Life) -> None:
    """Join what the delegates of a task say of it, if it is sensed here."""
    cell = cells.get(task)
    if cell is not None:
        cell.life = max(cell.life, life)
