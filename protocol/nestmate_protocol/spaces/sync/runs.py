"""Runs: all reconciliations that are going on, with all peers.

Begins them, passes what peers say to the right one, gives ops as far as credit goes,
and ends what has gone silent. Work that costs more than a peer's ration waits for its
time. This file knows neither greetings nor the timetable's reasons.
"""

from typing import Final, assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Strike
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import SpaceId
from nestmate_protocol.limits import (
    LEAVES_PER_FRAME_MAX,
    RUN_SILENT_MS_MAX,
    RUNS_PER_PEER_MAX,
)
from nestmate_protocol.spaces.sync.floor import Floor, Outcome, ask, send
from nestmate_protocol.spaces.sync.frames import (
    Done,
    End,
    LeavesOf,
    Ops,
    Ranges,
    State,
)
from nestmate_protocol.spaces.sync.greeting import short_ids
from nestmate_protocol.spaces.sync.link import Link
from nestmate_protocol.spaces.sync.pushing import Pushing
from nestmate_protocol.spaces.sync.run import (
    Run,
    SayDone,
    SayLeaves,
    SayRanges,
    SayState,
    Turn,
    frontier_of,
    stands_of,
)

LATER_MS: Final = 5_000
SPREAD_MS: Final = 250
_STATE_COST: Final = 16


