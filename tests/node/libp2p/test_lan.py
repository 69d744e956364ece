"""Nodes on the LAN: what is said, what is believed, and two that see each other."""

import socket

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as some

from nestmate.network.base import NetworkOptions
from nestmate.network.libp2p.lan import read_sightings, write_sighting
from nestmate.network.libp2p.network import Libp2pNetwork
from nestmate_protocol.ids import NetworkId, PeerId
from nestmate_protocol.inputs import Sighted

PEER = PeerId(b"p" * 32)
GROUP = ("224.0.0.251", 5353)


def test_what_was_said_is_read_again():
    texts = ["/ip4/192.0.2.7/tcp/1", "/ip6/2001:db8::7/tcp/2"]
    said = write_sighting([f"{text}/p2p/{PEER.text}" for text in texts])
    assert list(read_sightings(said)) == [Sighted(PEER, tuple(texts))]


@given(some.binary(max_size=300))
def test_no_bytes_do_more_than_say_nothing(text):
    for prefix in (b"", b"\x20dnsaddr="):
        for sighting in read_sightings(prefix + text):
            assert sighting.multiaddrs


@pytest.mark.parametrize(
    "address",
    [
        "/ip4/192.0.2.7/tcp/1",
        "/ip4/192.0.2.7/udp/1/p2p/" + PEER.text,
        "/ip4/192.0.2.7/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "/p2p/" + PEER.text,
    ],
)
def test_an_address_that_helps_nobody_is_left_out(address):
    assert list(read_sightings(write_sighting([address]))) == []


def has_a_lan():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(GROUP)
        except OSError:
            return False
        return not probe.getsockname()[0].startswith("127.")


async def meet(seed, network, met):
    told, seen = trio.open_memory_channel(1_000)
    options = NetworkOptions(
        bytes([seed]) * 32, network, listen=("/ip4/0.0.0.0/tcp/0",), mdns=True
    )
    net = Libp2pNetwork(options)
    async with net.running(told):
        async for item in seen:
            if isinstance(item, Sighted):
                met[net.peer] = item.peer
                break
        while len(met) < 2:
            await trio.lowlevel.checkpoint()


@pytest.mark.skipif(not has_a_lan(), reason="this machine has no LAN to look around on")
async def test_two_nodes_on_one_lan_see_each_other():
    met = {}
    network = NetworkId(socket.gethostname().encode().ljust(32)[:32])
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(meet, 1, network, met)
            nursery.start_soon(meet, 2, network, met)
    assert {met[peer] for peer in met} == set(met)
