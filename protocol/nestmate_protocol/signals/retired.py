"""Retired: how tasks stand that are not open any more, for those who still think so.

A call reaches more agents than those who hear that it is answered: some were away, and
what goes to a topic may get lost. So what an issuer last said of a task is kept as its
signed record, and whoever brings an older call is answered with it. This file believes
nothing: what it keeps was admitted before, and whoever gets it checks it anew.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Fields
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.records import Kind, Record
from nestmate_protocol.signals.asking import remember
from nestmate_protocol.signals.cells import Life, Stage, done, granted
from nestmate_protocol.signals.claims import Cancel, Lease, Receipt
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.outcomes import ToAgent
from nestmate_protocol.signals.records import Signal, task_id
from nestmate_protocol.signals.requests import TaskStatus

_Word: TypeAlias = tuple[TaskId, Life]


class Retired:
    """The last word of issuers, by task; of the tasks heard of latest."""

    def __init__(self, me: Address, field: Field, issuer: Issuer) -> None:
        self._me = me
        self._field = field
        self._issuer = issuer
        self._words: dict[bytes, tuple[Life, bytes]] = {}

    def __repr__(self) -> str:
        return f"<Retired {len(self._words)}>"

    def heard(self, record: Record, author: Address) -> None:
        """An issuer's record was admitted: keep it, if it retires a call."""
        read = _READ.get(record.kind)
        word = None if read is None else read(record.fields)
        if word is None:
            return
        task, life = word
        cell = self._field.get(task)
        if cell is None or cell.life != life or cell.signal.issuer != author:
            return
        known = self._words.get(task.raw)
        if known is None or known[0] < life:
            remember(self._words, task.raw, (life, record.data))

    def shown(self, record: Record, bearer: Address, now: Moment) -> list[ToAgent]:
        """Somebody passed a verified signal on: what it should know of the task."""
        signal = Signal.read(record.fields)
        task, generation = task_id(signal.issuer, signal.key), signal.generation
        if signal.issuer == self._me:
            return self._own(task, bearer, generation, now)
        cell = self._field.get(task)
        if cell is None or cell.life <= Life(generation, Stage.OPEN):
            return []
        if cell.life.stage == Stage.OPEN:
            return [ToAgent(bearer, cell.data, now.mono_ms - cell.sent_ms)]
        life, data = self._words.get(task.raw, (None, b""))
        return [ToAgent(bearer, data)] if life == cell.life else []

    def _own(
        self, task: TaskId, bearer: Address, generation: int, now: Moment
    ) -> list[ToAgent]:
        """A call of our own has come back."""
        own = self._issuer.tasks.get(task.raw)
        is_open = own is not None and own.status == TaskStatus.OPEN
        if own is not None and is_open and (own.waits or own.generation == generation):
            return []
        told = self._issuer.answer(task, bearer, generation, now)
        return [step for step in told if isinstance(step, ToAgent)]


def _of_lease(fields: Fields) -> _Word | None:
    """None for a lease that brings what only its holder may see."""
    lease = Lease.read(fields)
    if lease.body is not None or lease.partial is not None or lease.inputs:
        return None
    return lease.task, granted(lease.task, lease.generation, lease.holder)


def _of_receipt(fields: Fields) -> _Word:
    receipt = Receipt.read(fields)
    return receipt.task, done(receipt.task, receipt.generation, receipt.holder)


def _of_cancel(fields: Fields) -> _Word:
    cancel = Cancel.read(fields)
    return cancel.task, Life(cancel.generation, Stage.CANCELLED)


_READ: Final[dict[Kind, Callable[[Fields], _Word | None]]] = {
    Kind.LEASE: _of_lease,
    Kind.RECEIPT: _of_receipt,
    Kind.CANCEL: _of_cancel,
}
