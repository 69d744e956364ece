"""Health: a peer that answers nothing is gone, even if its socket stands.

Every connection is pinged inside Yamux; two misses in a row close it. Somebody above
dials again. This file knows nothing of why a peer is silent.
"""

from typing import Final

import trio

from nestmate.network.libp2p.wire import GoneError
from nestmate.network.libp2p.yamux import Muxer

MISSES_MAX: Final = 2


async def watch(muxer: Muxer, ping_seconds: float) -> None:
    """Ping until the connection ends, or end it."""
    while True:
        with trio.move_on_after(ping_seconds):
            await muxer.closed.wait()
            return
        for _ in range(MISSES_MAX):
            if await _answers(muxer, ping_seconds / MISSES_MAX):
                break
        else:
            muxer.stop()


async def _answers(muxer: Muxer, within_seconds: float) -> bool:
    with trio.move_on_after(within_seconds):
        try:
            return await muxer.ping()
        except GoneError:
            return True  # gone already, there is nothing left to end
    return False
