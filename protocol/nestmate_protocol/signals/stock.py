"""The stock: results at hand that other tasks take as their inputs.

Results of our own tasks lie with the tasks; what others gave us is kept here and on
disk for as long as a live task of ours takes it. This file knows whose results it
holds and nothing of how they came.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from nestmate_protocol.codec import Fields, decode, encode
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import RESULT_BYTES_MAX
from nestmate_protocol.signals.claims import Supply
from nestmate_protocol.signals.requests import TaskStatus
from nestmate_protocol.signals.shelf import OwnTask, Source

RESULT_PREFIX: Final = b"s/i/"
LIVE: Final = frozenset({TaskStatus.OPEN, TaskStatus.GRANTED})


class Stock:
    """Every result this node could hand to whoever works on a task of ours."""

    def __init__(self, tasks: Mapping[bytes, OwnTask]) -> None:
        self._tasks = tasks
        self._learnt: dict[tuple[bytes, bytes], bytes] = {}

    def __repr__(self) -> str:
        return f"<Stock of {len(self._learnt)} besides our own>"

    def recall(self, values: Iterable[bytes]) -> None:
        """Take up what is on disk; LocalError if it is damaged."""
        for value in values:
            try:
                fields = Fields(decode(value))
                task, issuer = (
                    fields.identifier(0, TaskId),
                    fields.identifier(1, Address),
                )
                data = fields.octets(2, 0, RESULT_BYTES_MAX)
            except RemoteError as damage:
                raise LocalError(
                    f"The store holds a result that cannot be read ({damage}).",
                    "Run `nestmate doctor`, or restore an export of the store.",
                ) from damage
            self._learnt[task.raw, issuer.raw] = data

    def get(self, source: Source) -> bytes | None:
        """The result of a task, if it is here."""
        own = self._tasks.get(source.task.raw)
        if own is not None:
            return own.result if own.status == TaskStatus.DONE else None
        return self._learnt.get((source.task.raw, source.issuer.raw))

    def missing(self, own: OwnTask) -> tuple[Source, ...]:
        """The inputs of a task that are not here."""
        return tuple(each for each in own.order.inputs if self.get(each) is None)

    def supplies(self, own: OwnTask, room: int) -> tuple[Supply, ...]:
        """A task's inputs in their order, by value as far as ``room`` bytes go."""
        supplies: list[Supply] = []
        for source in own.order.inputs:
            data = self.get(source) or b""
            room -= len(data) if (fits := len(data) <= room) else 0
            digest = sha256(data).digest()
            sent = data if fits else None
            supplies.append(Supply(source.task, digest, len(data), sent))
        return tuple(supplies)

    def put(self, source: Source, data: bytes) -> Save:
        """Keep what somebody else's task came to."""
        self._learnt[source.task.raw, source.issuer.raw] = data
        value = encode([source.task.raw, source.issuer.raw, data])
        return Save(((_key(source), value),))

    def release(self, own: OwnTask) -> Save | None:
        """Forget what only this task took, now that it is over."""
        needed = self.needed()
        gone = [
            source
            for source in own.order.inputs
            if source.task.raw not in needed
            and self._learnt.pop((source.task.raw, source.issuer.raw), None) is not None
        ]
        writes = tuple((_key(source), None) for source in gone)
        return Save(writes, durable=False) if writes else None

    def needed(self) -> set[bytes]:
        """The tasks whose results a live task of ours takes."""
        return {
            source.task.raw
            for own in self._tasks.values()
            if own.order.inputs and own.status in LIVE
            for source in own.order.inputs
        }


def _key(source: Source) -> bytes:
    return RESULT_PREFIX + source.task.raw + source.issuer.raw
