"""Dependence: everything about work that depends on other work, as one part of a board.

It keeps together what holds tasks back until their inputs exist, what fetches results
of others, what completes a task by its parts, what keeps votes apart, and who waits
here for a result. The board tells it what happened; it knows no rule of its own.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Fields
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.apart import Apart
from nestmate_protocol.signals.cells import Stage
from nestmate_protocol.signals.errands import Errands
from nestmate_protocol.signals.family import Family
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.flow import Flow
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.results import Fetch, Result
from nestmate_protocol.signals.stock import RESULT_PREFIX
from nestmate_protocol.signals.supplying import lacking, supplied
from nestmate_protocol.signals.upshots import Fetched, Lacking, Over, Step
from nestmate_protocol.signals.wishes import Wishes
from nestmate_protocol.signals.worker import Worker


class Dependence:
    """Inputs, parts and votes; ``flow``, ``family``, ``wishes`` and ``apart`` do it."""

    def __init__(self, pen: Pen, field: Field, issuer: Issuer, worker: Worker) -> None:
        self._field = field
        self._issuer = issuer
        self._worker = worker
        self._errands = Errands(pen)
        self.flow = Flow(pen, issuer, self._errands)
        self.family = Family(pen, issuer, worker)
        self.wishes = Wishes(pen.me, field, issuer, self._errands)
        self.apart = Apart(pen.me, field, worker, issuer.tasks)

    def __repr__(self) -> str:
        return f"<Dependence {self.flow!r} {self.family!r}>"

    def start(self, now: Moment) -> list[Step]:
        """Take up what waits, once issuer and worker have started."""
        return self.flow.start(now) + self.family.start(now)

    def recall(self, scan: Callable[[bytes], Iterable[tuple[bytes, bytes]]]) -> None:
        """Take up results of others from the disk, before anything starts."""
        self._issuer.stock.recall(value for _, value in scan(RESULT_PREFIX))

    def agent_up(self, address: Address, now: Moment) -> list[Step]:
        """Ask an agent that can be reached for what it has not answered."""
        return self._errands.agent_up(address, now)

    def admit(self, kind: Kind, fields: Fields, author: Address) -> list[Step]:
        """A verified fetch or result; RemoteError for any other kind."""
        if kind is Kind.FETCH:
            wish = Fetch.read(fields)
            same(wish.asker, author)
            return self.flow.asked(wish)
        if kind is not Kind.RESULT:
            raise RemoteError(Fault.UNKNOWN_KIND, kind.value)
        answer = Result.read(fields)
        same(answer.giver, author)
        return self._errands.answered(answer)

    def heard(self, task: TaskId, issuer: Address, now: Moment) -> list[Step]:
        """Somebody else's task is done."""
        return self.flow.heard(task, issuer, now)

    def told(self, news: Lacking | Over | Fetched, now: Moment) -> list[Step]:
        """Another part found out what is to be acted on here."""
        match news:
            case Lacking(task):
                return lacking(self._worker, self._errands, task, now)
            case Over(task):
                steps = self.flow.over(task, now) + self.family.over(task, now)
                return steps + self.wishes.over(task)
            case Fetched():
                steps = self.flow.fetched(news, now) + self.wishes.fetched(news)
                return steps + supplied(self._worker, news, now)
            case _:
                assert_never(news)

    def missed(self, task: TaskId) -> list[Step]:
        """A claim is over: call off its parts, unless the task may come back."""
        cell = self._field.get(task)
        over = cell is not None and cell.life.stage > Stage.GRANTED
        return self.family.lost(task) if over else []

    def wake(self, now: Moment) -> list[Step]:
        """Do what is due."""
        parts = (self._errands, self.family, self.wishes)
        return list(chain.from_iterable(part.wake(now) for part in parts))

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        parts = (self._errands, self.family, self.wishes)
        times = [part.next_wakeup() for part in parts]
        return min((time for time in times if time is not None), default=None)


def same(named: Address, author: Address) -> None:
    """RemoteError unless a record was signed for the agent it names."""
    if named.raw != author.raw:
        raise RemoteError(Fault.NOT_ENTITLED, "signed by another than it names")
