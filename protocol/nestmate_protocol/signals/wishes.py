"""Wishes: local agents that wait for the result of a task.

Our own are given when they are done, others' when whoever has them gives them. A task
that ends without a result ends the wait with the reason. This file knows no record.
"""

from dataclasses import dataclass

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Code, Refusal, Reply
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.alarms import Alarms, wait_ms
from nestmate_protocol.signals.errands import Errands
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.requests import TaskStatus
from nestmate_protocol.signals.upshots import Fetched, Step, unknown
from nestmate_protocol.signals.yields import AwaitResult, ResultView


@dataclass(frozen=True, slots=True)
class Wish:
    """One local agent's wait for one task's result."""

    task: TaskId
    issuer: Address


class Wishes:
    """Who waits for which result."""

    def __init__(
        self, me: Address, field: Field, issuer: Issuer, errands: Errands
    ) -> None:
        self._me = me
        self._field = field
        self._issuer = issuer
        self._errands = errands
        self._waiting: dict[int, Wish] = {}
        self._alarms: Alarms[int] = Alarms()

    def __repr__(self) -> str:
        return f"<Wishes {len(self._waiting)}>"

    def ask(self, request: int, body: AwaitResult, now: Moment) -> list[Step]:
        """Begin to wait; DeclinedError where nobody is known to have the result."""
        wish = Wish(body.task, self._whose(body))
        self._waiting[request] = wish
        until_ms = now.mono_ms + wait_ms(body.wait_seconds)
        self._alarms.set(request, until_ms)
        if wish.issuer == self._me:
            return self.over(wish.task)
        return self._errands.run(wish.task, wish.issuer, until_ms, now)

    def abandon(self, request: int) -> None:
        """Nobody waits under this request any more."""
        self._waiting.pop(request, None)
        self._alarms.clear(request)

    def over(self, task: TaskId) -> list[Step]:
        """Tell those who wait for an own task, if it is over."""
        own = self._issuer.tasks.get(task.raw)
        if own is not None and own.status == TaskStatus.DONE:
            return self._tell(Wish(task, self._me), own.result or b"", "")
        if own is not None and own.status == TaskStatus.CANCELLED:
            return self._tell(Wish(task, self._me), None, own.reason)
        return []

    def fetched(self, news: Fetched) -> list[Step]:
        """Tell those who wait for somebody else's."""
        return self._tell(Wish(news.task, news.giver), news.result, news.reason)

    def wake(self, now: Moment) -> list[Step]:
        """Tell those whose time is up."""
        late = Refusal(
            Code.TIMED_OUT, "There is no result yet.", "Ask again, with a longer wait."
        )
        steps: list[Step] = []
        for request in self._alarms.ring(now.mono_ms):
            self.abandon(request)
            steps.append(Reply(request, late))
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._alarms.next()

    def _whose(self, body: AwaitResult) -> Address:
        if body.issuer is not None:
            return body.issuer
        if body.task.raw in self._issuer.tasks:
            return self._me
        cell = self._field.get(body.task)
        if cell is None:
            raise unknown("No such task is known here.", "Name its issuer as well.")
        return cell.signal.issuer

    def _tell(self, wish: Wish, result: bytes | None, reason: str) -> list[Step]:
        response: ResultView | Refusal = (
            Refusal(Code.CONFLICT, f"There is no result: {reason}.")
            if result is None
            else ResultView(wish.task, wish.issuer, result)
        )
        told = [request for request, each in self._waiting.items() if each == wish]
        for request in told:
            self.abandon(request)
        return [Reply(request, response) for request in told]
