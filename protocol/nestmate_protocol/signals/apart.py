"""Apart: tasks of one issuer that must go to different agents, such as votes.

The issuer sees to it: who holds one of them, or has done it, gets no other. A worker
sees to it as well, so that it does not ask in vain. Two addresses are two agents here;
whether they are two minds is a matter of trust. This file knows no record.
"""

from collections.abc import Mapping
from typing import Final

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.requests import TaskStatus
from nestmate_protocol.signals.shelf import OwnTask
from nestmate_protocol.signals.worker import Worker

_HELD: Final = frozenset({TaskStatus.GRANTED, TaskStatus.DONE})
_REMEMBERED_MAX: Final = 1_024


def had_another(tasks: Mapping[bytes, OwnTask], own: OwnTask, agent: Address) -> bool:
    """Whether an agent has or had a task that must stay apart from this one."""
    apart = own.order.apart
    return bool(apart) and any(
        other.order.apart == apart
        and other.holder == agent
        and other.status in _HELD
        and other.task != own.task
        for other in tasks.values()
    )


class Apart:
    """Which task of several that must stay apart this node has taken."""

    def __init__(
        self,
        me: Address,
        field: Field,
        worker: Worker,
        own: Mapping[bytes, OwnTask],
    ) -> None:
        self._me = me
        self._field = field
        self._worker = worker
        self._own = own
        self._taken: dict[tuple[bytes, bytes], bytes] = {}

    def __repr__(self) -> str:
        return f"<Apart {len(self._taken)}>"

    def engaged(self, task: TaskId) -> bool:
        """Whether this node works on a task, or on one that must stay apart from it."""
        if self._worker.is_engaged(task):
            return True
        own, cell = self._own.get(task.raw), self._field.get(task)
        if own is not None:
            return had_another(self._own, own, self._me)
        if cell is None or not cell.signal.apart:
            return False
        other = self._taken.get((cell.signal.issuer.raw, cell.signal.apart), task.raw)
        worker = self._worker
        return other != task.raw and (other in worker.claims or other in worker.settled)

    def won(self, task: TaskId) -> None:
        """This node has a task now."""
        cell = self._field.get(task)
        if cell is not None and cell.signal.apart:
            self._taken[cell.signal.issuer.raw, cell.signal.apart] = task.raw
            while len(self._taken) > _REMEMBERED_MAX:
                del self._taken[next(iter(self._taken))]
