"""Resting: how sync stops while nothing can be kept, and how it goes on.

Peers are told that we are busy, which makes them come again, and get no more credit,
which makes them stop pushing. This file knows nothing of why we rest.
"""

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Send
from nestmate_protocol.spaces.sync.floor import Floor, send
from nestmate_protocol.spaces.sync.frames import Credit, Done, End
from nestmate_protocol.spaces.sync.runs import Runs


class Resting:
    """Sync at rest, and at work again."""

    def __init__(self, floor: Floor, runs: Runs) -> None:
        self._floor = floor
        self._runs = runs

    def __repr__(self) -> str:
        return f"<Resting {self._floor.rests}>"

    def rest(self, now: Moment) -> list[Send]:
        """Take in no more ops and give none: every peer is told to come again."""
        self._floor.rests = True
        told: list[Send] = []
        for link in self._floor.links.values():
            for run in tuple(link.runs.values()):
                number = link.our_numbers[run.space]
                self._runs.finish(link, run, now, End.BUSY)
                told.append(send(link, Done(number, run.number, End.BUSY)))
        return told

    def go_on(self, now: Moment) -> list[Send]:
        """Reconcile with everybody soon, and let peers push again."""
        self._floor.rests = False
        for space in self._floor.replica.spaces():
            self._runs.spread(space, None, now)
        return [
            send(link, Credit(link.credit.tell()))
            for link in self._floor.links.values()
            if link.credit.owes
        ]
