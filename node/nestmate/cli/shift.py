"""A shift: what the slots of one worker have in common while it works.

What is to be done and how, how many tasks are left, and the way to the node. A lease
is kept alive here for as long as its task is at work.
This file starts no command and decides on no task.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nestmate.cli.ears import Ears
from nestmate.cli.job import GRACE_SECONDS
from nestmate.cli.line import Line, Tell
from nestmate.errors import ConflictError, NodeError, NotFoundError
from nestmate.home import Home

TAKE_SECONDS: Final = 25.0
LOST: Final = (ConflictError, NotFoundError)


@dataclass(frozen=True, slots=True)
class Trade:
    """What a worker does: which skills, with which command, and how well.

    ``also`` are all skills but the first as ``claim.take`` wants them: NAME or
    NAME=SPEED.
    """

    home: Home
    skills: tuple[str, ...]
    command: tuple[str, ...]
    also: tuple[str, ...] = ()
    speed: float = 0.0
    setup_seconds: float = 0.0
    grace_seconds: float = GRACE_SECONDS
    slots: int = 1

    def wish(self, context: str) -> dict[str, object]:
        """The best task there is, for a slot that is set up for ``context``."""
        return {
            "skill": self.skills[0],
            "also": self.also,
            "speed": self.speed,
            "setup": self.setup_seconds,
            "context": context,
            "timeout": TAKE_SECONDS,
        }


class Shift(Line):
    """Shared by threads: one per slot, and the main one, which ends them.

    ``changed`` is called when a slot has begun or ended to run a command.
    """

    def __init__(self, trade: Trade, tell: Tell, left: int | None) -> None:
        super().__init__(os.fspath(trade.home.root), tell)
        self.trade = trade
        self.changed: Callable[[], None] = _do_nothing
        self.ears = Ears(os.fspath(trade.home.root))
        self._left = left

    def __repr__(self) -> str:
        return f"<Shift of {', '.join(self.trade.skills)}>"

    def draw(self) -> bool:
        """Whether there is one more task to do, which is then the caller's."""
        with self._lock:
            if self._left is None:
                return True
            if self._left == 0:
                return False
            self._left -= 1
            return True

    def put_back(self) -> None:
        """The caller has not done the task it drew."""
        with self._lock:
            if self._left is not None:
                self._left += 1


def _do_nothing() -> None:
    """Nobody listens."""


class Lease:
    """One task that is ours for as long as its lease is renewed in time."""

    def __init__(self, shift: Shift, claim: Mapping[str, Any]) -> None:
        self.claim = claim
        self.began = time.monotonic()
        self.task: str = claim["task"]
        self.generation: int = claim["generation"]
        self._shift = shift
        self._every_seconds = claim["lease_seconds"] / 3
        self._due = self.began + self._every_seconds

    def __repr__(self) -> str:
        return f"<Lease {self.task} under {self.generation}>"

    def keep(self) -> str:
        """Renew it if that is due; why it is lost, empty if it is not.

        A node that is away is no loss yet: its coming back will tell.
        """
        shift = self._shift
        if lost := shift.ears.heard_loss(self.task, self.generation):
            return lost
        if time.monotonic() < self._due:
            return ""
        try:
            shift.ask("claim.renew", {"task": self.task})
        except LOST as lost_error:
            return str(lost_error)
        except NodeError as trouble:
            shift.tell(what="unrenewed", task=self.task, why=str(trouble))
        self._due = time.monotonic() + self._every_seconds
        return ""
