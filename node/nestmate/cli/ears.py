"""Ears for lost leases: hears from the node which claims are over, as it happens.

A thread follows the node's events, so that a command on a task that was withdrawn or
given to another is stopped at once and not only when its lease is due. It hears
nothing while the node is away; renewing the lease is what counts then. This file
knows nothing of commands.
"""

import threading
import time
from collections import OrderedDict
from typing import Final

from nestmate.cli.asking import ask
from nestmate.errors import NodeError

PAGE_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 1.0
LOSSES_KEPT_MAX: Final = 256
_NO_REASON: Final = "its issuer did not say why"


class Ears:
    """What was heard of lost claims, by task and generation."""

    def __init__(self, home: str | None) -> None:
        self._home = home
        self._lost: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Ears {len(self._lost)} losses>"

    def open(self) -> None:
        """Begin to listen; goes on until the process ends."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, daemon=True)
            self._thread.start()

    def heard_loss(self, task: str, generation: int) -> str:
        """Why the claim on a task under this fence is over, empty if it is not."""
        return self._lost.get((task, generation), "")

    def _listen(self) -> None:
        since: int | None = None
        wish = {"kinds": ["claim.lost"], "timeout": PAGE_SECONDS}
        while True:
            try:
                page = ask(self._home, "event.wait", wish | {"since": since})
            except NodeError:
                time.sleep(AGAIN_SECONDS)
                continue
            since = page["seq"]
            for event in page["events"]:
                details = event["details"]
                key = (event["ref"], details.get("generation", 0))
                self._lost[key] = details.get("reason") or _NO_REASON
            while len(self._lost) > LOSSES_KEPT_MAX:
                self._lost.popitem(last=False)
