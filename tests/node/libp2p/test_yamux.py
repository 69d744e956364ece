"""Yamux between two muxers in memory, and against frames that make no sense."""

import random
import struct
from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nestmate.network.libp2p import yamux
from nestmate.network.libp2p.wire import GoneError
from nestmate_protocol.errors import Fault, RemoteError

HEADER = struct.Struct("!BBHII")
DATA, UPDATE, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


class Wire:
    """A secured connection in memory: messages go in and come out whole."""

    def __init__(self, outgoing, incoming):
        self.outgoing = outgoing
        self.incoming = incoming

    async def send(self, data):
        try:
            await self.outgoing.send(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise GoneError("broken") from None

    async def receive(self):
        try:
            return await self.incoming.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise GoneError("ended") from None

    def close(self):
        self.outgoing.close()
        self.incoming.close()


def wires():
    a_out, b_in = trio.open_memory_channel(64)
    b_out, a_in = trio.open_memory_channel(64)
    return Wire(a_out, a_in), Wire(b_out, b_in)


class End:
    """A muxer that runs, the streams that came in, and how it ended."""

    def __init__(self, wire, *, dialler):
        self.came, self.streams = trio.open_memory_channel(1_000)
        self.muxer = yamux.Muxer(wire, dialler=dialler, welcome=self.welcome)
        self.over = trio.Event()
        self.fault = None

    async def welcome(self, stream):
        await self.came.send(stream)
        await trio.sleep_forever()

    async def run(self):
        try:
            await self.muxer.run()
        except RemoteError as error:
            self.fault = error.fault
        self.over.set()


@pytest.fixture
async def ends(nursery):
    one, other = wires()
    ends = End(one, dialler=True), End(other, dialler=False)
    for end in ends:
        nursery.start_soon(end.run)
    await wait_all_tasks_blocked()
    return ends


@pytest.fixture
async def raw(nursery):
    """A muxer whose other end is the test itself."""
    mine, theirs = wires()
    end = End(theirs, dialler=False)
    nursery.start_soon(end.run)
    await wait_all_tasks_blocked()
    return mine, end


async def opened(ends):
    stream = await ends[0].muxer.open()
    return stream, await ends[1].streams.receive()


async def test_bytes_arrive_whole_and_in_order_both_ways(ends, seed):
    dice = random.Random(seed)
    ours, theirs = await opened(ends)
    data = dice.randbytes(2_000_000)

    async def pour(stream):
        await stream.send_all(data)
        stream.finish()

    async def drain(stream):
        while part := await stream.receive_some(dice.randrange(1, 100_000)):
            got[stream] += part

    got = {ours: b"", theirs: b""}
    async with trio.open_nursery() as nursery:
        for stream in (ours, theirs):
            nursery.start_soon(pour, stream)
            nursery.start_soon(drain, stream)
    assert set(got.values()) == {data}
    assert not any(end.muxer.unread_bytes or end.muxer._streams for end in ends)


async def test_whoever_is_not_read_has_to_wait(ends):
    ours, theirs = await opened(ends)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, bytes(2 * yamux.WINDOW_BYTES))
        await wait_all_tasks_blocked()
        assert theirs.unread_bytes == yamux.WINDOW_BYTES
        await theirs.receive_exactly(2 * yamux.WINDOW_BYTES)


async def test_a_stream_that_waits_does_not_hold_up_another(ends):
    ours, _theirs = await opened(ends)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, bytes(2 * yamux.WINDOW_BYTES))
        await wait_all_tasks_blocked()
        other, there = await opened(ends)
        await other.send_all(b"still here")
        assert await there.receive_exactly(10) == b"still here"
        nursery.cancel_scope.cancel()


async def test_a_reset_ends_reading_and_writing_at_the_other_end(ends):
    ours, theirs = await opened(ends)
    ours.reset()
    with pytest.raises(GoneError):
        await theirs.receive_some(1)
    with pytest.raises(GoneError):
        await theirs.send_all(b"x")


async def test_half_a_stream_may_be_finished_and_the_other_goes_on(ends):
    ours, theirs = await opened(ends)
    await ours.send_all(b"question")
    ours.finish()
    assert await theirs.receive_exactly(8) == b"question"
    assert await theirs.receive_some(1) == b""
    await theirs.send_all(b"answer")
    theirs.close()
    assert await ours.receive_exactly(6) == b"answer"
    with pytest.raises(GoneError):
        await ours.receive_exactly(1)


async def test_a_ping_is_answered_until_the_end(ends):
    assert await ends[0].muxer.ping()
    ends[1].muxer.stop()
    await ends[0].over.wait()
    with pytest.raises(GoneError):
        await ends[0].muxer.ping()


