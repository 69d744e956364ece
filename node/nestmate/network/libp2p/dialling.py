"""Dialling: every address of a peer, a quarter of a second apart; the first one wins.

One dial per peer runs at a time and whoever asks meanwhile shares its outcome. There
is no memory of failures: when to try again is the core's policy. An address counts as
answered only if the right peer id proved itself there.
"""

from collections.abc import Iterable
from typing import Final

import trio

from nestmate.network.libp2p.addresses import Place
from nestmate.network.libp2p.guard import count_fault
from nestmate.network.libp2p.host import Host
from nestmate.network.libp2p.reception import Reception
from nestmate.network.libp2p.wire import GoneError
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import PeerId

STAGGER_SECONDS: Final = 0.25
ADDRESS_SECONDS_MAX: Final = 6.0


class Dialler:
    """Brings peers up."""

    def __init__(self, host: Host, reception: Reception) -> None:
        self._host = host
        self._reception = reception
        self._running: dict[PeerId, trio.Event] = {}

    def __repr__(self) -> str:
        return f"<Dialler {len(self._running)} at work>"

    async def dial(self, peer: PeerId, places: Iterable[Place]) -> bool:
        """Try all places; True if the peer is up in the end, by whatever way."""
        if peer == self._host.peer or self._host.bans.bars_peer(peer):
            return False
        running = self._running.get(peer)
        if running is not None:
            await running.wait()
        elif self._host.connection(peer) is None:
            done = self._running[peer] = trio.Event()
            try:
                await self._try_all(peer, places)
            finally:
                del self._running[peer]
                done.set()
        return self._host.connection(peer) is not None

    async def _try_all(self, peer: PeerId, places: Iterable[Place]) -> None:
        mine = set(self._host.places)
        async with trio.open_nursery() as nursery:
            for place in places:
                if place in mine:
                    continue
                failed = trio.Event()
                nursery.start_soon(self._try, peer, place, failed, nursery.cancel_scope)
                with trio.move_on_after(STAGGER_SECONDS):
                    await failed.wait()

    async def _try(
        self, peer: PeerId, place: Place, failed: trio.Event, rest: trio.CancelScope
    ) -> None:
        with trio.move_on_after(ADDRESS_SECONDS_MAX):
            try:
                if await self._reception.connect(peer, place):
                    rest.cancel()
            except GoneError:
                self._host.counters.dropped += 1
            except RemoteError as error:
                count_fault(self._host.counters, error.fault)
            except Exception:  # noqa: BLE001 - one address must not cost the node
                self._host.report(f"dialling {place.text}")
        failed.set()
