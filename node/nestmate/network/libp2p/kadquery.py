"""Lookups: asks ever nearer peers of the DHT until the nearest have answered.

Three questions are under way at a time and a lookup ends after some seconds whatever
happens. Peers it hears of are dialled like any other; connections made only for this
are few and the oldest go first. Addresses from afar that point at this machine itself
are not followed. This file keeps nothing and believes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import trio
from google.protobuf.message import DecodeError

from nestmate.network.libp2p.addresses import Place, known_places, read_peer
from nestmate.network.libp2p.borrowed import KadMessage
from nestmate.network.libp2p.dialling import Dialler
from nestmate.network.libp2p.host import Connection, Host
from nestmate.network.libp2p.kadtable import Contact, Table, nearest, spot
from nestmate.network.libp2p.wire import GoneError, receive_delimited, send_delimited
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import PeerId

KAD_BYTES_MAX: Final = 64 * 1024
ASK_SECONDS_MAX: Final = 4.0
LOOKUP_SECONDS_MAX: Final = 10.0
QUESTIONS_AT_ONCE: Final = 3
PEERS_PER_ANSWER_MAX: Final = 20
PLACES_PER_PEER_MAX: Final = 16
ERRANDS_MAX: Final = 32
_ERRAND_RESERVE: Final = 16

Heard = Callable[[Contact, Any], bool]


def believable(places: tuple[Place, ...], connection: Connection) -> tuple[Place, ...]:
    """What a peer may tell about addresses: loopback only if it is on loopback."""
    if connection.place.is_loopback:
        return places
    return tuple(place for place in places if not place.is_loopback)


def read_message(octets: bytes) -> Any:
    """A message of the DHT; RemoteError if it is none or holds too much."""
    try:
        message = KadMessage.FromString(octets)
    except DecodeError:
        raise RemoteError(Fault.MALFORMED, "kad") from None
    if max(len(message.closerPeers), len(message.providerPeers)) > 4 * (
        PEERS_PER_ANSWER_MAX
    ):
        raise RemoteError(Fault.TOO_LARGE, "kad peers")
    return message


def read_contacts(peers: Any, connection: Connection) -> list[Contact]:
    """The peers in a message that could be ones of ours; others are left out."""
    contacts = []
    for each in peers:
        try:
            peer = read_peer(each.id)
        except RemoteError:
            continue
        places = known_places(each.addrs[:PLACES_PER_PEER_MAX])
        contacts.append(Contact(peer, believable(places, connection)))
    return contacts


@dataclass(slots=True)
class _Search:
    """How far one lookup has come."""

    target: int
    width: int
    candidates: dict[PeerId, Contact]
    asked: set[PeerId] = field(default_factory=set)
    answered: dict[PeerId, Contact] = field(default_factory=dict)
    dead: set[PeerId] = field(default_factory=set)
    under_way: int = 0
    done: bool = False
    news: trio.Event = field(default_factory=trio.Event)

    def take(self) -> Contact | None:
        """The nearest peer to ask next, if it is among the nearest alive."""
        alive = [
            each for peer, each in self.candidates.items() if peer not in self.dead
        ]
        for contact in nearest(alive, self.target, self.width):
            if contact.peer not in self.asked:
                self.asked.add(contact.peer)
                return contact
        return None

    def stir(self) -> None:
        """Something happened; whoever waits shall look again."""
        self.news.set()
        self.news = trio.Event()


class Asker:
    """Puts questions to peers of the DHT."""

    def __init__(self, host: Host, dialler: Dialler, table: Table, kad: str) -> None:
        self._host = host
        self._dialler = dialler
        self._table = table
        self._kad = kad
        self._errands: dict[PeerId, None] = {}

    def __repr__(self) -> str:
        return f"<Asker, {len(self._errands)} errands>"

    async def lookup(
        self, key: bytes, message: Any, heard: Heard, width: int
    ) -> list[Contact]:
        """Ask the ``width`` nearest peers of a key; ``heard`` may say it is enough.

        Returns those that answered, nearest first.
        """
        target = spot(key)
        start = {each.peer: each for each in self._table.near(target)}
        search = _Search(target, width, start)
        octets = message.SerializeToString()
        with trio.move_on_after(LOOKUP_SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for _ in range(QUESTIONS_AT_ONCE):
                    nursery.start_soon(self._work, search, octets, heard)
        return nearest(search.answered.values(), target, width)

    async def _work(self, search: _Search, octets: bytes, heard: Heard) -> None:
        while not search.done:
            contact = search.take()
            if contact is None:
                if not search.under_way:
                    return
                await search.news.wait()
                continue
            search.under_way += 1
            answer = await self.ask(contact, octets)
            search.under_way -= 1
            if answer is None:
                search.dead.add(contact.peer)
            else:
                self._learn(search, contact, answer)
                search.done = heard(contact, answer) or search.done
            search.stir()

    def _learn(self, search: _Search, contact: Contact, answer: Any) -> None:
        search.answered[contact.peer] = contact
        connection = self._host.connection(contact.peer)
        if connection is None:
            return
        for other in read_contacts(
            answer.closerPeers[:PEERS_PER_ANSWER_MAX], connection
        ):
            if other.peer != self._host.peer:
                search.candidates.setdefault(other.peer, other)

    async def ask(self, contact: Contact, octets: bytes) -> Any | None:
        """One question; None if there is no good answer."""
        answer = None
        with trio.move_on_after(ASK_SECONDS_MAX):
            try:
                answer = await self._exchange(contact, octets, answered=True)
            except GoneError:
                pass
            except RemoteError as error:
                if error.fault is not Fault.UNKNOWN_KIND:
                    self._host.blame(contact.peer, error.fault)
        if answer is None:
            self._table.lost(contact.peer)
        return answer

    async def tell(self, contact: Contact, octets: bytes) -> None:
        """One message that asks for no answer."""
        with trio.move_on_after(ASK_SECONDS_MAX):
            try:
                await self._exchange(contact, octets, answered=False)
            except (GoneError, RemoteError):
                self._host.counters.dropped += 1

    async def _exchange(
        self, contact: Contact, octets: bytes, *, answered: bool
    ) -> Any | None:
        if not await self._reach(contact):
            raise GoneError("out of reach")
        stream, _ = await self._host.open_stream(contact.peer, (self._kad,))
        try:
            await send_delimited(stream, octets)
            if not answered:
                stream.finish()
                await stream.receive_some(1)  # taken in when the other side ends too
                return None
            # Our side stays open until the answer is here: js-libp2p resets a stream
            # that ended before it, and may lose what it had said.
            return read_message(await receive_delimited(stream, KAD_BYTES_MAX))
        finally:
            stream.close()

    async def _reach(self, contact: Contact) -> bool:
        if self._host.connection(contact.peer) is not None:
            return True
        room = self._host.options.connections_max - _ERRAND_RESERVE
        if not contact.places or len(self._host.peers) >= room:
            return False
        if not await self._dialler.dial(contact.peer, contact.places):
            return False
        self._errands[contact.peer] = None
        while len(self._errands) > ERRANDS_MAX:
            oldest = next(iter(self._errands))
            del self._errands[oldest]
            if oldest not in self._host.pinned:
                self._host.hang_up(oldest)
        return True


def contact_of(connection: Connection) -> Contact:
    """A connected peer, as others may be told of it."""
    places = believable(connection.places, connection)
    if not places and not connection.inbound:
        places = (connection.place,)
    return Contact(connection.peer, places)
