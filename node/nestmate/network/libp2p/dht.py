"""The DHT of one network: who provides what, and the presence of an address.

Speaks Kademlia under a protocol id of our network's own, so that it never grows
together with another. It holds hints only: providers that name themselves and presence
records that are signed. What it is asked for it asks the network for, never a memory
of its own. Announcing is paced to one key a second.
"""

from typing import Any, Final

import trio

from nestmate.network.libp2p.addresses import Place, peer_octets
from nestmate.network.libp2p.borrowed import KadMessage
from nestmate.network.libp2p.dialling import Dialler
from nestmate.network.libp2p.guard import Bucket, count_fault
from nestmate.network.libp2p.host import Host, Tell
from nestmate.network.libp2p.kadquery import Asker, read_contacts
from nestmate.network.libp2p.kadserver import KadServer
from nestmate.network.libp2p.kadtable import BUCKET_PEERS_MAX, Contact, Table
from nestmate.network.libp2p.names import Names, provider_key
from nestmate.network.presence import newest_presence
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import Address, PeerId
from nestmate_protocol.inputs import Found, Resolved
from nestmate_protocol.limits import PROVIDES_PER_SECOND_MAX

WIDTH: Final = 8
PROVIDERS_WANTED: Final = 20
PROVIDES_WAITING_MAX: Final = 256
CORRECTIONS_MAX: Final = 4


class Dht:
    """This node's questions to the DHT, and its announcements."""

    def __init__(
        self,
        host: Host,
        names: Names,
        dialler: Dialler,
        tell: Tell,
    ) -> None:
        self._host = host
        self._names = names
        self._tell = tell
        self._table = Table(host.peer)
        self._server = KadServer(host, names, self._table)
        self._asker = Asker(host, dialler, self._table, names.kad)
        self._pace = Bucket(PROVIDES_PER_SECOND_MAX, PROVIDES_PER_SECOND_MAX)
        self._waiting, self._next = trio.open_memory_channel[bytes](
            PROVIDES_WAITING_MAX
        )

    def __repr__(self) -> str:
        return f"<Dht {self._table!r}>"

    async def run(self) -> None:
        """Announce what waits to be announced, one key a second."""
        async for key in self._next:
            await self._pace.pay()
            await self._provide(key)

    def provide(self, key: bytes) -> None:
        """Announce a key soon; what does not fit into the queue is left out."""
        try:
            under = provider_key(key)
            self._server.providers.add(under, self._host.peer, self._host.places)
            self._waiting.send_nowait(under)
        except (trio.WouldBlock, RemoteError):
            self._host.counters.dropped += 1

    async def find(self, key: bytes) -> None:
        """Look for providers; always tells ``Found``."""
        under = provider_key(key)
        found: dict[PeerId, tuple[Place, ...]] = dict(self._server.providers.of(under))

        def heard(contact: Contact, answer: Any) -> bool:
            connection = self._host.connection(contact.peer)
            if connection is not None:
                for each in read_contacts(answer.providerPeers, connection):
                    found.setdefault(each.peer, each.places)
            return len(found) > PROVIDERS_WANTED

        question = KadMessage(type=KadMessage.GET_PROVIDERS, key=under)
        await self._asker.lookup(under, question, heard, WIDTH)
        found.pop(self._host.peer, None)
        providers = tuple(
            (peer, tuple(place.text for place in places))
            for peer, places in list(found.items())[:PROVIDERS_WANTED]
        )
        await self._tell(Found(key, providers))

    async def announce(self, address: Address, record: bytes) -> None:
        """Put a presence where others look for it; a bad one goes nowhere."""
        try:
            self._server.presences.put(address, record)
        except RemoteError as error:
            count_fault(self._host.counters, error.fault)
            return
        nearest = await self._nearest(self._names.presence_key(address))
        await self._put(address, record, nearest)

    async def resolve(self, address: Address) -> None:
        """Ask the network for the presence of an address; tells ``Resolved``."""
        key = self._names.presence_key(address)
        brought: dict[PeerId, bytes] = {}

        def heard(contact: Contact, answer: Any) -> bool:
            brought[contact.peer] = bytes(answer.record.value)
            return False

        question = KadMessage(type=KadMessage.GET_VALUE, key=key)
        answered = await self._asker.lookup(key, question, heard, WIDTH)
        own = self._server.presences.get(address)
        values = dict.fromkeys([own or b"", *brought.values()])
        values.pop(b"", None)
        best = newest_presence(address, values, self._names.network)
        await self._tell(Resolved(address, best.data if best else None))
        if best is not None:
            late = [each for each in answered if brought.get(each.peer) != best.data]
            await self._put(address, best.data, late[:CORRECTIONS_MAX])

    async def _provide(self, key: bytes) -> None:
        own = KadMessage.Peer(
            id=peer_octets(self._host.peer),
            addrs=[place.octets for place in self._host.places],
        )
        message = KadMessage(
            type=KadMessage.ADD_PROVIDER, key=key, providerPeers=[own]
        ).SerializeToString()
        async with trio.open_nursery() as nursery:
            for contact in await self._nearest(key):
                nursery.start_soon(self._asker.tell, contact, message)

    async def _put(
        self, address: Address, record: bytes, contacts: list[Contact]
    ) -> None:
        key = self._names.presence_key(address)
        message = KadMessage(type=KadMessage.PUT_VALUE, key=key)
        message.record.key = key
        message.record.value = record
        octets = message.SerializeToString()
        async with trio.open_nursery() as nursery:
            for contact in contacts:
                nursery.start_soon(self._asker.ask, contact, octets)

    async def _nearest(self, key: bytes) -> list[Contact]:
        question = KadMessage(type=KadMessage.FIND_NODE, key=key)
        return await self._asker.lookup(
            key, question, lambda _contact, _answer: False, BUCKET_PEERS_MAX
        )
