"""A peer without manners, for the tests of the network's border; run as a process.

It reads one command per line: which rudeness, against whom, for how long. It knows the
public protocols only, uses this project's own connections to speak them, and is not
made to be of use anywhere else. What is defended and how is told in
docs/explanation/network-hardening.md.
"""

import itertools
import json
import os
import socket
import sys
from contextlib import suppress

import trio

from nestmate.network.base import NetworkOptions
from nestmate.network.libp2p import yamux
from nestmate.network.libp2p.addresses import parse_place
from nestmate.network.libp2p.borrowed import RPC, GossipMessage, Identify, KadMessage
from nestmate.network.libp2p.names import Names
from nestmate.network.libp2p.network import Libp2pNetwork
from nestmate.network.libp2p.wire import GoneError, uvarint
from nestmate_protocol.effects import Channel
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Kind, make_frame, sign_record

MESHSUB = "/meshsub/1.1.0"
KNOCKS = 3
WAYS = {}


def say(said):
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def way(function):
    WAYS[function.__name__] = function
    return function


class Visit:
    """One rude peer's stay: its own network, and whom it came to see."""

    def __init__(self, net, order):
        self.net = net
        self.host = net._host
        self.network = NetworkId(bytes.fromhex(order["network"]))
        self.names = Names(self.network)
        self.topic = order["topic"]
        self.place = parse_place(order["multiaddr"])
        self.victim = PeerId.parse(order["peer"])
        self.key = SigningKey(os.urandom(32))
        self.sent = 0

    async def leave(self):
        self.host.hang_up(self.victim)
        while self.victim in self.host.peers:
            await trio.lowlevel.checkpoint()

    async def come_back(self):
        """Whatever ended the visit, knock again, and not once only."""
        await self.leave()
        for _ in range(KNOCKS):
            await self.net.dial(self.victim, [self.place.text])
            if self.victim in self.host.peers:
                return
            with trio.move_on_after(0.05):
                await trio.sleep_forever()

    async def frames(self, protocol, frames):
        """Push frames down a stream as fast as they are taken."""
        stream, _ = await self.host.open_stream(self.victim, (protocol,))
        for frame in frames:
            await stream.send_all(frame)
            self.sent += 1
            await trio.lowlevel.checkpoint()

    async def rpcs(self, make):
        """Gossip frames, each a fresh RPC made by ``make(rpc, number)``."""

        def endless():
            for number in itertools.count():
                rpc = RPC()
                make(rpc, number)
                data = rpc.SerializeToString()
                yield uvarint(len(data)) + data

        await self.frames(MESHSUB, endless())

    def record_frame(self, number, *, good):
        key = self.key
        body = {4: f"noise {number}"}
        data = sign_record(key, self.network, Kind.RELEASE, body).data
        if not good:
            data = data[:-1] + bytes((data[-1] ^ 1,))
        return make_frame([(data, 0)])

    def post(self, data):
        return GossipMessage(data=data, topicIDs=[self.topic])

    def sockets(self, count):
        for _ in range(count):
            with socket.socket() as plain:
                plain.bind(("127.0.0.9", 0))
                plain.connect((self.place.host, self.place.port))
                yield plain


@way
async def malformed_frames(visit):
    await visit.frames(MESHSUB, itertools.repeat(b"\x06" + b"\xff" * 6))


@way
async def unreadable_topics(visit):
    rpc = bytes.fromhex("0a0508011201ff")  # subscribes to something that is no text
    await visit.frames(MESHSUB, itertools.repeat(uvarint(len(rpc)) + rpc))


@way
async def unreadable_keys(visit):
    def make(rpc, number):
        message = visit.post(visit.record_frame(number, good=True))
        message.from_id, message.key, message.signature = b"\x00", b"\xff", b"s" * 64
        rpc.publish.append(message)

    await visit.rpcs(make)


@way
async def failing_entrance(visit):
    await visit.frames("/rude/1", itertools.repeat(b"x"))


@way
async def forged_records(visit):
    frames = [visit.record_frame(number, good=False) for number in range(500)]
    await visit.rpcs(lambda rpc, n: rpc.publish.append(visit.post(frames[n % 500])))


@way
async def endless_valid_records(visit):
    def make(rpc, number):
        rpc.publish.append(visit.post(visit.record_frame(number, good=True)))

    await visit.rpcs(make)


@way
async def crowded_frames_of_forgeries(visit):
    posts = [visit.post(b"%d" % number) for number in range(2_000)]
    await visit.rpcs(lambda rpc, _: rpc.publish.extend(posts))


@way
async def crowded_frames_of_records(visit):
    posts = [visit.post(visit.record_frame(n, good=True)) for n in range(1_000)]
    await visit.rpcs(lambda rpc, _: rpc.publish.extend(posts))


@way
async def graft_requests(visit):
    def make(rpc, number):
        for each in range(60):
            rpc.control.graft.add(topicID=f"unknown {number} {each}")

    await visit.rpcs(make)


@way
async def subscriptions(visit):
    def make(rpc, number):
        for each in range(100):
            rpc.subscriptions.add(subscribe=True, topicid=f"topic {number} {each}")

    await visit.rpcs(make)


@way
async def announced_ids(visit):
    def make(rpc, number):
        ids = [os.urandom(32) for _ in range(450)]
        rpc.control.ihave.add(topicID=visit.topic, messageIDs=ids)
        rpc.control.idontwant.add(messageIDs=ids)

    await visit.rpcs(make)


