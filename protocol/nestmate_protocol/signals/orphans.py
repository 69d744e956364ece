"""Orphans: tasks whose issuer is silent, settled among the workers themselves.

A claim without answer becomes a claim to the topic, after a pause that is longer for
whoever comes later in the order of rivals, so that few speak at all. Whoever is still
first a second after its claim works, tells so with its beats and, done, with its
result, until the issuer is back and says what is so. Two who find each other at one
task know which of them stops. Exclusive tasks take no part in this. The file knows no
lease and nothing of who waits for work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Fields
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import LEASE_SECONDS_MAX
from nestmate_protocol.records import Kind, Record
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.cells import Cell
from nestmate_protocol.signals.claims import Beat, Claim, Done, Release
from nestmate_protocol.signals.crowds import Crowds
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.levels import value_of
from nestmate_protocol.signals.outcomes import ToAgent, ToTopic
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.records import TaskClass
from nestmate_protocol.signals.response import Speeds
from nestmate_protocol.signals.rivals import (
    Rank,
    Rivals,
    Stand,
    Standing,
    may_go_on_alone,
    rank,
    share,
)
from nestmate_protocol.signals.shelf import HeldClaim, Phase
from nestmate_protocol.signals.upshots import Missed, Offered, Step
from nestmate_protocol.signals.worker import Worker

AHEAD: Final = "another agent comes first"
GREETED_MAX: Final = 16
_BEATS_PER_TERM: Final = 3
_TRY, _TELL = "try", "tell"

Word = Claim | Beat | Done | Release
Told = tuple[bytes, int]
WORDS: Final[Mapping[Kind, Callable[[Fields], Word]]] = {
    Kind.CLAIM: Claim.read,
    Kind.BEAT: Beat.read,
    Kind.DONE: Done.read,
    Kind.RELEASE: Release.read,
}
"""What workers say, by kind."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came with a worker's word: its record, and how old it is."""

    record: Record
    age_ms: int


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A try for a task of a silent issuer; ``said`` once the topic heard of it."""

    generation: int
    said: bool = False


class Orphans:
    """What this node does about tasks whose issuers do not answer."""

    def __init__(
        self,
        pen: Pen,
        field: Field,
        worker: Worker,
        rivals: Rivals,
        *,
        speeds: Speeds,
        rule: Rule,
    ) -> None:
        self._pen = pen
        self._field = field
        self._worker = worker
        self._rivals = rivals
        self._speeds = speeds
        self._rule = rule
        self._attempts: dict[bytes, _Attempt] = {}
        self._said_ms: dict[bytes, int] = {}
        self._crowds = Crowds()
        self._alarms: Alarms[tuple[str, bytes]] = Alarms()

    def __repr__(self) -> str:
        return f"<Orphans {len(self._attempts)} tried>"

    def start(self, now: Moment) -> None:
        """Results that were never confirmed are told again by and by."""
        for claim in self._worker.claims.values():
            self.finished(claim.task, now)

    def begin(self, task: TaskId, now: Moment) -> bool:
        """An issuer did not answer a claim: whether workers can settle the task."""
        cell, want = self._field.get(task), self._worker.asking.attempts.get(task.raw)
        if cell is None or want is None or not may_go_on_alone(cell.signal):
            return False
        opening = self._rivals.opening(cell)
        if opening is None or opening.ready_ms > now.mono_ms or cell.is_gone(now):
            return False
        self._attempts[task.raw] = _Attempt(opening.generation)
        pause_ms = self._back_off_ms(cell, want.estimate_ms, opening.generation)
        self._alarms.set((_TRY, task.raw), now.mono_ms + pause_ms)
        return True

    def heard(self, word: Word, heard: Heard, now: Moment) -> list[Step]:
        """A worker speaks of a task that is another's, and not ours."""
        task, cell = word.task, self._field.get(word.task)
        if cell is not None and not may_go_on_alone(cell.signal):
            return []
        if isinstance(word, Release):
            fence = self._rivals.freed(task, word.worker, word.generation, now)
            return [Offered(task)] if fence else []
        theirs = _rank_of(word)
        birth_ms = now.mono_ms - heard.age_ms
        until_ms = self._rivals.term_end(theirs.standing, cell, birth_ms, now)
        n = word.n if isinstance(word, Beat) else 0
        stand = Stand(word.worker, theirs, n, until_ms, heard.record.data, birth_ms)
        if not self._rivals.heard(task, stand):
            return []
        steps = self._give_way(task, theirs)
        claim = self._worker.claims.get(task.raw)
        if claim is not None:
            steps += self._compare(claim, word.worker, theirs, now)
        return steps

    def renewed(self, task: TaskId, now: Moment) -> list[Step]:
        """The agent beats: let the topic know, if the issuer does not answer."""
        claim = self._worker.claims[task.raw]
        pause_ms = 1_000 * claim.lease_seconds // (_BEATS_PER_TERM + 1)
        if now.mono_ms - self._said_ms.get(task.raw, -pause_ms) < pause_ms:
            return []
        return self._tell(claim, now)

    def finished(self, task: TaskId, now: Moment) -> list[Step]:
        """A result is on its way: without a receipt soon, the topic hears of it."""
        claim = self._worker.claims.get(task.raw)
        if claim is None or claim.phase != Phase.FINISHED:
            return []
        if claim.settled:
            return self._tell(claim, now)
        due_ms = now.mono_ms + 2 * self._rule.silent_ms
        self._alarms.set((_TELL, task.raw), due_ms)
        return []

    def agent_up(self, address: Address, now: Moment) -> list[Step]:
        """Somebody can be reached again: rivals may be found, or the issuer is back."""
        steps: list[Step] = []
        for raw, claim in self._worker.claims.items():
            if not self._is_adrift(claim, now):
                continue
            if self._crowds.one_more(raw):
                self._alarms.sooner((_TELL, raw), now.mono_ms + self._rule.settle_ms)
            if claim.issuer == address and claim.phase == Phase.HELD:
                steps += self._worker.renew(claim.task, now)[1]
        return steps

    def issuer_back(self, task: TaskId, generation: int, now: Moment) -> list[Step]:
        """The issuer calls for a task anew: whoever is at it says so."""
        self._rivals.opened(task, generation, now)
        claim = self._worker.claims.get(task.raw)
        if claim is None or claim.phase != Phase.HELD:
            return []
        adrift = self._is_adrift(claim, now)
        return self._worker.renew(task, now)[1] if adrift else []

    def greeting(self, now: Moment) -> list[Told]:
        """For a newly connected node: who is at tasks whose issuers are silent."""
        mine = [
            (self._pen.sign(self._word(claim)).data, 0)
            for claim in self._worker.claims.values()
            if self._is_adrift(claim, now)
        ]
        others = (self._rivals.news(cell.task, now) for cell in self._field)
        return (mine + [told for told in others if told])[:GREETED_MAX]

    def wake(self, now: Moment) -> list[Step]:
        """Claim aloud, settle, and say again what is due."""
        steps: list[Step] = []
        for kind, raw in self._alarms.ring(now.mono_ms):
            if kind == _TRY:
                steps += self._go_on(TaskId(raw), now)
            elif (claim := self._worker.claims.get(raw)) is not None:
                steps += self._tell(claim, now)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._alarms.next()

    def _back_off_ms(self, cell: Cell, estimate_ms: int, generation: int) -> int:
        """How long to keep quiet, so that those who come first are heard first."""
        signal = cell.signal
        good = value_of(signal.size_code) / self._speeds.reference(signal.skill)
        slower = min(1.0, max(0.0, estimate_ms / 1_000 / good - 1) / 2)
        drawn = share(cell.task, generation, self._pen.me)
        return round(self._rule.back_off_ms * (slower + drawn) / 2)

    def _go_on(self, task: TaskId, now: Moment) -> list[Step]:
        """The pause is over: claim aloud; or the settling is: work."""
        attempt = self._attempts.pop(task.raw, None)
        want = self._worker.asking.attempts.get(task.raw)
        cell = self._field.get(task)
        if attempt is None or want is None:
            return []
        if cell is None:
            return self._missed(task, "it has faded")
        if attempt.said:
            return self._worker.settle(task, attempt.generation, now)
        self._attempts[task.raw] = _Attempt(attempt.generation, said=True)
        self._alarms.set((_TRY, task.raw), now.mono_ms + self._rule.settle_ms)
        claim = Claim(
            task,
            self._pen.me,
            attempt.generation,
            want.estimate_ms,
            LEASE_SECONDS_MAX,
        )
        data = self._pen.sign(claim).data
        return [ToTopic(cell.signal.skill, data, 0, urgent=True)]

    def _give_way(self, task: TaskId, theirs: Rank) -> list[Step]:
        """Try no longer for what somebody works on, or better claims."""
        attempt = self._attempts.get(task.raw)
        want = self._worker.asking.attempts.get(task.raw)
        if attempt is None or want is None:
            return []
        mine = rank(
            task,
            attempt.generation,
            Standing.CLAIMS,
            want.estimate_ms,
            self._pen.me,
        )
        at_work = theirs.standing > Standing.CLAIMS
        near = at_work and theirs.generation >= attempt.generation - 1
        return self._missed(task, AHEAD) if near or theirs > mine else []

    def _missed(self, task: TaskId, why: str) -> list[Step]:
        self._attempts.pop(task.raw, None)
        self._alarms.clear((_TRY, task.raw))
        self._worker.asking.forget(task)
        return [Missed(task, why)]

    def _compare(
        self, claim: HeldClaim, other: Address, theirs: Rank, now: Moment
    ) -> list[Step]:
        """Somebody else is at what this node holds: one of the two stops."""
        if claim.task_class is TaskClass.EXCLUSIVE:
            return []
        at_work = theirs.standing > Standing.CLAIMS
        adrift = self._is_adrift(claim, now)
        if adrift and at_work and theirs > _rank_held(claim, self._pen.me):
            if claim.phase == Phase.FINISHED:
                return []
            return self._worker.end(claim, AHEAD)
        answers = theirs.standing is Standing.CLAIMS or (
            adrift and theirs.standing is Standing.WORKS
        )
        if not answers:
            return []
        return [ToAgent(other, self._pen.sign(self._word(claim)).data)]

    def _is_adrift(self, claim: HeldClaim, now: Moment) -> bool:
        """Whether a claim's issuer has not said a word within a term."""
        if claim.task_class is TaskClass.EXCLUSIVE:
            return False
        if claim.phase == Phase.FINISHED:
            return True
        tenure = self._worker.tenures[claim.task.raw]
        return claim.settled or tenure.until_ms <= now.mono_ms

    def _tell(self, claim: HeldClaim, now: Moment) -> list[Step]:
        """Tell the topic how far a claim is, if its issuer cannot."""
        if not self._is_adrift(claim, now):
            return []
        raw = claim.task.raw
        known = self._worker.claims
        self._said_ms = {r: ms for r, ms in self._said_ms.items() if r in known}
        self._said_ms[raw] = now.mono_ms
        data = self._pen.sign(self._word(claim)).data
        return [ToTopic(claim.skill, data, 0, urgent=True)]

    def _word(self, claim: HeldClaim) -> Beat | Done:
        """What there is to say of a claim; the result itself is for its issuer."""
        me, generation = self._pen.me, claim.generation
        if claim.phase == Phase.FINISHED:
            digest = sha256(claim.result).digest()
            measured_ms = claim.measured_ms
            return Done(claim.task, me, generation, None, digest, measured_ms)
        n = self._worker.count_beat(claim.task)
        return Beat(claim.task, me, generation, n, 0, claim.estimate_ms)


def _rank_held(claim: HeldClaim, me: Address) -> Rank:
    finished = claim.phase == Phase.FINISHED
    standing = Standing.DONE if finished else Standing.WORKS
    return rank(claim.task, claim.generation, standing, claim.estimate_ms, me)


def _rank_of(word: Claim | Beat | Done) -> Rank:
    match word:
        case Claim():
            standing, estimate_ms = Standing.CLAIMS, word.estimate_ms
        case Beat():
            standing, estimate_ms = Standing.WORKS, word.estimate_ms or 0
        case Done():
            standing, estimate_ms = Standing.DONE, 0
    return rank(word.task, word.generation, standing, estimate_ms, word.worker)
