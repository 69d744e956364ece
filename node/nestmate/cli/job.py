"""One run of somebody's command: its input in, its output and complaints out.

It runs in a session of its own, so that ending it ends whatever it started too, and
what it reads and writes lies in files without names, so that no pipe can fill up.
This file knows nothing of tasks.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import IO, Final, Self

KILL_AFTER_SECONDS: Final = 5.0


class Job:
    """A command at work; a context manager that leaves nothing running behind.

    Raises OSError if the command cannot be started.
    """

    def __init__(
        self, command: Sequence[str], given: bytes, environment: Mapping[str, str]
    ) -> None:
        with ExitStack() as opened:
            source = opened.enter_context(tempfile.TemporaryFile())
            self._output = opened.enter_context(tempfile.TemporaryFile())
            self._complaints = opened.enter_context(tempfile.TemporaryFile())
            source.write(given)
            source.seek(0)
            self._process = subprocess.Popen(  # noqa: S603 - what the user asked for
                command,
                stdin=source,
                stdout=self._output,
                stderr=self._complaints,
                env=os.environ | environment,
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
        if self._process.poll() is None:
            self.end()
        self._files.close()

    def wait(self, seconds: float) -> int | None:
        """Its exit code once it has ended, None if it still runs when time is up."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def end(self) -> None:
        """Ask it to end, then make it; whatever it started ends with it."""
        self._tell_all(signal.SIGTERM)
        if self.wait(KILL_AFTER_SECONDS) is None:
            self.kill()
        self._tell_all(signal.SIGKILL)

    def kill(self) -> None:
        """End it at once."""
        self._tell_all(signal.SIGKILL)
        self._process.wait()

    def output(self, bytes_max: int) -> bytes | None:
        """What it wrote; None if that is more than ``bytes_max``."""
        self._output.seek(0)
        data = self._output.read(bytes_max + 1)
        return None if len(data) > bytes_max else data

    def complaints(self, bytes_max: int) -> str:
        """The end of what it complained about."""
        return _tail(self._complaints, bytes_max)

    def _tell_all(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _tail(file: IO[bytes], bytes_max: int) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - bytes_max))
    return file.read().decode(errors="replace").strip()
