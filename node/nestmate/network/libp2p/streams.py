"""Direct channels: ordered frames between two peers, one long-lived stream each way.

A frame is four bytes of length, big-endian, and so many bytes. What comes in draws on
the sender's budget, and a sender beyond it is not read until the budget allows: that
is the back-pressure. We keep to the same budget when we send. Channels that carry much
have a larger budget of their own. This file knows nothing of what a frame says.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from nestmate.network.libp2p.guard import Budget
from nestmate.network.libp2p.host import Connection, Host, Tell
from nestmate.network.libp2p.names import Names
from nestmate.network.libp2p.wire import GoneError
from nestmate.network.libp2p.yamux import Stream
from nestmate_protocol.effects import Channel
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import Arrived
from nestmate_protocol.limits import FRAME_BYTES_MAX

FRAME_SECONDS_MAX: Final = 30.0
SEND_SECONDS_MAX: Final = 20.0
STREAMS_PER_CHANNEL_MAX: Final = 4
BULK: Final = frozenset({Channel.BLOBS, Channel.SPACES})
_LENGTH_BYTES: Final = 4


@dataclass(slots=True)
class _Line:
    """Our outgoing stream for one channel to one peer, and who may write to it."""

    stream: Stream | None = None
    lock: trio.Lock = field(default_factory=trio.Lock)


class Channels:
    """All direct streams of this node."""

    def __init__(self, host: Host, names: Names, tell: Tell) -> None:
        self._host = host
        self._tell = tell
        self._protocols = {channel: names.channel(channel) for channel in Channel}
        self._lines: dict[tuple[PeerId, Channel], _Line] = {}
        self._incoming: dict[tuple[PeerId, Channel], int] = {}
        for channel, protocol in self._protocols.items():
            host.entrances[protocol] = partial(self._receive, channel)
        host.watchers.append(self)

    def __repr__(self) -> str:
        return f"<Channels {len(self._lines)} lines out>"

    def peer_is_up(self, connection: Connection) -> None:
        """Nothing to do: a line is opened when there is something to say."""

    def peer_is_down(self, peer: PeerId) -> None:
        """Forget the lines to a peer."""
        for channel in Channel:
            self._lines.pop((peer, channel), None)

    async def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Write one frame after those before it; False if it was lost."""
        if len(data) > FRAME_BYTES_MAX or self._host.connection(peer) is None:
            await trio.lowlevel.checkpoint()
            return False
        line = self._lines.setdefault((peer, channel), _Line())
        async with line.lock:
            sent = False
            try:
                with trio.fail_after(SEND_SECONDS_MAX):
                    await _pay(self._host.allowances.of(peer), channel, len(data))
                    stream = await self._open(line, peer, channel)
                    await stream.send_all(len(data).to_bytes(_LENGTH_BYTES) + data)
                    sent = True
            except (GoneError, RemoteError, trio.TooSlowError):
                self._host.counters.dropped += 1
            finally:
                if not sent and line.stream is not None:
                    line.stream.reset()  # half a frame may be out
            return sent

    async def _open(self, line: _Line, peer: PeerId, channel: Channel) -> Stream:
        if line.stream is None or line.stream.was_reset or line.stream.ended:
            protocol = self._protocols[channel]
            line.stream, _ = await self._host.open_stream(peer, (protocol,))
        return line.stream

    async def _receive(
        self, channel: Channel, connection: Connection, stream: Stream
    ) -> None:
        key = (connection.peer, channel)
        self._incoming[key] = self._incoming.get(key, 0) + 1
        try:
            if self._incoming[key] > STREAMS_PER_CHANNEL_MAX:
                raise RemoteError(Fault.OVER_LIMIT, "streams of one channel")
            await self._receive_frames(channel, connection.peer, stream)
        finally:
            self._incoming[key] -= 1
            if not self._incoming[key]:
                del self._incoming[key]

    async def _receive_frames(
        self, channel: Channel, peer: PeerId, stream: Stream
    ) -> None:
        budget = self._host.budgets.of(peer)
        while True:
            size = int.from_bytes(await stream.receive_exactly(_LENGTH_BYTES))
            if size > FRAME_BYTES_MAX:
                raise RemoteError(Fault.TOO_LARGE, f"frame of {size} bytes")
            await _pay(budget, channel, size)
            with trio.fail_after(FRAME_SECONDS_MAX):
                data = await stream.receive_exactly(size)
            await self._tell(Arrived(peer, channel, data))


async def _pay(budget: Budget, channel: Channel, octets: int) -> None:
    await (budget.pay_bulk if channel in BULK else budget.pay)(octets)
