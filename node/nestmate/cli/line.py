"""The line to the node that the threads of one worker share.

It waits for a node that is just being restarted, and can be cut when there is no time
for that any more. This file knows no operation.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from nestmate.cli.asking import ask
from nestmate.client import Cord
from nestmate.errors import NotRunningError

NODE_AWAY_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.25

Tell = Callable[[Mapping[str, Any]], None]


class Line:
    """Shared by threads; ``stopping`` says that it is over, ``hurried`` at once."""

    def __init__(self, home: str, tell: Tell) -> None:
        self.stopping = threading.Event()
        self.hurried = threading.Event()
        self._home = home
        self._show = tell
        self._cords: set[Cord] = set()
        self._lock = threading.Lock()

    def tell(self, **news: object) -> None:
        """Let the user know."""
        with self._lock:
            self._show(news)

    def hurry(self) -> None:
        """Wait for nothing more: neither for the node nor for commands to end well."""
        with self._lock:
            self.hurried.set()
            for cord in self._cords:
                cord.cut()

    def ask(
        self, name: str, payload: Mapping[str, object], cord: Cord | None = None
    ) -> dict[str, Any]:
        """Call the node; NodeError says what stood in the way."""
        cord = cord or Cord()
        with self._lock:
            self._cords.add(cord)
            if self.hurried.is_set():
                cord.cut()
        try:
            return ask(self._home, name, payload, cord)
        finally:
            with self._lock:
                self._cords.discard(cord)

    def ask_patiently(
        self, name: str, payload: Mapping[str, object], cord: Cord | None = None
    ) -> dict[str, Any]:
        """Call, and wait a while for a node that is just being restarted."""
        deadline = time.monotonic() + NODE_AWAY_SECONDS
        cord = cord or Cord()
        while True:
            try:
                return self.ask(name, payload, cord)
            except NotRunningError:
                if time.monotonic() > deadline or cord.is_pulled:
                    raise
            self.hurried.wait(PAUSE_SECONDS)
