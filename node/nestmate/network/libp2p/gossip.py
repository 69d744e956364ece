"""Gossip: speaks GossipSub 1.1 with every peer, and lets only verified frames through.

Speaks /meshsub/1.1.0 with the policy StrictNoSign. A peer's frames are read one at a
time, paid for from its budget, counted before they are looked at, and judged by one
validator, ``records.open_frame``; whatever is over a bound is dropped and struck.
Outgoing queues are bounded in bytes. The rules of the mesh are in ``mesh``.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import trio
from google.protobuf.message import DecodeError

from nestmate.network.libp2p.borrowed import RPC, GossipMessage
from nestmate.network.libp2p.guard import Bucket
from nestmate.network.libp2p.host import Connection, Host, Tell
from nestmate.network.libp2p.mesh import HEARTBEAT_SECONDS, Mesh, Saying, Sayings
from nestmate.network.libp2p.messages import message_name
from nestmate.network.libp2p.wire import (
    GoneError,
    receive_uvarint,
    text_of,
    uvarint,
)
from nestmate.network.libp2p.yamux import Stream
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import NetworkId, PeerId
from nestmate_protocol.inputs import Heard
from nestmate_protocol.limits import (
    FRAME_BYTES_MAX,
    FRAME_RECORDS_MAX,
    TOPICS_MAX,
)
from nestmate_protocol.records import open_frame

PROTOCOL: Final = "/meshsub/1.1.0"
RPC_BYTES_MAX: Final = FRAME_BYTES_MAX + 4 * 1024
RPC_SECONDS_MAX: Final = 30.0
MESSAGES_PER_RPC_MAX: Final = FRAME_RECORDS_MAX
SUBSCRIPTIONS_PER_RPC_MAX: Final = 2 * TOPICS_MAX
IDS_PER_RPC_MAX: Final = 1_000
IDS_PER_SECOND: Final = 200.0
IDS_BURST: Final = 2_000.0
TOPIC_CHARS_MAX: Final = 128
QUEUE_BYTES_MAX: Final = 1024 * 1024
QUEUE_ITEMS_MAX: Final = 1_024
STREAMS_PER_PEER_MAX: Final = 4
REOPEN_SECONDS: Final = 1.0
_DROPS_PER_STRIKE: Final = 5


class Outgoing:
    """What waits to be sent to one peer; what does not fit is dropped."""

    def __init__(self) -> None:
        self._urgent: deque[bytes] = deque()
        self._plain: deque[bytes] = deque()
        self._bytes = 0
        self._news = trio.Event()

    def __repr__(self) -> str:
        return f"<Outgoing {len(self)} of {self._bytes} bytes>"

    def __len__(self) -> int:
        return len(self._urgent) + len(self._plain)

    def put(self, rpc: bytes, *, urgent: bool = False) -> bool:
        """Queue one RPC; False if there is no room for it."""
        if self._bytes + len(rpc) > QUEUE_BYTES_MAX or len(self) >= QUEUE_ITEMS_MAX:
            return False
        (self._urgent if urgent else self._plain).append(rpc)
        self._bytes += len(rpc)
        self._news.set()
        return True

    async def get(self) -> bytes:
        """The next RPC, control before messages."""
        while not len(self):
            self._news = trio.Event()
            await self._news.wait()
        rpc = (self._urgent or self._plain).popleft()
        self._bytes -= len(rpc)
        return rpc


@dataclass(slots=True)
class _Line:
    """Our end of gossip with one peer."""

    outgoing: Outgoing = field(default_factory=Outgoing)
    ids: Bucket = field(default_factory=lambda: Bucket(IDS_PER_SECOND, IDS_BURST))
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    streams: int = 0
    drops: int = 0


class Gossip:
    """This node's part in every topic."""

    def __init__(
        self,
        host: Host,
        network: NetworkId,
        tell: Tell,
        nursery: trio.Nursery,
    ) -> None:
        self._host = host
        self._network = network
        self._tell = tell
        self._nursery = nursery
        self._mesh = Mesh(random.SystemRandom(), host.pinned)
        self._lines: dict[PeerId, _Line] = {}
        host.entrances[PROTOCOL] = self._receive
        host.watchers.append(self)

    def __repr__(self) -> str:
        return f"<Gossip {self._mesh!r}>"

    def peer_is_up(self, connection: Connection) -> None:
        """Start talking to a peer that speaks gossip."""
        if PROTOCOL in connection.speaks:
            line = self._lines[connection.peer] = _Line()
            self._mesh.add(connection.peer)
            self._nursery.start_soon(self._talk, connection.peer, line)

    def peer_is_down(self, peer: PeerId) -> None:
        """Stop talking to a peer."""
        line = self._lines.pop(peer, None)
        if line is not None:
            self._mesh.remove(peer)
            line.scope.cancel()

    async def run(self) -> None:
        """Keep the mesh alive, one beat a second."""
        while True:
            await trio.sleep(HEARTBEAT_SECONDS)
            self._say(self._mesh.beat(trio.current_time()))

    def join(self, topic: str) -> None:
        """Listen to a topic and carry it; a name too long for others is left out."""
        if len(topic) <= TOPIC_CHARS_MAX:
            self._say(self._mesh.join(topic, trio.current_time()))

    def leave(self, topic: str) -> None:
        """Stop listening."""
        self._say(self._mesh.leave(topic, trio.current_time()))

    def publish(self, topic: str, frame: bytes) -> None:
        """Spread a frame of our own; one too long for others is left out."""
        if len(frame) <= FRAME_BYTES_MAX:
            self._say(self._mesh.publish(topic, frame, trio.current_time()))

    # --- out ---

    def _say(self, sayings: Sayings) -> None:
        encoded: dict[bytes, bytes] = {}
        for peer, saying in sayings.items():
            line = self._lines.get(peer)
            if line is None:
                continue
            for rpc in _control_rpcs(saying):
                line.outgoing.put(rpc, urgent=True)
            for name in saying.messages:
                if name not in encoded:
                    encoded[name] = self._message_rpc(name)
                if encoded[name] and not line.outgoing.put(encoded[name]):
                    self._host.counters.dropped += 1

    def _message_rpc(self, name: bytes) -> bytes:
        message = self._mesh.messages.get(name)
        if message is None:
            return b""
        posted = GossipMessage(data=message.data, topicIDs=[message.topic])
        return RPC(publish=[posted]).SerializeToString()

    async def _talk(self, peer: PeerId, line: _Line) -> None:
        """Keep one stream open to a peer for as long as it is up."""
        with line.scope:
            while True:
                try:
                    stream, _ = await self._host.open_stream(peer, (PROTOCOL,))
                    try:
                        await self._send_all(peer, line, stream)
                    finally:
                        stream.reset()
                except (GoneError, RemoteError):
                    await trio.sleep(REOPEN_SECONDS)
                except Exception:  # noqa: BLE001 - one peer must not cost the node
                    self._host.report(f"gossip with {peer.short}")
                    await trio.sleep(REOPEN_SECONDS)

    async def _send_all(self, peer: PeerId, line: _Line, stream: Stream) -> None:
        allowance = self._host.allowances.of(peer)
        for rpc in _control_rpcs(self._mesh.greet(peer)[peer]):
            await stream.send_all(uvarint(len(rpc)) + rpc)
        while True:
            rpc = await line.outgoing.get()
            await allowance.pay(len(rpc))
            await stream.send_all(uvarint(len(rpc)) + rpc)

    # --- in ---

    async def _receive(self, connection: Connection, stream: Stream) -> None:
        line = self._lines.get(connection.peer)
        if line is None or line.streams >= STREAMS_PER_PEER_MAX:
            raise RemoteError(Fault.OVER_LIMIT, "gossip streams")
        line.streams += 1
        try:
            budget = self._host.budgets.of(connection.peer)
            while True:
                size = await receive_uvarint(stream)
                if size > RPC_BYTES_MAX:
                    raise RemoteError(Fault.TOO_LARGE, f"gossip of {size} bytes")
                await budget.octets.pay(size)
                with trio.fail_after(RPC_SECONDS_MAX):
                    data = await stream.receive_exactly(size)
                await self._take_in(connection.peer, line, data)
        finally:
            line.streams -= 1

    async def _take_in(self, peer: PeerId, line: _Line, data: bytes) -> None:
        try:
            rpc = RPC.FromString(data)
            _check_counts(rpc)
            await self._obey(peer, line, rpc)
        except DecodeError:
            raise RemoteError(Fault.MALFORMED, "gossip") from None

    async def _obey(self, peer: PeerId, line: _Line, rpc: Any) -> None:
        messages = self._host.budgets.of(peer).messages
        if not messages.take(max(1, len(rpc.publish))):
            self._drop(peer, line)
            return
        now = trio.current_time()
        for each in rpc.subscriptions:
            topic = text_of(each.topicid)
            if len(topic) > TOPIC_CHARS_MAX:
                raise RemoteError(Fault.TOO_LARGE, "topic")
            self._say(self._mesh.subscribe(peer, topic, on=each.subscribe, now=now))
        for message in rpc.publish:
            await self._hear(peer, message)
        if rpc.HasField("control"):
            self._obey_control(peer, line, rpc.control)

    def _drop(self, peer: PeerId, line: _Line) -> None:
        """A peer sends more than its share: honest nodes of ours never do."""
        line.drops += 1
        self._host.counters.dropped += 1
        if line.drops % _DROPS_PER_STRIKE == 0:
            self._host.blame(peer, Fault.OVER_LIMIT)

    async def _hear(self, peer: PeerId, message: Any) -> None:
        if len(message.topicIDs) != 1 or message.from_id or message.signature:
            self._host.blame(peer, Fault.UNKNOWN_KIND)
            return
        topic, data = text_of(message.topicIDs[0]), bytes(message.data)
        name = message_name(data)
        now = trio.current_time()
        if topic not in self._mesh.topics or not self._mesh.messages.is_new(name, now):
            return
        try:
            records = open_frame(data, self._network)
        except RemoteError as error:
            self._host.blame(peer, error.fault)
            return
        self._say(self._mesh.pass_on(peer, topic, name, data))
        await self._tell(Heard(peer, topic, records))

    def _obey_control(self, peer: PeerId, line: _Line, control: Any) -> None:
        now = trio.current_time()
        ids = _count_ids(control)
        if ids and not line.ids.take(ids):
            self._host.blame(peer, Fault.OVER_LIMIT)
            return
        for graft in control.graft:
            self._say(self._mesh.graft(peer, text_of(graft.topicID), now))
        for prune in control.prune:
            self._mesh.prune(peer, text_of(prune.topicID), prune.backoff, now)
        for told in control.ihave:
            topic = text_of(told.topicID)
            self._say(self._mesh.hear_of(peer, topic, told.messageIDs))
        for asked in control.iwant:
            self._say(self._mesh.serve(peer, asked.messageIDs))


