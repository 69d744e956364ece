"""What every network promises, as one suite that each twin is put through.

A twin brings a ``world``: a place where nodes are started, stopped and frozen, each
with an inbox that can be asked what it saw. Knows nothing of how a twin keeps its
promises.
"""

import time
from hashlib import sha256
from itertools import count, pairwise

import trio

from nestmate.network.base import NetworkOptions
from nestmate_protocol.effects import Channel
from nestmate_protocol.errors import Fault
from nestmate_protocol.identity.cards import HostOffer, make_presence
from nestmate_protocol.identity.log import begin_log
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.inputs import (
    Arrived,
    Dialled,
    Found,
    Heard,
    Listening,
    PeerDown,
    PeerUp,
    Resolved,
)
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import FRAME_BYTES_MAX
from nestmate_protocol.records import Kind, make_frame, sign_record

MAIN = NetworkId(sha256(b"nestmate/network/contract").digest())
OTHER = NetworkId(sha256(b"nestmate/network/other").digest())
TOPIC = f"nestmate/1/{MAIN.raw[:8].hex()}/skill/0011223344556677"
KEY = sha256(b"nestmate/skill/proofread").digest()
NOWHERE = "/ip4/127.0.0.1/tcp/1"
PATIENCE_SECONDS = 60


def seeded(name):
    return sha256(f"contract {name}".encode()).digest()


def note(text, network=MAIN, author="author"):
    """A small record that says ``text``."""
    key = SigningKey(seeded(author))
    return sign_record(key, network, Kind.RELEASE, {4: text}).data


def note_frame(*texts, **parts):
    return make_frame([(note(text, **parts), 5) for text in texts])


def presence(seq, peer, agent="agent", valid_ms=3_600_000):
    """An agent's presence number ``seq``, at ``peer``."""
    keys = [SigningKey(seeded(f"{agent} {part}")) for part in ("device", "next", "rec")]
    log = begin_log(keys[0], keys[1].public, keys[2].public, b"n" * 16)
    host = HostOffer(peer, ("/ip4/127.0.0.1/tcp/4001",))
    until_ms = int(time.time() * 1000) + valid_ms
    return make_presence(keys[0], MAIN, log, [host], seq=seq, valid_until_ms=until_ms)


class Node:
    """A running network, and everything it told so far."""

    def __init__(self, net, seen):
        self.net = net
        self.peer = net.peer
        self.leave = trio.Event()
        self.left = trio.Event()
        self._seen = seen
        self._skipped = []

    async def sees(self, kind, *values):
        """The next input of a kind whose first fields are ``values``."""

        def fits(item):
            names = list(getattr(kind, "__slots__", ()))
            return isinstance(item, kind) and all(
                getattr(item, name) == value
                for name, value in zip(names, values, strict=False)
            )

        for item in self._skipped:
            if fits(item):
                self._skipped.remove(item)
                return item
        with trio.fail_after(PATIENCE_SECONDS):
            while not fits(item := await self._seen.receive()):
                self._skipped.append(item)
        return item

    def saw(self, kind):
        """What it was told of one kind and nobody has looked at yet."""
        while True:
            try:
                self._skipped.append(self._seen.receive_nowait())
            except trio.WouldBlock:
                return [item for item in self._skipped if isinstance(item, kind)]


class Stage:
    """Starts nodes and joins them; each twin says how a network is made."""

    ping_seconds = 10.0  # less where a node freezes: whoever is slow is gone then

    def __init__(self, nursery):
        self.nursery = nursery

    def make(self, options):
        """A network that is not running yet."""
        raise AssertionError(options)

    async def freeze(self, node):
        """Make a node silent, as SIGSTOP would."""
        raise AssertionError(node)

    async def start(self, name, **options):
        told, seen = trio.open_memory_channel(10_000)
        wanted = {"network": MAIN, "ping_seconds": self.ping_seconds, **options}
        node = Node(self.make(NetworkOptions(seeded(name), **wanted)), seen)
        await self.nursery.start(self.run, node, told)
        assert await node.sees(Listening) == Listening(node.net.multiaddrs)
        return node

    async def run(self, node, told, task_status):
        async with node.net.running(told):
            task_status.started()
            await node.leave.wait()
        node.left.set()

    async def stop(self, node):
        node.leave.set()
        await node.left.wait()

    async def join(self, *nodes):
        """Connect a chain of nodes."""
        for one, other in pairwise(nodes):
            await one.net.dial(other.peer, other.net.multiaddrs)
            await one.sees(PeerUp, other.peer)
            await one.sees(Dialled, other.peer, True)
            await other.sees(PeerUp, one.peer)

    async def chain(self, *names):
        nodes = [await self.start(name) for name in names]
        await self.join(*nodes)
        return nodes

    async def talk(self, nodes, topic=TOPIC):
        """Make nodes of a chain join a topic, and wait until it carries."""
        for node in nodes:
            await node.net.join(topic)
        with trio.fail_after(PATIENCE_SECONDS):
            for turn in count():
                await nodes[0].net.publish(topic, note_frame(f"warming {turn}"))
                with trio.move_on_after(0.1):
                    while (await nodes[-1].sees(Heard)).topic != topic:
                        pass
                    return


