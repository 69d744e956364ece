"""The reception: where connections begin, from outside and from here.

Whoever comes in is counted and paced before a byte of it is read, then has five
seconds to prove who it is; whoever misbehaves meanwhile is struck by address. Whoever
is dialled must prove to be the peer that was meant. What happens to a connection
afterwards is the host's affair.
"""

from typing import Final

import trio

from nestmate.errors import BusyError
from nestmate.network.libp2p.addresses import (
    Place,
    good_places,
    ip_group,
    listen_place,
    reachable_places,
)
from nestmate.network.libp2p.guard import count_fault
from nestmate.network.libp2p.host import Connection, Host
from nestmate.network.libp2p.secure import Doorkeeper, Listener
from nestmate.network.libp2p.wire import GoneError
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import PeerId

_ACCEPT_PAUSE_SECONDS: Final = 0.1


class Reception:
    """Listens, dials, and hands secured connections to the host."""

    def __init__(self, host: Host, doorkeeper: Doorkeeper) -> None:
        self._host = host
        self._doorkeeper = doorkeeper
        self._listeners: list[Listener] = []

    def __repr__(self) -> str:
        return f"<Reception of {self._host.peer.short}>"

    async def open(self) -> None:
        """Begin to listen. Raises BusyError if an address is taken."""
        places: list[str] = []
        for wanted in [listen_place(text) for text in self._host.options.listen]:
            try:
                listener = await Listener.open(wanted.host, wanted.port)
            except OSError as error:
                self.close()
                raise BusyError(
                    f"cannot listen at {wanted.text}: {error.strerror}",
                    "choose another address, or port 0 for any free one",
                ) from None
            self._listeners.append(listener)
            at = Place(wanted.kind, wanted.host, listener.port)
            places += [place.text for place in reachable_places(at)]
        self._host.places = good_places(self._host.options.announce or places)

    def close(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def run(self, nursery: trio.Nursery) -> None:
        """Let in whoever comes, and let dialled connections live, in a nursery."""
        self._nursery = nursery
        for listener in self._listeners:
            nursery.start_soon(self._accept_from, listener)

    async def connect(self, peer: PeerId, place: Place) -> bool:
        """Try one address once; True if the peer is up in the end.

        Raises GoneError or RemoteError for what went wrong on the way.
        """
        try:
            stream = await trio.open_tcp_stream(place.host, place.port)
        except (OSError, ValueError):  # a name may be none that can be looked up
            raise GoneError("nobody there") from None
        channel = await self._doorkeeper.call_on(stream, peer)
        connection = Connection(peer, place, inbound=False, group="")
        self._nursery.start_soon(self._host.serve, connection, channel)
        await connection.settled.wait()
        up = self._host.connection(peer)
        if up is None:
            return False
        await up.announced.wait()
        return True

    async def _accept_from(self, listener: Listener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError:
                await trio.sleep(_ACCEPT_PAUSE_SECONDS)  # out of file descriptors
                continue
            self._nursery.start_soon(self._receive, stream)

    async def _receive(self, stream: trio.SocketStream) -> None:
        """See one connection through from its first moment to its last."""
        with stream.socket:
            try:
                name = stream.socket.getpeername()
            except OSError:
                return
            group = ip_group(name[0])
            if not self._host.limiter.counts(group):
                await self._admit(stream, name, group, "")
            elif not self._host.bans.bars_address(group):
                await self._admit(stream, name, group, group)

    async def _admit(
        self, stream: trio.SocketStream, name: tuple[str, int], group: str, counted: str
    ) -> None:
        with self._host.limiter.room(group) as room:
            if not room:
                return
            channel = None
            try:
                with self._host.limiter.handshake(group):
                    channel = await self._doorkeeper.let_in(stream)
            except GoneError:
                pass
            except RemoteError as error:
                count_fault(self._host.counters, error.fault)
                if counted:
                    self._host.bans.strike_address(counted, error.fault)
            except Exception:  # noqa: BLE001 - one stranger must not cost the node
                self._host.report(f"a handshake with {group}")
            if channel is None:
                self._host.counters.dropped += 1
                return
            kind = "ip6" if ":" in name[0] else "ip4"
            place = Place(kind, name[0].partition("%")[0], name[1])
            connection = Connection(channel.peer, place, inbound=True, group=counted)
            await self._host.serve(connection, channel)
