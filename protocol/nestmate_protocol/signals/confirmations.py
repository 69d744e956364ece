"""Confirmations: local agents that wait to hear that their result has arrived.

This file knows no task; it only keeps who waits, for what, and until when.
"""

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Code, Refusal, Reply
from nestmate_protocol.ids import TaskId
from nestmate_protocol.signals.alarms import Alarms, wait_ms
from nestmate_protocol.signals.requests import Acknowledged
from nestmate_protocol.signals.upshots import Step

Answer = Acknowledged | Refusal


class Confirmations:
    """Who waits for which receipt."""

    def __init__(self) -> None:
        self._waiting: dict[int, TaskId] = {}
        self._alarms: Alarms[int] = Alarms()

    def __repr__(self) -> str:
        return f"<Confirmations {len(self._waiting)}>"

    def wait(
        self, request: int, task: TaskId, wait_seconds: float, now: Moment
    ) -> None:
        """Begin to wait for the receipt of a finished task."""
        self._waiting[request] = task
        self._alarms.set(request, now.mono_ms + wait_ms(wait_seconds))

    def abandon(self, request: int) -> None:
        """Nobody waits under this request any more."""
        self._waiting.pop(request, None)
        self._alarms.clear(request)

    def answer(self, task: TaskId, response: Answer) -> list[Step]:
        """Tell all who wait for this task."""
        told = [request for request, of in self._waiting.items() if of == task]
        for request in told:
            self.abandon(request)
        return [Reply(request, response) for request in told]

    def wake(self, now: Moment) -> list[Step]:
        """Tell those whose time is up; their results go on all the same."""
        late = Refusal(
            Code.TIMED_OUT,
            "The issuer has not confirmed the result yet.",
            "It is saved and is said again until the issuer confirms it.",
        )
        steps: list[Step] = []
        for request in self._alarms.ring(now.mono_ms):
            self.abandon(request)
            steps.append(Reply(request, late))
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._alarms.next()