def texts(heard):
    return [carried.record.fields.text(4, 64) for carried in heard.records]


class ConnectionContract:
    """Inherit, and give a fixture ``world``."""

    async def test_two_nodes_connect_and_each_is_told_once(self, world):
        a, b = await world.start("a"), await world.start("b")
        await a.net.dial(b.peer, b.net.multiaddrs)
        up = await a.sees(PeerUp, b.peer)
        assert (up.multiaddr, up.inbound) == (b.net.multiaddrs[0], False)
        assert (await a.sees(Dialled)).connected
        assert (await b.sees(PeerUp, a.peer)).inbound
        await b.net.dial(a.peer, a.net.multiaddrs)
        assert (await b.sees(Dialled)).connected
        assert not a.saw(PeerUp)
        assert not b.saw(PeerUp)

    async def test_hanging_up_is_noticed_at_both_ends(self, world):
        a, b = await world.chain("a", "b")
        await a.net.hang_up(b.peer)
        await a.sees(PeerDown, b.peer)
        await b.sees(PeerDown, a.peer)
        assert not await a.net.send(b.peer, Channel.CARDS, b"gone")

    async def test_a_dial_passes_over_dead_addresses(self, world):
        a, b = await world.start("a"), await world.start("b")
        await a.net.dial(b.peer, [NOWHERE, "/ip4/127.0.0.1/tcp/2", *b.net.multiaddrs])
        assert (await a.sees(Dialled)).connected

    async def test_a_dial_to_nobody_ends_all_the_same(self, world):
        a = await world.start("a")
        b = await world.start("b")
        await a.net.dial(b.peer, ["", "no address", "/ip4/1.2.3/tcp/4", NOWHERE])
        assert await a.sees(Dialled) == Dialled(b.peer, connected=False)
        await a.net.dial(a.peer, a.net.multiaddrs)
        assert await a.sees(Dialled) == Dialled(a.peer, connected=False)

    async def test_whoever_is_not_the_peer_that_was_dialled_is_refused(self, world):
        a, b, c = [await world.start(name) for name in "abc"]
        await a.net.dial(c.peer, b.net.multiaddrs)
        assert await a.sees(Dialled) == Dialled(c.peer, connected=False)
        assert not a.saw(PeerUp)
        assert not b.saw(PeerUp)

    async def test_a_node_of_another_network_never_comes_up(self, world):
        a, b = await world.start("a"), await world.start("b", network=OTHER)
        await a.net.dial(b.peer, b.net.multiaddrs)
        assert await a.sees(Dialled) == Dialled(b.peer, connected=False)
        assert not a.saw(PeerUp)
        assert not b.saw(PeerUp)

    async def test_a_peer_that_restarts_elsewhere_is_found_again(self, world):
        a, b = await world.chain("a", "b")
        await world.stop(b)
        await a.sees(PeerDown, b.peer)
        b = await world.start("b")
        await a.net.dial(b.peer, b.net.multiaddrs)
        await a.sees(PeerUp, b.peer)
        assert await a.net.send(b.peer, Channel.CARDS, b"welcome back")
        assert (await b.sees(Arrived)).data == b"welcome back"

    async def test_a_frozen_peer_is_given_up(self, world):
        world.ping_seconds = 0.6
        a, b = await world.chain("a", "b")
        await world.freeze(b)
        await a.sees(PeerDown, b.peer)

    async def test_a_peer_that_strikes_out_is_gone_and_stays_out(self, world):
        a, b = await world.chain("a", "b")
        for _ in range(20):
            a.net.strike(b.peer, Fault.BAD_SIGNATURE)
        await a.sees(PeerDown, b.peer)
        await b.sees(PeerDown, a.peer)
        await b.net.dial(a.peer, a.net.multiaddrs)
        assert await b.sees(Dialled) == Dialled(a.peer, connected=False)
        assert a.net.counters.bans == 1
        assert a.net.counters.faults[Fault.BAD_SIGNATURE] >= 4


