"""``nestmate work``: a loop that takes tasks of a skill and runs a command on each.

The task's input goes to the command's standard input, its output becomes the result.
While it runs the lease is renewed; when the lease is lost the command is stopped,
because somebody else has the task by then. This file knows nothing of why a task was
given to us.
"""

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.asking import ask
from nestmate.cli.documents import bytes_of, document_of
from nestmate.cli.ears import Ears
from nestmate.cli.homes import home_of
from nestmate.cli.job import Job
from nestmate.cli.output import show_json
from nestmate.errors import (
    ConflictError,
    NodeError,
    NotFoundError,
    NotRunningError,
    TimedOutError,
    UsageError,
)
from nestmate_protocol.limits import REASON_CHARS_MAX, RESULT_BYTES_MAX

TAKE_SECONDS: Final = 25.0
LOOK_SECONDS: Final = 0.25
NODE_AWAY_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.25
PAUSE_SECONDS_MAX: Final = 30.0
_DOUBLINGS_MAX: Final = 7
_LOST: Final = (ConflictError, NotFoundError)

Tell = Callable[[Mapping[str, Any]], None]


class StoppedError(Exception):
    """A signal asked this worker to end; not an error of any task."""


@click.command()
@click.argument("skill")
@click.option("--count", type=click.IntRange(1), help="End after this many tasks.")
@click.option("--once", is_flag=True, help="End after one task.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_obj
def work(
    arguments: Arguments,
    skill: str,
    count: int | None,
    once: bool,
    command: tuple[str, ...],
) -> None:
    """Do tasks of SKILL by running COMMAND on each, until interrupted.

    Write `--` before COMMAND. It finds the task's input on standard input, and
    NESTMATE_TASK, NESTMATE_GENERATION (the fence), NESTMATE_SKILL, NESTMATE_ISSUER
    and NESTMATE_HOME in its environment. Its output is the result. If it fails, the
    task opens again for others.
    """
    if not arguments.divided:
        raise UsageError(
            "Nothing says where your command begins.",
            f"Write `--` before it: nestmate work {skill} -- {' '.join(command)}",
        )
    if shutil.which(command[0]) is None:
        raise NotFoundError(
            f"There is no command {command[0]!r}.", "Name a program that can be run."
        )
    bell = Bell()
    bell.listen()
    worker = Worker(arguments.home, skill, command, _teller(arguments), bell)
    left = 1 if once else count
    try:
        worker.offer()
        while left is None or left > 0:
            if worker.step() and left is not None:
                left -= 1
    except StoppedError:
        worker.tell({"what": "stopped", "skill": skill})


def _teller(arguments: Arguments) -> Tell:
    if arguments.json:
        return show_json

    def tell(news: Mapping[str, Any]) -> None:
        rest = " ".join(f"{k}={v}" for k, v in news.items() if k != "what")
        sys.stderr.write(f"{news['what']} {rest}\n")
        sys.stderr.flush()

    return tell


@dataclass(slots=True)
class Bell:
    """A wish to stop, heard only where stopping leaves nothing half told."""

    rung: bool = False
    _may_interrupt: bool = False

    def listen(self) -> None:
        """Let SIGTERM and SIGINT ring it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ring)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Inside, and on entering, StoppedError is raised once the bell has rung."""
        self._may_interrupt = True
        try:
            if self.rung:
                raise StoppedError
            yield
        finally:
            self._may_interrupt = False

    def _ring(self, _number: int, _frame: object) -> None:
        if self.rung:
            raise KeyboardInterrupt  # twice is meant
        self.rung = True
        if self._may_interrupt:
            self._may_interrupt = False
            raise StoppedError


@dataclass(slots=True)
class Worker:
    """One worker: at most one task at a time."""

    home: str | None
    skill: str
    command: tuple[str, ...]
    tell: Tell
    bell: Bell
    failures: int = 0
    ears: Ears = field(init=False)

    def __post_init__(self) -> None:
        self.ears = Ears(self.home)

    def offer(self) -> None:
        """Make sure the node offers the skill."""
        offered = ask(self.home, "skill.ls")["skills"]
        if all(each["name"] != self.skill for each in offered):
            ask(self.home, "skill.add", {"name": self.skill})
        self.tell({"what": "waiting", "skill": self.skill})

    def step(self) -> bool:
        """Take a task and do it; False if there was none in time."""
        wish = {"skill": self.skill, "timeout": TAKE_SECONDS}
        with self.bell.heard():
            try:
                claim = self._patiently("claim.take", wish)
            except TimedOutError:
                return False
            except _LOST:  # somebody was faster
                time.sleep(PAUSE_SECONDS)
                return False
        task, fence = claim["task"], claim["generation"]
        self.tell({"what": "took", "task": task, "generation": fence})
        if self._do(claim):
            self.failures = 0
        else:
            self.failures += 1
            with self.bell.heard():
                time.sleep(self._pause_seconds())
        return True

    def _pause_seconds(self) -> float:
        """A command that keeps failing must not burn through everybody's tasks."""
        doubled = PAUSE_SECONDS * 2.0 ** min(self.failures, _DOUBLINGS_MAX)
        return min(PAUSE_SECONDS_MAX, doubled)

    def _do(self, claim: Mapping[str, Any]) -> bool:
        """Run the command on one task; False if it failed."""
        task: str = claim["task"]
        try:
            job = Job(self.command, bytes_of(claim["body"]), self._environment(claim))
        except OSError as error:
            self._fail(task, f"{self.command[0]}: {error.strerror}")
            return False
        with job:
            try:
                code = self._watch(job, claim)
            except StoppedError:
                job.end()
                self._release(task)
                raise
            if code is None:
                job.end()
                self.tell({"what": "lost", "task": task})
                return True
            if code != 0:
                why = job.complaints(REASON_CHARS_MAX)
                self._fail(task, f"exit code {code}: {why}".rstrip(": "))
                return False
            return self._finish(task, job)

    def _watch(self, job: Job, claim: Mapping[str, Any]) -> int | None:
        """Renew the lease until the command ends; None if the lease is lost."""
        task, every_seconds = claim["task"], claim["lease_seconds"] / 3
        due = time.monotonic() + every_seconds
        self.ears.open()
        while True:
            with self.bell.heard():
                until_due = max(0.0, due - time.monotonic())
                code = job.wait(min(LOOK_SECONDS, until_due))
            if code is not None:
                return code
            if self.ears.heard_loss(task, claim["generation"]):
                return None
            if time.monotonic() < due:
                continue
            try:
                ask(self.home, "claim.renew", {"task": task})
            except _LOST:
                return None
            except NodeError as trouble:
                self.tell({"what": "unrenewed", "task": task, "why": str(trouble)})
            due = time.monotonic() + every_seconds

    def _finish(self, task: str, job: Job) -> bool:
        data = job.output(RESULT_BYTES_MAX)
        if data is None:
            self._fail(task, f"the output is larger than {RESULT_BYTES_MAX} bytes")
            return False
        wish = {"task": task, "result": document_of(data) if data else None}
        try:
            self._patiently("claim.done", wish)
        except _LOST as lost:
            self.tell({"what": "lost", "task": task, "why": str(lost)})
        except UsageError as refusal:  # as JSON it is larger than as bytes
            self._fail(task, str(refusal))
            return False
        else:
            self.tell({"what": "done", "task": task})
        return True

    def _fail(self, task: str, reason: str) -> None:
        reason = reason[:REASON_CHARS_MAX]
        try:
            self._patiently("claim.fail", {"task": task, "reason": reason})
        except _LOST:
            return
        finally:
            self.tell({"what": "failed", "task": task, "why": reason})

    def _release(self, task: str) -> None:
        wish = {"task": task, "reason": "the worker was stopped"}
        try:
            ask(self.home, "claim.release", wish)
        except NodeError as trouble:  # the lease runs out by itself
            self.tell({"what": "unreleased", "task": task, "why": str(trouble)})
        else:
            self.tell({"what": "released", "task": task})

    def _patiently(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call, and wait a while for a node that is just being restarted."""
        deadline = time.monotonic() + NODE_AWAY_SECONDS
        while True:
            try:
                return ask(self.home, name, payload)
            except NotRunningError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _environment(self, claim: Mapping[str, Any]) -> dict[str, str]:
        return {
            "NESTMATE_HOME": str(home_of(Arguments(self.home, json=False)).root),
            "NESTMATE_TASK": claim["task"],
            "NESTMATE_GENERATION": str(claim["generation"]),
            "NESTMATE_SKILL": claim["skill"],
            "NESTMATE_ISSUER": claim["issuer"],
        }
