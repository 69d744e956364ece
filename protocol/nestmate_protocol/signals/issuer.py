"""The issuer: the one sequencer of its own tasks.

``open(g) -> granted(g) -> done``, or by lapse or release ``open(g+1)``. The generation
is the fence: whatever comes under an older one is answered with the truth and changes
nothing. What was promised is saved before anyone is told; the first valid result is
saved once and every repetition gets the same receipt. An exclusive task whose holder
falls silent waits for it and is given to nobody else. The issuer knows no peer and
nothing of who works at the other end. Where delegates vote on a task, it abides by what
they decided.
"""

from collections.abc import Iterable, Sized
from dataclasses import replace

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import plain
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    LEASE_SECONDS_MAX,
    REASON_CHARS_MAX,
    TASK_BODY_BYTES_MAX,
    TASK_INLINE_BODY_BYTES_MAX,
    TASKS_FINISHED_KEPT_MAX,
    TASKS_OWN_MAX,
)
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.apart import had_another
from nestmate_protocol.signals.cells import Life, Stage, done, granted
from nestmate_protocol.signals.claims import (
    Beat,
    Cancel,
    Claim,
    Done,
    Release,
)
from nestmate_protocol.signals.digest import Digest
from nestmate_protocol.signals.emitter import Emitter
from nestmate_protocol.signals.events import task_event
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.lessons import learn
from nestmate_protocol.signals.levels import value_of
from nestmate_protocol.signals.outcomes import Reject, ToAgent, ToTopic
from nestmate_protocol.signals.papers import (
    Run,
    bare_lease,
    measured_ms,
    receipt,
    run_of,
)
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.records import TaskClass, task_id
from nestmate_protocol.signals.requests import TaskStatus
from nestmate_protocol.signals.response import Speeds
from nestmate_protocol.signals.rivals import went_on
from nestmate_protocol.signals.shelf import Order, OwnTask, task_key, write_task
from nestmate_protocol.signals.stock import Stock
from nestmate_protocol.signals.testimony import Witness
from nestmate_protocol.signals.upshots import Over, Step, busy, conflict, unknown

SILENT = "its holder is silent, and an exclusive task waits for it"
NOBODY = "nobody did it in time"

_LAPSE, _END = "lapse", "end"
_OPEN, _GRANTED = TaskStatus.OPEN, TaskStatus.GRANTED
_DONE, _CANCELLED = TaskStatus.DONE, TaskStatus.CANCELLED


