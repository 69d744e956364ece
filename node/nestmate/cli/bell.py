"""A bell for the main thread: rings when somebody wants the program to end.

SIGTERM and SIGINT ring it, and threads knock when they have ended. Handlers do nothing
but write a byte, so that no lock is taken where a signal came at the wrong moment.
This file does not know what the program does.
"""

import os
import signal
from contextlib import suppress
from typing import Final

_KNOCK: Final = b"\0"


class Bell:
    """Waited for by the main thread only."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._in, False)

    def __repr__(self) -> str:
        return f"<Bell {self._out}>"

    def listen(self) -> None:
        """From now on SIGTERM and SIGINT ring, and do nothing else."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _do_nothing)
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)

    def knock(self) -> None:
        """Wake the main thread, from any other."""
        with suppress(BlockingIOError):  # it has enough to wake up for
            os.write(self._in, _KNOCK)

    def wait(self) -> bool:
        """Wait for the next ring or knock; whether it was a ring."""
        return os.read(self._out, 1) != _KNOCK


def _do_nothing(_number: int, _frame: object) -> None:
    """The byte in the pipe says it all."""
