"""What leaves the node: frames to peers, and batches of records to topics.

Sending must never hold the loop up. Each channel to a peer has a short queue and a
task of its own, so that much on one does not delay another; each topic gathers what is
not urgent for at most BATCH_DELAY_MS_MAX. What does not fit is dropped, because whoever
wants it to arrive repeats it. This file knows nothing of what the bytes mean.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from nestmate.network.base import Network
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Channel, Publish, Send
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import (
    BATCH_DELAY_MS_MAX,
    FRAME_BYTES_MAX,
    FRAME_RECORDS_MAX,
)
from nestmate_protocol.records import make_frame

QUEUE_FRAMES_MAX = 128
_FRAME_OVERHEAD_BYTES = 32

_Queues = dict[Channel, trio.MemorySendChannel[Send]]


class Mailroom:
    """One ordered queue of frames per connected peer and channel."""

    def __init__(self, network: Network, nursery: trio.Nursery) -> None:
        self._network = network
        self._nursery = nursery
        self._queues: dict[PeerId, _Queues] = {}
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Mailroom {len(self._queues)} peers, {self.dropped} dropped>"

    def post(self, item: Send) -> None:
        """Queue one frame; a full queue drops it."""
        queues = self._queues.setdefault(item.peer, {})
        queue = queues.get(item.channel)
        if queue is None:
            queue, out = trio.open_memory_channel[Send](QUEUE_FRAMES_MAX)
            queues[item.channel] = queue
            self._nursery.start_soon(self._deliver, out)
        try:
            queue.send_nowait(item)
        except trio.WouldBlock:
            self.dropped += 1

    def forget(self, peer: PeerId) -> None:
        """The peer is gone: what waits for it is lost."""
        for queue in self._queues.pop(peer, {}).values():
            queue.close()

    async def _deliver(self, out: trio.MemoryReceiveChannel[Send]) -> None:
        async with out:
            async for item in out:
                if not await self._network.send(item.peer, item.channel, item.data):
                    self.dropped += 1


@dataclass(slots=True)
class _Batch:
    """Records that wait for company, with the ages they had at ``since_ms``."""

    since_ms: int
    items: list[tuple[bytes, int]] = field(default_factory=list)
    size_bytes: int = 0


class Press:
    """Gathers records per topic into frames and hands those to gossip."""

    def __init__(
        self, network: Network, nursery: trio.Nursery, now: Callable[[], Moment]
    ) -> None:
        self._network = network
        self._nursery = nursery
        self._now = now
        self._open: dict[str, _Batch] = {}

    def __repr__(self) -> str:
        return f"<Press {len(self._open)} batches open>"

    def print(self, item: Publish) -> None:
        """Add one record to its topic's batch; an urgent one leaves at once."""
        now_ms = self._now().mono_ms
        size_bytes = len(item.record) + _FRAME_OVERHEAD_BYTES
        batch = self._open.get(item.topic)
        if batch is not None and batch.size_bytes + size_bytes > FRAME_BYTES_MAX:
            self._flush(item.topic, batch)
            batch = None
        if batch is None:
            batch = self._open[item.topic] = _Batch(now_ms)
            if not item.urgent:
                self._nursery.start_soon(self._flush_later, item.topic, batch)
        batch.items.append((item.record, item.age_ms - (now_ms - batch.since_ms)))
        batch.size_bytes += size_bytes
        if item.urgent or len(batch.items) >= FRAME_RECORDS_MAX:
            self._flush(item.topic, batch)

    async def _flush_later(self, topic: str, batch: _Batch) -> None:
        await trio.sleep(BATCH_DELAY_MS_MAX / 1000)
        self._flush(topic, batch)

    def _flush(self, topic: str, batch: _Batch) -> None:
        if self._open.get(topic) is batch:
            del self._open[topic]
            waited_ms = self._now().mono_ms - batch.since_ms
            aged = [(record, max(0, age + waited_ms)) for record, age in batch.items]
            self._nursery.start_soon(self._network.publish, topic, make_frame(aged))