class Issuer:
    """All tasks this agent asked for; ``tasks`` is for reading."""

    def __init__(
        self,
        pen: Pen,
        field: Field,
        speeds: Speeds,
        emitter: Emitter,
        *,
        digest: Digest,
        witness: Witness,
    ) -> None:
        self.tasks: dict[bytes, OwnTask] = {}
        self.stock = Stock(self.tasks)
        self._pen = pen
        self._field = field
        self._speeds = speeds
        self._emitter = emitter
        self._digest = digest
        self._witness = witness
        self._runs: dict[bytes, Run] = {}
        self._closed: dict[bytes, None] = {}
        self._alarms: Alarms[tuple[str, bytes]] = Alarms()

    def start(self, tasks: Iterable[OwnTask], now: Moment) -> None:
        """Take up saved tasks; a lease that was running gets a whole term from now."""
        for own in sorted(tasks, key=lambda own: (own.order.created_ms, own.task)):
            self.tasks[own.task.raw] = own
            run = self._runs[own.task.raw] = run_of(own, now)
            if own.status in {_DONE, _CANCELLED}:
                self._closed[own.task.raw] = None
                continue
            self._alarms.set((_END, own.task.raw), run.end_ms)
            if own.status == _GRANTED:
                self._emitter.forgot(own.task)
                lease_ms = own.order.lease_seconds * 1_000
                self._extend(own.task, replace(run, lease_ms=lease_ms), now)
            elif not own.waits:
                self._emitter.resume(own, run.opened_ms, now)

    def deposit(self, order: Order, now: Moment) -> tuple[TaskId, list[Step]]:
        """Open a task, or find that the very same was asked for before.

        One that takes inputs is kept until ``call``. Raises DeclinedError if its key is
        taken or there is no room.
        """
        task = task_id(self._pen.me, order.key)
        known = self.tasks.get(task.raw)
        if known is not None:
            if replace(order, created_ms=known.order.created_ms) != known.order:
                raise conflict(
                    "This key already names another task of yours.",
                    "Repeat the same request, or choose another key.",
                )
            return task, []
        steps = self._make_room()
        own = self.tasks[task.raw] = OwnTask(task, order, _OPEN, 1)
        run = self._runs[task.raw] = run_of(own, now)
        self._alarms.set((_END, task.raw), run.end_ms)
        steps.append(_save(own))
        if own.waits:
            return task, steps
        return task, steps + self._emitter.call(own, run.opened_ms, now, paid=False)

    def call(self, task: TaskId, now: Moment) -> list[Step]:
        """The inputs of a task are all here: its time as an open one begins."""
        own, run = self.tasks[task.raw], self._runs[task.raw]
        opened_ms = own.order.created_ms + max(1, now.mono_ms - run.opened_ms)
        own = self.tasks[task.raw] = replace(own, opened_ms=opened_ms)
        self._runs[task.raw] = replace(run, opened_ms=now.mono_ms)
        event = task_event("task.opened", own, self._pen.me)
        called = self._emitter.call(own, now.mono_ms, now, paid=False)
        return [_save(own), *called, event]

    def withdraw(self, task: TaskId) -> list[Step]:
        """Cancel an own task; DeclinedError if there is none or it is done."""
        own = self.tasks.get(task.raw)
        if own is None:
            raise unknown("No task of yours has this id.", "See `nestmate signal ls`.")
        if own.status == _DONE:
            raise conflict("The task is done; its result is in `nestmate signal show`.")
        return [] if own.status == _CANCELLED else self.cancel(own, "withdrawn")

    def claimed(self, claim: Claim, now: Moment) -> list[Step]:
        """A worker wants a task: the first valid claim gets the lease."""
        own = self.tasks.get(claim.task.raw)
        seen = claim.generation
        if own is None or not (_is_open(own, seen) or went_on(own, seen)):
            return self.answer(claim.task, claim.worker, claim.generation, now)
        if had_another(self.tasks, own, claim.worker):
            over = self._pen.sign(Cancel(own.task, seen))
            return [ToAgent(claim.worker, over.data)]
        own = replace(own, generation=seen)
        run = replace(
            self._runs[own.task.raw], estimate_ms=claim.estimate_ms, renewal=0
        )
        longest, own = claim.lease_seconds_max, replace(own, granted_ms=now.wall_ms)
        return self._give(own, claim.worker, run, now, longest)

    def _give(
        self,
        own: OwnTask,
        worker: Address,
        run: Run,
        now: Moment,
        longest: int = LEASE_SECONDS_MAX,
    ) -> list[Step]:
        """A worker gets the lease, and everybody else hears of it by and by.

        Of one who went on alone it was not seen since when it works.
        """
        own = self.tasks[own.task.raw] = replace(
            own, status=_GRANTED, holder=worker, reason=""
        )
        seconds = min(own.order.lease_seconds, longest)
        self._extend(own.task, replace(run, lease_ms=seconds * 1_000), now)
        self._emitter.hush(own.task)
        life = granted(own.task, own.generation, worker)
        self._field.tell(self._pen.me, own.task, life)
        bare = bare_lease(own, worker, self._runs[own.task.raw], now)
        lease = self._pen.sign(bare).data
        _retire(self._digest, self._emitter, own, lease, now)
        return [
            _save(own),
            ToAgent(worker, self._grant(own, worker, now)),
            task_event("task.granted", own, self._pen.me),
        ]

    def elected(
        self, task: TaskId, generation: int, holder: Address, now: Moment
    ) -> list[Step]:
        """The delegates of a task have decided who has it; its issuer abides by that.

        Since when it works was not seen here.
        """
        own = self.tasks.get(task.raw)
        if own is None or own.status not in {_OPEN, _GRANTED}:
            return []
        taken = own.generation + (own.status == _GRANTED)
        if generation < taken:
            return []
        own = replace(own, generation=generation, granted_ms=0)
        run = replace(self._runs[own.task.raw], estimate_ms=0, renewal=0)
        return self._give(own, holder, run, now)

    def beaten(self, beat: Beat, now: Moment) -> list[Step]:
        """The holder is alive: its lease runs anew, once per beat.

        Who works under a settled claim when the issuer is back gets its lease now.
        """
        own = self.tasks.get(beat.task.raw)
        if own is not None and went_on(own, beat.generation):
            own = replace(own, generation=beat.generation, granted_ms=0)
            run = replace(self._runs[own.task.raw], estimate_ms=0, renewal=beat.n)
            return self._give(own, beat.worker, run, now)
        if own is None or not _holds(own, beat.worker, beat.generation):
            return self.answer(beat.task, beat.worker, beat.generation, now)
        run = self._runs[beat.task.raw]
        if beat.n <= run.renewal:
            return []
        self._extend(own.task, replace(run, renewal=beat.n), now)
        run = self._runs[own.task.raw]
        lease = self._pen.sign(bare_lease(own, beat.worker, run, now))
        return [ToAgent(beat.worker, lease.data)]

    def finished(self, result: Done, now: Moment) -> list[Step]:
        """The holder's result: saved once, told once, receipted every time.

        Who did it while this issuer was silent is thanked just as well, but what was
        not seen is not measured. Without the result itself its worker gets a lease
        term to bring it.
        """
        own, worker = self.tasks.get(result.task.raw), result.worker
        held = own is not None and _holds(own, worker, result.generation)
        if own is None or not (held or went_on(own, result.generation)):
            return self.answer(result.task, worker, result.generation, now)
        if result.result is None:
            run = replace(self._runs[result.task.raw], estimate_ms=0, renewal=0)
            own = replace(own, generation=result.generation, granted_ms=0)
            return [] if held else self._give(own, worker, run, now)
        seen = held and own.granted_ms > 0
        own = self.tasks[own.task.raw] = replace(
            own,
            status=_DONE,
            generation=result.generation,
            holder=worker,
            result=result.result,
            measured_ms=measured_ms(own, result.measured_ms, now) if seen else 0,
            partial=None,
            reason="",
        )
        if seen:
            self._witness.learned(own.order.skill, now)
        life = done(own.task, own.generation, worker)
        self._field.tell(self._pen.me, own.task, life)
        thanks = self._pen.sign(receipt(own, worker)).data
        _retire(self._digest, self._emitter, own, thanks, now)
        _close(self._alarms, self._emitter, own)
        self._closed[own.task.raw] = None
        return [
            _save(own),
            *([_learn(self._speeds, own, worker)] if seen else []),
            task_event("task.done", own, self._pen.me),
            ToAgent(worker, thanks),
            Over(own.task),
        ]

    def released(self, release: Release, now: Moment) -> list[Step]:
        """The holder gives the task back: it opens under the next generation."""
        own = self.tasks.get(release.task.raw)
        if own is not None and went_on(own, release.generation):
            own = replace(own, generation=release.generation, holder=release.worker)
        elif own is None or not _holds(own, release.worker, release.generation):
            return self.answer(release.task, release.worker, release.generation, now)
        verb = "failed" if release.failed else "released"
        reason = plain(f"{verb}: {release.reason}")[:REASON_CHARS_MAX]
        own = replace(own, partial=release.partial or own.partial)
        return self._reopen(own, reason, now)

    def wake(self, now: Moment) -> list[Step]:
        """Let lapse and end what is due."""
        steps: list[Step] = []
        for kind, raw in self._alarms.ring(now.mono_ms):
            own = self.tasks[raw]
            exclusive = own.order.task_class == TaskClass.EXCLUSIVE
            if kind == _LAPSE and own.holder:
                steps += self._lapse(own, own.holder, now)
            elif kind == _END and (own.status == _OPEN or exclusive):
                steps += self.cancel(own, NOBODY)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._alarms.next()

    def _lapse(self, own: OwnTask, holder: Address, now: Moment) -> list[Step]:
        if own.order.task_class == TaskClass.EXCLUSIVE:
            self.tasks[own.task.raw] = replace(own, reason=SILENT)
            self._extend(own.task, self._runs[own.task.raw], now)
            return [ToAgent(holder, self._grant(own, holder, now))]
        return self._reopen(own, "the lease lapsed", now)

    def _reopen(self, own: OwnTask, reason: str, now: Moment) -> list[Step]:
        """Open the next generation, unless time is up; the last holder's is over."""
        if self._runs[own.task.raw].end_ms <= now.mono_ms:
            return self.cancel(own, NOBODY)
        last, generation = own.holder, own.generation
        own = self.tasks[own.task.raw] = replace(
            own, status=_OPEN, generation=generation + 1, holder=None, reason=reason
        )
        self._alarms.clear((_LAPSE, own.task.raw))
        self._digest.drop(own.task)
        steps: list[Step] = [_save(own)]
        if last is not None and not own.order.delegates:
            over = self._pen.sign(Cancel(own.task, generation))
            steps.append(ToAgent(last, over.data))
        opened_ms = self._runs[own.task.raw].opened_ms
        steps += self._emitter.call(own, opened_ms, now, paid=True)
        return [*steps, task_event("task.reopened", own, self._pen.me)]

    def cancel(self, own: OwnTask, reason: str) -> list[Step]:
        """A live task is over without a result; its holder is told to stop."""
        holder, audience = own.holder, self._emitter.audience(own.task)
        own = self.tasks[own.task.raw] = replace(own, status=_CANCELLED, reason=reason)
        self._digest.drop(own.task)
        _close(self._alarms, self._emitter, own)
        self._closed[own.task.raw] = None
        life = Life(own.generation, Stage.CANCELLED)
        self._field.tell(self._pen.me, own.task, life)
        cancel = self._pen.sign(Cancel(own.task, own.generation)).data
        steps: list[Step] = [_save(own)]
        if holder is not None:
            steps.append(ToAgent(holder, cancel))
        if audience.wide:
            steps.append(ToTopic(own.order.skill, cancel, 0, urgent=True))
        those = audience.greeted if audience.wide else audience.told
        others = [agent for agent in those.values() if agent != holder]
        steps += [ToAgent(agent, cancel) for agent in others]
        return [
            *steps,
            task_event("task.cancelled", own, self._pen.me),
            Over(own.task),
        ]

    def answer(
        self, task: TaskId, worker: Address, generation: int, now: Moment
    ) -> list[Step]:
        """The truth for a worker that was too late, or asks what it was told before.

        Delegates take a cancellation for the end of a task, so none is said of an old
        generation of theirs.
        """
        own = self.tasks.get(task.raw)
        if own is None:
            return [ToAgent(worker, self._pen.sign(Cancel(task, generation)).data)]
        steps: list[Step] = []
        if generation != own.generation:
            steps.append(Reject(Fault.STALE_GENERATION, strike=False))
        if generation < own.generation and not own.order.delegates:
            over = self._pen.sign(Cancel(task, generation))
            steps.append(ToAgent(worker, over.data))
        cell = self._field.get(task)
        if own.status == _GRANTED:
            steps.append(ToAgent(worker, self._grant(own, worker, now)))
        elif own.status == _DONE and own.holder:
            thanks = self._pen.sign(receipt(own, own.holder))
            steps.append(ToAgent(worker, thanks.data))
        elif own.status == _CANCELLED:
            cancel = self._pen.sign(Cancel(task, max(own.generation, generation)))
            steps.append(ToAgent(worker, cancel.data))
        elif cell is not None and cell.signal.generation == own.generation:
            age_ms = now.mono_ms - cell.sent_ms
            steps.append(ToAgent(worker, cell.data, age_ms))
        return steps

    def _grant(self, own: OwnTask, asker: Address, now: Moment) -> bytes:
        """The lease as its holder needs it, or as anybody else may see it."""
        run = self._runs[own.task.raw]
        lease = bare_lease(own, own.holder or asker, run, now)
        body = own.order.body
        if asker == own.holder:
            sent = body if len(body) > TASK_INLINE_BODY_BYTES_MAX else None
            room = TASK_BODY_BYTES_MAX - len(sent or b"")
            partial = own.partial if len(own.partial or b"") <= room else None
            supplies = self.stock.supplies(own, room - len(partial or b""))
            lease = replace(lease, body=sent, partial=partial, inputs=supplies)
        return self._pen.sign(lease).data

    def _extend(self, task: TaskId, run: Run, now: Moment) -> None:
        """Start a lease term now."""
        until_ms = now.mono_ms + run.lease_ms
        self._runs[task.raw] = replace(run, until_ms=until_ms)
        self._alarms.set((_LAPSE, task.raw), until_ms)

    def _make_room(self) -> list[Step]:
        """Forget the oldest closed tasks beyond what is kept; DeclinedError if full.

        Those whose results are still taken stay.
        """
        writes: list[tuple[bytes, None]] = []
        if _is_crowded(self._closed, self.tasks):
            needed = self.stock.needed()
            for raw in [raw for raw in self._closed if raw not in needed]:
                if not _is_crowded(self._closed, self.tasks):
                    break
                del self._closed[raw], self.tasks[raw], self._runs[raw]
                writes.append((task_key(TaskId(raw)), None))
        if len(self.tasks) >= TASKS_OWN_MAX:
            raise busy(
                f"You have {TASKS_OWN_MAX} tasks open.", "Withdraw some, or wait."
            )
        return [Save(tuple(writes), durable=False)] if writes else []


