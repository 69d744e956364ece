"""Explaining: why this node claims a task, or why it does not.

Reads what the takers, their judge and the worker hold, and asks the very functions
that decide; it works out nothing by itself and changes nothing. The last word is a
sentence for people. This file knows no record and cannot claim.
"""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import plain
from nestmate_protocol.ids import TaskId
from nestmate_protocol.limits import CLAIMS_HELD_MAX
from nestmate_protocol.signals.cells import Cell, Stage
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.judgement import Judge, Judgement, Outlook, Taker
from nestmate_protocol.signals.levels import code_of, urgency_share
from nestmate_protocol.signals.requests import Explanation, Prospect, Rival
from nestmate_protocol.signals.shelf import HeldClaim
from nestmate_protocol.signals.takers import Takers
from nestmate_protocol.signals.upshots import unknown
from nestmate_protocol.signals.votes import voters
from nestmate_protocol.signals.worker import Worker

SETTLED: Final = (
    "Claimed: settled among the workers, because its issuer is silent; it is told once"
    " it is back."
)
_UNSETTLED: Final = frozenset(
    {
        Prospect.RIPE,
        Prospect.HELD,
        Prospect.PAUSED,
        Prospect.BUSY,
        Prospect.FULL,
        Prospect.RELAXED,
        Prospect.UNWANTED,
    }
)
_MINUTE, _HOUR, _TENTHS_BELOW = 60, 3_600, 20


