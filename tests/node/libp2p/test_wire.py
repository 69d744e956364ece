"""Lengths, negotiation and addresses: what foreign bytes can and cannot do there."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as some
from trio.testing import memory_stream_pair

from nestmate.network.libp2p import wire
from nestmate.network.libp2p.addresses import (
    Place,
    good_places,
    ip_group,
    is_loopback,
    known_places,
    listen_place,
    parse_place,
    peer_octets,
    reachable_places,
    read_peer,
    read_place,
)
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import PeerId


class Pipe:
    """One end of a stream in memory."""

    def __init__(self, stream):
        self.stream = stream

    async def receive_exactly(self, count):
        data = b""
        while len(data) < count:
            part = await self.stream.receive_some(count - len(data))
            if not part:
                raise wire.GoneError
            data += part
        return data

    async def send_all(self, data):
        await self.stream.send_all(data)


@pytest.fixture
def pipes():
    return [Pipe(stream) for stream in memory_stream_pair()]


async def said(pipes, data):
    await pipes[0].send_all(data)
    await pipes[0].stream.send_eof()
    return pipes[1]


@given(some.integers(0, (1 << 63) - 1))
def test_a_varint_is_read_as_it_was_written(number):
    async def read():
        one, other = (Pipe(stream) for stream in memory_stream_pair())
        await one.send_all(wire.uvarint(number))
        assert await wire.receive_uvarint(other) == number

    trio.run(read)


async def test_a_varint_without_end_is_refused(pipes):
    stream = await said(pipes, b"\xff" * 20)
    with pytest.raises(RemoteError) as refused:
        await wire.receive_uvarint(stream)
    assert refused.value.fault is Fault.MALFORMED


async def test_a_length_beyond_the_limit_is_refused_before_it_is_read(pipes):
    stream = await said(pipes, wire.uvarint(1 << 40))
    with pytest.raises(RemoteError) as refused:
        await wire.receive_delimited(stream, 1_000)
    assert refused.value.fault is Fault.TOO_LARGE


async def agreed(pipes, ours, theirs):
    got = []

    async def answer():
        try:
            got.append(await wire.agree(pipes[1], theirs))
        except (RemoteError, wire.GoneError) as error:
            got.append(type(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        try:
            got.append(await wire.propose(pipes[0], ours))
        except RemoteError as error:
            got.append(error.fault)
        await pipes[0].stream.aclose()
    return got


async def test_both_ends_agree_on_the_first_protocol_both_speak(pipes):
    got = await agreed(pipes, ["/new/2", "/old/1"], {"/old/1", "/other/1"})
    assert got == ["/old/1", "/old/1"]


async def test_that_no_protocol_is_shared_is_said_and_not_waited_for(pipes):
    got = await agreed(pipes, ["/a/1"], {"/b/1"})
    assert got == [Fault.UNKNOWN_KIND, wire.GoneError]


async def test_negotiation_ends_after_a_few_rounds(pipes):
    lines = wire._line("/multistream/1.0.0") + wire._line("/unknown") * 100
    stream = await said(pipes, lines)
    with pytest.raises(RemoteError) as refused:
        await wire.agree(stream, {"/known"})
    assert refused.value.fault is Fault.UNKNOWN_KIND


@given(some.binary(max_size=64))
def test_no_bytes_do_more_than_refuse_as_an_address(octets):
    for read in (read_place, read_peer):
        try:
            read(octets)
        except RemoteError:
            continue
    assert len(known_places([octets])) <= 1


@given(some.text(max_size=80))
def test_no_text_does_more_than_refuse_as_an_address(text):
    for given_text in (text, f"/ip4/{text}/tcp/1", f"/dns/{text}/tcp/1"):
        assert len(good_places([given_text])) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/192.0.2.7/tcp/4001",
        "/ip6/2001:db8::7/tcp/65535",
        "/dns/nest.example/tcp/1",
        "/dns4/nest.example/tcp/443",
        "/dns6/nest.example/tcp/443",
    ],
)
def test_an_address_survives_its_binary_form(text):
    place = parse_place(text)
    assert place.text == text
    assert read_place(place.octets) == place
    named = place.octets + bytes.fromhex("a503") + b"\x26" + peer_octets(PEER)
    assert read_place(named) == place


PEER = PeerId(b"p" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/192.0.2.7/udp/4001/quic-v1",
        "/ip4/192.0.2.7/tcp/65536",
        "/ip4/2001:db8::7/tcp/1",
        "/ip6/192.0.2.7/tcp/1",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip4/192.0.2.7/tcp/0",
        "/unix/tmp/x",
        "",
    ],
)
def test_what_cannot_be_dialled_is_no_good_place(text):
    assert good_places([text]) == ()


def test_a_peer_id_survives_its_binary_form():
    assert read_peer(peer_octets(PEER)) == PEER
    with pytest.raises(RemoteError):
        read_peer(bytes.fromhex("1220") + b"h" * 32)


def test_a_listener_on_every_interface_is_found_on_each():
    places = reachable_places(listen_place("/ip4/0.0.0.0/tcp/4001"))
    assert Place("ip4", "127.0.0.1", 4001) in places
    assert places[-1].is_loopback


def test_listening_takes_addresses_and_no_names():
    for text in ("/dns/nest.example/tcp/1", "anywhere"):
        with pytest.raises(LocalError):
            listen_place(text)


def test_an_ipv6_neighbourhood_counts_as_one_address():
    assert ip_group("2001:db8:0:1::1") == ip_group("2001:db8:0:2::1")
    assert ip_group("2001:db8:1::1") != ip_group("2001:db8:2:1::1")
    assert ip_group("::ffff:192.0.2.7") == "192.0.2.7"
    assert is_loopback(ip_group("127.0.0.9"))
    assert not is_loopback(ip_group("192.0.2.7"))
