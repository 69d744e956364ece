"""Receiving: ops that come, the credit that goes back for them, and what is asked for.

Ops are taken in whoever's they are, for each proves itself; but a peer may send no more
than it has credit for, and what no honest peer would send is struck. This file knows
neither greetings nor what a run says.
"""

from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Strike
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.spaces.sync.floor import Floor, Outcome, ask, send
from nestmate_protocol.spaces.sync.frames import AskOps, Credit, End, Ops
from nestmate_protocol.spaces.sync.link import Link
from nestmate_protocol.spaces.sync.pushing import Pushing
from nestmate_protocol.spaces.sync.runs import Runs

_ASKED_COST: Final = 8


class Receiving:
    """What peers send and ask for."""

    def __init__(self, floor: Floor, pushing: Pushing, runs: Runs) -> None:
        self._floor = floor
        self._pushing = pushing
        self._runs = runs

    def __repr__(self) -> str:
        return f"<Receiving from {len(self._floor.links)} links>"

    def hear_ops(self, link: Link, said: Ops, now: Moment) -> list[Outcome]:
        """Ops we lack, as the peer thinks."""
        space = link.space_called(said.number)
        if not said.goes_on:
            link.credit.receive()
        if self._floor.rests:
            return []  # without more credit the peer stops; a run brings them again
        outcomes: list[Outcome] = []
        dealt_with = link.credit.to_tell()
        if dealt_with is not None:
            outcomes.append(send(link, Credit(dealt_with)))
        if space is None:
            return outcomes
        taken = self._floor.replica.take(space, said.ops, now)
        outcomes += taken.effects
        for op in taken.new:
            link.note_known(op)
        run = link.run_called(said.number, said.run)
        if run is not None:
            run.took += len(taken.new)
            run.took_in_all += len(taken.new)
            self._runs.heard(link, run, now)
        else:
            outcomes += ask(link, space, taken.missing, now)
            outcomes += self._pushing.tell(space, taken.new, now)
        if taken.rights_changed:
            self._runs.spread(space, link, now)
        if taken.faults:
            if run is not None:
                self._runs.finish(link, run, now, End.UNEQUAL)
            outcomes.append(Strike(link.peer, taken.faults[0]))
        return [*outcomes, *self._runs.pump(link, now)]

    def hear_credit(self, link: Link, said: Credit, now: Moment) -> list[Outcome]:
        """The peer can take more."""
        link.credit.raise_to(said.received)
        for run in link.runs.values():
            self._runs.heard(link, run, now)
        return self._runs.pump(link, now)

    def hear_ask(self, link: Link, said: AskOps, now: Moment) -> list[Outcome]:
        """The peer lacks something that other ops rest on."""
        space = link.space_called(said.number)
        if space is None:
            return []
        if not self._floor.may_have(link, space):
            raise RemoteError(Fault.NOT_ENTITLED, "ask")
        if link.work.free_ms(now) > now.mono_ms:
            return []
        link.work.draw(now, _ASKED_COST * len(said.ops))
        for op in said.ops:
            link.push(space, op)
        return self._pushing.flush(link, now)
