"""Processes we started, remembered so that never another one is signalled.

A pid alone is not enough: pids come round again. A process is ours while its pid and
the moment it started are the same as when we wrote them down. This file knows nothing
of what the processes do.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

POLL_SECONDS: Final = 0.02
_START_FIELD: Final = 19  # of what follows the name in /proc/PID/stat; see proc(5)
_STATE_FIELD: Final = 0
_PARENT_FIELD: Final = 1
_TICKS_FIELDS: Final = slice(11, 13)  # in user mode and in the kernel
_PAGES_FIELD: Final = 21
_ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)
# Our own children, so that they are reaped; others' are reaped by others.
_children: Final[dict[int, subprocess.Popen[bytes]]] = {}


class Process(msgspec.Struct, frozen=True):
    """A process by its pid and by when it started (kernel ticks; 0 if unknown)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this pid now."""
        return cls(pid, _started(pid) or 0)

    @property
    def runs(self) -> bool:
        """Whether it is still the one we started, and not just a corpse."""
        _reap(self.pid)
        started = _started(self.pid)
        return started is not None and started == self.started

    @property
    def sleeps(self) -> bool:
        """Whether it was stopped by a signal and waits to be resumed."""
        fields = _stat(self.pid) if self.runs else []
        return bool(fields) and fields[_STATE_FIELD] in {"T", "t"}

    @property
    def parent(self) -> int:
        """The process that started it; 0 if it is gone."""
        fields = _stat(self.pid) if self.runs else []
        return int(fields[_PARENT_FIELD]) if fields else 0

    @property
    def cpu_seconds(self) -> float:
        """Time it has spent on a processor; 0 if it is gone."""
        fields = _stat(self.pid) if self.runs else []
        ticks = sum(int(each) for each in fields[_TICKS_FIELDS])
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def resident_bytes(self) -> int:
        """Memory it holds; 0 if it is gone."""
        fields = _stat(self.pid) if self.runs else []
        return int(fields[_PAGES_FIELD]) * os.sysconf("SC_PAGESIZE") if fields else 0

    def tell(self, number: signal.Signals) -> bool:
        """Send a signal to it, and to it alone; False if it is gone."""
        if not self.runs:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def tell_group(self, number: signal.Signals) -> bool:
        """Send a signal to the whole session it leads; False if it is gone."""
        if not self.runs:
            return False
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait_gone(self, seconds: float) -> bool:
        """Whether it is gone within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.runs:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    folder: str,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start a process that leads a session of its own; its log takes all it says."""
    with log.open("wb") as file:
        child = subprocess.Popen(  # noqa: S603 - what the caller wants to run
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd=folder,
            env=environment,
        )
    _children[child.pid] = child
    return Process.of(child.pid)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Turn what would end us at once into KeyboardInterrupt, so that we can clean up.

    Outside the main thread, where signals cannot be caught, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no impatient signal cut a clean-up short; it is bounded anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (*_ENDINGS, signal.SIGINT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process after its name; empty if it says nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def _started(pid: int) -> int | None:
    """When a process started, in kernel ticks; None if there is none, or a corpse."""
    fields = _stat(pid)
    if not fields:
        return _started_elsewhere(pid)
    return None if fields[_STATE_FIELD] in {"Z", "X"} else int(fields[_START_FIELD])


def _started_elsewhere(pid: int) -> int | None:
    """As above where there is no /proc: only whether it is there."""
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return 0


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        _children.pop(pid, None)
