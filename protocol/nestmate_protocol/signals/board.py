"""The board: the signals subject as the core sees it.

Records of others and requests of local agents go in, outcomes come out, in the order
in which they are to be carried out: durable, then visible, then answered. The board
keeps nothing but the parts together: the field of sensed tasks, the issuer of our own,
the worker of any, and who waits here for what. It thinks in addresses and skills and
knows no peer, no card and no topic.
"""

from collections.abc import Collection
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Code, Refusal, Reply
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import Address, NetworkId, TaskId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import FRAME_RECORDS_MAX
from nestmate_protocol.records import Kind, Record, open_record
from nestmate_protocol.signals.ballots import BALLOT_PREFIX
from nestmate_protocol.signals.cells import Life, Stage, done, granted
from nestmate_protocol.signals.claims import (
    Beat,
    Cancel,
    Claim,
    Done,
    Lease,
    Receipt,
    Release,
    Verdict,
)
from nestmate_protocol.signals.clerk import Clerk
from nestmate_protocol.signals.confirmations import Confirmations
from nestmate_protocol.signals.council import Council
from nestmate_protocol.signals.delegation import Delegation
from nestmate_protocol.signals.dependence import Dependence, same
from nestmate_protocol.signals.desk import Desk, Parts
from nestmate_protocol.signals.details import Archive
from nestmate_protocol.signals.digest import Digest
from nestmate_protocol.signals.emitter import Emitter
from nestmate_protocol.signals.events import sensed_event
from nestmate_protocol.signals.explaining import Explainer
from nestmate_protocol.signals.field import Field, Sensed
from nestmate_protocol.signals.greeting import calls
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.judgement import Judge
from nestmate_protocol.signals.lessons import SPEED_PREFIX, learn, recall
from nestmate_protocol.signals.levels import value_of
from nestmate_protocol.signals.liars import PROOF_PREFIX, Liars
from nestmate_protocol.signals.orphans import WORDS, Heard, Orphans
from nestmate_protocol.signals.outcomes import Counts, Outcome, Reject, ToAgent
from nestmate_protocol.signals.outside import Outside
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.pledges import PLEDGE_PREFIX
from nestmate_protocol.signals.records import Deposit, Signal
from nestmate_protocol.signals.requests import Acknowledged, SignalsRequest, TaskStatus
from nestmate_protocol.signals.response import Speeds
from nestmate_protocol.signals.retired import Retired
from nestmate_protocol.signals.rivals import Rivals
from nestmate_protocol.signals.shelf import (
    CLAIM_PREFIX,
    SEQUENCE_KEY,
    TASK_PREFIX,
    read_claim,
    read_sequence,
    read_task,
)
from nestmate_protocol.signals.takers import Takers
from nestmate_protocol.signals.testimony import Testimony, Witness
from nestmate_protocol.signals.trail import Trail
from nestmate_protocol.signals.turnout import Turnout
from nestmate_protocol.signals.upshots import (
    UPSHOTS,
    Confirmed,
    DeclinedError,
    Missed,
    Offered,
    Over,
    Step,
    Unanswered,
    Upshot,
    Waking,
    Won,
)
from nestmate_protocol.signals.worker import Worker

SWEEP_MS: Final = 30_000
_LIES: Final = frozenset({Fault.BAD_FIELD, Fault.NOT_ENTITLED, Fault.UNKNOWN_KIND})
"""Faults no honest author commits; the others come about by haste and late news."""
_LIE: Final = Reject(Fault.BROKEN_CHAIN, strike=True)


