"""Presence records as both network twins judge them before they keep or return one.

A presence record is good for exactly one address, is signed by a device its identity
log knows, and has not expired; of several the one that ranks highest is kept, and of
two equals the later one. This file knows neither where records are kept nor how they
travel.
"""

import time
from collections.abc import Iterable

from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.identity.cards import Presence, open_presence
from nestmate_protocol.ids import Address, NetworkId


def judged_presence(address: Address, record: bytes, network: NetworkId) -> Presence:
    """The presence of ``address`` that a record is; RemoteError if it is none now."""
    presence = open_presence(record, network, int(time.time() * 1000))
    if presence.address != address:
        raise RemoteError(Fault.NOT_ENTITLED, "presence of another address")
    return presence


def newest_presence(
    address: Address, records: Iterable[bytes], network: NetworkId
) -> Presence | None:
    """The best of several records, bad ones left out; None if there is no good one."""
    best: Presence | None = None
    for record in records:
        try:
            presence = judged_presence(address, record, network)
        except RemoteError:
            continue
        if best is None or presence.rank >= best.rank:
            best = presence
    return best