class StreamContract:
    """Inherit, and give a fixture ``world``."""

    async def test_frames_arrive_in_order_both_ways(self, world):
        a, b = await world.chain("a", "b")
        for number in range(30):
            for one, other in ((a, b), (b, a)):
                assert await one.net.send(other.peer, Channel.FRIENDS, b"%d" % number)
        for one, other in ((a, b), (b, a)):
            came = [await one.sees(Arrived) for _ in range(30)]
            assert [item.data for item in came] == [b"%d" % n for n in range(30)]
            assert {item.peer for item in came} == {other.peer}

    async def test_channels_do_not_mix(self, world):
        a, b = await world.chain("a", "b")
        for channel in Channel:
            assert await a.net.send(b.peer, channel, channel.encode())
        came = [await b.sees(Arrived) for _ in Channel]
        assert all(item.channel.encode() == item.data for item in came)

    async def test_a_frame_as_long_as_allowed_arrives_and_a_longer_one_does_not(
        self, world
    ):
        a, b = await world.chain("a", "b")
        assert not await a.net.send(b.peer, Channel.CARDS, bytes(FRAME_BYTES_MAX + 1))
        assert await a.net.send(b.peer, Channel.CARDS, b"x" * FRAME_BYTES_MAX)
        assert await a.net.send(b.peer, Channel.CARDS, b"")
        assert len((await b.sees(Arrived)).data) == FRAME_BYTES_MAX
        assert (await b.sees(Arrived)).data == b""

    async def test_nothing_is_sent_to_a_stranger(self, world):
        a, b = await world.start("a"), await world.start("b")
        assert not await a.net.send(b.peer, Channel.CARDS, b"who are you")


class GossipContract:
    """Inherit, and give a fixture ``world``."""

    async def test_records_spread_through_a_node_in_the_middle(self, world):
        nodes = await world.chain("a", "b", "c")
        await world.talk(nodes)
        await nodes[0].net.publish(TOPIC, note_frame("one", "two"))
        for node, bearer in ((nodes[1], nodes[0]), (nodes[2], nodes[1])):
            heard = await node.sees(Heard)
            while texts(heard) != ["one", "two"]:
                heard = await node.sees(Heard)
            assert (heard.peer, heard.topic) == (bearer.peer, TOPIC)
            assert heard.records[0].age_ms >= 5

    async def test_a_node_that_left_a_topic_hears_no_more_of_it(self, world):
        a, b = await world.chain("a", "b")
        await world.talk([a, b])
        await b.net.leave(TOPIC)
        other = TOPIC.replace("0011", "2233")
        await world.talk([a, b], other)
        await a.net.publish(TOPIC, note_frame("not for b"))
        await a.net.publish(other, note_frame("for b"))
        while texts(heard := await b.sees(Heard)) != ["for b"]:
            assert texts(heard) != ["not for b"]

    async def test_what_is_not_signed_for_this_network_is_not_heard(self, world):
        a, b = await world.chain("a", "b")
        await world.talk([a, b])
        await a.net.publish(TOPIC, note_frame("foreign", network=OTHER))
        await a.net.publish(TOPIC, b"no frame at all")
        await a.net.publish(TOPIC, note_frame("ours"))
        while texts(heard := await b.sees(Heard)) != ["ours"]:
            assert "foreign" not in texts(heard)
        assert sum(b.net.counters.faults.values()) == 2

    async def test_nobody_hears_a_frame_twice_nor_its_own(self, world):
        a, b, c = await world.chain("a", "b", "c")
        await world.join(a, c)
        await world.talk([a, b, c])
        await a.net.publish(TOPIC, note_frame("only once"))
        await c.net.publish(TOPIC, note_frame("the end"))
        for node in (a, b):
            while texts(await node.sees(Heard)) != ["the end"]:
                pass
        heard = [texts(item) for node in (a, b, c) for item in node.saw(Heard)]
        assert heard.count(["only once"]) <= 2


class LookupContract:
    """Inherit, and give a fixture ``world``."""

    async def test_a_provider_is_found_over_a_third_node(self, world):
        a, _, c = await world.chain("a", "b", "c")
        await a.net.provide(KEY)
        for _ in range(100):
            await c.net.find(KEY)
            found = await c.sees(Found, KEY)
            if found.providers:
                break
        assert found.providers == ((a.peer, a.net.multiaddrs),)

    async def test_looking_for_what_nobody_has_ends_empty(self, world):
        a, b = await world.chain("a", "b")
        await a.net.find(KEY)
        assert await a.sees(Found) == Found(KEY, ())
        address = presence(1, a.peer).address
        await b.net.resolve(address)
        assert await b.sees(Resolved) == Resolved(address, None)

    async def test_the_newest_presence_wins_wherever_it_was_announced(self, world):
        a, b, c = await world.chain("a", "b", "c")
        for seq, node in ((2, a), (3, b), (1, c)):
            new = presence(seq, node.peer)
            await node.net.announce(new.address, new.data)
        for node in (a, b, c):
            await node.net.resolve(new.address)
            resolved = await node.sees(Resolved, new.address)
            assert resolved.record == presence(3, b.peer).data or _seq(resolved) == 3

    async def test_a_presence_of_somebody_else_is_not_taken(self, world):
        a, b = await world.chain("a", "b")
        mine, theirs = presence(1, a.peer), presence(1, a.peer, agent="other")
        await a.net.announce(mine.address, theirs.data)
        await a.net.announce(mine.address, b"no record")
        await b.net.resolve(mine.address)
        assert await b.sees(Resolved) == Resolved(mine.address, None)


def _seq(resolved):
    from nestmate_protocol.identity.cards import open_presence

    return open_presence(resolved.record, MAIN, None).seq
