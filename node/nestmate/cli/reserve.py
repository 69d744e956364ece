"""The reserve: while all slots are busy, waits for a flash task to make way for.

It asks the node for flash tasks only, which leaves them to idle agents for a moment.
One that comes all the same is handed to the slot whose task the rule says must make
way, or to one that has become free meanwhile. This file ends no command.
"""

import threading
import time
from collections.abc import Sequence
from typing import Final

from nestmate.cli.shift import Lease, Shift
from nestmate.cli.slots import Slot
from nestmate.client import Cord
from nestmate.errors import NodeError, TimedOutError
from nestmate_protocol.signals.preemption import RESERVE_URGENCY, Work, choose

NO_ROOM: Final = "nothing here can make way for it any more"
_AGAIN_SECONDS: Final = 1.0


class Reserve:
    """A taker of flash tasks beside the slots; its own thread runs it."""

    def __init__(self, shift: Shift, slots: Sequence[Slot]) -> None:
        self._shift = shift
        self._slots = slots
        self._news = threading.Condition()
        self._waiting: Cord | None = None

    def __repr__(self) -> str:
        return f"<Reserve of {len(self._slots)} slots>"

    def look(self) -> None:
        """Something has changed: wait for flash tasks only while one could be done."""
        with self._news:
            self._news.notify_all()
            if self._waiting is not None and self._victim() is None:
                self._waiting.pull()

    def run(self) -> None:
        """Hand flash tasks to slots until the shift is over."""
        shift = self._shift
        while not shift.stopping.is_set():
            with self._news:
                self._news.wait_for(self._is_wanted)
            lease = self._take()
            if lease is not None:
                self._hand(lease)

    def _is_wanted(self) -> bool:
        return self._shift.stopping.is_set() or self._victim() is not None

    def _victim(self) -> tuple[Slot, Lease] | None:
        """Which slot's task would make way; None if a slot is free or none may."""
        if self._shift.stopping.is_set():
            return None
        works = [(slot, slot.working()) for slot in self._slots]
        if not all(lease for _, lease in works):
            return None
        busy = [(slot, lease) for slot, lease in works if lease is not None]
        chosen = choose(_work(n, lease) for n, (_, lease) in enumerate(busy))
        return None if chosen is None else busy[chosen.slot]

    def _take(self) -> Lease | None:
        shift = self._shift
        with self._news:
            victim = self._victim()
            if victim is None:
                return None
            cord = self._waiting = Cord()
        wish = shift.trade.wish(victim[1].claim["skill"])
        wish["min_urgency"] = RESERVE_URGENCY
        try:
            return Lease(shift, shift.ask("claim.take", wish, cord))
        except TimedOutError:
            return None
        except NodeError:  # the slots know what is to be done about it
            if not cord.is_pulled:
                shift.stopping.wait(_AGAIN_SECONDS)
            return None
        finally:
            with self._news:
                self._waiting = None

    def _hand(self, lease: Lease) -> None:
        victim = self._victim()
        if victim is not None and victim[0].hand(lease):
            return
        if any(slot.hand(lease) for slot in self._slots if slot.working() is None):
            return
        wish = {"task": lease.task, "reason": NO_ROOM}
        try:
            self._shift.ask("claim.release", wish)
        except NodeError as trouble:  # the lease runs out by itself
            why = str(trouble)
            self._shift.tell(what="unreleased", task=lease.task, why=why)


def _work(place: int, lease: Lease) -> Work:
    claim = lease.claim
    return Work(
        place,
        claim["urgency"],
        lease.generation,
        claim["exclusive"],
        time.monotonic() - lease.began,
    )
