"""What leaves the node: in order per peer and channel; no channel waits for another.

The network is a fake whose bulk channel is stuck until a test lets it go.
"""

import pytest
import trio

from nestmate.node.outgoing import QUEUE_FRAMES_MAX, Mailroom
from nestmate_protocol.effects import Channel, Send
from nestmate_protocol.ids import PeerId

PEER = PeerId(b"\x01" * 32)


class StuckNetwork:
    """Takes what it is given at once, but for the channel of spaces."""

    def __init__(self):
        self.let_go = trio.Event()
        self.sent = []
        self.news = trio.Event()

    async def send(self, peer, channel, data):
        if channel is Channel.SPACES:
            await self.let_go.wait()
        self.sent.append((channel, data))
        self.news.set()
        return True


@pytest.fixture
async def network():
    return StuckNetwork()


async def test_much_on_one_channel_does_not_delay_another(network, nursery):
    room = Mailroom(network, nursery)
    for number in range(QUEUE_FRAMES_MAX + 9):
        room.post(Send(PEER, Channel.SPACES, bytes((number,))))
    room.post(Send(PEER, Channel.SIGNALS, b"help"))
    with trio.fail_after(5):
        await network.news.wait()
    assert network.sent == [(Channel.SIGNALS, b"help")]
    assert 0 < room.dropped <= 9


async def test_frames_of_one_channel_keep_their_order(network, nursery):
    room = Mailroom(network, nursery)
    for number in range(9):
        room.post(Send(PEER, Channel.SPACES, bytes((number,))))
    network.let_go.set()
    with trio.fail_after(5):
        while len(network.sent) < 9:
            await trio.lowlevel.checkpoint()
    assert [data for _, data in network.sent] == [bytes((n,)) for n in range(9)]


async def test_what_waits_for_a_peer_that_is_gone_is_lost(network, nursery):
    room = Mailroom(network, nursery)
    room.post(Send(PEER, Channel.SPACES, b"one"))
    room.forget(PEER)
    room.post(Send(PEER, Channel.SIGNALS, b"two"))
    with trio.fail_after(5):
        await network.news.wait()
    assert network.sent == [(Channel.SIGNALS, b"two")]
