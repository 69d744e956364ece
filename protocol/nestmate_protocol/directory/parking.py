"""Parking: verified records of authors whose card is still on its way.

A record proves which key signed it, but not for whom that key speaks; until a card
says so it waits here, bounded in all and per bearer, and for half a minute. The card
is asked for at once and a few times more, because whoever bore the record may be asking
for it as well. This file does not know what the records say.
"""

from dataclasses import dataclass, field
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import DeviceKey, PeerId
from nestmate_protocol.limits import PARKED_RECORDS_MAX
from nestmate_protocol.records import Carried

PARKED_PER_BEARER_MAX: Final = PARKED_RECORDS_MAX // 8
WAIT_MS_MAX: Final = 30_000
ASK_AFTER_MS: Final = (0, 200, 600, 1_500, 4_000)


@dataclass(frozen=True, slots=True)
class Parked:
    """One record, who brought it, and when, on the monotonic clock."""

    carried: Carried
    bearer: PeerId
    since_ms: int


@dataclass(slots=True)
class _Lot:
    """All that waits for one key, and how often its card was asked for."""

    since_ms: int
    asked: int = 0
    parked: list[Parked] = field(default_factory=list)

    def ask_ms(self) -> int | None:
        if self.asked == len(ASK_AFTER_MS):
            return None
        return self.since_ms + ASK_AFTER_MS[self.asked]


class Parking:
    """Records by the key that signed them."""

    def __init__(self) -> None:
        self._lots: dict[DeviceKey, _Lot] = {}
        self._per_bearer: dict[PeerId, int] = {}

    def __repr__(self) -> str:
        return f"<Parking {len(self)} records of {len(self._lots)} keys>"

    def __len__(self) -> int:
        return sum(self._per_bearer.values())

    def park(self, carried: Carried, bearer: PeerId, now: Moment) -> bool:
        """Keep a record until its author's card comes; False if there is no room."""
        used = self._per_bearer.get(bearer, 0)
        if len(self) >= PARKED_RECORDS_MAX or used >= PARKED_PER_BEARER_MAX:
            return False
        lot = self._lots.setdefault(carried.record.author, _Lot(now.mono_ms))
        if any(one.carried.record.id == carried.record.id for one in lot.parked):
            return True
        lot.parked.append(Parked(carried, bearer, now.mono_ms))
        self._per_bearer[bearer] = used + 1
        return True

    def release(self, author: DeviceKey, now: Moment) -> list[tuple[PeerId, Carried]]:
        """What waited for this author, its ages grown by the wait."""
        lot = self._lots.pop(author, None)
        if lot is None:
            return []
        released: list[tuple[PeerId, Carried]] = []
        for one in lot.parked:
            self._unbook(one.bearer)
            age_ms = one.carried.age_ms + max(0, now.mono_ms - one.since_ms)
            released.append((one.bearer, Carried(one.carried.record, age_ms)))
        return released

    def wake(self, now: Moment) -> list[tuple[DeviceKey, PeerId]]:
        """Drop what waited too long; returns whose card to ask for, and of whom."""
        asks: list[tuple[DeviceKey, PeerId]] = []
        for author, lot in list(self._lots.items()):
            if lot.since_ms + WAIT_MS_MAX <= now.mono_ms:
                self.release(author, now)
                continue
            due_ms = lot.ask_ms()
            if due_ms is not None and due_ms <= now.mono_ms:
                lot.asked += 1
                asks.append((author, lot.parked[-1].bearer))
        return asks

    def next_wakeup(self) -> int | None:
        """When something is due, on the monotonic clock in ms."""
        times = [lot.since_ms + WAIT_MS_MAX for lot in self._lots.values()]
        times += [t for lot in self._lots.values() if (t := lot.ask_ms()) is not None]
        return min(times, default=None)

    def _unbook(self, bearer: PeerId) -> None:
        left = self._per_bearer[bearer] - 1
        if left:
            self._per_bearer[bearer] = left
        else:
            del self._per_bearer[bearer]
