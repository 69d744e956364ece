"""The courier: says a record to an agent again and again until it is answered.

First at once, then after 2 s, then with doubled pauses up to a minute, and at once
whenever the agent can be reached again. It knows nothing of what the records say.
"""

from dataclasses import dataclass, replace
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.outcomes import ToAgent
from nestmate_protocol.signals.upshots import Step

ANSWER_MS_MAX: Final = 2_000
RETRY_MS_MAX: Final = 60_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """One record on its way; from ``until_ms`` on nobody wants it any more.

    ``proof`` are records that go before it each time.
    """

    address: Address
    generation: int
    data: bytes
    until_ms: int
    tries: int = 1
    proof: tuple[bytes, ...] = ()


class Courier:
    """At most one parcel per task."""

    def __init__(self) -> None:
        self._parcels: dict[bytes, Parcel] = {}
        self._alarms: Alarms[bytes] = Alarms()

    def __repr__(self) -> str:
        return f"<Courier with {len(self._parcels)}>"

    def __len__(self) -> int:
        return len(self._parcels)

    def get(self, task: TaskId) -> Parcel | None:
        """The parcel about a task."""
        return self._parcels.get(task.raw)

    def post(self, task: TaskId, parcel: Parcel, now: Moment) -> list[Step]:
        """Say it now, and again until ``drop``."""
        self._parcels[task.raw] = parcel
        self._alarms.set(task.raw, now.mono_ms + pause_ms(parcel.tries))
        records = (*parcel.proof, parcel.data)
        return [ToAgent(parcel.address, each) for each in records]

    def drop(self, task: TaskId) -> None:
        """It was answered, or matters no more."""
        self._parcels.pop(task.raw, None)
        self._alarms.clear(task.raw)

    def agent_up(self, address: Address, now: Moment) -> list[Step]:
        """Say at once what this agent has not answered."""
        mine = [(r, p) for r, p in self._parcels.items() if p.address == address]
        steps: list[Step] = []
        for raw, parcel in mine:
            steps += self.post(TaskId(raw), replace(parcel, tries=1), now)
        return steps

    def wake(self, now: Moment) -> list[Step]:
        """Say again what is due."""
        steps: list[Step] = []
        for raw in self._alarms.ring(now.mono_ms):
            parcel = self._parcels[raw]
            if parcel.until_ms <= now.mono_ms:
                del self._parcels[raw]
            else:
                again = replace(parcel, tries=parcel.tries + 1)
                steps += self.post(TaskId(raw), again, now)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._alarms.next()


def pause_ms(tries: int) -> int:
    """How long to wait for an answer after so many tries."""
    return min(RETRY_MS_MAX, ANSWER_MS_MAX << min(tries - 1, 16))