def _control_rpcs(saying: Saying) -> Iterator[bytes]:
    """What is to be said but for messages, in RPCs that no peer finds too full."""
    if saying.subscriptions:
        rpc = RPC()
        for topic, on in saying.subscriptions:
            rpc.subscriptions.add(subscribe=on, topicid=topic)
        yield rpc.SerializeToString()
    if saying.graft or saying.prune or saying.told or saying.asked:
        rpc = RPC()
        for topic in saying.graft:
            rpc.control.graft.add(topicID=topic)
        for topic, seconds in saying.prune:
            rpc.control.prune.add(topicID=topic, backoff=seconds)
        for topic, names in saying.told:
            rpc.control.ihave.add(topicID=topic, messageIDs=names)
        if saying.asked:
            rpc.control.iwant.add(messageIDs=saying.asked)
        yield rpc.SerializeToString()


def _count_ids(control: Any) -> int:
    lists = (control.ihave, control.iwant, control.idontwant)
    return sum(len(each.messageIDs) for items in lists for each in items)


def _check_counts(rpc: Any) -> None:
    """Refuse an RPC with more of anything than any honest node sends."""
    control = rpc.control
    counts = (
        (len(rpc.publish), MESSAGES_PER_RPC_MAX),
        (len(rpc.subscriptions), SUBSCRIPTIONS_PER_RPC_MAX),
        (len(control.graft), TOPICS_MAX),
        (len(control.prune), TOPICS_MAX),
        (len(control.ihave) + len(control.iwant), 2 * TOPICS_MAX),
        (len(control.idontwant), TOPICS_MAX),
    )
    if any(count > most for count, most in counts):
        raise RemoteError(Fault.TOO_LARGE, "gossip items")
    if _count_ids(control) > IDS_PER_RPC_MAX:
        raise RemoteError(Fault.TOO_LARGE, "gossip ids")
