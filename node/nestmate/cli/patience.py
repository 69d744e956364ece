"""A word to people who wait: what is waited for, once it takes longer than a second.

Only on a terminal, and gone again when there is something better to read. This file
knows no command.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

QUIET_SECONDS: Final = 1.0
_ERASE: Final = "\r\x1b[K"


@contextmanager
def patience(sentence: str, *, quiet: bool = False) -> Iterator[None]:
    """Say the sentence, and for how long, while the work inside goes on."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    import threading  # noqa: PLC0415 - only on a terminal

    began, over = time.monotonic(), threading.Event()

    def speak() -> None:
        while not over.wait(QUIET_SECONDS):
            waited = time.monotonic() - began
            sys.stderr.write(f"{_ERASE}{sentence} {waited:.0f} s")
            sys.stderr.flush()

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        over.set()
        speaker.join()
        if time.monotonic() - began >= QUIET_SECONDS:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
