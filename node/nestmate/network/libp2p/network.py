"""The libp2p network: puts the parts together and obeys the network port.

This is the border between strangers and the house: whatever goes wrong below ends as a
count, a strike, a closed connection or an input, never as an exception above. It knows
every part and no rule of any of them.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import trio

from nestmate.network.base import Counters, NetworkInput, NetworkOptions
from nestmate.network.libp2p.addresses import good_places
from nestmate.network.libp2p.dht import Dht
from nestmate.network.libp2p.dialling import Dialler
from nestmate.network.libp2p.gossip import Gossip
from nestmate.network.libp2p.host import Host
from nestmate.network.libp2p.introduce import Introductions
from nestmate.network.libp2p.lan import Lan
from nestmate.network.libp2p.names import Names
from nestmate.network.libp2p.news import News
from nestmate.network.libp2p.reception import Reception
from nestmate.network.libp2p.secure import Doorkeeper
from nestmate.network.libp2p.streams import Channels
from nestmate_protocol.effects import Channel
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import Address, PeerId
from nestmate_protocol.inputs import Dialled, Listening


class Libp2pNetwork:
    """One node's place among strangers; obeys the network port, for one run."""

    def __init__(self, options: NetworkOptions) -> None:
        self.options = options
        self.counters = Counters()
        self._names = Names(options.network)
        doorkeeper = Doorkeeper(options.host_seed)
        self._host = Host(options, self.counters, doorkeeper.peer)
        self._reception = Reception(self._host, doorkeeper)
        self._dialler = Dialler(self._host, self._reception)
        Introductions(self._host, self._names, doorkeeper.public_key)

    def __repr__(self) -> str:
        return f"<Libp2pNetwork {self._host!r}>"

    @property
    def peer(self) -> PeerId:
        """Our own peer id."""
        return self._host.peer

    @property
    def multiaddrs(self) -> tuple[str, ...]:
        """Where we can be reached, without ``/p2p``."""
        return tuple(place.text for place in self._host.places)

    @asynccontextmanager
    async def running(
        self, inbox: trio.MemorySendChannel[NetworkInput]
    ) -> AsyncIterator[None]:
        """Listen and work until left. Raises BusyError if an address is taken."""
        self._inbox = inbox
        await self._reception.open()
        try:
            async with trio.open_nursery() as nursery:
                self._start(nursery)
                try:
                    await self._tell(Listening(self.multiaddrs))
                    yield
                finally:
                    nursery.cancel_scope.cancel()
        finally:
            self._reception.close()

    def _start(self, nursery: trio.Nursery) -> None:
        host, names, tell = self._host, self._names, self._tell
        news = News(tell)
        host.watchers.append(news)
        self._channels = Channels(host, names, tell)
        self._gossip = Gossip(host, names.network, tell, nursery)
        self._dht = Dht(host, names, self._dialler, tell)
        self._reception.run(nursery)
        nursery.start_soon(news.run)
        nursery.start_soon(self._gossip.run)
        nursery.start_soon(self._dht.run)
        if self.options.mdns:
            nursery.start_soon(Lan(host, names, tell).run)

    async def _tell(self, item: NetworkInput) -> None:
        try:
            await self._inbox.send(item)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # nobody listens any more: the node is going down

    async def dial(self, peer: PeerId, multiaddrs: Sequence[str]) -> None:
        """Try all addresses; tells ``Dialled`` in the end."""
        connected = False
        with _contained(self._host, "a dial"):
            connected = await self._dialler.dial(peer, good_places(multiaddrs))
        await self._tell(Dialled(peer, connected))

    async def hang_up(self, peer: PeerId) -> None:
        """Close every connection with a peer."""
        await trio.lowlevel.checkpoint()
        self._host.hang_up(peer)

    async def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Write one frame, in order per peer and channel; False if it was lost."""
        return await self._channels.send(peer, channel, data)

    async def publish(self, topic: str, frame: bytes) -> None:
        """Hand one frame of records to gossip."""
        await trio.lowlevel.checkpoint()
        self._gossip.publish(topic, frame)

    async def join(self, topic: str) -> None:
        """Listen to a topic and carry it."""
        await trio.lowlevel.checkpoint()
        self._gossip.join(topic)

    async def leave(self, topic: str) -> None:
        """Stop listening."""
        await trio.lowlevel.checkpoint()
        self._gossip.leave(topic)

    async def provide(self, key: bytes) -> None:
        """Announce a key in the DHT, in its turn."""
        await trio.lowlevel.checkpoint()
        self._dht.provide(key)

    async def find(self, key: bytes) -> None:
        """Look a key up in the DHT; tells ``Found``."""
        with _contained(self._host, "a search"):
            await self._dht.find(key)

    async def announce(self, address: Address, record: bytes) -> None:
        """Put a presence record under an address."""
        with _contained(self._host, "an announcement"):
            await self._dht.announce(address, record)

    async def resolve(self, address: Address) -> None:
        """Look a presence record up; tells ``Resolved``."""
        with _contained(self._host, "a search"):
            await self._dht.resolve(address)

    def pin(self, peer: PeerId, *, pinned: bool) -> None:
        """Reserve room for a friend, or no longer."""
        (self._host.pinned.add if pinned else self._host.pinned.discard)(peer)

    def strike(self, peer: PeerId, fault: Fault) -> None:
        """Count a fault against a peer; too many and it is banned."""
        self._host.blame(peer, fault)

    def keep(self) -> bytes:
        """Bans, for ``NetworkOptions.kept``."""
        return self._host.bans.dump()


@contextmanager
def _contained(host: Host, what: str) -> Iterator[None]:
    """Let nothing out but what ends the task: below are strangers, above the house."""
    try:
        yield
    except Exception:  # noqa: BLE001 - that is the point of a border
        host.report(what)