@dataclass(frozen=True, slots=True)
class Explainer:
    """Who can say why; everything is for reading only."""

    field: Field
    worker: Worker
    takers: Takers
    judge: Judge

    def explain(self, task: TaskId, now: Moment) -> Explanation:
        """Why this node claims a task, or not; DeclinedError if it knows none such."""
        cell, claim = self.field.get(task), self.worker.claims.get(task.raw)
        if cell is not None:
            return self._of_cell(cell, claim, now)
        if claim is not None:
            return self._of_claim(claim, now)
        raise unknown(
            "No such task is sensed here: it was never heard of, or is forgotten.",
            "See `nestmate signal ls`, and `nestmate signal show` where it was asked.",
        )

    def ready_ms(self, cell: Cell, now: Moment) -> int | None:
        """From when on this node may claim a task; None where waiting does not help."""
        return self.judge.judge(self._taker(cell, now), cell, now).ready_ms

    def _of_cell(self, cell: Cell, claim: HeldClaim | None, now: Moment) -> Explanation:
        taker = self._taker(cell, now)
        judgement = self.judge.judge(taker, cell, now)
        estimate = judgement.estimate or self.judge.estimate(taker, cell)
        waiting = self.takers.waiting(cell.signal.skill)
        idle = [each for each in waiting if _is_idle(each)]
        prospect = self._prospect(cell.task, judgement, claim, waiting, idle)
        rivals = self._rivals(taker, cell, now)
        tenure = self.worker.tenures.get(cell.task.raw)
        shun = self.judge.shunned(cell.task)
        shunned_ms = shun.until_ms if shun is not None else None
        known = Explanation(
            task=cell.task,
            skill=plain(cell.signal.skill),
            issuer=cell.signal.issuer,
            prospect=prospect,
            sentence="",
            age_seconds=cell.age_seconds(now.mono_ms),
            ready_seconds=_until(judgement.ready_ms, now),
            urgency=urgency_share(cell.signal.urgency_code),
            urgency_counted=urgency_share(code_of(cell.urgency(now.mono_ms))),
            estimate=estimate,
            preference=self.judge.preference(estimate, cell, now),
            rival=max(rivals, key=lambda rival: rival.preference, default=None),
            trust=self.judge.trust(cell.signal.issuer),
            shunned_seconds=_until(shunned_ms, now) or None,
            waiting=len(waiting),
            idle=len(idle),
            room=self.worker.has_room(),
            lease_seconds=_until(tenure.until_ms, now) if tenure else None,
        )
        sentence = self._sentence(known, cell, rivals, now)
        if claim is not None and claim.settled and prospect is Prospect.CLAIMED:
            sentence = SETTLED
        if voters(cell.signal):
            sentence = _voted_sentence(known) or sentence
        if prospect in _UNSETTLED:
            left = self.field.reckoning.left(cell.signal.issuer, now.mono_ms)
            sentence += _price_note(known) + _credit_note(known, ranked=left is None)
            silent = cell.signal.issuer in self.judge.silence
            if silent and not voters(cell.signal):
                sentence += " Its issuer is silent: tasks of others come before it."
        return replace(known, sentence=sentence)

    def _of_claim(self, claim: HeldClaim, now: Moment) -> Explanation:
        """A task that is worked here and has faded from the field."""
        tenure = self.worker.tenures.get(claim.task.raw)
        known = Explanation(
            task=claim.task,
            skill=plain(claim.skill),
            issuer=claim.issuer,
            prospect=Prospect.CLAIMED if tenure else Prospect.FINISHED,
            sentence="",
            urgency=urgency_share(claim.urgency_code),
            urgency_counted=urgency_share(claim.urgency_code),
            trust=self.judge.trust(claim.issuer),
            room=self.worker.has_room(),
            lease_seconds=_until(tenure.until_ms, now) if tenure else None,
        )
        return replace(known, sentence=_engaged_sentence(known))

    def _taker(self, cell: Cell, now: Moment) -> Taker:
        """Who would claim a task first; one that says nothing of itself, if nobody."""
        skill = cell.signal.skill
        found = self.takers.first(cell, now)
        if found is not None:
            return found[1]
        waiting = self.takers.waiting(skill)
        nearest = [each for each in waiting if _is_idle(each)] or waiting
        if nearest:
            return min(nearest, key=lambda t: self.judge.estimate(t, cell).hold)
        return Taker(request=0, speeds={skill: 0.0}, setup_seconds=0.0, named=None)

    def _prospect(
        self,
        task: TaskId,
        judgement: Judgement,
        claim: HeldClaim | None,
        waiting: list[Taker],
        idle: list[Taker],
    ) -> Prospect:
        """What comes of a task here, the nearest reason first."""
        outlook = judgement.outlook
        if claim is not None:
            held = task.raw in self.worker.tenures
            return Prospect.CLAIMED if held else Prospect.FINISHED
        if task.raw in self.worker.settled:
            return Prospect.CONFIRMED
        if outlook is Outlook.ENGAGED:
            return Prospect.ASKED
        if judgement.ready_ms is None or outlook is Outlook.TAKEN:
            return Prospect(outlook.value)
        if not waiting:
            return Prospect.UNWANTED
        if not idle:
            return Prospect.BUSY
        if outlook is Outlook.RIPE and not self.worker.has_room():
            return Prospect.FULL
        return Prospect(outlook.value)

    def _rivals(self, taker: Taker, cell: Cell, now: Moment) -> list[Rival]:
        """The other tasks this taker would claim, now or later."""
        rivals: list[Rival] = []
        for skill in taker.speeds:
            for other in self.field.of_skill(skill):
                _, ready_ms, estimate = self.judge.judge(taker, other, now)
                if other is cell or ready_ms is None or estimate is None:
                    continue
                worth = self.judge.preference(estimate, other, now)
                ready = _until(ready_ms, now) or 0.0
                rivals.append(Rival(other.task, worth, ready))
        return rivals

    def _sentence(
        self, known: Explanation, cell: Cell, rivals: list[Rival], now: Moment
    ) -> str:
        """The last word: what comes of the task here, and why."""
        match known.prospect:
            case Prospect.RIPE | Prospect.HELD:
                return _held_sentence(known, cell, rivals, now)
            case Prospect.SILENT:
                wait = in_words(known.ready_seconds or 0.0)
                return (
                    f"Not claimed: its issuer has not answered, tried again in {wait}."
                )
            case Prospect.PAUSED:
                wait = in_words(known.ready_seconds or 0.0)
                return f"Not claimed: it failed here before, tried again in {wait}."
            case Prospect.TAKEN:
                wait = in_words(known.ready_seconds or 0.0)
                held = "Not claimed: another agent holds it"
                return f"{held}; free in {wait}, if nothing more is heard of it."
            case Prospect.RELAXED:
                return (
                    "Not claimed: whoever waits here is busy and makes way only for"
                    " what is more urgent."
                )
            case Prospect.UNWANTED:
                return _unwanted_sentence(known, self.worker)
            case Prospect.BUSY:
                return (
                    f"Not claimed: whoever waits for {known.skill!r} here has a claim"
                    " of another task on its way."
                )
            case Prospect.FULL:
                return (
                    "Not claimed: this node holds as many claims as it may,"
                    f" {CLAIMS_HELD_MAX}."
                )
            case Prospect.CLOSED:
                return f"Not claimed: {_closed(cell.life.stage)}."
            case Prospect.GONE:
                return f"Not claimed: {_gone(cell, now)}."
            case Prospect.FAILED:
                return "Not claimed: it failed here too often and is left to others."
            case Prospect.DISTRUSTED:
                return "Not claimed: its issuer is blocked here."
            case (
                Prospect.ASKED
                | Prospect.CLAIMED
                | Prospect.FINISHED
                | Prospect.CONFIRMED
            ):
                return _engaged_sentence(known)
            case _:
                assert_never(known.prospect)


