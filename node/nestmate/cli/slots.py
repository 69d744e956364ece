"""Slots: each takes one task at a time and runs the command on it.

The task's input goes to the command's standard input, its output becomes the result.
While it runs the lease is renewed. When the lease is lost, when the worker stops, or
when the task makes way for an urgent one, the command is ended with all it started and
its end is waited for; a task that is still ours is given back with what was achieved.
This file knows nothing of why a task was given to us.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any, Final

from nestmate.cli.documents import bytes_of, document_of
from nestmate.cli.job import Job
from nestmate.cli.line import PAUSE_SECONDS
from nestmate.cli.materials import given_of, inputs_of
from nestmate.cli.parcels import carried
from nestmate.cli.shift import LOST, Lease, Shift
from nestmate.client import Cord
from nestmate.errors import NodeError, TimedOutError, UsageError
from nestmate_protocol.limits import REASON_CHARS_MAX, RESULT_BYTES_MAX

LOOK_SECONDS: Final = 0.25
PAUSE_SECONDS_MAX: Final = 30.0
STOPPED: Final = "the worker was stopped"
MADE_WAY: Final = "it made way for a flash task"
_DOUBLINGS_MAX: Final = 7


class Slot:
    """Room for one task; its own thread runs it, others may only interrupt it."""

    def __init__(self, shift: Shift, number: int) -> None:
        self._shift = shift
        self._number = number
        self._lock = threading.Lock()
        self._waiting: Cord | None = None
        self._working: Lease | None = None
        self._handed: Lease | None = None
        self._context = ""
        self._failures = 0

    def __repr__(self) -> str:
        return f"<Slot {self._number}>"

    # --- called from other threads

    def stop(self) -> None:
        """Wait for no further task; the shift says that it is over."""
        with self._lock:
            if self._waiting is not None:
                self._waiting.pull()

    def working(self) -> Lease | None:
        """What is being done here and has not been told to make way yet."""
        with self._lock:
            return self._working if self._handed is None else None

    def hand(self, lease: Lease) -> bool:
        """Have this done next, and at once; False if that cannot be."""
        with self._lock:
            if self._handed or not (self._waiting or self._working):
                return False
            self._handed = lease
            if self._waiting is not None:
                self._waiting.pull()
            return True

    # --- the slot's own thread

    def run(self) -> None:
        """Take and do tasks until enough are done or the shift is over."""
        shift = self._shift
        while not shift.stopping.is_set() and shift.draw():
            spent = False
            while not spent and (lease := self._next()) is not None:
                spent = self._do(lease)
            if not spent:
                shift.put_back()
        with self._lock:
            handed, self._handed = self._handed, None
        if handed is not None:
            self._release(handed, STOPPED, b"")

    def _next(self) -> Lease | None:
        """The lease handed over, or the best there is; None for none in time."""
        with self._lock:
            cord = self._waiting = Cord()
            may_wait = not (self._handed or self._shift.stopping.is_set())
        taken = self._take(cord) if may_wait else None
        with self._lock:
            handed, self._handed, self._waiting = self._handed, None, None
        if handed is not None and taken is not None:
            self._release(taken, MADE_WAY, b"")
        return handed or taken

    def _take(self, cord: Cord) -> Lease | None:
        shift = self._shift
        wish = shift.trade.wish(self._context)
        try:
            return Lease(shift, shift.ask_patiently("claim.take", wish, cord))
        except TimedOutError:
            return None
        except LOST:  # somebody was faster
            shift.stopping.wait(PAUSE_SECONDS)
            return None
        except NodeError:
            if cord.is_pulled:
                return None
            raise

    def _do(self, lease: Lease) -> bool:
        """Run the command on one task; False if it was given back undone."""
        shift, claim = self._shift, lease.claim
        if shift.stopping.is_set():
            self._release(lease, STOPPED, b"")
            return False
        news = {"slot": self._number} if shift.trade.slots > 1 else {}
        shift.tell(what="took", task=lease.task, generation=lease.generation, **news)
        with inputs_of(claim) as inputs:
            return self._run(lease, {**self._environment(claim), **inputs})

    def _run(self, lease: Lease, environment: Mapping[str, str]) -> bool:
        shift, claim = self._shift, lease.claim
        try:
            job = Job(
                shift.trade.command,
                given_of(claim),
                environment,
                partial=bytes_of(claim["partial"]),
                grace_seconds=shift.trade.grace_seconds,
            )
        except OSError as error:
            self._fail(lease, f"{shift.trade.command[0]}: {error.strerror}")
            return True
        self._context = claim["skill"]
        with job:
            self._at_work(lease)
            try:
                return self._follow(lease, job)
            finally:
                self._at_work(None)

    def _at_work(self, lease: Lease | None) -> None:
        with self._lock:
            self._working = lease
        self._shift.changed()

    def _follow(self, lease: Lease, job: Job) -> bool:
        """See a running command to its end; False if its task was given back."""
        shift = self._shift
        while (code := job.wait(LOOK_SECONDS)) is None:
            if lost := lease.keep():
                job.end(shift.hurried.is_set)
                shift.tell(what="lost", task=lease.task, why=lost)
                return True
            if shift.stopping.is_set() or self._handed is not None:
                self._give_back(lease, job)
                return False
        self._at_work(None)
        if code == 0:
            self._finish(lease, job)
            return True
        why = job.complaints(REASON_CHARS_MAX)
        self._fail(lease, f"exit code {code}: {why}".rstrip(": "))
        return True

    def _give_back(self, lease: Lease, job: Job) -> None:
        """End the command and give its task back, both leases kept meanwhile."""
        handed = self._handed

        def in_a_hurry() -> bool:
            lease.keep()
            if handed is not None:
                handed.keep()
            return self._shift.hurried.is_set()

        job.end(in_a_hurry)
        partial = job.partial(RESULT_BYTES_MAX)
        if partial is None:
            why = f"the partial result is larger than {RESULT_BYTES_MAX} bytes"
            self._shift.tell(what="dropped", task=lease.task, why=why)
        self._release(lease, STOPPED if handed is None else MADE_WAY, partial or b"")

    def _finish(self, lease: Lease, job: Job) -> None:
        data = job.output(RESULT_BYTES_MAX)
        wish: dict[str, object] = {"task": lease.task, "parts": data == b""}
        try:
            wish["result"] = self._result(lease, job, data)
            self._shift.ask_patiently("claim.done", wish)
        except LOST as lost:
            self._shift.tell(what="lost", task=lease.task, why=str(lost))
        except UsageError as refusal:  # there is no room for it
            self._fail(lease, str(refusal))
        else:
            self._failures = 0
            self._shift.tell(what="done", task=lease.task)

    def _result(self, lease: Lease, job: Job, data: bytes | None) -> Any:
        """What the command printed, or a reference to it that its issuer can follow."""
        if data == b"":
            return None
        shift = self._shift

        def ask(name: str, wish: Mapping[str, object]) -> dict[str, Any]:
            lease.keep()
            return shift.ask_patiently(name, wish)

        given = {"agents": [lease.claim["issuer"]]}
        return carried(ask, job.printed(), "", RESULT_BYTES_MAX, given)

    def _fail(self, lease: Lease, reason: str) -> None:
        """Say that it cannot be done here, and pause: others are to have their turn.

        A command that keeps failing must not burn through everybody's tasks.
        """
        wish = {"task": lease.task, "reason": reason[:REASON_CHARS_MAX]}
        try:
            self._shift.ask_patiently("claim.fail", wish)
        except LOST:
            pass
        finally:
            self._shift.tell(what="failed", task=lease.task, why=wish["reason"])
        self._failures += 1
        if self._handed is not None:
            return
        doubled = PAUSE_SECONDS * 2.0 ** min(self._failures, _DOUBLINGS_MAX)
        self._shift.stopping.wait(min(PAUSE_SECONDS_MAX, doubled))

    def _release(self, lease: Lease, reason: str, partial: bytes) -> None:
        wish = {
            "task": lease.task,
            "reason": reason,
            "partial": document_of(partial) if partial else None,
        }
        tell, task = self._shift.tell, lease.task
        try:
            self._shift.ask("claim.release", wish)
        except NodeError as trouble:  # the lease runs out by itself
            tell(what="unreleased", task=task, why=str(trouble))
        else:
            tell(what="released", task=task, why=reason)

    def _environment(self, claim: Mapping[str, Any]) -> dict[str, str]:
        return {
            "NESTMATE_HOME": os.fspath(self._shift.trade.home.root),
            "NESTMATE_TASK": claim["task"],
            "NESTMATE_GENERATION": str(claim["generation"]),
            "NESTMATE_SKILL": claim["skill"],
            "NESTMATE_ISSUER": claim["issuer"],
            "NESTMATE_SLOT": str(self._number),
        }