class Board:
    """Everything one node does about signals; ``liars`` and ``retired`` hear peers."""

    def __init__(
        self,
        me: Address,
        network: NetworkId,
        device: SigningKey,
        incarnation: bytes,
        outside: Outside,
    ) -> None:
        """``incarnation`` is 16 fresh bytes per boot."""
        self._me, self._network = me, network
        self._reader, self._trust, rule = outside.reader, outside.trust, outside.rule
        self._pen = pen = Pen(me, network, device, incarnation)
        self._field = field = Field(me, rule, outside.trust)
        self._speeds = speeds = Speeds(rule)
        self.liars = Liars(network, rule, outside.whose, field.drop_author)
        trail = Trail(outside.able, speeds, rule, outside.entropy)
        self._emitter = emitter = Emitter(pen, field, trail)
        self._digest = Digest(rule.digest_ms)
        self._witness = Witness(pen, speeds, rule)
        self._issuer = Issuer(
            pen, field, speeds, emitter, digest=self._digest, witness=self._witness
        )
        self._worker = worker = Worker(pen, rule)
        self._rivals = rivals = Rivals(me, rule, worker.spent)
        self._orphans = Orphans(pen, field, worker, rivals, speeds=speeds, rule=rule)
        self.retired = Retired(me, field, self._issuer)
        self._turnout = Turnout()
        self._dependence = Dependence(pen, field, self._issuer, worker)
        clerk = self._clerk = Clerk(
            pen, field, rule, own=self._issuer.tasks, trust=outside.trust
        )
        council = self._council = Council(pen, field, rule, clerk)
        self._delegation = Delegation(
            pen, field, self._issuer, worker, council=council, turnout=self._turnout
        )
        judge = Judge(
            me,
            speeds,
            trust=outside.trust,
            engaged=self._dependence.apart.engaged,
            opening=rivals.opening,
            rule=rule,
        )
        self._silence, self._demand = judge.silence, judge.demand
        self._takers = Takers(field, worker, rivals, judge)
        self._confirmations = Confirmations()
        explainer = Explainer(field, worker, self._takers, judge)
        archive = Archive(emitter, self._turnout, explainer, speeds, outside.able)
        doing = (self._issuer, emitter, worker, self._orphans, self._takers)
        telling = (self._confirmations, self._digest, self._witness, self.liars)
        deciding = (self._dependence, council)
        self._waking: tuple[Waking, ...] = (*doing, *telling, *deciding)
        self._sweep_ms: int | None = None
        parts = Parts(
            pen=pen,
            field=field,
            speeds=speeds,
            emitter=emitter,
            issuer=self._issuer,
            worker=worker,
            orphans=self._orphans,
            takers=self._takers,
            confirmations=self._confirmations,
            archive=archive,
            liars=self.liars,
            dependence=self._dependence,
            delegation=self._delegation,
        )
        self._desk = Desk(parts, outside.entropy)

    def start(self, now: Moment) -> list[Outcome]:
        """The first call of all: take up again what the disk holds.

        Raises LocalError if the store is damaged.
        """
        self._pen.start(read_sequence(self._reader.get(SEQUENCE_KEY)), now)
        tasks = [read_task(self._me, v) for _, v in self._reader.scan(TASK_PREFIX)]
        claims = [read_claim(v) for _, v in self._reader.scan(CLAIM_PREFIX)]
        self.liars.recall(self._reader.scan(PROOF_PREFIX))
        recall(self._speeds, (v for _, v in self._reader.scan(SPEED_PREFIX)))
        self._dependence.recall(self._reader.scan)
        pledges = self._reader.scan(PLEDGE_PREFIX)
        self._worker.pledges.recall(value for _, value in pledges)
        ballots = self._reader.scan(BALLOT_PREFIX)
        steps = self._clerk.recall((value for _, value in ballots), now)
        self._issuer.start(tasks, now)
        steps += self._worker.start(claims, now)
        self._orphans.start(now)
        return self._settle(steps + self._dependence.start(now), now)

    def ask(self, request: int, body: SignalsRequest, now: Moment) -> list[Outcome]:
        """A local agent's request; its ``Reply`` comes now or later."""
        try:
            steps = self._desk.ask(request, body, now)
        except DeclinedError as no:
            steps = [Reply(request, Refusal(no.code, str(no), no.hint))]
        except LocalError as no:
            steps = [Reply(request, Refusal(Code.INVALID, str(no), no.hint))]
        return self._settle(steps, now)

    def abandon(self, request: int, now: Moment) -> list[Outcome]:
        """Nobody waits for this request's answer any more."""
        self._takers.abandon(request)
        self._confirmations.abandon(request)
        self._dependence.wishes.abandon(request)
        return self._settle([], now)

    def admit(
        self,
        record: Record,
        author: Address,
        age_ms: int,
        now: Moment,
        *,
        straight: bool = True,
        wide: bool = False,
    ) -> list[Outcome]:
        """A verified record of the subject, signed by a device of ``author``.

        ``straight`` if its author's own node brought it, and to nobody but this one;
        ``wide`` if it came over a topic. Never raises; what is wrong with it comes back
        as ``Reject``.
        """
        if straight:
            self._silence.ends(author)
        steps = self._admit(record, author, age_ms, now, straight=straight, wide=wide)
        return self._settle(steps, now) if steps else []

    def agent_up(self, address: Address, now: Moment) -> list[Outcome]:
        """An agent's node can be reached now: say again what it has not answered."""
        self._silence.ends(address)
        self.liars.greet(now)
        steps = self._worker.agent_up(address, now)
        steps += self._orphans.agent_up(address, now)
        steps += self._council.agent_up(address, now)
        return self._settle(steps + self._dependence.agent_up(address, now), now)

    def greeting(
        self, to: Address, now: Moment, skills: Collection[str] | None = None
    ) -> tuple[tuple[bytes, int], ...]:
        """Records with ages for an agent whose node came by, at most one frame full.

        Who is at tasks whose issuers are silent; open tasks. With ``skills`` for one
        that has just begun to offer them.
        """
        told, ageing = self._orphans.greeting(now), self._speeds.ageing_seconds
        parts = self._field, self._emitter, self._me, to
        for cell in calls(*parts, now, ageing=ageing, skills=skills):
            if len(told) < FRAME_RECORDS_MAX:
                told.append((cell.data, now.mono_ms - cell.sent_ms))
                self._emitter.greeted(cell.task, to)
        seen = [(data, 0) for data in self._witness.greeting()]
        return tuple([*seen, *told][:FRAME_RECORDS_MAX])

    def skills_wanted(self) -> tuple[str, ...]:
        """Skills whose topics matter here: of own live tasks and of waiting takers."""
        live = {
            own.order.skill
            for own in self._issuer.tasks.values()
            if own.status in {TaskStatus.OPEN, TaskStatus.GRANTED}
        }
        return tuple(sorted(live | self._takers.skills()))

    def counts(self) -> Counts:
        """How much there is; own tasks include those that are over."""
        return Counts(
            tasks_own=len(self._issuer.tasks),
            tasks_sensed=len(self._field),
            claims=len(self._worker.tenures),
        )

    def wake(self, now: Moment) -> list[Outcome]:
        """Do what is due; calling it early or twice does no harm."""
        if self._sweep_ms is not None and self._sweep_ms <= now.mono_ms:
            self._field.sweep(now)
            self._sweep_ms = None
        steps: list[Step] = []
        for part in self._waking:
            steps += part.wake(now)
        return self._settle(steps, now)

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        times = [self._sweep_ms, *(part.next_wakeup() for part in self._waking)]
        return min((time for time in times if time is not None), default=None)

    def _settle(self, steps: list[Step], now: Moment) -> list[Outcome]:
        """Hand upshots to their parts, and to ourselves what we sent ourselves."""
        if self._sweep_ms is None and len(self._field):
            self._sweep_ms = now.mono_ms + SWEEP_MS
        outcomes: list[Outcome] = []
        waiting = steps[::-1]
        while waiting:
            step = waiting.pop()
            if isinstance(step, ToAgent) and step.address == self._me:
                record = open_record(step.record, self._network)
                if not self._pen.wrote(record):
                    continue  # another's, which is known here already
                more = self._admit(record, self._me, step.age_ms, now, straight=True)
                waiting += reversed(more)
            elif isinstance(step, UPSHOTS):
                waiting += reversed(self._hand_over(step, now))
            else:
                outcomes.append(step)
        return outcomes

    def _hand_over(self, upshot: Upshot, now: Moment) -> list[Step]:
        task = upshot.task
        match upshot:
            case Offered():
                return self._takers.offered(task, now)
            case Won():
                self._dependence.apart.won(task)
                return self._takers.won(task, now)
            case Unanswered(_, issuer):
                if issuer is not None:
                    self._silence.falls(issuer)
                if elsewhere := self._takers.elsewhere(task, now):
                    return elsewhere
                if self._orphans.begin(task, now):
                    return []
                again = self._worker.asking.persist(task, now)
                return self._takers.unanswered(task, now) if again is None else again
            case Missed(_, reason):
                no = Refusal(Code.CONFLICT, f"The claim was lost: {reason}.")
                told = self._confirmations.answer(task, no)
                told += self._dependence.missed(task)
                return told + self._takers.missed(task, reason, now)
            case Confirmed():
                fence = self._worker.settled.get(task.raw, 0)
                return self._confirmations.answer(task, Acknowledged(task, fence))
            case _:
                if isinstance(upshot, Over):
                    self._council.told(self._me, task, Life(1, Stage.DONE))
                return self._dependence.told(upshot, now)

    def _admit(
        self,
        record: Record,
        author: Address,
        age_ms: int,
        now: Moment,
        *,
        straight: bool,
        wide: bool = False,
    ) -> list[Step]:
        if self._trust(author) <= 0 and author != self._me:
            return [Reject(Fault.NOT_ENTITLED, strike=False)]
        if self.liars.proofs and record.author.raw in self.liars.proofs:
            return [Reject(Fault.BROKEN_CHAIN, strike=False)]
        try:
            if record.kind is Kind.SIGNAL:
                return self._signal(record, author, age_ms, now, wide=wide)
            if record.kind in WORDS:
                heard = Heard(record, age_ms)
                return self._of_worker(heard, author, now, straight=straight)
            return self._of_others(record, author, age_ms, now, straight=straight)
        except RemoteError as wrong:
            return [Reject(wrong.fault, wrong.fault in _LIES)]

    def _signal(
        self,
        record: Record,
        author: Address,
        age_ms: int,
        now: Moment,
        *,
        wide: bool,
    ) -> list[Step]:
        signal = Signal.read(record.fields)
        same(signal.issuer, author)
        if author.raw == self._me.raw:
            return []
        if lie := self.liars.note(record, signal.link, author, now):
            return [_LIE, *lie]
        sensed, cell = self._field.sense(signal, record, age_ms, now)
        cell.wide = cell.wide or wide
        if sensed is Sensed.NOTHING:
            return []
        steps = self._worker.told(author, cell.task, cell.life)
        if sensed is Sensed.NEW:
            self._demand.called(signal.skill, signal.urgency_code)
            steps.append(sensed_event(cell.task, signal))
        elif cell.record_id == record.id.raw:
            steps += self._orphans.issuer_back(cell.task, signal.generation, now)
            steps += self._council.called(cell)
        return steps + self._takers.offered(cell.task, now)

    def _of_worker(
        self, heard: Heard, author: Address, now: Moment, *, straight: bool
    ) -> list[Step]:
        """A worker speaks: to us of a task of ours, or to its rivals."""
        word = WORDS[heard.record.kind](heard.record.fields)
        same(word.worker, author)
        raw = word.task.raw
        known = self._field.get(word.task) is not None or raw in self._worker.claims
        if self._clerk.roster(word.task):
            return self._delegation.heard(word, now)
        if raw not in self._issuer.tasks and (known or not straight):
            return self._orphans.heard(word, heard, now)
        match word:
            case Claim():
                steps = self._issuer.claimed(word, now)
                own = self._issuer.tasks.get(raw)
                if own is not None and own.generation == word.generation:
                    granted = own.holder == word.worker
                    self._turnout.note(word, now, granted=granted)
                return steps
            case Beat():
                return self._issuer.beaten(word, now)
            case Done():
                steps = self._issuer.finished(word, now)
                if (own := self._issuer.tasks.get(raw)) is not None:
                    self._takers.reconsider(own.order.skill, now)
                return steps
            case Release():
                return self._issuer.released(word, now)

    def _of_others(
        self,
        record: Record,
        author: Address,
        age_ms: int,
        now: Moment,
        *,
        straight: bool,
    ) -> list[Step]:
        """An issuer says how its task stands, or somebody needs one too."""
        fields = record.fields
        match record.kind:
            case Kind.DEPOSIT:
                deposit = Deposit.read(fields)
                same(deposit.depositor, author)
                if lie := self.liars.note(record, deposit.link, author, now):
                    return [_LIE, *lie]
                self._field.deposit(deposit, age_ms, now)
                return []
            case Kind.LEASE:
                lease = Lease.read(fields)
                return self._leased(lease, author, now, straight=straight)
            case Kind.RECEIPT:
                return self._receipted(Receipt.read(fields), author, now)
            case Kind.CANCEL:
                cancel = Cancel.read(fields)
                cell = self._field.get(cancel.task)
                if cell is not None and cell.signal.issuer != author:
                    # So an honest node answers when asked for a task it never had.
                    return [Reject(Fault.NOT_ENTITLED, strike=False)]
                life = Life(cancel.generation, Stage.CANCELLED)
                return self._told(author, cancel.task, life)
            case Kind.VOTE:
                return self._delegation.admit(record, author, now)
            case Kind.TESTIMONY:
                testimony = Testimony.read(fields)
                same(testimony.author, author)
                self._witness.heard(testimony)
                return []
            case _:
                return self._dependence.admit(record.kind, fields, author)

    def _leased(
        self, lease: Lease, author: Address, now: Moment, *, straight: bool
    ) -> list[Step]:
        life = granted(lease.task, lease.generation, lease.holder)
        self._field.tell(author, lease.task, life)
        if (cell := self._field.get(lease.task)) is not None:
            self._rivals.leased(lease, now)
            skill = cell.signal.skill
            if self._demand.taken(lease.holder, skill):
                self._takers.reconsider(skill, now, given_up=True)
        steps = self._worker.told(author, lease.task, life, straight=straight)
        entrusted = self._clerk.roster(lease.task)  # who count, and not the issuer
        if lease.holder == self._me and (
            not entrusted or lease.task.raw in self._worker.claims
        ):
            steps += self._worker.leased(author, lease, now)
        return steps

    def _receipted(self, receipt: Receipt, author: Address, now: Moment) -> list[Step]:
        life = done(receipt.task, receipt.generation, receipt.holder)
        cell = self._field.get(receipt.task)
        news = cell is not None and life > cell.life
        steps = self._told(author, receipt.task, life)
        mine = receipt.holder == self._me and receipt.measured_ms > 0
        mine = mine and receipt.verdict is Verdict.ACCEPTED
        if cell is not None and news and mine:
            size, seconds = value_of(receipt.size_code), receipt.measured_ms / 1_000
            skill, holder = cell.signal.skill, receipt.holder
            steps.append(learn(self._speeds, holder, skill, size, seconds))
            self._takers.reconsider(skill, now)
        more = self._dependence.heard(receipt.task, author, now) if news else []
        return steps + more

    def _told(self, author: Address, task: TaskId, life: Life) -> list[Step]:
        """What an author says of a task goes only as far as it is the issuer."""
        if author != self._me:  # ours may be said to one worker only
            self._field.tell(author, task, life)
        steps = self._council.told(author, task, life)
        return steps + self._worker.told(author, task, life)
