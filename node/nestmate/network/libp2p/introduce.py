"""Introductions: what a node says of itself first, and answering pings.

Speaks identify (/ipfs/id/1.0.0) and ping (/ipfs/ping/1.0.0) as every libp2p node does.
A peer that speaks no protocol of our network is not of our network. What it claims is
bounded and taken once per connection; identify/push is not offered. This file keeps no
list of peers.
"""

from importlib.metadata import version
from typing import Final

import trio
from google.protobuf.message import DecodeError

from nestmate.network.libp2p.addresses import known_places
from nestmate.network.libp2p.borrowed import Identify
from nestmate.network.libp2p.host import Connection, Host
from nestmate.network.libp2p.names import Names
from nestmate.network.libp2p.wire import (
    receive_delimited,
    send_delimited,
    text_of,
)
from nestmate.network.libp2p.yamux import Stream
from nestmate_protocol.errors import Fault, RemoteError

IDENTIFY: Final = "/ipfs/id/1.0.0"
PING: Final = "/ipfs/ping/1.0.0"
IDENTIFY_BYTES_MAX: Final = 16 * 1024
PROTOCOLS_MAX: Final = 128
PLACES_READ_MAX: Final = 64
PINGS_PER_STREAM_MAX: Final = 1_000
PING_IDLE_SECONDS_MAX: Final = 60.0
_PING_BYTES: Final = 32


class Introductions:
    """Tells others who we are and asks who they are."""

    def __init__(self, host: Host, names: Names, public_key: bytes) -> None:
        self._host = host
        self._names = names
        self._public_key = public_key
        host.entrances[IDENTIFY] = self._answer
        host.entrances[PING] = self._echo
        host.open_entrances |= {IDENTIFY, PING}
        host.introduce = self.ask

    def __repr__(self) -> str:
        return f"<Introductions of {self._host.peer.short}>"

    async def ask(self, connection: Connection) -> bool:
        """Learn what the other end speaks; True if it is a node of our network."""
        stream, _ = await self._host.open_stream_on(connection, (IDENTIFY,))
        try:
            message = await receive_delimited(stream, IDENTIFY_BYTES_MAX)
        finally:
            stream.close()
        try:
            said = Identify.FromString(message)
        except DecodeError:
            raise RemoteError(Fault.MALFORMED, "identify") from None
        if len(said.protocols) > PROTOCOLS_MAX:
            raise RemoteError(Fault.TOO_LARGE, "identify")
        connection.speaks = frozenset(text_of(each) for each in said.protocols)
        connection.places = known_places(said.listen_addrs[:PLACES_READ_MAX])
        return any(self._names.is_ours(protocol) for protocol in connection.speaks)

    async def _answer(self, connection: Connection, stream: Stream) -> None:
        said = Identify(
            protocol_version=self._names.protocol_version,
            agent_version=f"nestmate/{version('nestmate')}",
            public_key=self._public_key,
            listen_addrs=[place.octets for place in self._host.places],
            observed_addr=connection.place.octets,
            protocols=sorted(self._host.entrances),
        )
        await send_delimited(stream, said.SerializeToString())

    async def _echo(self, connection: Connection, stream: Stream) -> None:  # noqa: ARG002 - every entrance is told who came
        for _ in range(PINGS_PER_STREAM_MAX):
            with trio.fail_after(PING_IDLE_SECONDS_MAX):
                await stream.send_all(await stream.receive_exactly(_PING_BYTES))
