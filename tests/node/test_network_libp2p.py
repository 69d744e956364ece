"""The libp2p twin of the network, put through the one suite on real sockets.

Then what only real sockets can show: processes that freeze, many connections, ports
that are taken, what is left behind, and that a plain libp2p host can take part.
"""

import gc
import json
import signal
import subprocess
import sys
import threading
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import trio

from nestmate.errors import BusyError, NodeError
from nestmate.network.base import NetworkOptions
from nestmate.network.libp2p import borrowed
from nestmate.network.libp2p.names import Names, provider_key
from nestmate.network.libp2p.network import Libp2pNetwork
from nestmate_protocol.effects import Channel
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import Arrived, Dialled, Found, PeerDown, PeerUp

HERE = Path(__file__).parent
FILES = Path("/proc/self/fd")


def load(name):
    spec = spec_from_file_location(name, HERE / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


contract = load("network_contract")


class Libp2pStage(contract.Stage):
    """Networks on loopback, all in this process."""

    def make(self, options):
        return Libp2pNetwork(options)

    async def chatter(self, node):
        """Publish something new ever again."""
        await node.net.join(contract.TOPIC)
        self.said = set()
        while True:
            frame = contract.note_frame(f"chatter {len(self.said)}")
            self.said.add(frame.hex())
            await node.net.publish(contract.TOPIC, frame)
            with trio.move_on_after(0.2):
                await trio.Event().wait()

    async def freeze(self, node):
        """It reads no frame any more, on any of its connections."""
        for peer in node.net._host.peers:
            node.net._host.connection(peer).muxer._frames.tokens = float("-inf")


@pytest.fixture
async def world():
    async with trio.open_nursery() as nursery:
        yield Libp2pStage(nursery)
        nursery.cancel_scope.cancel()


class TestLibp2pConnections(contract.ConnectionContract):
    pass


class TestLibp2pStreams(contract.StreamContract):
    pass


class TestLibp2pGossip(contract.GossipContract):
    pass


class TestLibp2pLookups(contract.LookupContract):
    pass


class Process:
    """A script of this folder that runs until the test is over."""

    def __init__(self, script, *arguments):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, str(HERE / script), *arguments]
        self.child = subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes)

    async def says(self):
        with trio.fail_after(contract.PATIENCE_SECONDS):
            line = await trio.to_thread.run_sync(
                self.child.stdout.readline, abandon_on_cancel=True
            )
        return json.loads(line)

    def close(self):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


@pytest.fixture
def process():
    started = []

    def start(*arguments):
        started.append(Process(*arguments))
        return started[-1]

    yield start
    for each in started:
        each.close()


async def test_a_stopped_process_is_given_up_and_a_killed_one_at_once(world, process):
    world.ping_seconds = 0.6
    a = await world.start("a")
    for end in (signal.SIGSTOP, signal.SIGKILL):
        other = process("quiet_peer.py", contract.MAIN.raw.hex())
        said = await other.says()
        await a.net.dial(PeerId.parse(said["peer"]), said["multiaddrs"])
        assert (await a.sees(Dialled)).connected
        other.child.send_signal(end)
        await a.sees(PeerDown, PeerId.parse(said["peer"]))


async def test_three_hundred_connections_wear_nothing_out(world, eventually):
    a = await world.start("a")
    for number in range(300):
        b = await world.start(f"visitor {number}")
        await b.net.dial(a.peer, a.net.multiaddrs)
        assert (await b.sees(Dialled)).connected, number
        await world.stop(b)
    await a.sees(PeerDown, b.peer)
    await eventually(lambda: a.net._host.limiter.total == 0)
    assert a.net._host.peers == ()


def open_files():
    return len(list(FILES.iterdir()))


async def test_nothing_is_left_behind(world):
    files = open_files()
    threads = set(threading.enumerate())
    nodes = await world.chain("a", "b", "c")
    await world.talk(nodes)
    await nodes[0].net.provide(contract.KEY)
    for node in nodes:
        await world.stop(node)
    gc.collect()
    assert open_files() == files
    assert {t for t in threading.enumerate() if "Trio" not in t.name} <= threads
    assert len(world.nursery.child_tasks) == 0


async def test_a_peer_reborn_behind_a_dead_connection_is_told_anew(world):
    world.ping_seconds = 0.6
    a, b = await world.chain("a", "b")
    await world.freeze(b)
    twin = await world.start("b")
    await twin.net.dial(a.peer, a.net.multiaddrs)
    await a.sees(PeerDown, b.peer)
    await a.sees(PeerUp, b.peer)
    assert await a.net.send(b.peer, Channel.CARDS, b"to the living one")
    assert (await twin.sees(Arrived)).data == b"to the living one"


async def test_dialling_each_other_at_once_makes_one_peer(world):
    a, b = await world.start("a"), await world.start("b")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.net.dial, b.peer, b.net.multiaddrs)
        nursery.start_soon(b.net.dial, a.peer, a.net.multiaddrs)
    for one, other in ((a, b), (b, a)):
        assert (await one.sees(Dialled)).connected
        assert len(one.saw(PeerUp)) == 1
        assert not one.saw(PeerDown)
        assert await one.net.send(other.peer, Channel.CARDS, b"hello")
        await other.sees(Arrived)


