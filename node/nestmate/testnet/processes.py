"""Processes we started, remembered so that never another one is signalled.

A pid alone is not enough: pids come round again. A process is ours while its pid and
the moment it started are the same as when we wrote them down. This file knows nothing
of what the processes do.
"""

import os
import signal
import time
from pathlib import Path
from typing import Final

import msgspec

POLL_SECONDS: Final = 0.02
_START_FIELD: Final = 19  # of what follows the name in /proc/PID/stat; see proc(5)
_STATE_FIELD: Final = 0


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
        started = _started(self.pid)
        return started is not None and started == self.started

    @property
    def sleeps(self) -> bool:
        """Whether it was stopped by a signal and waits to be resumed."""
        fields = _stat(self.pid)
        return bool(fields) and fields[_STATE_FIELD] in {"T", "t"}

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
            _reap(self.pid)
            time.sleep(POLL_SECONDS)
        return True


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
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # not our child: somebody else reaps it