class Runs:
    """What is being reconciled."""

    def __init__(self, floor: Floor, pushing: Pushing) -> None:
        self._floor = floor
        self._pushing = pushing
        self._links = floor.links

    def __repr__(self) -> str:
        count = sum(len(link.runs) for link in self._links.values())
        return f"<Runs {count} going on>"

    # --- ours to begin

    def begin(self, link: Link, space: SpaceId, now: Moment) -> list[Outcome]:
        """Reconcile a space with a peer, unless that is being done."""
        if space in link.runs or not self._floor.may_talk(link, space):
            return []
        if self._floor.rests:
            return []
        if len(link.runs) >= RUNS_PER_PEER_MAX:
            self._floor.timetable.soon(space, link.peer, now, LATER_MS)
            return []
        number = link.next_run(even=self._floor.me < link.peer)
        run = self._open(link, space, number, now, begun_here=True)
        run.begin()
        return self.pump(link, now)

    def wake(self, now: Moment) -> list[Outcome]:
        """Go on with what had to wait, and give up what is silent."""
        outcomes: list[Outcome] = []
        for link in list(self._links.values()):
            for run in list(link.runs.values()):
                if run.is_answering:
                    outcomes += self._go_on(link, run, now)
                elif run.heard_ms + RUN_SILENT_MS_MAX <= now.mono_ms:
                    outcomes += self._say(link, run, SayDone(End.UNEQUAL), now)
            if link.runs or link.loose:
                outcomes += self.pump(link, now)
        return outcomes

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        runs = (run for link in self._links.values() for run in link.runs.values())
        times = [
            run.resume_ms if run.is_answering else run.heard_ms + RUN_SILENT_MS_MAX
            for run in runs
        ]
        pushing = self._pushing.next_wakeup()
        return min([*times, *([] if pushing is None else [pushing])], default=None)

    # --- what peers say

    def hear_state(self, link: Link, said: State, now: Moment) -> list[Outcome]:
        """A run begins, or goes on."""
        space = link.space_called(said.number)
        link.credit.catch_up(said.sent)
        link.work.draw(now, _STATE_COST)
        if space is None:
            return []
        run = link.runs.get(space)
        if run is None or run.number != said.run:
            if run is not None and self._is_ours(link, run):
                return []
            refusal = self._refusal(link, space, now)
            if refusal is not None:
                number = link.our_numbers.get(space)
                done = None if number is None else Done(number, said.run, refusal)
                return [] if done is None else [send(link, done)]
            run = self._open(link, space, said.run, now, begun_here=False)
        self.heard(link, run, now)
        run.hear_state(said.lanes, said.frontier, said.took)
        return self.pump(link, now)

    def hear_ranges(self, link: Link, said: Ranges, now: Moment) -> list[Outcome]:
        """A message of reconciling a lane."""
        run = link.run_called(said.number, said.run)
        if run is None:
            return []
        self.heard(link, run, now)
        run.hear_ranges(said.lane, said.data)
        self._answer(link, run, now)
        return self.pump(link, now)

    def hear_leaves(self, link: Link, said: LeavesOf, now: Moment) -> list[Outcome]:
        """The ends of the peer's chains, because something is amiss."""
        run = link.run_called(said.number, said.run)
        if run is None:
            return []
        self.heard(link, run, now)
        lacking = run.hear_leaves(said.leaves)
        return [*ask(link, run.space, lacking, now), *self.pump(link, now)]

    def hear_done(self, link: Link, said: Done, now: Moment) -> list[Outcome]:
        """The peer has ended a run."""
        run = link.run_called(said.number, said.run)
        if run is None:
            return []
        if said.end is End.BUSY:
            self._floor.timetable.soon(run.space, link.peer, now, LATER_MS)
        self.finish(link, run, now, said.end)
        if said.end is not End.DENIED:
            return []
        return self._pushing.introduce(link, run.space, now)

    # --- going on

    def pump(self, link: Link, now: Moment) -> list[Outcome]:
        """Give what can be given now, and end our turns that are ready for it."""
        outcomes = self._pushing.flush(link, now)
        for run in list(link.runs.values()):
            number = link.our_numbers[run.space]
            while run.has_gifts and link.credit.left > 0:
                ops = run.frame()
                if ops:
                    outcomes.append(send(link, Ops(number, run.number, ops)))
                    link.credit.sent += 1
            turn = run.ended()
            if turn is not None:
                outcomes += self._say(link, run, turn, now)
        return outcomes

    def spread(self, space: SpaceId, source: Link | None, now: Moment) -> None:
        """Whom this concerns may have changed: reconcile with everybody else soon."""
        for other in self._floor.sharing(space):
            if other is not source:
                self._floor.timetable.soon(space, other.peer, now, SPREAD_MS)

    def _go_on(self, link: Link, run: Run, now: Moment) -> list[Outcome]:
        """Some more of an answer, where nobody else would catch what is wrong."""
        try:
            self._answer(link, run, now)
        except RemoteError as error:
            self.finish(link, run, now, End.UNEQUAL)
            return [Strike(link.peer, error.fault)]
        return []

    def _answer(self, link: Link, run: Run, now: Moment) -> None:
        """Some more of an answer, as the peer's ration allows."""
        run.resume_ms = link.work.free_ms(now)
        if run.resume_ms > now.mono_ms:
            run.heard_ms = now.mono_ms  # it is we who let it wait
            return
        self._set_terms(link, run)
        link.work.draw(now, run.step())
        run.resume_ms = link.work.free_ms(now)

    def _say(self, link: Link, run: Run, turn: Turn, now: Moment) -> list[Outcome]:
        number, replica, space = (
            link.our_numbers[run.space],
            self._floor.replica,
            run.space,
        )
        match turn:
            case SayState():
                took, run.took = run.took, 0
                self._set_terms(link, run)
                lanes, frontier = stands_of(replica, space), frontier_of(replica, space)
                if run.auth_only:
                    lanes, frontier = (lanes[0], None, None), bytes(len(frontier))
                sent = link.credit.sent
                state = State(number, run.number, sent, took, lanes, frontier)
                return [send(link, state)]
            case SayRanges(lane, data):
                return [send(link, Ranges(number, run.number, lane, data))]
            case SayLeaves():
                leaves = tuple(replica.leaves(space))[:LEAVES_PER_FRAME_MAX]
                return [send(link, LeavesOf(number, run.number, leaves))]
            case SayDone(end):
                self.finish(link, run, now, end)
                return [send(link, Done(number, run.number, end))]
            case _:
                assert_never(turn)

    def finish(self, link: Link, run: Run, now: Moment, end: End) -> None:
        """A run has ended; what it brought others may lack."""
        link.runs.pop(run.space, None)
        link.ended[run.space] = now.mono_ms, end is End.EQUAL
        if run.took_in_all:
            for other in self._floor.few(run.space, link):
                self._floor.timetable.soon(run.space, other.peer, now, SPREAD_MS)

    def _open(
        self, link: Link, space: SpaceId, number: int, now: Moment, *, begun_here: bool
    ) -> Run:
        if link.us is None or link.them is None:
            raise RemoteError(Fault.NOT_ENTITLED, "no hello")
        short = short_ids(link.us, link.them)
        run = Run(space, number, self._floor.replica, short, begun_here=begun_here)
        run.heard_ms = now.mono_ms
        link.runs[space] = run
        return run

    def _refusal(self, link: Link, space: SpaceId, now: Moment) -> End | None:
        """Why not to take part in a run that a peer begins; None for no reason."""
        if not self._floor.may_talk(link, space):
            return End.DENIED
        if self._floor.rests:
            return End.BUSY
        if len(link.runs) >= RUNS_PER_PEER_MAX and space not in link.runs:
            return End.BUSY
        return None if link.begun.take(now) else End.BUSY

    def _is_ours(self, link: Link, run: Run) -> bool:
        """Whether both began at once, and the peer will follow our lead."""
        return run.begun_here and not run.was_heard and self._floor.me < link.peer

    def heard(self, link: Link, run: Run, now: Moment) -> None:
        """The peer has shown that it is still with a run."""
        run.heard_ms, run.was_heard = now.mono_ms, True
        self._set_terms(link, run)

    def _set_terms(self, link: Link, run: Run) -> None:
        """What the peer gets: everything, who may do what, or nothing."""
        has = self._floor.may_have(link, run.space)
        knows = has or self._floor.may_know(link, run.space)
        run.gives, run.auth_only = knows, knows and not has
