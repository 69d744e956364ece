"""A peer does everything wrong, one way at a time: the node lives, friends are heard.

Each way runs against a real node on loopback while an honest peer talks to it over
gossip and a direct stream and a newcomer connects. The rude peer is a process of its
own (``rude_peer.py``). What is defended, and how, is told in
docs/explanation/network-hardening.md; the figures are printed as a table.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import trio

from nestmate.network.libp2p.network import Libp2pNetwork
from nestmate_protocol.effects import Channel
from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import Arrived, Heard
from nestmate_protocol.keys import SigningKey

HERE = Path(__file__).parent
SECONDS = 2.0
TALK_SECONDS = 1.0
PER_SECOND = 40
LATE_SECONDS = 30.0
PATIENCE_SECONDS = 45.0
DELIVERED_MIN = 0.99
GROWTH_MB_MAX = 16

BANNED = [
    "malformed_frames",
    "unreadable_keys",
    "unreadable_topics",
    "forged_records",
    "endless_valid_records",
    "crowded_frames_of_forgeries",
    "crowded_frames_of_records",
    "graft_requests",
    "subscriptions",
    "announced_ids",
    "stuffed_introductions",
    "unsigned_values",
    "failing_entrance",
    "noise_on_cards",
    "noise_on_friends",
    "noise_on_signals",
    "noise_on_spaces",
    "noise_for_records",
    "streams_without_end",
    "beyond_the_window",
    "pings_without_end",
    "coming_and_going",
]
BORNE = [
    "endless_direct_frames",
    "endless_bulk_frames",
    "keys_without_end",
    "ever_new_faces",
]
STRUCK_BY_ADDRESS = ["random_bytes", "endless_negotiation"]
LIMITED_BY_ADDRESS = ["half_open_connections"]


def load(name):
    spec = spec_from_file_location(name, HERE / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


contract = load("network_contract")


class RudePeer:
    """The process that misbehaves on command."""

    def __init__(self):
        command = [sys.executable, str(HERE / "rude_peer.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, **pipes)
        self.ways = json.loads(self.process.stdout.readline())["ways"]

    async def answer(self):
        with trio.fail_after(60):
            line = await trio.to_thread.run_sync(
                self.process.stdout.readline, abandon_on_cancel=True
            )
        return json.loads(line)

    def order(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@dataclass
class Figures:
    """What one way cost, and what came through meanwhile."""

    way: str
    sent: int = 0
    delivered: float = 0.0
    worst_ms: float = 0.0
    lag_ms: float = 0.0
    cpu_percent: float = 0.0
    growth_mb: float = 0.0
    banned_after: float | None = None
    newcomer: bool = False
    latencies: list[float] = field(default_factory=list)

    def row(self):
        banned = "-" if self.banned_after is None else f"{self.banned_after:.2f} s"
        return (
            f"{self.way:30} {self.sent:7} {100 * self.delivered:6.1f} %"
            f" {self.worst_ms:7.0f} ms {self.lag_ms:6.0f} ms {self.cpu_percent:5.0f} %"
            f" {self.growth_mb:6.1f} MB {banned:>8}"
        )


def resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def pause_until(moment):
    with trio.move_on_at(moment):
        await trio.Event().wait()


class Siege:
    """A victim, an honest peer that talks to it, and what is measured meanwhile."""

    def __init__(self, world, rude, way):
        self.world = world
        self.rude = rude
        self.figures = Figures(way)
        self.sent_at = {}
        self.came_at = {}

    async def prepare(self, **options):
        self.honest = await self.world.start("honest", ping_seconds=10.0)
        self.victim = await self.world.start("victim", ping_seconds=10.0, **options)
        await self.world.join(self.honest, self.victim)
        await self.world.talk([self.honest, self.victim])
        self.victim.net._host.entrances["/rude/1"] = self.fail
        self.seed = os.urandom(32)
        self.rude_peer = PeerId(SigningKey(self.seed).public.raw)

    async def fail(self, connection, stream):
        raise RuntimeError("planted")

    async def run(self, seconds=SECONDS):
        """Bear a rude peer for so long, or until it is gone for good."""
        self.rude.order(
            way=self.figures.way,
            seed=self.seed.hex(),
            seconds=seconds,
            network=contract.MAIN.raw.hex(),
            topic=contract.TOPIC,
            peer=self.victim.peer.text,
            multiaddr=self.victim.net.multiaddrs[0],
        )
        assert (await self.rude.answer())["connected"]
        before_mb, before_cpu = resident_mb(), time.process_time()
        began = self.began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for task in (self.listen, self.watch, self.welcome_newcomer):
                nursery.start_soon(task)
            await self.talk()
            self.figures.sent = (await self.rude.answer())["sent"]
            with trio.move_on_after(LATE_SECONDS):
                while not self.is_over():
                    await pause_until(trio.current_time() + 0.02)
            self.look()
            nursery.cancel_scope.cancel()
        spent = time.process_time() - before_cpu
        self.figures.cpu_percent = 100 * spent / (trio.current_time() - began)
        self.figures.growth_mb = max(0.0, resident_mb() - before_mb)
        self.count()

    def is_over(self):
        return self.figures.newcomer and not self.sent_at.keys() - self.came_at.keys()

    async def talk(self):
        for number in range(int(TALK_SECONDS * PER_SECOND)):
            await pause_until(self.began + number / PER_SECOND)
            for kind in ("gossip", "direct"):
                self.sent_at[f"{kind} {number}"] = trio.current_time()
            frame = contract.note_frame(f"gossip {number}")
            await self.honest.net.publish(contract.TOPIC, frame)
            data = f"direct {number}".encode()
            await self.honest.net.send(self.victim.peer, Channel.FRIENDS, data)

    async def listen(self):
        async for item in self.victim._seen:
            if isinstance(item, Heard) and item.peer == self.honest.peer:
                self.came(*contract.texts(item))
            elif isinstance(item, Arrived) and item.peer == self.honest.peer:
                self.came(item.data.decode())

    def came(self, *names):
        for name in names:
            self.came_at[name] = trio.current_time()

    async def watch(self):
        while True:
            now = trio.current_time()
            await pause_until(now + 0.01)
            late = trio.current_time() - now - 0.01
            self.figures.lag_ms = max(self.figures.lag_ms, 1000 * late)
            self.look()

    def look(self):
        barred = self.victim.net._host.bans.bars_peer(self.rude_peer)
        if barred and self.figures.banned_after is None:
            self.figures.banned_after = trio.current_time() - self.began

    async def welcome_newcomer(self):
        await pause_until(self.began + TALK_SECONDS / 2)
        newcomer = await self.world.start("newcomer")
        await newcomer.net.dial(self.victim.peer, self.victim.net.multiaddrs)
        self.figures.newcomer = self.victim.peer in newcomer.net._host.peers

    def count(self):
        pairs = [(at, self.came_at.get(name)) for name, at in self.sent_at.items()]
        waits = [came - at for at, came in pairs if came is not None]
        self.figures.delivered = len(waits) / len(pairs)
        self.figures.worst_ms = 1000 * max(waits, default=0.0)

    def check(self):
        assert self.figures.delivered >= DELIVERED_MIN, self.figures.row()
        assert self.figures.growth_mb <= GROWTH_MB_MAX, self.figures.row()
        assert self.figures.newcomer, "the door was shut to a newcomer"


class Libp2pStage(contract.Stage):
    """Networks on loopback, all in this process."""

    def make(self, options):
        return Libp2pNetwork(options)


@pytest.fixture(scope="module")
def rude():
    peer = RudePeer()
    yield peer
    peer.close()


@pytest.fixture(scope="module")
def table():
    rows = []
    yield rows
    head = f"{'way':30} {'sent':>7} delivered     worst       lag"
    head += "    cpu    growth   banned"
    print("\n".join(["", head, *rows]))  # noqa: T201 - the figures are wanted


@pytest.fixture
async def siege(request, rude, table):
    async with trio.open_nursery() as nursery:
        siege = Siege(Libp2pStage(nursery), rude, request.node.callspec.params["way"])
        yield siege
        table.append(siege.figures.row())
        nursery.cancel_scope.cancel()


def test_every_way_the_rude_peer_knows_is_tried(rude):
    tried = [*BANNED, *BORNE, *STRUCK_BY_ADDRESS, *LIMITED_BY_ADDRESS]
    assert sorted(tried) == rude.ways


@pytest.mark.parametrize("way", BANNED)
async def test_whoever_is_rude_in_its_own_name_is_banned(siege, way):
    await siege.prepare()
    await siege.run(seconds=PATIENCE_SECONDS)
    siege.check()
    assert siege.figures.banned_after is not None, siege.victim.net.counters
    assert siege.victim.net.counters.bans == 1


@pytest.mark.parametrize("way", BORNE)
async def test_whoever_only_asks_much_is_slowed_down(siege, way):
    await siege.prepare()
    await siege.run()
    siege.check()


@pytest.mark.parametrize("way", STRUCK_BY_ADDRESS)
async def test_whoever_is_rude_without_a_name_is_barred_by_address(siege, way):
    await siege.prepare(loopback_is_one_ip=True)
    await siege.run()
    siege.check()
    assert siege.victim.net._host.bans.bars_address("127.0.0.9")


@pytest.mark.parametrize("way", LIMITED_BY_ADDRESS)
async def test_connections_that_say_nothing_leave_room_for_others(siege, way):
    await siege.prepare(loopback_is_one_ip=True)
    await siege.run()
    siege.check()
    assert siege.victim.net.counters.dropped > 100
