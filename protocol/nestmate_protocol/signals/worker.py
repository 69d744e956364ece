"""The worker: claims tasks, keeps their leases, and delivers results until confirmed.

Whatever a local agent is promised is saved before it is told. A result is said again,
with growing pauses and across restarts, until its issuer's receipt comes. A lease that
ran out is not lost before its issuer says so, because the fence protects the task and
an issuer may be slow; after four terms of silence the worker gives it up. It knows no
peer and nothing of who waits for work here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Save
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    CLAIMS_HELD_MAX,
    RESULTS_UNCONFIRMED_MAX,
    SIGNAL_TTL_SECONDS_MAX,
)
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.asking import (
    Asking,
    Want,
    is_over,
    remember,
    why_over,
)
from nestmate_protocol.signals.cells import Life, Stage
from nestmate_protocol.signals.claims import Beat, Done, Lease, Release
from nestmate_protocol.signals.courier import Courier, Parcel
from nestmate_protocol.signals.events import claim_event
from nestmate_protocol.signals.outcomes import ToAgent, ToTopic
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.pledges import Pledges
from nestmate_protocol.signals.records import TaskClass
from nestmate_protocol.signals.shelf import HeldClaim, Phase, claim_key, write_claim
from nestmate_protocol.signals.upshots import (
    Confirmed,
    Lacking,
    Missed,
    Step,
    Won,
    conflict,
    unknown,
)
from nestmate_protocol.signals.votes import Decision

SILENT_TERMS_MAX: Final = 4
RESULT_KEPT_MS: Final = SIGNAL_TTL_SECONDS_MAX * 1_000
RESTARTED: Final = "this node was restarted"


@dataclass(frozen=True, slots=True)
class Tenure:
    """How a held lease runs; times are monotonic ms.

    A term counts from the message that asked for it, so that it never outlasts the
    issuer's own count.
    """

    started_ms: int
    until_ms: int
    setup_ms: int = 0
    beats: int = 0
    beat_ms: int = 0


class Worker:
    """All claims of this node; ``claims``, ``tenures`` and ``spent`` are for reading.

    ``spent`` holds for each task the last generation under which a claim of this node
    ended without a result; it claims that task again only under a later one.
    """

    def __init__(self, pen: Pen, rule: Rule) -> None:
        self.claims: dict[bytes, HeldClaim] = {}
        self.tenures: dict[bytes, Tenure] = {}
        self.settled: dict[bytes, int] = {}
        self.spent: dict[bytes, int] = {}
        self.asking = Asking(pen, rule)
        self.pledges = Pledges()
        self._pen = pen
        self._courier = Courier()
        self._alarms: Alarms[bytes] = Alarms()

    def start(self, claims: Iterable[HeldClaim], now: Moment) -> list[Step]:
        """Take up what is saved: results go on, leases go back to their issuers.

        The lease of an exclusive task stays, because its work may have begun; only
        the local agent can say. So does one that ends with the parts of its task.
        """
        steps: list[Step] = []
        me = self._pen.me
        for claim in claims:
            raw = claim.task.raw
            if claim.phase == Phase.FINISHED:
                self.claims[raw] = claim
                steps += self._courier.post(
                    claim.task,
                    _parcel(
                        self._pen,
                        claim,
                        _result(claim, self._pen.me),
                        now.mono_ms + RESULT_KEPT_MS,
                    ),
                    now,
                )
            elif claim.gathering or (
                claim.task_class == TaskClass.EXCLUSIVE and claim.is_whole
            ):
                self.claims[raw] = claim
                self.tenures[raw] = Tenure(now.mono_ms, now.mono_ms)
                _watch(self._alarms, claim, now.mono_ms)
            else:
                remember(self.spent, raw, claim.generation)
                steps.append(Save(((claim_key(claim.task), None),), durable=False))
                gone = _release(claim, me, RESTARTED, b"", failed=False)
                steps += self._courier.post(
                    claim.task,
                    _parcel(
                        self._pen,
                        claim,
                        gone,
                        now.mono_ms + claim.lease_seconds * 1_000,
                    ),
                    now,
                )
                steps += _to_rivals(self._pen, claim, gone)
        return steps

    def is_engaged(self, task: TaskId) -> bool:
        """Whether this node claims, holds or has finished the task."""
        return task.raw in self.claims or task in self.asking

    def has_room(self) -> bool:
        """Whether this node may claim one more task."""
        return len(self.tenures) + len(self.asking) < CLAIMS_HELD_MAX

    def settle(self, task: TaskId, generation: int, now: Moment) -> list[Step]:
        """Workers agree that the task of a silent issuer is this node's."""
        want = self.asking.attempts[task.raw]
        self.asking.drop(task)
        seconds = want.signal.lease_seconds
        claim = _claim_of(want, generation, seconds, want.signal.body or b"")
        until_ms = now.mono_ms + seconds * 1_000
        tenure = Tenure(now.mono_ms, until_ms, want.setup_ms)
        return self._hold(replace(claim, settled=True), tenure)

    def renew(self, task: TaskId, now: Moment) -> tuple[int, list[Step]]:
        """Ask for another term; the fence in force. DeclinedError without a lease."""
        claim, tenure = _held(self, task)
        term_ms = now.mono_ms + claim.lease_seconds * 1_000
        tenure = self.tenures[task.raw] = replace(
            tenure,
            beats=tenure.beats + 1,
            beat_ms=now.mono_ms,
            until_ms=term_ms if claim.settled else tenure.until_ms,
        )
        beat = Beat(task, self._pen.me, claim.generation, tenure.beats, 0)
        data = self._pen.sign(beat).data
        hearers = dict.fromkeys((claim.issuer, *claim.delegates))
        return claim.generation, [ToAgent(agent, data) for agent in hearers]

    def count_beat(self, task: TaskId) -> int:
        """The number of one more beat of a held task, to whomever it goes."""
        tenure = self.tenures[task.raw]
        self.tenures[task.raw] = replace(tenure, beats=tenure.beats + 1)
        return tenure.beats + 1

    def release(
        self, task: TaskId, reason: str, partial: bytes, now: Moment, *, failed: bool
    ) -> tuple[int, list[Step]]:
        """Give a held task back; the fence it was under. DeclinedError without."""
        claim, _ = _held(self, task)
        del self.claims[task.raw], self.tenures[task.raw]
        self._alarms.clear(task.raw)
        remember(self.spent, task.raw, claim.generation)
        body = _release(claim, self._pen.me, reason, partial, failed=failed)
        steps: list[Step] = [Save(((claim_key(task), None),))]
        if claim.delegates:
            steps.append(self.pledges.give(task, claim.generation, now))
        lease_ms = claim.lease_seconds * 1_000
        keep_ms = RESULT_KEPT_MS if claim.delegates else lease_ms
        steps += self._courier.post(
            claim.task, _parcel(self._pen, claim, body, now.mono_ms + keep_ms), now
        )
        steps += _to_delegates(self._pen, claim, body)
        return claim.generation, steps + _to_rivals(self._pen, claim, body)

    def finish(
        self, task: TaskId, result: bytes, now: Moment
    ) -> tuple[int, list[Step]]:
        """Save a result and begin to deliver it; the fence it goes under.

        Repeating it does nothing. Raises DeclinedError without a lease, and for a
        second, different result.
        """
        known = self.claims.get(task.raw)
        if known is None and task.raw in self.settled:
            return self.settled[task.raw], []
        if known is not None and known.phase == Phase.FINISHED:
            if known.result != result:
                raise conflict("The task was finished with another result.")
            return known.generation, []
        claim, tenure = _held(self, task)
        del self.tenures[task.raw]
        self._alarms.clear(task.raw)
        oldest = _oldest_unconfirmed(self.claims)
        why = "too many results wait for their issuers"
        steps = self.end(oldest, why) if oldest else []
        claim = self.claims[task.raw] = replace(
            claim,
            phase=Phase.FINISHED,
            result=result,
            measured_ms=max(1, now.mono_ms - tenure.started_ms - tenure.setup_ms),
            finished_ms=max(0, now.wall_ms),
            body=b"",
            partial=b"",
            inputs=(),
            gathering=False,
        )
        steps.append(Save((write_claim(claim),)))
        done = _result(claim, self._pen.me)
        if claim.delegates:
            given = self.pledges.give(task, claim.generation, now, done.result_hash)
            steps.append(given)
        steps += self._courier.post(
            claim.task,
            _parcel(self._pen, claim, done, now.mono_ms + RESULT_KEPT_MS),
            now,
        )
        steps += _to_delegates(self._pen, claim, replace(done, result=None))
        return claim.generation, steps

    def elected(self, task: TaskId, decision: Decision, now: Moment) -> list[Step]:
        """The delegates of a task name this node its holder, which asked for it.

        Nothing if it did not, or has pledged not to begin under this generation.
        """
        want, generation = self.asking.get(task), decision.generation
        if want is None or not want.delegates or generation < want.generation:
            return []
        if task.raw in self.claims or not self.pledges.allows(task, generation):
            return []
        self.asking.drop(task)
        seconds = want.signal.lease_seconds
        claim = _claim_of(want, generation, seconds, want.signal.body or b"")
        claim = replace(claim, delegates=want.delegates, votes=decision.votes)
        until_ms = now.mono_ms + seconds * 1_000
        return self._hold(claim, Tenure(now.mono_ms, until_ms, want.setup_ms))

    def leased(self, issuer: Address, lease: Lease, now: Moment) -> list[Step]:
        """The issuer names this node the holder: for the first time, or once more."""
        raw = lease.task.raw
        claim = self.claims.get(raw)
        if claim is not None:
            if claim.issuer == issuer and claim.generation == lease.generation:
                return self._renewed(claim, lease)
            return []
        want = self.asking.get(lease.task)
        if (
            want is not None
            and want.signal.issuer == issuer
            and want.generation == lease.generation
        ):
            return self._take(want, lease, now)
        if self.settled.get(raw) == lease.generation or self._courier.get(lease.task):
            return []
        refusal = Release(
            lease.task,
            self._pen.me,
            lease.generation,
            "not asked for",
            partial=None,
            failed=False,
        )
        return [ToAgent(issuer, self._pen.sign(refusal).data)]

    def told(
        self, issuer: Address, task: TaskId, life: Life, *, straight: bool = False
    ) -> list[Step]:
        """The issuer says how the task stands: what that ends here, ends.

        Said ``straight`` by its own node it is how the task stands now, and ends also
        what workers settled among themselves under a later generation.
        """
        raw, me = task.raw, self._pen.me.raw
        steps = self.asking.told(issuer, task, life)
        parcel = self._courier.get(task)
        if parcel and parcel.address == issuer and is_over(life, parcel.generation, me):
            self._courier.drop(task)
        claim = self.claims.get(raw)
        if claim is None or claim.issuer != issuer:
            return steps
        taken = life.stage == Stage.GRANTED and life.holder != me
        overruled = claim.settled and straight and taken
        if overruled or is_over(life, claim.generation, me):
            confirmed = (
                claim.phase == Phase.FINISHED
                and life.generation == claim.generation
                and life.stage == Stage.DONE
                and life.holder == me
            )
            why = "" if confirmed else why_over(life)
            steps += self.end(claim, why)
        return steps

    def agent_up(self, address: Address, now: Moment) -> list[Step]:
        """An issuer can be reached: say at once what it has not answered."""
        asked = self.asking.agent_up(address, now)
        return asked + self._courier.agent_up(address, now)

    def wake(self, now: Moment) -> list[Step]:
        """Repeat what was not answered, and give up what is over."""
        steps = self._courier.wake(now) + self.asking.wake(now)
        for raw in self._alarms.ring(now.mono_ms):
            steps += self._give_up(self.claims[raw], now)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        parts = (self._courier, self.asking)
        times = (self._alarms.next(), *(part.next_wakeup() for part in parts))
        return min((time for time in times if time is not None), default=None)

    def _give_up(self, claim: HeldClaim, now: Moment) -> list[Step]:
        """A claim ends when for some terms neither issuer nor agent said a word."""
        beat_ms = self.tenures[claim.task.raw].beat_ms
        due_ms = beat_ms + SILENT_TERMS_MAX * claim.lease_seconds * 1_000
        if beat_ms and due_ms > now.mono_ms:
            self._alarms.set(claim.task.raw, due_ms)
            return []
        why = f"its issuer was silent for {SILENT_TERMS_MAX} lease terms"
        return self.end(claim, why)

    def _take(self, want: Want, lease: Lease, now: Moment) -> list[Step]:
        """The lease has come: keep it, if the body is the one the signal promised."""
        signal = want.signal
        self.asking.drop(want.task)
        body = signal.body if lease.body is None else lease.body
        claim = _claim_of(want, lease.generation, lease.lease_seconds, body or b"")
        claim = replace(claim, partial=lease.partial or b"", inputs=lease.inputs)
        lease_ms = lease.lease_seconds * 1_000
        if sha256(claim.body).digest() != signal.body_hash:
            why = "the body is not the one its signal promised"
            refusal = _release(claim, self._pen.me, why, b"", failed=True)
            return [
                *self._courier.post(
                    claim.task,
                    _parcel(self._pen, claim, refusal, now.mono_ms + lease_ms),
                    now,
                ),
                Missed(want.task, why),
            ]
        until_ms = want.asked_ms + lease_ms
        return self._hold(claim, Tenure(now.mono_ms, until_ms, want.setup_ms))

    def _hold(self, claim: HeldClaim, tenure: Tenure) -> list[Step]:
        """A claim of this node begins; it is saved before anybody is told."""
        raw = claim.task.raw
        self.claims[raw] = claim
        self.tenures[raw] = tenure
        _watch(self._alarms, claim, tenure.until_ms)
        self._courier.drop(claim.task)
        taken = Won(claim.task) if claim.is_whole else Lacking(claim.task)
        return [Save((write_claim(claim),)), taken]

    def _renewed(self, claim: HeldClaim, lease: Lease) -> list[Step]:
        """A lease for our last beat starts the term at that beat.

        One for a later beat than we know of was asked for before a restart. What was
        settled among workers is the issuer's to say from now on.
        """
        steps: list[Step] = []
        if claim.settled and claim.phase == Phase.HELD:
            claim = self.claims[claim.task.raw] = replace(claim, settled=False)
            steps.append(Save((write_claim(claim),)))
        tenure = self.tenures.get(claim.task.raw)
        if tenure is not None and lease.renewal > tenure.beats:
            tenure = replace(tenure, beats=lease.renewal)
            self.tenures[claim.task.raw] = tenure
        if tenure is None or lease.renewal != tenure.beats or not tenure.beat_ms:
            return steps
        until_ms = tenure.beat_ms + lease.lease_seconds * 1_000
        if until_ms > tenure.until_ms:
            self.tenures[claim.task.raw] = replace(tenure, until_ms=until_ms)
            _watch(self._alarms, claim, until_ms)
        return steps

    def end(self, claim: HeldClaim, lost: str) -> list[Step]:
        """A claim is over: confirmed, or lost for the reason given."""
        raw = claim.task.raw
        del self.claims[raw]
        self.tenures.pop(raw, None)
        self._alarms.clear(raw)
        self._courier.drop(claim.task)
        steps: list[Step] = [Save(((claim_key(claim.task), None),), durable=False)]
        if lost:
            remember(self.spent, raw, claim.generation)
            steps.append(claim_event("claim.lost", claim, lost))
            return [*steps, Missed(claim.task, lost)]
        remember(self.settled, raw, claim.generation)
        return [*steps, claim_event("claim.settled", claim), Confirmed(claim.task)]


