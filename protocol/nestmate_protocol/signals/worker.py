"""The worker: claims tasks, keeps their leases, and delivers results until confirmed.

Whatever a local agent is promised is saved before it is told. A result is said again,
with growing pauses and across restarts, until its issuer's receipt comes. A lease that
ran out is not lost before its issuer says so, because the fence protects the task and
an issuer may be slow; after four terms of silence the worker gives it up. It knows no
peer and nothing of who waits for work here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, TypeVar, assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Save
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    CLAIMS_HELD_MAX,
    LEASE_SECONDS_MAX,
    RESULTS_UNCONFIRMED_MAX,
    SIGNAL_TTL_SECONDS_MAX,
)
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.claims import Beat, Claim, Done, Lease, Release
from nestmate_protocol.signals.courier import Courier, Parcel, pause_ms
from nestmate_protocol.signals.events import claim_event
from nestmate_protocol.signals.field import Cell, Life, Stage
from nestmate_protocol.signals.outcomes import ToAgent
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.records import Signal, TaskClass
from nestmate_protocol.signals.shelf import HeldClaim, Phase, claim_key, write_claim
from nestmate_protocol.signals.upshots import (
    Confirmed,
    Missed,
    Step,
    Unanswered,
    Won,
    conflict,
    unknown,
)

SILENT_TERMS_MAX: Final = 4
RESULT_KEPT_MS: Final = SIGNAL_TTL_SECONDS_MAX * 1_000
RESTARTED: Final = "this node was restarted"
_REMEMBERED_MAX: Final = 1_024
_Kept = TypeVar("_Kept")
_WANT, _TENURE = "want", "tenure"


@dataclass(frozen=True, slots=True)
class Want:
    """A claim on its way; ``patient`` ones are repeated until they are answered."""

    task: TaskId
    signal: Signal
    generation: int
    asked_ms: int
    patient: bool
    data: bytes
    setup_ms: int = 0
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a task would take here in all, and how much of that is set-up."""

    seconds: float
    setup_seconds: float = 0.0


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
    """All claims of this node; ``claims`` and ``tenures`` are for reading."""

    def __init__(self, pen: Pen) -> None:
        self.claims: dict[bytes, HeldClaim] = {}
        self.tenures: dict[bytes, Tenure] = {}
        self.settled: dict[bytes, int] = {}
        self._pen = pen
        self._wants: dict[bytes, Want] = {}
        self._late: dict[bytes, Want] = {}
        self._courier = Courier()
        self._alarms: Alarms[tuple[str, bytes]] = Alarms()

    def start(self, claims: Iterable[HeldClaim], now: Moment) -> list[Step]:
        """Take up what is saved: results go on, leases go back to their issuers.

        The lease of an exclusive task stays, because its work may have begun; only
        the local agent can say.
        """
        steps: list[Step] = []
        me = self._pen.me
        for claim in claims:
            raw = claim.task.raw
            if claim.phase == Phase.FINISHED:
                self.claims[raw] = claim
                steps += self._post(
                    claim, _result(claim, self._pen.me), RESULT_KEPT_MS, now
                )
            elif claim.task_class == TaskClass.EXCLUSIVE:
                self.claims[raw] = claim
                self.tenures[raw] = Tenure(now.mono_ms, now.mono_ms)
            else:
                steps.append(Save(((claim_key(claim.task), None),), durable=False))
                gone = _release(claim, me, RESTARTED, b"", failed=False)
                steps += self._post(claim, gone, claim.lease_seconds * 1_000, now)
        return steps

    def is_engaged(self, task: TaskId) -> bool:
        """Whether this node claims, holds or has finished the task."""
        return task.raw in self.claims or task.raw in self._wants

    def has_room(self) -> bool:
        """Whether this node may claim one more task."""
        return len(self.tenures) + len(self._wants) < CLAIMS_HELD_MAX

    def claim(
        self, cell: Cell, plan: Plan, now: Moment, *, patient: bool
    ) -> list[Step]:
        """Ask the issuer for a task that would take so long here.

        Won, Missed or Unanswered follows.
        """
        signal, me = cell.signal, self._pen.me
        claim = Claim(
            task=cell.task,
            worker=me,
            generation=cell.life.generation,
            estimate_ms=round(1_000 * plan.seconds),
            lease_seconds_max=LEASE_SECONDS_MAX,
        )
        data = self._pen.sign(claim).data
        setup_ms = round(1_000 * plan.setup_seconds)
        want = Want(
            cell.task, signal, claim.generation, now.mono_ms, patient, data, setup_ms
        )
        self._late.pop(cell.task.raw, None)
        self._wants[cell.task.raw] = want
        self._alarms.set((_WANT, cell.task.raw), now.mono_ms + pause_ms(1))
        return [ToAgent(signal.issuer, data)]

    def forget(self, task: TaskId) -> None:
        """Wait for an answer no longer; should a lease come all the same, take it."""
        want = self._wants.pop(task.raw, None)
        self._alarms.clear((_WANT, task.raw))
        if want is not None:
            _remember(self._late, task.raw, want)

    def renew(self, task: TaskId, now: Moment) -> tuple[int, list[Step]]:
        """Ask for another term; the fence in force. DeclinedError without a lease."""
        claim, tenure = _held(self, task)
        tenure = self.tenures[task.raw] = replace(
            tenure, beats=tenure.beats + 1, beat_ms=now.mono_ms
        )
        beat = Beat(task, self._pen.me, claim.generation, tenure.beats, 0)
        return claim.generation, [ToAgent(claim.issuer, self._pen.sign(beat).data)]

    def release(
        self, task: TaskId, reason: str, partial: bytes, now: Moment, *, failed: bool
    ) -> tuple[int, list[Step]]:
        """Give a held task back; the fence it was under. DeclinedError without."""
        claim, _ = _held(self, task)
        del self.claims[task.raw], self.tenures[task.raw]
        self._alarms.clear((_TENURE, task.raw))
        body = _release(claim, self._pen.me, reason, partial, failed=failed)
        steps: list[Step] = [Save(((claim_key(task), None),))]
        lease_ms = claim.lease_seconds * 1_000
        return claim.generation, steps + self._post(claim, body, lease_ms, now)

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
        self._alarms.clear((_TENURE, task.raw))
        steps = self._make_room()
        claim = self.claims[task.raw] = replace(
            claim,
            phase=Phase.FINISHED,
            result=result,
            measured_ms=max(1, now.mono_ms - tenure.started_ms - tenure.setup_ms),
            finished_ms=max(0, now.wall_ms),
            body=b"",
            partial=b"",
        )
        steps.append(Save((write_claim(claim),)))
        steps += self._post(claim, _result(claim, self._pen.me), RESULT_KEPT_MS, now)
        return claim.generation, steps

    def leased(self, issuer: Address, lease: Lease, now: Moment) -> list[Step]:
        """The issuer names this node the holder: for the first time, or once more."""
        raw = lease.task.raw
        claim = self.claims.get(raw)
        if claim is not None:
            if claim.issuer == issuer and claim.generation == lease.generation:
                self._renewed(claim, lease)
            return []
        want = self._wants.get(raw) or self._late.get(raw)
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

    def told(self, issuer: Address, task: TaskId, life: Life) -> list[Step]:
        """The issuer says how the task stands: what that ends here, ends."""
        raw, me = task.raw, self._pen.me.raw
        steps: list[Step] = []
        want = self._wants.get(raw) or self._late.get(raw)
        if want and want.signal.issuer == issuer and _over(life, want.generation, me):
            self._late.pop(raw, None)
            if self._wants.pop(raw, None):
                self._alarms.clear((_WANT, raw))
                steps.append(Missed(task, _why(life)))
        parcel = self._courier.get(task)
        if parcel and parcel.address == issuer and _over(life, parcel.generation, me):
            self._courier.drop(task)
        claim = self.claims.get(raw)
        if claim and claim.issuer == issuer and _over(life, claim.generation, me):
            confirmed = (
                claim.phase == Phase.FINISHED
                and life.generation == claim.generation
                and life.stage == Stage.DONE
                and life.holder == me
            )
            why = "" if confirmed else _why(life)
            steps += self._end(claim, why)
        return steps

    def agent_up(self, address: Address, now: Moment) -> list[Step]:
        """An issuer can be reached: say at once what it has not answered."""
        steps: list[Step] = []
        for raw, want in self._wants.items():
            if want.signal.issuer == address and want.asked_ms < now.mono_ms:
                steps.append(ToAgent(address, want.data))
                self._alarms.set((_WANT, raw), now.mono_ms + pause_ms(1))
        return steps + self._courier.agent_up(address, now)

    def wake(self, now: Moment) -> list[Step]:
        """Repeat what was not answered, and give up what is over."""
        steps = self._courier.wake(now)
        for kind, raw in self._alarms.ring(now.mono_ms):
            if kind == _WANT:
                steps += self._ask_again(self._wants[raw], now)
            else:
                why = f"its issuer was silent for {SILENT_TERMS_MAX} lease terms"
                steps += self._end(self.claims[raw], why)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        times = (self._alarms.next(), self._courier.next_wakeup())
        return min((time for time in times if time is not None), default=None)

    def _ask_again(self, want: Want, now: Moment) -> list[Step]:
        if not want.patient:
            self.forget(want.task)
            return [Unanswered(want.task)]
        tries = want.tries + 1
        self._wants[want.task.raw] = replace(want, tries=tries)
        self._alarms.set((_WANT, want.task.raw), now.mono_ms + pause_ms(tries))
        return [ToAgent(want.signal.issuer, want.data)]

    def _take(self, want: Want, lease: Lease, now: Moment) -> list[Step]:
        """The lease has come: keep it, if the body is the one the signal promised."""
        raw, signal = want.task.raw, want.signal
        self._wants.pop(raw, None)
        self._late.pop(raw, None)
        self._alarms.clear((_WANT, raw))
        body = signal.body if lease.body is None else lease.body
        claim = HeldClaim(
            task=want.task,
            issuer=signal.issuer,
            skill=signal.skill,
            generation=lease.generation,
            task_class=signal.task_class,
            lease_seconds=lease.lease_seconds,
            urgency_code=signal.urgency_code,
            body=body or b"",
            partial=lease.partial or b"",
        )
        lease_ms = lease.lease_seconds * 1_000
        if sha256(claim.body).digest() != signal.body_hash:
            why = "the body is not the one its signal promised"
            refusal = _release(claim, self._pen.me, why, b"", failed=True)
            return [
                *self._post(claim, refusal, lease_ms, now),
                Missed(want.task, why),
            ]
        self.claims[raw] = claim
        until_ms = want.asked_ms + lease_ms
        self.tenures[raw] = Tenure(now.mono_ms, until_ms, want.setup_ms)
        _watch(self._alarms, claim, until_ms)
        self._courier.drop(want.task)
        return [Save((write_claim(claim),)), Won(want.task)]

    def _renewed(self, claim: HeldClaim, lease: Lease) -> None:
        """A lease for our last beat starts the term at that beat.

        One for a later beat than we know of was asked for before a restart.
        """
        tenure = self.tenures.get(claim.task.raw)
        if tenure is not None and lease.renewal > tenure.beats:
            tenure = replace(tenure, beats=lease.renewal)
            self.tenures[claim.task.raw] = tenure
        if tenure is None or lease.renewal != tenure.beats or not tenure.beat_ms:
            return
        until_ms = tenure.beat_ms + lease.lease_seconds * 1_000
        if until_ms > tenure.until_ms:
            self.tenures[claim.task.raw] = replace(tenure, until_ms=until_ms)
            _watch(self._alarms, claim, until_ms)

    def _end(self, claim: HeldClaim, lost: str) -> list[Step]:
        """A claim is over: confirmed, or lost for the reason given."""
        raw = claim.task.raw
        del self.claims[raw]
        self.tenures.pop(raw, None)
        self._alarms.clear((_TENURE, raw))
        self._courier.drop(claim.task)
        steps: list[Step] = [Save(((claim_key(claim.task), None),), durable=False)]
        if lost:
            steps.append(claim_event("claim.lost", claim, lost))
            return [*steps, Missed(claim.task, lost)]
        _remember(self.settled, raw, claim.generation)
        return [*steps, claim_event("claim.settled", claim), Confirmed(claim.task)]

    def _post(
        self, claim: HeldClaim, body: Done | Release, keep_ms: int, now: Moment
    ) -> list[Step]:
        data = self._pen.sign(body).data
        parcel = Parcel(claim.issuer, claim.generation, data, now.mono_ms + keep_ms)
        return self._courier.post(claim.task, parcel, now)

    def _make_room(self) -> list[Step]:
        """Give up the oldest unconfirmed result if there are too many."""
        waiting = [c for c in self.claims.values() if c.phase == Phase.FINISHED]
        if len(waiting) < RESULTS_UNCONFIRMED_MAX:
            return []
        oldest = min(waiting, key=lambda claim: (claim.finished_ms, claim.task))
        return self._end(oldest, "too many results wait for their issuers")


