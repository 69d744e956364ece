"""Nodes on the same LAN: says that we are here and hears who else is, if asked to.

Speaks multicast DNS as libp2p does (a TXT record with ``dnsaddr`` strings) under a
service name of our network's own. What is heard is a hint nobody has proved. The DNS
work is done by zeroconf, loaded only here, in threads that end with this task.
"""

import logging
from collections.abc import Iterator
from secrets import token_hex
from typing import Any, Final

import trio

from nestmate.network.libp2p.addresses import good_places
from nestmate.network.libp2p.host import Host, Tell
from nestmate.network.libp2p.names import Names
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import Sighted
from nestmate_protocol.limits import HOST_ADDRESSES_MAX, MULTIADDR_CHARS_MAX

SIGHTINGS_WAITING_MAX: Final = 64
RESOLVE_MS: Final = 2_000
_KEY: Final = b"dnsaddr="
_TEXT_BYTES_MAX: Final = 8 * 1024


class Lan:
    """This node's presence on the local network."""

    def __init__(self, host: Host, names: Names, tell: Tell) -> None:
        self._host = host
        self._service = names.mdns_service
        self._tell = tell
        self._told, self._seen = trio.open_memory_channel[bytes](SIGHTINGS_WAITING_MAX)

    def __repr__(self) -> str:
        return f"<Lan {self._service}>"

    async def run(self) -> None:
        """Be seen and look around until cancelled; without a LAN do nothing."""
        self._token = trio.lowlevel.current_trio_token()
        try:
            finder = await trio.to_thread.run_sync(self._open)
        except OSError:
            return
        try:
            async for text in self._seen:
                for sighting in read_sightings(text):
                    if sighting.peer != self._host.peer:
                        await self._tell(sighting)
        finally:
            with trio.CancelScope(shield=True):  # its threads must not outlive us
                await trio.to_thread.run_sync(finder.close)

    def _open(self) -> Any:
        """In a thread: announce ourselves, and have strangers told to us."""
        import zeroconf  # noqa: PLC0415 - costs memory, and few ask for it

        logging.getLogger("zeroconf").setLevel(logging.CRITICAL)
        finder = zeroconf.Zeroconf()
        places = [place for place in self._host.places if not place.is_loopback]
        if places:
            texts = [f"{place.text}/p2p/{self._host.peer.text}" for place in places]
            finder.register_service(
                zeroconf.ServiceInfo(
                    self._service,
                    f"{token_hex(16)}.{self._service}",
                    port=places[0].port,
                    properties=write_sighting(texts),
                    server=f"{token_hex(8)}.local.",
                    parsed_addresses=[place.host for place in places],
                )
            )
        finder.add_service_listener(self._service, self)  # type: ignore[arg-type]  # zeroconf asks for its own class, not its shape
        return finder

    def add_service(self, finder: Any, service: str, name: str) -> None:
        """In zeroconf's thread: somebody appeared."""
        info = finder.get_service_info(service, name, RESOLVE_MS)
        if info is not None and len(info.text) <= _TEXT_BYTES_MAX:
            try:
                self._token.run_sync_soon(self._pass_on, bytes(info.text))
            except trio.RunFinishedError:
                return

    def update_service(self, finder: Any, service: str, name: str) -> None:
        """In zeroconf's thread: somebody has new addresses."""
        self.add_service(finder, service, name)

    def remove_service(self, finder: Any, service: str, name: str) -> None:
        """In zeroconf's thread: somebody went, which its connection tells better."""

    def _pass_on(self, text: bytes) -> None:
        try:
            self._told.send_nowait(text)
        except trio.WouldBlock:
            self._host.counters.dropped += 1


def write_sighting(texts: list[str]) -> bytes:
    """A TXT record's strings, each a ``dnsaddr`` with one address."""
    strings = [_KEY + text.encode() for text in texts[:HOST_ADDRESSES_MAX]]
    return b"".join(bytes((len(each),)) + each for each in strings if len(each) < 256)  # noqa: PLR2004 - one byte of length


def read_sightings(text: bytes) -> Iterator[Sighted]:
    """Whoever a TXT record claims to be here, with addresses that can be dialled."""
    found: dict[PeerId, list[str]] = {}
    while text:
        size, text = text[0], text[1:]
        string, text = text[:size], text[size:]
        address, separator, name = (
            string[len(_KEY) :].decode("ascii", "replace").rpartition("/p2p/")
        )
        if not string.startswith(_KEY) or not separator:
            continue
        if len(address) > MULTIADDR_CHARS_MAX:
            continue
        try:
            found.setdefault(PeerId.parse(name), []).append(address)
        except (LocalError, RemoteError):
            continue
    for peer, texts in found.items():
        places = good_places(texts)
        if places:
            yield Sighted(peer, tuple(place.text for place in places))
