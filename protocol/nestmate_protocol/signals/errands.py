"""Errands: results of tasks that others have, asked for until an answer comes.

An errand is one task and the one agent that should have its result; asked again with
growing pauses and as soon as the agent can be reached. Nobody is believed who was not
asked. This file knows nothing of why a result is wanted.
"""

from hashlib import sha256

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import TASKS_OWN_MAX
from nestmate_protocol.signals.courier import Courier, Parcel
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.results import Fetch, Result, Standing
from nestmate_protocol.signals.upshots import Fetched, Step


class Errands:
    """At most one errand per task and agent."""

    def __init__(self, pen: Pen) -> None:
        self._pen = pen
        self._courier = Courier()

    def __repr__(self) -> str:
        return f"<Errands {len(self._courier)}>"

    def run(
        self, task: TaskId, giver: Address, until_ms: int, now: Moment
    ) -> list[Step]:
        """Ask for a result until then; one that is asked for already, at once again."""
        place = _place(task, giver)
        known = self._courier.get(place)
        if known is None and len(self._courier) >= TASKS_OWN_MAX:
            return []
        data = known.data if known else self._pen.sign(Fetch(task, self._pen.me)).data
        until_ms = max(until_ms, known.until_ms if known else 0)
        return self._courier.post(place, Parcel(giver, 0, data, until_ms), now)

    def drop(self, task: TaskId, giver: Address) -> None:
        """The result is not wanted any more."""
        self._courier.drop(_place(task, giver))

    def answered(self, said: Result) -> list[Step]:
        """An answer came; one that asks for patience leaves the errand as it is."""
        place = _place(said.task, said.giver)
        if self._courier.get(place) is None or said.standing is Standing.LATER:
            return []
        self._courier.drop(place)
        return [Fetched(said.task, said.giver, said.result, said.reason)]

    def agent_up(self, address: Address, now: Moment) -> list[Step]:
        """Ask at once what this agent has not answered."""
        return self._courier.agent_up(address, now)

    def wake(self, now: Moment) -> list[Step]:
        """Ask again what is due."""
        return self._courier.wake(now)

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._courier.next_wakeup()


def _place(task: TaskId, giver: Address) -> TaskId:
    return TaskId(sha256(task.raw + giver.raw).digest())
