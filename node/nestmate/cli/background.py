"""A node in the background: starting its process, and seeing it gone.

The process is this very command in the foreground, in a session of its own; what it
says before it is ready is passed on as if it had been said here. This file knows
nothing of what a node does.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from nestmate.cli import TRACEBACK_VARIABLE
from nestmate.cli.asking import ask
from nestmate.errors import NodeError, TimedOutError
from nestmate.home import HOME_VARIABLE, Home

READY_SECONDS_MAX: Final = 30.0
DOWN_SECONDS_MAX: Final = 15.0
POLL_SECONDS: Final = 0.02
TOLD_BYTES_MAX: Final = 64 * 1024


def refuse_if_taken(home: Home) -> None:
    """Raise BusyError naming the process that works on this home, if one does."""
    from nestmate.store.lock import FolderLock  # noqa: PLC0415 - only to start

    FolderLock(home.store).release()


def start(home: Home, words: Sequence[str]) -> dict[str, Any]:
    """Start ``nestmate up WORDS``; the node's status once it is ready.

    Raises what the process raised, or TimedOutError.
    """
    command = [sys.executable, "-P", "-m", "nestmate"]
    command += ["--home", str(home.root), "--json", "up", *words]
    environment = {HOME_VARIABLE: str(home.root), TRACEBACK_VARIABLE: "1"}
    home.prepare_run()
    with _start_log(home).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            cwd=home.root,
            env=os.environ | environment,
        )
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            _raise_as_told(home, process.returncode)
        if pid_of(home) == process.pid:
            try:
                return ask(str(home.root), "status")
            except NodeError:
                pass  # the door is not open yet
        time.sleep(POLL_SECONDS)
    raise TimedOutError(
        "The node has started but does not answer yet.", f"Look into {home.log_file}."
    )


def stop(home: Home) -> None:
    """End the node and wait until it is gone; NotRunningError if there is none."""
    pid = pid_of(home)
    ask(str(home.root), "down")
    deadline = time.monotonic() + DOWN_SECONDS_MAX
    while pid is not None and pid_of(home) == pid and _is_there(pid):
        if time.monotonic() > deadline:
            raise TimedOutError(
                f"The node is still stopping (process {pid}).", "Wait a little longer."
            )
        time.sleep(POLL_SECONDS)


def pid_of(home: Home) -> int | None:
    """The process that says it is the node of this home."""
    try:
        return int(home.pid_file.read_text())
    except (OSError, ValueError):
        return None


def _start_log(home: Home) -> Path:
    return home.log / "start.log"


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _raise_as_told(home: Home, code: int) -> NoReturn:
    """Raise what the process in the background said before it ended."""
    import msgspec  # noqa: PLC0415 - only on this path

    from nestmate.operations.problems import Problem, error_of  # noqa: PLC0415 - as above

    with _start_log(home).open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - TOLD_BYTES_MAX))
        told = log.read().splitlines()
    try:
        error = error_of(msgspec.json.decode(told[-1], type=Problem))
    except (msgspec.MsgspecError, IndexError):
        error = NodeError(
            f"The node ended while it started, with exit code {code}.",
            f"Look into {_start_log(home)}.",
        )
    raise error