async def test_the_end_of_a_connection_ends_its_streams(ends):
    ours, theirs = await opened(ends)
    ends[0].muxer.stop()
    for stream in (ours, theirs):
        with pytest.raises(GoneError):
            await stream.receive_some(1)
    with pytest.raises(GoneError):
        await ends[1].muxer.open()


async def test_a_write_that_was_given_up_does_not_break_the_rest(ends):
    ours, theirs = await opened(ends)
    with trio.CancelScope() as scope:
        scope.cancel()
        await ours.send_all(b"never said")
    other, there = await opened(ends)
    await other.send_all(b"said")
    assert await there.receive_exactly(4) == b"said"
    assert theirs.unread_bytes in (0, 10)


async def test_frames_may_be_cut_anywhere(raw):
    wire, end = raw
    frames = HEADER.pack(0, UPDATE, SYN, 1, 0) + HEADER.pack(0, DATA, FIN, 1, 5)
    for byte in frames + b"hello":
        await wire.send(bytes((byte,)))
    stream = await end.streams.receive()
    assert await stream.receive_exactly(5) == b"hello"
    assert await stream.receive_some(1) == b""


WRONG = {
    "a version that is not": [(1, DATA, SYN, 1, 0)],
    "a type that is not": [(0, 4, 0, 1, 0)],
    "a number of ours": [(0, UPDATE, SYN, 2, 0)],
    "the session's own number": [(0, UPDATE, SYN, 0, 0)],
    "a stream opened twice": [(0, UPDATE, SYN, 1, 0), (0, UPDATE, SYN, 1, 0)],
}
TOO_MUCH = {
    "more than the window": [(0, UPDATE, SYN, 1, 0), (0, DATA, 0, 1, 256 * 1024 + 1)],
    "more than everything": [(0, UPDATE, SYN, 1, 0), (0, DATA, 0, 1, 0xFFFFFFFF)],
    "bytes for no stream": [(0, DATA, 0, 7, 1)],
    "bytes after the end": [(0, UPDATE, SYN | FIN, 1, 0), (0, DATA, 0, 1, 1)],
    "a boundless window": [(0, UPDATE, SYN, 1, 0), (0, UPDATE, 0, 1, 0xFFFFFFFF)],
    "streams without end": [(0, UPDATE, SYN, n, 0) for n in range(1, 400, 2)],
    "pings without end": [(0, PING, SYN, 0, n) for n in range(200)],
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_frame_that_makes_no_sense_costs_the_connection(raw, name):
    wire, end = raw
    await wire.send(b"".join(HEADER.pack(*frame) for frame in WRONG[name]))
    await end.over.wait()
    assert end.fault is Fault.MALFORMED


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_taking_more_than_ones_share_costs_the_connection(raw, name):
    wire, end = raw
    await wire.send(b"".join(HEADER.pack(*frame) for frame in TOO_MUCH[name]))
    with trio.fail_after(60):
        await end.over.wait()
    assert end.fault is Fault.TOO_LARGE


async def test_unread_bytes_of_all_streams_together_are_bounded(raw):
    wire, end = raw
    with suppress(GoneError):
        for number in range(1, 64, 2):
            await wire.send(HEADER.pack(0, UPDATE, SYN, number, 0))
            for _ in range(4):
                head = HEADER.pack(0, DATA, 0, number, 64 * 1024)
                await wire.send(head + bytes(64 * 1024))
    await end.over.wait()
    assert end.fault is Fault.TOO_LARGE
    assert end.muxer.unread_bytes <= yamux.UNREAD_BYTES_MAX + 64 * 1024


async def test_what_was_still_on_its_way_to_a_dropped_stream_is_forgiven(raw):
    wire, end = raw
    await wire.send(HEADER.pack(0, UPDATE, SYN, 1, 0))
    (await end.streams.receive()).reset()
    await wire.send(HEADER.pack(0, DATA, 0, 1, 1_000) + bytes(1_000))
    await wire.send(HEADER.pack(0, UPDATE, SYN, 3, 0))
    assert (await end.streams.receive()).number == 3


async def test_going_away_ends_without_a_fault(raw):
    wire, end = raw
    await wire.send(HEADER.pack(0, GO_AWAY, 0, 0, 0))
    await end.over.wait()
    assert end.fault is None


async def test_random_bytes_never_do_more_than_end_the_connection(seed):
    dice = random.Random(seed)
    for _ in range(200):
        mine, theirs = wires()
        end = End(theirs, dialler=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end.run)
            await mine.send(dice.randbytes(200))
            mine.close()
            await end.over.wait()
            nursery.cancel_scope.cancel()
