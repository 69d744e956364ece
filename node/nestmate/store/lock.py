"""The lock of a folder: one process works on it, and others are told which.

LevelDB's own lock is lost when a second opening fails inside one process (its
``close`` gives the fcntl lock back), so this one is a ``flock`` on a file of its own,
and what this process holds is kept in a table besides. This file knows nothing of
what lies in the folder.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from nestmate.errors import BusyError, HomeError
from nestmate.files import PRIVATE_FILE

_PID_BYTES_MAX: Final = 32
_held_here: Final[set[Path]] = set()


class FolderLock:
    """Holds ``folder/lock`` from construction until ``release``.

    Raises BusyError naming the process that holds it, HomeError where none can be.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder.resolve() / "lock"
        if self._path in _held_here:
            raise _busy(folder, os.getpid())
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._descriptor = os.open(self._path, flags, PRIVATE_FILE)
        except OSError as error:
            raise HomeError(
                f"{self._path} cannot be locked: {error.strerror}.",
                "Look at the permissions and the free space of the home folder.",
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, _PID_BYTES_MAX, 0)
            os.close(self._descriptor)
            raise _busy(folder, _pid(holder)) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        _held_here.add(self._path)

    def __repr__(self) -> str:
        return f"<FolderLock {self._path}>"

    def release(self) -> None:
        """Let others in; idempotent."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1
            _held_here.discard(self._path)


def _pid(content: bytes) -> int:
    digits = content.strip()
    return int(digits) if digits.isdigit() else 0


def _busy(folder: Path, pid: int) -> BusyError:
    who = f"Process {pid}" if pid else "Another process"
    return BusyError(
        f"{who} already works on {folder}.",
        "Stop it with `nestmate down`, or name another home with --home.",
    )
