"""Outbox: records that wait until their agent can be reached, and not for long.

Per address the newest records are kept, each for half a minute and each once; whoever
needs more certainty says it again. What comes out keeps the order it went in and has
grown older by the wait. This file knows neither peers nor what the records say.
"""

from dataclasses import dataclass
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address

RECORDS_PER_ADDRESS_MAX: Final = 64
ADDRESSES_MAX: Final = 256
WAIT_MS_MAX: Final = 30_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The age of one record when it was put here, and when that was."""

    age_ms: int
    since_ms: int

    def is_late(self, now: Moment) -> bool:
        return now.mono_ms - self.since_ms >= WAIT_MS_MAX


class Outbox:
    """Records by the address they are for."""

    def __init__(self) -> None:
        self._records: dict[Address, dict[bytes, _Waiting]] = {}

    def __repr__(self) -> str:
        return f"<Outbox for {len(self._records)} addresses>"

    def __len__(self) -> int:
        return sum(len(records) for records in self._records.values())

    def put(self, address: Address, record: bytes, age_ms: int, now: Moment) -> None:
        """Keep a record; the oldest make room, of this address and of all."""
        records = self._records.pop(address, {})
        records.pop(record, None)
        records[record] = _Waiting(age_ms, now.mono_ms)
        while len(records) > RECORDS_PER_ADDRESS_MAX:
            del records[next(iter(records))]
        self._records[address] = records
        while len(self._records) > ADDRESSES_MAX:
            del self._records[next(iter(self._records))]

    def take(self, address: Address, now: Moment) -> list[tuple[bytes, int]]:
        """What waits for an address with its age now, oldest first; it is gone here."""
        return [
            (record, waiting.age_ms + now.mono_ms - waiting.since_ms)
            for record, waiting in self._records.pop(address, {}).items()
            if not waiting.is_late(now)
        ]

    def wake(self, now: Moment) -> None:
        """Drop what has waited too long."""
        for address, records in list(self._records.items()):
            kept = {r: w for r, w in records.items() if not w.is_late(now)}
            if kept:
                self._records[address] = kept
            else:
                del self._records[address]

    def next_wakeup(self) -> int | None:
        """When the first record has waited too long; monotonic ms."""
        firsts = (next(iter(r.values())) for r in self._records.values())
        return min((w.since_ms + WAIT_MS_MAX for w in firsts), default=None)