def _price_note(known: Explanation) -> str:
    """What would be given up by doing it, while the task is held back for that."""
    found = known.estimate
    if known.prospect is not Prospect.HELD or found is None or not found.price:
        return ""
    return (
        f" Held back {in_words(found.price)} longer, so as not to give up"
        f" {plain(found.context)!r}, which {100 * found.share:.0f} % of tasks ask for."
    )


def _credit_note(known: Explanation, *, ranked: bool) -> str:
    if known.urgency_counted >= known.urgency:
        return ""
    why = (
        "too many of its issuer's last calls are as urgent."
        if ranked
        else "its issuer has no credit for more."
    )
    return (
        f" Its urgency counts as {known.urgency_counted:.2f} and not as"
        f" {known.urgency:.2f}: {why}"
    )


def _is_idle(taker: Taker) -> bool:
    return taker.named is None and taker.claiming is None


def in_words(seconds: float) -> str:
    """A span of time for people, as exact as it matters."""
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h"


def _held_sentence(
    known: Explanation, cell: Cell, rivals: list[Rival], now: Moment
) -> str:
    ready = known.ready_seconds or 0.0
    end_ms = cell.opened_ms + cell.signal.ttl_seconds * 1_000
    if now.mono_ms + 1_000 * ready >= end_ms:
        left = in_words(max(0, end_ms - now.mono_ms) / 1_000)
        return (
            f"Not claimed: it is held back here for {in_words(ready)}, and its time"
            f" ends in {left}."
        )
    mine = (ready, -known.preference)
    before = [r for r in rivals if (r.ready_seconds, -r.preference) < mine]
    first = f"Would be claimed in {in_words(ready)}, if it is still open then"
    if len(before) >= known.idle:
        nearest = min(before, key=lambda r: (r.ready_seconds, -r.preference))
        return f"{first} and {nearest.task.short}, which comes first, is not."
    return f"{first}."


def _unwanted_sentence(known: Explanation, worker: Worker) -> str:
    first = f"Not claimed: nobody here waits for skill {known.skill!r}."
    at_work = sum(
        claim.skill == known.skill and raw in worker.tenures
        for raw, claim in worker.claims.items()
    )
    tasks = "another task of it is" if at_work == 1 else f"{at_work} tasks of it are"
    return f"{first[:-1]}; {tasks} being worked on." if at_work else first


def _engaged_sentence(known: Explanation) -> str:
    if known.prospect is Prospect.ASKED:
        return "Claimed: the issuer's answer has yet to come."
    if known.prospect is Prospect.CLAIMED:
        left = in_words(known.lease_seconds or 0.0)
        return f"Claimed: the lease has {left} left, more if it is renewed."
    if known.prospect is Prospect.FINISHED:
        return "Done here: the result is on its way until its issuer confirms it."
    return "Done here, and confirmed by its issuer."


def _voted_sentence(known: Explanation) -> str:
    """What differs where delegates decide; nothing where nothing does."""
    match known.prospect:
        case Prospect.ASKED:
            return "Claimed: two of its delegates have yet to agree on who gets it."
        case Prospect.SILENT:
            wait = in_words(known.ready_seconds or 0.0)
            return f"Not claimed: its delegates did not agree, tried again in {wait}."
        case _:
            return ""


def _closed(stage: Stage) -> str:
    match stage:
        case Stage.GRANTED:
            return "another agent holds it"
        case Stage.DONE:
            return "another agent has done it"
        case Stage.CANCELLED | Stage.OPEN:
            return "its issuer called it off"
        case _:
            assert_never(stage)


def _gone(cell: Cell, now: Moment) -> str:
    signal = cell.signal
    late = 0 < signal.deadline_ms <= now.wall_ms
    if late or cell.opened_ms + signal.ttl_seconds * 1_000 <= now.mono_ms:
        return "its time is over"
    return "it has faded, because its issuer says it no more"


def _until(due_ms: int | None, now: Moment) -> float | None:
    return None if due_ms is None else max(0, due_ms - now.mono_ms) / 1_000
