"""Delegation: everything about tasks on which delegates vote, as one part of a board.

It keeps together what this node votes itself, what it hears others vote, and what
follows of a decision: for the issuer, which abides by it, for whoever asked for the
task, and for what is sensed here. It knows no rule of its own.
"""

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.records import Record
from nestmate_protocol.signals.asking import why_over
from nestmate_protocol.signals.cells import Life, Stage, granted
from nestmate_protocol.signals.claims import Beat, Claim, Done, Release
from nestmate_protocol.signals.clerk import learn
from nestmate_protocol.signals.council import Council
from nestmate_protocol.signals.dependence import same
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.orphans import Word
from nestmate_protocol.signals.outcomes import ToAgent
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.shelf import Phase
from nestmate_protocol.signals.turnout import Turnout
from nestmate_protocol.signals.upshots import Offered, Step
from nestmate_protocol.signals.votes import Decision, Vote, VoteView
from nestmate_protocol.signals.worker import Worker

NOT_WANTED = "not asked for"


class Delegation:
    """Votes of this node and of others; ``council`` casts, ``clerk`` keeps its own."""

    def __init__(
        self,
        pen: Pen,
        field: Field,
        issuer: Issuer,
        worker: Worker,
        *,
        council: Council,
        turnout: Turnout,
    ) -> None:
        self.council = council
        self.clerk = council.clerk
        self._pen = pen
        self._field = field
        self._issuer = issuer
        self._worker = worker
        self._turnout = turnout

    def __repr__(self) -> str:
        return f"<Delegation {self.council!r}>"

    def admit(self, record: Record, author: Address, now: Moment) -> list[Step]:
        """A verified vote; RemoteError if it is not its author's own."""
        vote = Vote.read(record.fields)
        same(vote.voter, author)
        steps = self.council.voted(vote, record.data, now)
        if vote.voter in self.clerk.roster(vote.task):
            steps += self.follow(vote.task, now)
            steps += self._opened(vote)
            if vote.holder == self._pen.me:
                steps += self._named(vote, now)
        return steps

    def heard(self, word: Word, now: Moment) -> list[Step]:
        """A worker speaks of a task that is voted on: to delegates, or its issuer."""
        steps = self.council.heard(word, now)
        steps += self.follow(word.task, now)
        if word.task.raw not in self._issuer.tasks:
            return steps
        match word:
            case Claim():
                decision = self.clerk.polls.decision(word.task)
                granted = decision is not None and decision.holder == word.worker
                self._turnout.note(word, now, granted=granted)
                return steps
            case Beat():
                return steps + self._issuer.beaten(word, now)
            case Done():
                return steps + self._issuer.finished(word, now)
            case Release():
                return steps + self._issuer.released(word, now)

    def follow(self, task: TaskId, now: Moment) -> list[Step]:
        """Act on what is decided of a task; doing so twice does no harm."""
        decision, me = self.clerk.polls.decision(task), self._pen.me
        if decision is None:
            return []
        life = granted(task, decision.generation, decision.holder)
        learn(self._field, task, life)
        steps = self._issuer.elected(task, decision.generation, decision.holder, now)
        if decision.holder == me:
            return steps + self._worker.elected(task, decision, now)
        want = self._worker.asking.get(task)
        if want is not None and want.generation <= decision.generation:
            return steps + self._worker.asking.denied(task, why_over(life))
        return steps

    def views(self, task: TaskId) -> tuple[VoteView, ...]:
        """How the delegates of a task have voted, as far as it was heard here."""
        polls = self.clerk.polls
        rows: list[VoteView] = []
        for agent in self.clerk.roster(task):
            vote = polls.latest(task, agent)
            if vote is None:
                rows.append(VoteView(agent))
            else:
                rows.append(VoteView(agent, vote.generation, vote.round, vote.holder))
        return tuple(rows)

    def _opened(self, vote: Vote) -> list[Step]:
        """A delegate says that a later generation is open: whoever wants may ask."""
        cell = self._field.get(vote.task)
        if cell is None or vote.holder is not None:
            return []
        if vote.generation <= cell.life.generation or cell.life.stage > Stage.GRANTED:
            return []
        learn(self._field, vote.task, Life(vote.generation, Stage.OPEN))
        return [Offered(vote.task)]

    def _named(self, vote: Vote, now: Moment) -> list[Step]:
        """A delegate votes for us: if we do not want the task it must know."""
        task, worker = vote.task, self._worker
        claim = worker.claims.get(task.raw)
        if claim is not None and claim.generation >= vote.generation:
            if claim.phase is not Phase.FINISHED:
                return []
        elif claim is None:
            want = worker.asking.get(task)
            wanted = want is not None and want.generation <= vote.generation
            if wanted and worker.pledges.allows(task, vote.generation):
                return []
        decision = self.clerk.polls.decision(task)
        if decision is not None and decision.holder != self._pen.me:
            return []
        return self._decline(vote, decision, now)

    def _decline(
        self, vote: Vote, decision: Decision | None, now: Moment
    ) -> list[Step]:
        """Say that a task is done, or that it is given back; which then binds."""
        task, me, pledges = vote.task, self._pen.me, self._worker.pledges
        pledge = pledges.get(task)
        proof = decision.votes if decision is not None else ()
        to = dict.fromkeys((vote.voter,))
        if pledge is not None and pledge.digest is not None:
            word: Done | Release = Done(
                task, me, vote.generation, None, pledge.digest, 0
            )
            steps: list[Step] = []
        else:
            steps = [pledges.give(task, vote.generation, now)]
            word = Release(
                task, me, vote.generation, NOT_WANTED, partial=None, failed=False
            )
            cell = self._field.get(task)
            if decision is not None and cell is not None:
                to[cell.signal.issuer] = None
        data = self._pen.sign(word).data
        for agent in to:
            known = () if agent == me else proof
            steps += [ToAgent(agent, each) for each in (*known, data)]
        return steps
