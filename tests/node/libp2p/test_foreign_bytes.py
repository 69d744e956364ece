"""Foreign bytes at each entrance: whatever they are, at most RemoteError comes out."""

import random
from contextlib import suppress

import pytest

from nestmate.network.base import Counters, NetworkOptions
from nestmate.network.libp2p.addresses import Place
from nestmate.network.libp2p.borrowed import RPC, Identify, KadMessage
from nestmate.network.libp2p.gossip import Gossip
from nestmate.network.libp2p.host import Connection, Host
from nestmate.network.libp2p.introduce import Introductions
from nestmate.network.libp2p.kadquery import read_message
from nestmate.network.libp2p.kadserver import KadServer
from nestmate.network.libp2p.kadtable import Table
from nestmate.network.libp2p.names import Names
from nestmate.network.libp2p.wire import uvarint
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Kind, make_frame, sign_record

NETWORK = NetworkId(b"n" * 32)
NAMES = Names(NETWORK)
GUEST = PeerId(b"g" * 32)
TOPIC = "topic"
ROUNDS = 3_000


def rpc():
    record = sign_record(SigningKey(b"k" * 32), NETWORK, Kind.RELEASE, {4: "x"})
    rpc = RPC()
    rpc.publish.add(data=make_frame([(record.data, 1)]), topicIDs=[TOPIC])
    rpc.subscriptions.add(subscribe=True, topicid=TOPIC)
    rpc.control.graft.add(topicID=TOPIC)
    rpc.control.prune.add(topicID=TOPIC, backoff=5)
    rpc.control.ihave.add(topicID=TOPIC, messageIDs=[b"i" * 32])
    rpc.control.iwant.add(messageIDs=[b"i" * 32])
    return rpc.SerializeToString()


def question(kind):
    key = NAMES.presence_key(Address(b"a" * 32))
    message = KadMessage(type=kind, key=key)
    message.record.key, message.record.value = key, b"value"
    peer = KadMessage.Peer(id=b"\x00\x24\x08\x01\x12\x20" + GUEST.raw, addrs=[b"\x04"])
    message.providerPeers.append(peer)
    return message.SerializeToString()


def introduction():
    place = Place("ip4", "192.0.2.7", 1)
    said = Identify(protocols=[NAMES.kad], listen_addrs=[place.octets])
    return said.SerializeToString()


def mutants(sample, dice):
    """A sample with bytes changed, dropped, doubled, or nothing of it at all."""
    for _ in range(ROUNDS):
        data = bytearray(sample)
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(data) + 1)
            cut = dice.randrange(4)
            data[at : at + cut] = dice.randbytes(dice.randrange(4))
        yield bytes(data) if dice.random() < 0.9 else dice.randbytes(len(sample))


@pytest.fixture
async def host():
    return Host(NetworkOptions(bytes(32), NETWORK), Counters(), PeerId(b"o" * 32))


@pytest.fixture
def guest():
    return Connection(GUEST, Place("ip4", "127.0.0.1", 9), inbound=True, group="")


async def test_gossip_takes_any_bytes(host, guest, nursery, seed):
    async def tell(item):
        heard.append(item)

    heard = []
    gossip = Gossip(host, NETWORK, tell, nursery)
    guest.speaks = frozenset(host.entrances)
    gossip.peer_is_up(guest)
    gossip.join(TOPIC)
    line = gossip._lines[GUEST]
    await gossip._take_in(GUEST, line, rpc())
    for data in mutants(rpc(), random.Random(seed)):
        host.budgets.of(GUEST).messages.tokens = line.ids.tokens = 1_000
        with suppress(RemoteError):
            await gossip._take_in(GUEST, line, data)
    assert len(heard) == 1


@pytest.mark.parametrize("kind", KadMessage.MessageType.values())
async def test_the_dht_takes_any_bytes(host, guest, kind, seed):
    server = KadServer(host, NAMES, Table(host.peer))
    for data in mutants(question(kind), random.Random(seed)):
        with suppress(RemoteError):
            server._answer(guest, read_message(data))
    assert not server.presences._kept


class Told:
    """A stream that says one thing."""

    def __init__(self, data):
        self.data = uvarint(len(data)) + data

    async def receive_exactly(self, count):
        data, self.data = self.data[:count], self.data[count:]
        return data

    def close(self):
        pass


async def test_introductions_take_any_bytes(host, guest, monkeypatch, seed):
    introductions = Introductions(host, NAMES, b"key")

    async def open_stream_on(connection, protocols):
        return Told(data), protocols[0]

    monkeypatch.setattr(host, "open_stream_on", open_stream_on)
    samples = [introduction(), *mutants(introduction(), random.Random(seed))]
    taken = 0
    while samples:
        data = samples.pop()
        with suppress(RemoteError):
            taken += await introductions.ask(guest)
    assert taken > 1