def _close(alarms: Alarms[tuple[str, bytes]], emitter: Emitter, own: OwnTask) -> None:
    """Nothing more is due of a task, and nothing more is said of it."""
    alarms.clear((_LAPSE, own.task.raw))
    alarms.clear((_END, own.task.raw))
    emitter.forget(own.task)


def _is_crowded(closed: Sized, tasks: Sized) -> bool:
    return len(closed) > TASKS_FINISHED_KEPT_MAX or len(tasks) >= TASKS_OWN_MAX


def _retire(
    digest: Digest, emitter: Emitter, own: OwnTask, news: bytes, now: Moment
) -> None:
    """Let those who heard the call know by and by that it is answered."""
    skill, audience = own.order.skill, emitter.audience(own.task)
    if audience.wide:
        digest.tell_topic(own.task, skill, news, audience.greeted.values(), now)
    else:
        others = [agent for agent in audience.told.values() if agent != own.holder]
        digest.tell(own.task, skill, news, others, now)


def _is_open(own: OwnTask, generation: int) -> bool:
    return own.status == _OPEN and not own.waits and own.generation == generation


def _holds(own: OwnTask, worker: Address, generation: int) -> bool:
    return (
        own.status == _GRANTED and own.holder == worker and own.generation == generation
    )


def _save(own: OwnTask) -> Save:
    return Save((write_task(own),))


def _learn(speeds: Speeds, own: OwnTask, holder: Address) -> Save:
    size = value_of(own.order.size_code)
    return learn(speeds, holder, own.order.skill, size, own.measured_ms / 1_000)