def _parcel(pen: Pen, claim: HeldClaim, body: Done | Release, until_ms: int) -> Parcel:
    """What an issuer is told of the end of a claim until it answers."""
    data, proof = pen.sign(body).data, claim.votes
    return Parcel(claim.issuer, claim.generation, data, until_ms, proof=proof)


def _to_rivals(pen: Pen, claim: HeldClaim, body: Release) -> list[Step]:
    """Those who would take a settled claim over need not wait for its term."""
    if not claim.settled:
        return []
    return [ToTopic(claim.skill, pen.sign(body).data, 0, urgent=False)]


def _to_delegates(pen: Pen, claim: HeldClaim, body: Done | Release) -> list[Step]:
    """Those who decided hear how it ended, with the proof that they decided."""
    data = pen.sign(body).data
    steps: list[Step] = []
    for agent in claim.delegates:
        proof = () if agent == pen.me else claim.votes
        steps += [ToAgent(agent, each) for each in (*proof, data)]
    return steps


def _claim_of(
    want: Want, generation: int, lease_seconds: int, body: bytes
) -> HeldClaim:
    signal = want.signal
    return HeldClaim(
        task=want.task,
        issuer=signal.issuer,
        skill=signal.skill,
        generation=generation,
        task_class=signal.task_class,
        lease_seconds=lease_seconds,
        urgency_code=signal.urgency_code,
        body=body,
        partial=b"",
        estimate_ms=want.estimate_ms,
    )


