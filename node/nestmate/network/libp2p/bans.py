"""Bans: strikes against peers and addresses, and for how long the door stays shut.

STRIKES_MAX strikes close the door for BAN_MS_MIN, and twice as long each further time,
up to BAN_MS_MAX. Strikes fade, so that a long friendship survives a rare fault. Bans
outlive the process: they are dumped and loaded as plain bytes. This file knows nothing
of connections; somebody else hangs up.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import BAN_MS_MAX, BAN_MS_MIN, STRIKES_MAX

STRIKE_FADES_SECONDS: Final = 30.0
RECORDS_MAX: Final = 4_096
_DUMPED_MAX: Final = 1_024
_DOUBLINGS_MAX: Final = 16

WEIGHTS: Final = {
    Fault.TOO_LARGE: 10,
    Fault.MALFORMED: 5,
    Fault.NOT_CANONICAL: 5,
    Fault.UNKNOWN_KIND: 1,
    Fault.UNKNOWN_VERSION: 1,
    Fault.BAD_SIGNATURE: 5,
    Fault.BAD_FIELD: 5,
    Fault.BROKEN_CHAIN: 5,
    Fault.NOT_ENTITLED: 2,
    Fault.EXPIRED: 1,
    Fault.FROM_THE_FUTURE: 1,
    Fault.OVER_LIMIT: 1,
    Fault.REPLAYED: 1,
    Fault.STALE_GENERATION: 0,
}
"""How many strikes a fault is; what no honest node does by accident weighs most."""


@dataclass(slots=True)
class _Standing:
    """How one peer or address stands: strikes at a time, bans so far, shut until."""

    strikes: int = 0
    at: float = 0.0
    times: int = 0
    until: float = 0.0


class Bans:
    """Who may not come in; all times are Unix seconds, since bans outlive a boot."""

    def __init__(self, kept: bytes = b"", now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._standings: dict[str, _Standing] = {}
        self._load(kept)

    def __repr__(self) -> str:
        return f"<Bans of {len(self._standings)}>"

    def strike_peer(self, peer: PeerId, fault: Fault) -> bool:
        """Count a fault; True if that closes the door now."""
        return self._strike(_peer_key(peer), WEIGHTS[fault])

    def strike_address(self, group: str, fault: Fault) -> bool:
        """Count a fault of an unknown peer against its address; as ``strike_peer``."""
        return self._strike(_address_key(group), WEIGHTS[fault])

    def shut_address(self, group: str) -> None:
        """Shut the door to an address along with a peer that came from there."""
        self._strike(_address_key(group), STRIKES_MAX)

    def bars_peer(self, peer: PeerId) -> bool:
        """Whether the door is shut to a peer."""
        return self._bars(_peer_key(peer))

    def bars_address(self, group: str) -> bool:
        """Whether the door is shut to an address."""
        return self._bars(_address_key(group))

    def dump(self) -> bytes:
        """What should be remembered, for the next ``Bans``."""
        now = self._now()
        rows = [
            [key, standing.times, int(standing.until)]
            for key, standing in self._standings.items()
            if standing.times and standing.until + BAN_MS_MAX / 1000 > now
        ]
        return json.dumps(rows[-_DUMPED_MAX:]).encode() if rows else b""

    def _load(self, kept: bytes) -> None:
        try:
            rows = json.loads(kept or b"[]")
            for key, times, until in rows[-_DUMPED_MAX:]:
                standing = _Standing(times=int(times), until=float(until))
                self._standings[str(key)] = standing
        except (ValueError, TypeError):
            self._standings.clear()  # a damaged note costs the bans, not the start

    def _strike(self, key: str, weight: int) -> bool:
        now = self._now()
        standing = self._standings.pop(key, None) or _Standing(at=now)
        self._standings[key] = standing
        self._make_room()
        faded = int((now - standing.at) / STRIKE_FADES_SECONDS)
        standing.at += faded * STRIKE_FADES_SECONDS
        standing.strikes = max(0, standing.strikes - faded) + weight
        if standing.strikes < STRIKES_MAX or standing.until > now:
            return False
        if standing.until + BAN_MS_MAX / 1000 < now:
            standing.times = 0
        ban_ms = min(BAN_MS_MAX, BAN_MS_MIN << min(standing.times, _DOUBLINGS_MAX))
        standing.strikes = 0
        standing.times += 1
        standing.until = now + ban_ms / 1000
        return True

    def _bars(self, key: str) -> bool:
        standing = self._standings.get(key)
        return standing is not None and standing.until > self._now()

    def _make_room(self) -> None:
        if len(self._standings) <= RECORDS_MAX:
            return
        now = self._now()
        free = (key for key, each in self._standings.items() if each.until <= now)
        del self._standings[next(free, next(iter(self._standings)))]


def _peer_key(peer: PeerId) -> str:
    return peer.text


def _address_key(group: str) -> str:
    return f"ip {group}"
