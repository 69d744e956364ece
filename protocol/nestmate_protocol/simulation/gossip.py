"""Gossip: records flood over the nodes that joined a topic, each frame once per node.

As in the real network, what is not urgent waits for company for at most
BATCH_DELAY_MS_MAX, a frame travels unchanged, and a frame that does not open is passed
on by nobody. Opened frames are kept by content, because the bytes are the same at every
node: in the real world each node opens them for itself. This file knows no record kind.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b

from nestmate_protocol.effects import Publish
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.inputs import Heard
from nestmate_protocol.limits import (
    BATCH_DELAY_MS_MAX,
    FRAME_RECORDS_MAX,
    RECORD_BYTES_MAX,
)
from nestmate_protocol.records import Carried, make_frame, open_frame
from nestmate_protocol.simulation.links import Links
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.timeline import Timeline
from nestmate_protocol.simulation.weather import Ways

SEEN_FRAMES_MAX = 8_192
OPENED_FRAMES_MAX = 65_536
FRAME_ROOM_BYTES = 8 * RECORD_BYTES_MAX

Refuse = Callable[[Node, Node, Fault], None]
Opened = tuple[Carried, ...] | Fault


class Opener:
    """Opens frames of one network, each content once."""

    def __init__(self, network: NetworkId) -> None:
        self.network = network
        self._opened: dict[bytes, Opened] = {}

    def open(self, frame: bytes) -> Opened:
        """The records of a frame, or what is wrong with it."""
        opened = self._opened.get(frame)
        if opened is None:
            if len(self._opened) >= OPENED_FRAMES_MAX:
                self._opened.clear()
            try:
                opened = open_frame(frame, self.network)
            except RemoteError as error:
                opened = error.fault
            self._opened[frame] = opened
        return opened


@dataclass(slots=True)
class _Batch:
    """Records that wait for company, with their ages as of ``since_ms``."""

    since_ms: int
    size_bytes: int = 0
    items: list[tuple[bytes, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Listener:
    """What one node joined, what it gathers, and which frames are on their way."""

    topics: dict[str, None] = field(default_factory=dict)
    batches: dict[str, _Batch] = field(default_factory=dict)
    expected_ms: dict[bytes, int] = field(default_factory=dict)


class Gossip:
    """Who listens to what, and how frames get there."""

    def __init__(
        self,
        timeline: Timeline,
        ways: Ways,
        links: Links,
        opener: Opener,
        refuse: Refuse,
    ) -> None:
        self.copies = 0
        self._timeline = timeline
        self._ways = ways
        self._links = links
        self._opener = opener
        self._refuse = refuse
        self._listeners: dict[int, _Listener] = {}

    def join(self, node: Node, topic: str) -> None:
        """Let a node listen to a topic and carry it."""
        self._listener(node).topics[topic] = None

    def leave(self, node: Node, topic: str) -> None:
        """Let it listen no longer."""
        self._listener(node).topics.pop(topic, None)

    def gone(self, node: Node) -> None:
        """A node crashed: it listens to nothing and remembers nothing."""
        self._listeners.pop(node.number, None)

    def topics(self) -> list[str]:
        """Every topic somebody listens to."""
        known = {topic for one in self._listeners.values() for topic in one.topics}
        return sorted(known)

    def publish(self, node: Node, effect: Publish) -> None:
        """Take a record; an urgent one leaves at once, with all that waited."""
        batches, now_ms = self._listener(node).batches, self._timeline.now_ms
        batch = batches.get(effect.topic)
        if batch and batch.size_bytes + len(effect.record) > FRAME_ROOM_BYTES:
            self._flush(node, effect.topic, batch)
            batch = None
        if batch is None:
            batch = batches[effect.topic] = _Batch(now_ms)
            if not effect.urgent:
                flush = partial(self._flush, node, effect.topic, batch)
                node.later(BATCH_DELAY_MS_MAX, flush)
        age_ms = effect.age_ms - (now_ms - batch.since_ms)
        batch.items.append((effect.record, age_ms))
        batch.size_bytes += len(effect.record)
        if effect.urgent or len(batch.items) >= FRAME_RECORDS_MAX:
            self._flush(node, effect.topic, batch)

    def _flush(self, node: Node, topic: str, batch: _Batch) -> None:
        batches = self._listener(node).batches
        if batches.get(topic) is not batch:
            return
        del batches[topic]
        waited_ms = self._timeline.now_ms - batch.since_ms
        aged = [(record, max(0, age + waited_ms)) for record, age in batch.items]
        self.spread(node, topic, make_frame(aged))

    def spread(self, node: Node, topic: str, frame: bytes) -> None:
        """Flood a frame from a node, whatever is in it."""
        name = blake2b(topic.encode() + frame, digest_size=16).digest()
        self._expect(self._listener(node), name, self._timeline.now_ms)
        self._forward(node, None, topic, frame, name)

    def _forward(
        self, node: Node, came_from: Node | None, topic: str, frame: bytes, name: bytes
    ) -> None:
        ways = self._ways
        for other in self._links.neighbours(node):
            listener = self._listeners.get(other.number)
            if other is came_from or listener is None or topic not in listener.topics:
                continue
            if ways.loses() or ways.is_cut(node, other):
                continue
            delay_ms = ways.latency_ms()
            arrival_ms = self._timeline.now_ms + delay_ms
            if self._expect(listener, name, arrival_ms):
                hear = partial(self._hear, other, node, topic, frame, name)
                other.later(delay_ms, hear)
            elif ways.doubles():
                other.later(delay_ms, partial(self._hear, other, node, topic, frame))

    def _expect(self, listener: _Listener, name: bytes, arrival_ms: int) -> bool:
        """Whether this copy is the first to arrive; later ones are not even made."""
        known_ms = listener.expected_ms.get(name)
        if known_ms is not None and known_ms <= arrival_ms:
            return False
        if len(listener.expected_ms) >= SEEN_FRAMES_MAX:
            listener.expected_ms.clear()
        listener.expected_ms[name] = arrival_ms
        return True

    def _hear(
        self, node: Node, came_from: Node, topic: str, frame: bytes, name: bytes = b""
    ) -> None:
        """A copy arrives; without a name it is one too many, and goes no further."""
        if topic not in self._listener(node).topics:
            return
        opened = self._opener.open(frame)
        if isinstance(opened, Fault):
            self._refuse(node, came_from, opened)
            return
        self.copies += 1
        node.give(Heard(came_from.peer, topic, opened))
        if name:
            self._forward(node, came_from, topic, frame, name)

    def _listener(self, node: Node) -> _Listener:
        return self._listeners.setdefault(node.number, _Listener())
