"""Pledges: under which generations this node will never again begin a task.

Delegates open the next generation because the last holder has given the task back, or
know that nothing is left to do because it is done. Such a word must bind its author
whatever it forgets, or an old vote could start an exclusive task twice. So it is saved
before it is given, and kept until nobody can want the task. This file sends nothing.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Fields, decode, encode
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import ID_BYTES, TaskId
from nestmate_protocol.limits import (
    BALLOT_KEPT_MS,
    PLEDGES_KEPT_MAX,
    SIGNAL_TTL_SECONDS_MAX,
)
from nestmate_protocol.signals.records import COUNT_MAX, GENERATION_MAX, present
from nestmate_protocol.signals.shelf import damaged

PLEDGE_PREFIX: Final = b"s/p/"
_KEPT_MS: Final = SIGNAL_TTL_SECONDS_MAX * 1_000 + BALLOT_KEPT_MS


class Pledge(NamedTuple):
    """The latest generation given back; with ``digest``, that of the result, done.

    ``end_ms`` is Unix ms.
    """

    task: TaskId
    generation: int
    end_ms: int
    digest: bytes | None = None


class Pledges:
    """All pledges of this node; the oldest go first if there are too many."""

    def __init__(self) -> None:
        self._pledges: dict[bytes, Pledge] = {}

    def __repr__(self) -> str:
        return f"<Pledges on {len(self._pledges)} tasks>"

    def recall(self, values: Iterable[bytes]) -> None:
        """Take up what is saved; LocalError if the store is damaged."""
        for pledge in sorted(map(_read, values), key=lambda each: each.end_ms):
            self._pledges[pledge.task.raw] = pledge

    def get(self, task: TaskId) -> Pledge | None:
        """What was pledged of a task."""
        return self._pledges.get(task.raw)

    def allows(self, task: TaskId, generation: int) -> bool:
        """Whether this node may begin a task under a generation."""
        pledge = self._pledges.get(task.raw)
        return pledge is None or (
            pledge.digest is None and pledge.generation < generation
        )

    def give(
        self, task: TaskId, generation: int, now: Moment, digest: bytes | None = None
    ) -> Save:
        """Never begin a task again under this generation; with a digest, under any."""
        known = self._pledges.pop(task.raw, None)
        if known is not None:
            generation = max(generation, known.generation)
            digest = digest or known.digest
        pledge = Pledge(task, generation, max(0, now.wall_ms) + _KEPT_MS, digest)
        self._pledges[task.raw] = pledge
        writes: list[tuple[bytes, bytes | None]] = [_write(pledge)]
        oldest = next(iter(self._pledges.values()))
        if len(self._pledges) > PLEDGES_KEPT_MAX or oldest.end_ms <= now.wall_ms:
            del self._pledges[oldest.task.raw]
            writes.append((PLEDGE_PREFIX + oldest.task.raw, None))
        return Save(tuple(writes))


def _write(pledge: Pledge) -> tuple[bytes, bytes]:
    body = present(
        {
            0: 1,
            1: pledge.task.raw,
            2: pledge.generation,
            3: pledge.end_ms,
            4: pledge.digest,
        }
    )
    return PLEDGE_PREFIX + pledge.task.raw, encode(body)


def _read(data: bytes) -> Pledge:
    try:
        fields = Fields(decode(data))
        return Pledge(
            fields.identifier(1, TaskId),
            fields.integer(2, 1, GENERATION_MAX),
            fields.integer(3, 0, COUNT_MAX),
            fields.octets_or(4, None, ID_BYTES, ID_BYTES),
        )
    except RemoteError as damage:
        raise damaged("a pledge", damage) from damage
