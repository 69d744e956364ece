"""The council: this node as one of the three delegates of somebody's exclusive tasks.

Whoever works asks all three; the chair of the round names the first who asked, the
others vote for the same name, and two votes that agree are the lease. If a chair is
silent the next one begins a round of its own. What is voted and promised is saved
before anybody sees it. A holder that is silent keeps the task: it is told of its lease
again each term, and only its own word that it gives the task back opens the next
generation. The rounds themselves are in ``ballots``, memory is in ``clerk``; this file
knows neither how a task is called out nor how it is worked.
"""

from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.ballots import (
    Ballot,
    nominee,
)
from nestmate_protocol.signals.cells import Cell, Life, Stage
from nestmate_protocol.signals.claims import Beat, Claim, Done, Release
from nestmate_protocol.signals.clerk import REMIND, ROUND, Clerk, learn
from nestmate_protocol.signals.courier import pause_ms
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.outcomes import Reject, ToAgent, ToTopic
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.upshots import Offered, Step
from nestmate_protocol.signals.votes import Vote

CANDIDATES_MAX: Final = 16
_HASTE_DOUBLINGS_MAX: Final = 5


class Council:
    """Where this node votes; ``clerk`` keeps what was voted."""

    def __init__(self, pen: Pen, cells: Field, rule: Rule, clerk: Clerk) -> None:
        self.clerk = clerk
        self._pen = pen
        self._field = cells
        self._rule = rule

    def __repr__(self) -> str:
        return f"<Council with {len(self.clerk.ballots)} ballots>"

    def called(self, cell: Cell) -> list[Step]:
        """A task is called out, though we may have voted on it: tell its issuer so."""
        ballot = self.clerk.ballots.get(cell.task.raw)
        if ballot is None or not ballot.voted or ballot.over:
            return []
        return self.clerk.tell((cell.signal.issuer,), ballot)

    def heard(self, word: Claim | Beat | Done | Release, now: Moment) -> list[Step]:
        """Somebody who works, or would, speaks of a task that is voted on."""
        if self._pen.me not in self.clerk.roster(word.task):
            return []
        match word:
            case Claim():
                return self._asked(word.task, word.worker, now)
            case Beat():
                self._beaten(word, now)
                return []
            case Done():
                ballot = self.clerk.ballots.get(word.task.raw)
                if ballot is None or not self._is_of_holder(ballot, word):
                    return []
                return self.clerk.end(ballot)
            case Release():
                return self._released(word, now)

    def voted(self, vote: Vote, data: bytes, now: Moment) -> list[Step]:
        """A delegate votes or promises; its record is ``data``."""
        roster = self.clerk.roster(vote.task)
        if not roster:
            return []
        if vote.voter not in roster:
            return [Reject(Fault.NOT_ENTITLED, strike=False)]
        self.clerk.polls.note(vote, data)
        ballot = self.clerk.ballot(vote.task, now)
        if ballot is None or vote.voter == self._pen.me:
            return []
        steps = self._consider(ballot, vote, now)
        ballot = self.clerk.ballots[vote.task.raw]
        return steps + self._go_on(ballot, now)

    def told(self, issuer: Address, task: TaskId, life: Life) -> list[Step]:
        """The issuer says how its task stands; what is over needs no more votes."""
        ballot = self.clerk.ballots.get(task.raw)
        if ballot is None or ballot.issuer != issuer or life.stage <= Stage.GRANTED:
            return []
        return self.clerk.end(ballot)

    def agent_up(self, address: Address, now: Moment) -> list[Step]:
        """Somebody can be reached: say at once what concerns it."""
        steps: list[Step] = []
        for raw, ballot in self.clerk.ballots.items():
            concerned = {ballot.issuer, ballot.holder, *ballot.delegates}
            if ballot.over or address not in concerned:
                continue
            if address in {ballot.issuer, ballot.holder}:
                steps += self.clerk.tell((address,), ballot) if ballot.voted else []
            else:
                steps += self.clerk.say((address,), ballot)
            if self.clerk.alarms.due((ROUND, raw)) is not None:
                soon_ms = now.mono_ms + self._rule.silent_ms
                self.clerk.alarms.sooner((ROUND, raw), soon_ms)
        return steps

    def wake(self, now: Moment) -> list[Step]:
        """Begin rounds whose chairs are silent, and remind holders of their leases."""
        steps: list[Step] = []
        for kind, raw in self.clerk.alarms.ring(now.mono_ms):
            ballot, sitting = self.clerk.ballots.get(raw), self.clerk.sittings.get(raw)
            if ballot is None or sitting is None or ballot.over:
                continue
            if kind == ROUND:
                steps += self._begin_round(ballot, now)
            elif ballot.holder is not None:
                sitting.reminders += 1
                due_ms = now.mono_ms + pause_ms(sitting.reminders + 1)
                self.clerk.alarms.set((REMIND, raw), due_ms)
                steps += self._remind(ballot, ballot.holder, now)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self.clerk.alarms.next()

    # --- what workers say

    def _asked(self, task: TaskId, worker: Address, now: Moment) -> list[Step]:
        """A worker wants a task: tell it what is decided, or let it be decided."""
        ballot, cell = self.clerk.ballot(task, now), self._field.get(task)
        if ballot is None or ballot.over:
            return []
        decision = self.clerk.polls.decision(task)
        if decision is not None and decision.generation >= ballot.generation:
            return [ToAgent(worker, data) for data in decision.votes]
        if cell is None or cell.is_gone(now):
            return []
        candidates = self.clerk.sittings[task.raw].candidates
        if len(candidates) < CANDIDATES_MAX:
            candidates.setdefault(worker.raw, worker)
        steps = self.clerk.tell((worker,), ballot) if ballot.voted else []
        return steps + self._go_on(ballot, now)

    def _beaten(self, beat: Beat, now: Moment) -> None:
        """The holder knows of its lease: no need to remind it for a term."""
        ballot = self.clerk.ballots.get(beat.task.raw)
        if ballot is None or ballot.over or not self._is_of_holder(ballot, beat):
            return
        self.clerk.sittings[beat.task.raw].reminders = 0
        due_ms = now.mono_ms + 1_000 * ballot.lease_seconds
        self.clerk.alarms.set((REMIND, beat.task.raw), due_ms)

    def _released(self, release: Release, now: Moment) -> list[Step]:
        ballot = self.clerk.ballot(release.task, now)
        if ballot is None or ballot.over or release.generation < ballot.generation:
            return []
        sitting = self.clerk.sittings[release.task.raw]
        sitting.candidates.pop(release.worker.raw, None)
        if len(sitting.released) < CANDIDATES_MAX:
            sitting.released.add((release.generation, release.worker.raw))
        return self._go_on(ballot, now)

    def _is_of_holder(self, ballot: Ballot, word: Beat | Done) -> bool:
        """Whether a word is of whoever has the task, as far as is known here."""
        decision = self.clerk.polls.decision(ballot.task)
        mine = (ballot.generation, ballot.holder)
        theirs = decision and (decision.generation, decision.holder)
        return (word.generation, word.worker) in {mine, theirs}

    # --- what delegates say

    def _consider(self, ballot: Ballot, vote: Vote, now: Moment) -> list[Step]:
        """Another delegate's word: follow the chair of a round, or correct it."""
        me, chair = self._pen.me, ballot.chair(vote.round)
        place = (vote.generation, vote.round)
        sitting = self.clerk.sittings[ballot.task.raw]
        if vote.generation == ballot.generation:
            sitting.seen = max(sitting.seen, vote.round)
        if place < ballot.place:
            return self.clerk.say((vote.voter,), ballot) if vote.voter == chair else []
        if vote.voter != chair:
            if vote.holder is None and chair == me and place == ballot.place:
                sitting.promises[vote.voter.raw] = vote
            return []
        if vote.holder is not None:
            cast = ballot.cast(vote.generation, vote.round, vote.holder)
            return [] if cast is None else self._vote(cast, now)
        moved = ballot.promised(vote.generation, vote.round)
        steps = [] if moved is None else [self.clerk.keep(moved)]
        return [*steps, *self.clerk.say((vote.voter,), moved or ballot)]

    def _go_on(self, ballot: Ballot, now: Moment) -> list[Step]:
        """What follows of a ballot as it stands: a new generation, a name, patience."""
        raw, sitting = ballot.task.raw, self.clerk.sittings[ballot.task.raw]
        decision = self.clerk.polls.decision(ballot.task)
        if decision is not None and decision.generation >= ballot.generation:
            sitting.candidates.clear()
            self.clerk.alarms.clear((ROUND, raw))
            if (decision.generation, decision.holder.raw) in sitting.released:
                return self._open(ballot, decision.generation + 1)
            return []
        steps: list[Step] = []
        if ballot.chair(ballot.round) == self._pen.me:
            first = next(iter(sitting.candidates.values()), None)
            name = nominee(ballot, sitting.promises.values(), first)
            cast = name and ballot.cast(ballot.generation, ballot.round, name)
            if cast:
                steps += self._vote(cast, now)
                ballot = cast
        given_back = ballot.holder is not None and (
            (ballot.generation, ballot.holder.raw) in sitting.released
        )
        if sitting.candidates or given_back:
            self._wait(ballot, now)
        return steps

    def _open(self, ballot: Ballot, generation: int) -> list[Step]:
        """The holder gave the task back: others may ask for it."""
        moved = ballot.promised(generation, 1)
        if moved is None:
            return []
        steps: list[Step] = [self.clerk.keep(moved)]
        data = self._pen.sign(moved.word(self._pen.me)).data
        learn(self._field, ballot.task, Life(generation, Stage.OPEN))
        steps.append(ToTopic(ballot.skill, data, 0, urgent=True))
        others = self.clerk.others((*ballot.delegates, ballot.issuer))
        steps += [ToAgent(other, data) for other in others]
        return [*steps, Offered(ballot.task)]

    def _vote(self, cast: Ballot, now: Moment) -> list[Step]:
        """Save a vote, then say it to all whom it concerns."""
        me, raw = self._pen.me, cast.task.raw
        steps: list[Step] = [self.clerk.keep(cast)]
        vote = cast.word(me)
        self.clerk.polls.note(vote, self._pen.sign(vote).data)
        self.clerk.sittings[raw].reminders = 0
        self.clerk.alarms.set((REMIND, raw), now.mono_ms + pause_ms(1))
        if cast.chair(cast.round) == me:
            steps += self.clerk.call(self.clerk.others(cast.delegates), cast, now)
        concerned = (*cast.delegates, cast.issuer)
        steps += self.clerk.say(self.clerk.others(concerned), cast)
        return steps + (self.clerk.tell((cast.holder,), cast) if cast.holder else [])

    def _remind(self, ballot: Ballot, holder: Address, now: Moment) -> list[Step]:
        """Say a vote again, unless others have decided otherwise."""
        decision = self.clerk.polls.decision(ballot.task)
        if decision is not None and decision.holder != holder:
            return []
        steps = self.clerk.call((holder,), ballot, now)
        return steps + self.clerk.tell((holder,), ballot)

    def _begin_round(self, ballot: Ballot, now: Moment) -> list[Step]:
        """The chair is silent, or the names differ: ask for the promises of a round."""
        sitting = self.clerk.sittings[ballot.task.raw]
        cell = self._field.get(ballot.task)
        if (cell is None or cell.is_gone(now)) and not ballot.voted:
            return []
        number = ballot.next_round(self._pen.me, sitting.seen)
        moved = ballot.promised(ballot.generation, number)
        if moved is None:
            return []
        steps: list[Step] = [self.clerk.keep(moved)]
        self._wait(moved, now)
        others = self.clerk.others(ballot.delegates)
        steps += self.clerk.call(others, moved, now)
        return steps + self.clerk.say(others, moved)

    def _wait(self, ballot: Ballot, now: Moment) -> None:
        """Give the chair its time, longer with every round, then take its place.

        The next in line comes first, so that seldom two begin a round at once.
        """
        sitting = self.clerk.sittings[ballot.task.raw]
        last = max(ballot.round, sitting.seen)
        ahead = ballot.next_round(self._pen.me, last) - last
        tries = min((last - 1) // len(ballot.delegates), _HASTE_DOUBLINGS_MAX)
        pause = ahead * (self._rule.silent_ms // 2) << tries
        self.clerk.alarms.sooner((ROUND, ballot.task.raw), now.mono_ms + pause)