def _oldest_unconfirmed(claims: Mapping[bytes, HeldClaim]) -> HeldClaim | None:
    """Which result to give up for another one, if there are too many."""
    waiting = [claim for claim in claims.values() if claim.phase == Phase.FINISHED]
    if len(waiting) < RESULTS_UNCONFIRMED_MAX:
        return None
    return min(waiting, key=lambda claim: (claim.finished_ms, claim.task))


def _watch(alarms: Alarms[bytes], claim: HeldClaim, until_ms: int) -> None:
    """See to it that a claim whose issuer stays silent ends some day."""
    if claim.task_class != TaskClass.EXCLUSIVE:
        silence_ms = (SILENT_TERMS_MAX - 1) * claim.lease_seconds * 1_000
        alarms.set(claim.task.raw, until_ms + silence_ms)


def _held(worker: Worker, task: TaskId) -> tuple[HeldClaim, Tenure]:
    claim, tenure = worker.claims.get(task.raw), worker.tenures.get(task.raw)
    if claim is None or tenure is None:
        raise unknown(
            "This node holds no claim on the task.", "See `nestmate claim ls`."
        )
    return claim, tenure


def _result(claim: HeldClaim, me: Address) -> Done:
    return Done(
        task=claim.task,
        worker=me,
        generation=claim.generation,
        result=claim.result,
        result_hash=sha256(claim.result).digest(),
        measured_ms=claim.measured_ms,
    )


def _release(
    claim: HeldClaim, me: Address, reason: str, partial: bytes, *, failed: bool
) -> Release:
    return Release(
        claim.task, me, claim.generation, reason, partial or None, failed=failed
    )