def _watch(alarms: Alarms[tuple[str, bytes]], claim: HeldClaim, until_ms: int) -> None:
    """See to it that a claim whose issuer stays silent ends some day."""
    if claim.task_class != TaskClass.EXCLUSIVE:
        silence_ms = (SILENT_TERMS_MAX - 1) * claim.lease_seconds * 1_000
        alarms.set((_TENURE, claim.task.raw), until_ms + silence_ms)


def _held(worker: Worker, task: TaskId) -> tuple[HeldClaim, Tenure]:
    claim, tenure = worker.claims.get(task.raw), worker.tenures.get(task.raw)
    if claim is None or tenure is None:
        raise unknown(
            "This node holds no claim on the task.", "See `nestmate claim ls`."
        )
    return claim, tenure


def _over(life: Life, generation: int, me: bytes) -> bool:
    """Whether this life ends a claim of ``me`` under a generation."""
    if life.generation != generation:
        return life.generation > generation
    if life.stage == Stage.GRANTED:
        return life.holder != me
    return life.stage != Stage.OPEN


def _why(life: Life) -> str:
    match life.stage:
        case Stage.DONE:
            return "another agent has done it"
        case Stage.GRANTED:
            return "another agent holds it"
        case Stage.OPEN:
            return "it was opened again for others"
        case Stage.CANCELLED:
            return "its issuer called it off"
        case _:
            assert_never(life.stage)


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


def _remember(memory: dict[bytes, _Kept], raw: bytes, what: _Kept) -> None:
    memory.pop(raw, None)
    memory[raw] = what
    while len(memory) > _REMEMBERED_MAX:
        del memory[next(iter(memory))]
