"""``nestmate work``: a loop that takes tasks of a skill and runs a command on each.

The task's input goes to the command's standard input, its output becomes the result.
While it runs the lease is renewed; when the lease is lost the command is stopped,
because somebody else has the task by then. This file knows nothing of why a task was
given to us.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.asking import ask
from nestmate.cli.output import show_json
from nestmate.errors import ConflictError, NodeError, NotFoundError, TimedOutError
from nestmate_protocol.limits import REASON_CHARS_MAX, RESULT_BYTES_MAX

TAKE_SECONDS: Final = 25.0
KILL_AFTER_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.05
NODE_AWAY_SECONDS: Final = 60.0
_USAGE: Final = {"ignore_unknown_options": True, "allow_interspersed_args": False}


class Stopped(BaseException):
    """A signal asked this worker to end; not an error of any task."""


@click.command(context_settings=_USAGE)
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

    COMMAND finds the task's input on standard input and NESTMATE_TASK,
    NESTMATE_GENERATION (the fence), NESTMATE_SKILL and NESTMATE_ISSUER in its
    environment. Its output is the result. If it fails, the task opens again.
    """
    worker = Worker(arguments.home, skill, command, _teller(arguments))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    left = 1 if once else count
    try:
        worker.offer()
        while left is None or left > 0:
            if worker.step() and left is not None:
                left -= 1
    except Stopped:
        worker.give_back()


def _stop(_number: int, _frame: object) -> None:
    raise Stopped


def _teller(arguments: Arguments) -> Callable[[Mapping[str, Any]], None]:
    if arguments.json:
        return show_json

    def tell(news: Mapping[str, Any]) -> None:
        rest = " ".join(f"{k}={v}" for k, v in news.items() if k != "what")
        sys.stderr.write(f"{news['what']} {rest}\n")
        sys.stderr.flush()

    return tell


@dataclass(slots=True)
class Worker:
    """One worker: at most one task at a time."""

    home: str | None
    skill: str
    command: tuple[str, ...]
    tell: Callable[[Mapping[str, Any]], None]
    task: str = ""
    process: subprocess.Popen[bytes] | None = None

    def offer(self) -> None:
        """Make sure the node offers the skill."""
        offered = ask(self.home, "skill.ls")["skills"]
        if all(each["name"] != self.skill for each in offered):
            ask(self.home, "skill.add", {"name": self.skill})
        self.tell({"what": "waiting", "skill": self.skill})

    def step(self) -> bool:
        """Take a task and do it; False if there was none in time."""
        try:
            claim = self._patiently(
                "claim.take", {"skill": self.skill, "timeout": TAKE_SECONDS}
            )
        except (TimedOutError, ConflictError):
            return False
        self.task = claim["task"]
        self.tell(
            {"what": "took", "task": self.task, "generation": claim["generation"]}
        )
        self._do(claim)
        self.task = ""
        return True

    def give_back(self) -> None:
        """End a running command and release its task."""
        self._end_command()
        if self.task:
            ask(
                self.home,
                "claim.release",
                {"task": self.task, "reason": "the worker was stopped"},
            )
            self.tell({"what": "released", "task": self.task})

    def _do(self, claim: Mapping[str, Any]) -> None:
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as complaints,
        ):
            given.write(_input(claim["body"]))
            given.seek(0)
            try:
                self.process = subprocess.Popen(  # noqa: S603 - what the user asked for
                    self.command,
                    stdin=given,
                    stdout=output,
                    stderr=complaints,
                    env=os.environ | _environment(claim),
                    start_new_session=True,
                )
            except OSError as error:
                self._fail(f"{self.command[0]}: {error.strerror}")
                return
            if not self._watch(self.process, claim["lease_seconds"] / 3):
                self._end_command()
                self.tell({"what": "lost", "task": self.task})
                return
            code, self.process = self.process.returncode, None
            if code != 0:
                self._fail(f"exit code {code}: {_tail(complaints)}".rstrip(": "))
            else:
                self._finish(output)

    def _watch(self, process: subprocess.Popen[bytes], every_seconds: float) -> bool:
        """Renew the lease until the command ends; False if the lease is lost."""
        due = time.monotonic() + every_seconds
        while True:
            try:
                process.wait(max(POLL_SECONDS, due - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            else:
                return True
            try:
                ask(self.home, "claim.renew", {"task": self.task})
            except (ConflictError, NotFoundError):
                return False
            except NodeError as trouble:
                self.tell({"what": "unrenewed", "task": self.task, "why": str(trouble)})
            due = time.monotonic() + every_seconds

    def _finish(self, output: IO[bytes]) -> None:
        output.seek(0)
        data = output.read(RESULT_BYTES_MAX + 1)
        if len(data) > RESULT_BYTES_MAX:
            self._fail(f"the output is larger than {RESULT_BYTES_MAX} bytes")
            return
        try:
            self._patiently("claim.done", {"task": self.task, "result": _result(data)})
        except (ConflictError, NotFoundError) as lost:
            self.tell({"what": "lost", "task": self.task, "why": str(lost)})
            return
        self.tell({"what": "done", "task": self.task})

    def _fail(self, reason: str) -> None:
        reason = reason[:REASON_CHARS_MAX]
        try:
            self._patiently("claim.fail", {"task": self.task, "reason": reason})
        except (ConflictError, NotFoundError):
            return
        finally:
            self.tell({"what": "failed", "task": self.task, "why": reason})

    def _patiently(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call, and wait a while for a node that is just being restarted."""
        deadline = time.monotonic() + NODE_AWAY_SECONDS
        while True:
            try:
                return ask(self.home, name, payload)
            except (TimedOutError, ConflictError, NotFoundError):
                raise
            except NodeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(1.0)

    def _end_command(self) -> None:
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _input(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _result(data: bytes) -> Any:
    text = data.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _environment(claim: Mapping[str, Any]) -> dict[str, str]:
    return {
        "NESTMATE_TASK": claim["task"],
        "NESTMATE_GENERATION": str(claim["generation"]),
        "NESTMATE_SKILL": claim["skill"],
        "NESTMATE_ISSUER": claim["issuer"],
    }


def _tail(complaints: IO[bytes]) -> str:
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - REASON_CHARS_MAX))
    return complaints.read().decode(errors="replace").strip()