ODD_NAMES = ["/dns/../tcp/1", f"/dns/{'x' * 80}/tcp/1", "/ip6/fe80::1%25x/tcp/1"]


@pytest.mark.parametrize("multiaddr", ODD_NAMES)
async def test_an_address_that_cannot_be_looked_up_is_passed_over(world, multiaddr):
    a, b = await world.start("a"), await world.start("b")
    await a.net.dial(b.peer, [multiaddr, *b.net.multiaddrs])
    assert (await a.sees(Dialled)).connected


async def test_a_bug_below_the_border_stays_there(world, monkeypatch):
    a, b = await world.chain("a", "b")

    async def fail(*_):
        raise RuntimeError("planted")

    monkeypatch.setattr(a.net._dialler, "dial", fail)
    monkeypatch.setattr(a.net._dht._asker, "lookup", fail)
    await a.net.dial(b.peer, [])
    assert not (await a.sees(Dialled)).connected
    await a.net.find(contract.KEY)
    assert a.net.counters.dropped == 2


PLACES_TO_FAIL = ["_host.introduce", "_reception._doorkeeper._shake", "_host._welcomes"]


@pytest.mark.parametrize("where", PLACES_TO_FAIL)
async def test_a_bug_met_by_a_guest_costs_the_guest_only(world, monkeypatch, where):
    a, b, c = [await world.start(name) for name in "abc"]
    await world.join(a, c)

    def fail(*_):
        raise RuntimeError("planted")

    holder = a.net
    *path, name = where.split(".")
    for part in path:
        holder = getattr(holder, part)
    with monkeypatch.context() as patched:
        patched.setattr(holder, name, fail)
        await b.net.dial(a.peer, a.net.multiaddrs)
        assert not (await b.sees(Dialled)).connected
    assert await c.net.send(a.peer, Channel.CARDS, b"still there?")
    assert (await a.sees(Arrived)).data == b"still there?"
    await world.join(b, a)


async def test_a_port_that_is_taken_is_said_in_a_sentence(world):
    a = await world.start("a")
    options = NetworkOptions(contract.seeded("b"), contract.MAIN, a.net.multiaddrs)
    told, _seen = trio.open_memory_channel(10)
    with pytest.raises(BusyError, match="cannot listen at /ip4/127"):
        async with Libp2pNetwork(options).running(told):
            pass


async def test_a_ban_outlives_a_restart(world):
    a, b = await world.start("a"), await world.start("b")
    for _ in range(4):
        a.net.strike(b.peer, Fault.MALFORMED)
    kept = a.net.keep()
    await world.stop(a)
    again = await world.start("a", kept=kept)
    await b.net.dial(again.peer, again.net.multiaddrs)
    assert not (await b.sees(Dialled)).connected


async def test_a_friend_gets_in_when_strangers_do_not(world):
    host = await world.start("host", connections_in_max=1)
    friend, stranger = await world.start("friend"), await world.start("stranger")
    await world.join(await world.start("first"), host)
    await stranger.net.dial(host.peer, host.net.multiaddrs)
    assert not (await stranger.sees(Dialled)).connected
    host.net.pin(friend.peer, pinned=True)
    await friend.net.dial(host.peer, host.net.multiaddrs)
    assert (await friend.sees(Dialled)).connected


async def test_announcing_keeps_to_one_key_a_second(world, eventually):
    a, b = await world.chain("a", "b")
    known = b.net._dht._server.providers
    keys = [bytes([number]) * 32 for number in range(3)]
    began = trio.current_time()
    for key in keys:
        await a.net.provide(key)
    await eventually(lambda: known.of(provider_key(keys[2])))
    assert trio.current_time() - began > 1.5


async def test_a_plain_libp2p_host_can_take_part(world, process):
    a = await world.start("a")
    await a.net.provide(contract.KEY)
    at = f"{a.net.multiaddrs[0]}/p2p/{a.peer.text}"
    tag, key = Names(contract.MAIN).tag, provider_key(contract.KEY).hex()
    stock = process("stock_peer.py", at, tag, contract.TOPIC, key)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.chatter, a)
        said = await stock.says()
        nursery.cancel_scope.cancel()
    assert said["pings"] == 3
    assert (said["heard"] in world.said, said["signed"]) == (True, False)
    assert said["providers"] == [a.peer.text]
    await a.net.find(contract.KEY)
    assert len((await a.sees(Found)).providers) == 1


def test_another_version_of_the_library_is_refused(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "0.9.0")
    with pytest.raises(NodeError, match=r"libp2p 0\.9\.0 is installed") as refused:
        borrowed._check_version()
    assert refused.value.hint == "install libp2p==0.8.1"


def test_transports_that_are_not_used_are_not_loaded():
    code = (
        "import sys, nestmate.network.libp2p.network\n"
        "unused = {'aioquic', 'zeroconf', 'httpx', 'libp2p.network.swarm'}\n"
        "print(unused & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_no_peer_key_but_ed25519_is_read():
    from libp2p.crypto.serialization import key_type_to_public_key_deserializer

    assert list(key_type_to_public_key_deserializer) == [borrowed.KeyType.Ed25519.value]
