"""The libp2p twin of the network, put through the one suite on real sockets."""

import os
import signal
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import trio

from nestmate.network.libp2p.network import Libp2pNetwork


def load(name):
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


contract = load("network_contract")


class Libp2pStage(contract.Stage):
    """Networks on loopback, all in this process."""

    def make(self, options):
        return Libp2pNetwork(options)

    async def freeze(self, node):
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
