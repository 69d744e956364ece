"""Answers what other nodes ask of the DHT, and takes what they entrust to it.

A provider may name only itself and a value must be a presence record of the address
in its key, verified before it is kept; nothing else has a place here. Each peer may
ask so often and no more: whoever asks faster waits. This file asks nothing itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from nestmate.network.libp2p.addresses import peer_octets
from nestmate.network.libp2p.borrowed import KadMessage
from nestmate.network.libp2p.guard import Bucket
from nestmate.network.libp2p.host import Connection, Host
from nestmate.network.libp2p.kadquery import (
    KAD_BYTES_MAX,
    contact_of,
    read_contacts,
    read_message,
)
from nestmate.network.libp2p.kadstore import Presences, Providers
from nestmate.network.libp2p.kadtable import Contact, Table, spot
from nestmate.network.libp2p.names import Names
from nestmate.network.libp2p.wire import GoneError, receive_delimited, send_delimited
from nestmate.network.libp2p.yamux import Stream
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import HOST_ADDRESSES_MAX

KEY_BYTES_MAX: Final = 128
QUESTIONS_PER_SECOND: Final = 20.0
QUESTIONS_BURST: Final = 100.0
STREAMS_PER_PEER_MAX: Final = 8
IDLE_SECONDS_MAX: Final = 30.0


@dataclass(slots=True)
class _Visitor:
    """What one peer may still ask, and how many streams it asks on."""

    questions: Bucket = field(
        default_factory=lambda: Bucket(QUESTIONS_PER_SECOND, QUESTIONS_BURST)
    )
    streams: int = 0


class KadServer:
    """What this node knows and keeps, for others to ask."""

    def __init__(self, host: Host, names: Names, table: Table) -> None:
        self.providers = Providers(host.peer, trio.current_time)
        self.presences = Presences(names.network, host.peer)
        self._host = host
        self._names = names
        self._table = table
        self._visitors: dict[PeerId, _Visitor] = {}
        host.entrances[names.kad] = self._receive
        host.watchers.append(self)

    def __repr__(self) -> str:
        return f"<KadServer {self.providers!r}, {self.presences!r}>"

    def peer_is_up(self, connection: Connection) -> None:
        """A connected peer that takes part is known to be alive."""
        if self._names.kad in connection.speaks:
            self._table.met(contact_of(connection))

    def peer_is_down(self, peer: PeerId) -> None:
        """It may be dialled again; only failing at that costs it its place."""
        self._visitors.pop(peer, None)

    async def _receive(self, connection: Connection, stream: Stream) -> None:
        visitor = self._visitors.setdefault(connection.peer, _Visitor())
        if visitor.streams >= STREAMS_PER_PEER_MAX:
            raise RemoteError(Fault.OVER_LIMIT, "kad streams")
        visitor.streams += 1
        try:
            await self._serve(connection, stream, visitor)
        finally:
            visitor.streams -= 1

    async def _serve(
        self, connection: Connection, stream: Stream, visitor: _Visitor
    ) -> None:
        budget = self._host.budgets.of(connection.peer)
        while True:
            with trio.fail_after(IDLE_SECONDS_MAX):
                try:
                    octets = await receive_delimited(stream, KAD_BYTES_MAX)
                except GoneError:
                    return
            await visitor.questions.pay()
            await budget.octets.pay(len(octets))
            answer = self._answer(connection, read_message(octets))
            if answer is not None:
                await send_delimited(stream, answer.SerializeToString())

    def _answer(self, connection: Connection, message: Any) -> Any | None:
        if len(message.key) > KEY_BYTES_MAX:
            raise RemoteError(Fault.TOO_LARGE, "kad key")
        match message.type:
            case KadMessage.PING:
                return KadMessage(type=KadMessage.PING)
            case KadMessage.FIND_NODE:
                return self._with_nearest(connection, message)
            case KadMessage.GET_PROVIDERS:
                answer = self._with_nearest(connection, message)
                known = self.providers.of(message.key)
                answer.providerPeers.extend(
                    self._peers(Contact(peer, places) for peer, places in known)
                )
                return answer
            case KadMessage.GET_VALUE:
                return self._value(connection, message)
            case KadMessage.PUT_VALUE:
                return self._put(message)
            case KadMessage.ADD_PROVIDER:
                self._provide(connection, message)
                return None
            case _:
                raise RemoteError(Fault.UNKNOWN_KIND, "kad")

    def _value(self, connection: Connection, message: Any) -> Any:
        answer = self._with_nearest(connection, message)
        address = self._names.address_of(message.key)
        value = self.presences.get(address) if address else None
        if value is not None:
            answer.record.key = message.key
            answer.record.value = value
        return answer

    def _put(self, message: Any) -> Any:
        address = self._names.address_of(message.key)
        if address is None or message.record.key != message.key:
            raise RemoteError(Fault.NOT_ENTITLED, "no place for such a key")
        kept = self.presences.put(address, bytes(message.record.value))
        answer = KadMessage(type=KadMessage.PUT_VALUE, key=message.key)
        answer.record.key = message.key
        answer.record.value = kept.data
        return answer

    def _provide(self, connection: Connection, message: Any) -> None:
        """A provider speaks for itself; what it says of others is passed over."""
        for contact in read_contacts(message.providerPeers, connection):
            if contact.peer == connection.peer:
                places = contact.places or connection.places
                self.providers.add(bytes(message.key), contact.peer, places)

    def _with_nearest(self, connection: Connection, message: Any) -> Any:
        near = self._table.near(spot(message.key))
        others = (each for each in near if each.peer != connection.peer)
        answer = KadMessage(type=message.type, key=message.key)
        answer.closerPeers.extend(self._peers(others))
        return answer

    def _peers(self, contacts: Iterable[Contact]) -> list[Any]:
        return [
            KadMessage.Peer(
                id=peer_octets(contact.peer),
                addrs=[place.octets for place in contact.places[:HOST_ADDRESSES_MAX]],
                connection=(
                    KadMessage.CONNECTED
                    if self._host.connection(contact.peer)
                    else KadMessage.CAN_CONNECT
                ),
            )
            for contact in contacts
        ]