@way
async def stuffed_introductions(visit):
    async def answer(connection, stream):
        stuffed = Identify(
            protocols=[f"{visit.names.kad}/{number}" for number in range(2_000)],
            listen_addrs=[
                parse_place(f"/ip4/10.0.0.1/tcp/{n}").octets for n in range(500)
            ],
        ).SerializeToString()
        await stream.send_all(uvarint(len(stuffed)) + stuffed)

    visit.host.hang_up(visit.victim)
    visit.host.entrances["/ipfs/id/1.0.0"] = answer
    for visit.sent in range(40):
        await visit.come_back()
    await visit.leave()


@way
async def unsigned_values(visit):
    def endless():
        while True:
            key = visit.names.presence_key(Address(os.urandom(32)))
            message = KadMessage(type=KadMessage.PUT_VALUE, key=key)
            message.record.key, message.record.value = key, os.urandom(8_000)
            data = message.SerializeToString()
            yield uvarint(len(data)) + data

    await visit.frames(visit.names.kad, endless())


@way
async def keys_without_end(visit):
    def endless():
        for number in itertools.count():
            me = KadMessage.Peer(id=b"\x00\x24\x08\x01\x12\x20" + visit.net.peer.raw)
            key = number.to_bytes(32)
            message = KadMessage(
                type=KadMessage.ADD_PROVIDER, key=key, providerPeers=[me]
            )
            data = message.SerializeToString()
            yield uvarint(len(data)) + data

    await visit.frames(visit.names.kad, endless())


@way
async def half_open_connections(visit):
    held = [socket.socket() for _ in range(200)]
    for plain in held:
        plain.setblocking(False)
        plain.bind(("127.0.0.9", 0))
        plain.connect_ex((visit.place.host, visit.place.port))
        visit.sent += 1
    try:
        await trio.sleep_forever()
    finally:
        for plain in held:
            plain.close()


@way
async def random_bytes(visit):
    while True:
        for plain in visit.sockets(1):
            with suppress(OSError):
                plain.sendall(os.urandom(4_000))
            visit.sent += 1
        await trio.lowlevel.checkpoint()


@way
async def endless_negotiation(visit):
    while True:
        for plain in visit.sockets(1):
            with suppress(OSError):
                plain.sendall(uvarint(1 << 40) + b"x" * 1_000_000)
            visit.sent += 1
        await trio.lowlevel.checkpoint()


@way
async def coming_and_going(visit):
    for visit.sent in range(60):
        await visit.come_back()
    await visit.leave()


@way
async def ever_new_faces(visit):
    for number in itertools.count():
        told, seen = trio.open_memory_channel(100)
        options = NetworkOptions(os.urandom(32), visit.network)
        net = Libp2pNetwork(options)
        async with net.running(told):
            await net.dial(visit.victim, [visit.place.text])
        seen.close()
        visit.sent = number


async def channel_noise(visit, channel):
    protocol = visit.names.channel(channel)
    await visit.frames(protocol, (os.urandom(1_000) for _ in itertools.count()))


@way
async def noise_on_cards(visit):
    await channel_noise(visit, Channel.CARDS)


@way
async def noise_on_friends(visit):
    await channel_noise(visit, Channel.FRIENDS)


@way
async def noise_on_signals(visit):
    await channel_noise(visit, Channel.SIGNALS)


@way
async def noise_on_spaces(visit):
    await channel_noise(visit, Channel.SPACES)


@way
async def endless_bulk_frames(visit):
    size = 200_000
    frame = size.to_bytes(4) + bytes(size)
    await visit.frames(visit.names.channel(Channel.SPACES), itertools.repeat(frame))


@way
async def endless_direct_frames(visit):
    frame = (1_000).to_bytes(4) + bytes(1_000)
    await visit.frames(visit.names.channel(Channel.CARDS), itertools.repeat(frame))


@way
async def noise_for_records(visit):
    def make(rpc, number):
        rows = [(os.urandom(200), 0)]
        rpc.publish.append(visit.post(make_frame(rows)))

    await visit.rpcs(make)


@way
async def streams_without_end(visit):
    muxer = visit.host.connection(visit.victim).muxer
    while True:
        await muxer.open()
        visit.sent += 1


@way
async def beyond_the_window(visit):
    protocol = visit.names.channel(Channel.CARDS)
    stream, _ = await visit.host.open_stream(visit.victim, (protocol,))
    while True:
        stream.send_window = yamux.WINDOW_BYTES
        await stream.send_all((200_000).to_bytes(4) + bytes(200_000))
        visit.sent += 1


@way
async def pings_without_end(visit):
    muxer = visit.host.connection(visit.victim).muxer
    while True:
        await muxer.write(yamux._HEADER.pack(0, 2, 1, 0, 7) * 500)
        visit.sent += 1


async def serve(order):
    seed = bytes.fromhex(order["seed"])
    told, seen = trio.open_memory_channel(100_000)
    network = NetworkId(bytes.fromhex(order["network"]))
    net = Libp2pNetwork(NetworkOptions(seed, network))
    async with net.running(told):
        visit = Visit(net, order)
        await net.dial(visit.victim, [visit.place.text])
        say({"connected": visit.victim in net._host.peers})
        with trio.move_on_after(order["seconds"]):
            while visit.victim in net._host.peers:
                try:
                    await WAYS[order["way"]](visit)
                except (GoneError, RemoteError):
                    await visit.come_back()
        say({"sent": visit.sent})
    seen.close()


def main():
    say({"ways": sorted(WAYS)})
    for line in sys.stdin:
        trio.run(serve, json.loads(line))


if __name__ == "__main__":
    main()
