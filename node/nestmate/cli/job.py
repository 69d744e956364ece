"""One run of somebody's command: its input in, its output and complaints out.

It runs in a session of its own, so that ending it ends whatever it started too, and
what it reads and writes lies in files without names, so that no pipe can fill up. Only
the file for partial results has a name, because the command is to write it anew.
This file knows nothing of tasks.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from nestmate.errors import NotFoundError

GRACE_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.05
BURIAL_SECONDS: Final = 5.0
PARTIAL: Final = "NESTMATE_PARTIAL"


def check_command(command: Sequence[str]) -> None:
    """Raise NotFoundError if there is no such program."""
    if shutil.which(command[0]) is None:
        raise NotFoundError(
            f"There is no command {command[0]!r}.", "Name a program that can be run."
        )


class Job:
    """A command at work; a context manager that leaves nothing running behind.

    ``partial`` is what the file named in NESTMATE_PARTIAL holds at first. Raises
    OSError if the command cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        given: bytes,
        environment: Mapping[str, str],
        *,
        partial: bytes = b"",
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._grace_seconds = grace_seconds
        with ExitStack() as opened:
            source = opened.enter_context(tempfile.TemporaryFile())
            self._output = opened.enter_context(tempfile.TemporaryFile())
            self._complaints = opened.enter_context(tempfile.TemporaryFile())
            folder = tempfile.TemporaryDirectory(
                prefix="nestmate-task-", ignore_cleanup_errors=True
            )
            self._partial = Path(opened.enter_context(folder)) / "partial"
            self._partial.write_bytes(partial)
            source.write(given)
            source.seek(0)
            told = {**environment, PARTIAL: os.fspath(self._partial)}
            self._process = subprocess.Popen(  # noqa: S603 - what the user asked for
                command,
                stdin=source,
                stdout=self._output,
                stderr=self._complaints,
                env=os.environ | told,
                start_new_session=True,
            )
            source.close()
            self._files = opened.pop_all()

    def __repr__(self) -> str:
        return f"<Job {self._process.pid}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.end()
        self._files.close()

    def wait(self, seconds: float) -> int | None:
        """Its exit code once it has ended, None if it still runs when time is up."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def end(self, in_a_hurry: Callable[[], bool] = lambda: False) -> None:
        """Ask it and all it started to end, then make what is left; wait for that.

        ``in_a_hurry`` is asked again and again and cuts the time for a good end short;
        it may raise, and then nothing is left running either.
        """
        if not self.lives():
            return
        try:
            self._tell_all(signal.SIGTERM)
            deadline = time.monotonic() + self._grace_seconds
            while self.lives() and time.monotonic() < deadline and not in_a_hurry():
                time.sleep(LOOK_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it and all it started at once, and wait until that is so."""
        self._tell_all(signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + BURIAL_SECONDS
        while self.lives() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)  # what init has adopted dies by itself

    def lives(self) -> bool:
        """Whether it, or anything it started, still runs."""
        return self._process.poll() is None or _lives(self._process.pid)

    def output(self, bytes_max: int) -> bytes | None:
        """What it wrote; None if that is more than ``bytes_max``."""
        self._output.seek(0)
        data = self._output.read(bytes_max + 1)
        return None if len(data) > bytes_max else data

    def printed(self) -> IO[bytes]:
        """All it wrote, to be read from the start."""
        self._output.seek(0)
        return self._output

    def complaints(self, bytes_max: int) -> str:
        """The end of what it complained about."""
        return _tail(self._complaints, bytes_max)

    def partial(self, bytes_max: int) -> bytes | None:
        """What it has left in its file; None if that is more than ``bytes_max``.

        Without such a file there is nothing.
        """
        if not self._partial.is_file():
            return b""
        try:
            with self._partial.open("rb") as file:
                data = file.read(bytes_max + 1)
        except OSError:
            return b""
        return None if len(data) > bytes_max else data

    def _tell_all(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _lives(group: int) -> bool:
    """Whether a process group has a member that does more than wait for its burial.

    Where there is no /proc, a dead member that nobody has buried counts as alive.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    states = _states(group)
    return not states or any(state not in {b"Z", b"X"} for state in states)


def _states(group: int) -> list[bytes]:
    """The states of a group's members, as proc(5) writes them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # gone meanwhile
            state, _, of = stat.read_bytes().rpartition(b")")[2].split()[:3]
            if int(of) == group:
                found.append(state)
    return found


def _tail(file: IO[bytes], bytes_max: int) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - bytes_max))
    return file.read().decode(errors="replace").strip()
