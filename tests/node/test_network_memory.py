"""The memory twin of the network, put through the one suite, and its own switches."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import trio

from nestmate.network.memory import MemoryNetwork, Switchboard
from nestmate_protocol.effects import Channel
from nestmate_protocol.inputs import Arrived, Dialled, Heard, PeerDown


def load(name):
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


contract = load("network_contract")


class MemoryStage(contract.Stage):
    """Networks on one switchboard."""

    def __init__(self, nursery):
        super().__init__(nursery)
        self.board = Switchboard()

    def make(self, options):
        return MemoryNetwork(options, self.board)

    async def freeze(self, node):
        await self.board.freeze(node.peer)


@pytest.fixture
async def world():
    async with trio.open_nursery() as nursery:
        yield MemoryStage(nursery)
        nursery.cancel_scope.cancel()


class TestMemoryConnections(contract.ConnectionContract):
    pass


class TestMemoryStreams(contract.StreamContract):
    pass


class TestMemoryGossip(contract.GossipContract):
    pass


class TestMemoryLookups(contract.LookupContract):
    pass


async def test_a_partition_cuts_and_healing_lets_dial_again(world):
    a, b = await world.chain("a", "b")
    await world.board.part({a.peer}, {b.peer})
    await a.sees(PeerDown, b.peer)
    await b.sees(PeerDown, a.peer)
    await a.net.dial(b.peer, b.net.multiaddrs)
    assert not (await a.sees(Dialled)).connected
    await world.board.heal()
    await world.join(a, b)


async def test_a_slow_wire_takes_its_time(world, autojump_clock):
    world.board.latency_seconds = 2.0
    a, b = await world.chain("a", "b")
    began = trio.current_time()
    assert await a.net.send(b.peer, Channel.CARDS, b"slowly")
    await b.sees(Arrived)
    assert trio.current_time() - began >= 2.0


async def test_a_lossy_wire_loses_gossip_and_no_frames_of_streams(world):
    a, b = await world.chain("a", "b")
    await world.talk([a, b])
    world.board.loss = 0.5
    for number in range(100):
        await a.net.publish(contract.TOPIC, contract.note_frame(str(number)))
        assert await a.net.send(b.peer, Channel.CARDS, b"%d" % number)
    assert 20 < len(b.saw(Heard)) < 80
    assert len(b.saw(Arrived)) == 100
