"""Links: connections between nodes, and the frames on their way over them.

A connection carries frames in order per channel, as a stream does: loss costs it time,
and what is in flight when it breaks is gone. Frames on a way that is cut wait, and
health checks end the connection if the cut lasts. This file knows nothing of what is
in a frame.
"""

from dataclasses import dataclass, field
from functools import partial

from nestmate_protocol.effects import Channel
from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import Arrived, Dialled, PeerDown, PeerUp
from nestmate_protocol.limits import FRAME_BYTES_MAX, HANDSHAKE_SECONDS_MAX
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.doors import Doors, host_of
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.timeline import Timeline
from nestmate_protocol.simulation.weather import Ways

HEALTH_MS_MIN = 10_000
HEALTH_MS_MAX = 20_000
FLIGHT_FRAMES_MAX = 4_096
OUTGOING_PORT = 50_000


@dataclass(slots=True, eq=False)
class Connection:
    """One connection; ``floors_ms`` keeps the order, ``stalled`` waits for a cut.

    ``a`` dialled and knows of the connection from ``known_ms`` on.
    """

    a: Node
    b: Node
    known_ms: int
    alive: bool = True
    floors_ms: dict[tuple[int, str], int] = field(default_factory=dict)
    stalled: dict[int, list[tuple[Channel, bytes]]] = field(default_factory=dict)

    def other(self, node: Node) -> Node:
        """Who is at the far end."""
        return self.b if node is self.a else self.a


class Links:
    """Who is connected to whom, as each side knows it."""

    def __init__(
        self, timeline: Timeline, ways: Ways, doors: Doors, dice: Dice
    ) -> None:
        self._timeline = timeline
        self._ways = ways
        self._doors = doors
        self._dice = dice
        self._held: dict[int, dict[PeerId, Connection]] = {}

    def neighbours(self, node: Node) -> list[Node]:
        """Who is at the far end of the live connections of a node, oldest first."""
        held = self._held.get(node.number, {})
        return [conn.other(node) for conn in held.values() if conn.alive]

    def connected(self, a: Node, b: Node) -> bool:
        """Whether a live connection stands."""
        conn = self._held.get(a.number, {}).get(b.peer)
        return conn is not None and conn.alive

    def gone(self, node: Node) -> None:
        """A node crashed: its peers notice at once, or by their health checks."""
        silent_ms = self._health_ms() if self._dice.chance(0.5) else 0
        for conn in list(self._held.pop(node.number, {}).values()):
            self._end(conn, silent_ms)

    def paused(self, node: Node) -> None:
        """A node stands still: peers that check its health hang up in the end."""
        for conn in list(self._held.get(node.number, {}).values()):
            self._examine_later(conn)

    def cut(self, a: Node, b: Node) -> None:
        """Let nothing pass from ``a`` to ``b`` any more."""
        self._ways.cut(a, b)
        conn = self._held.get(a.number, {}).get(b.peer)
        if conn is not None:
            self._examine_later(conn)

    def heal(self) -> None:
        """Open every way that is cut; what waited now arrives."""
        for a, b in self._ways.heal():
            conn = self._held.get(a.number, {}).get(b.peer)
            if conn is not None:
                for channel, data in conn.stalled.pop(a.number, []):
                    self._transmit(conn, a, channel, data)

    def dial(self, node: Node, peer: PeerId, multiaddrs: tuple[str, ...]) -> None:
        """Try to connect; ends with ``Dialled`` in any case."""
        for multiaddr in multiaddrs:
            target = self._doors.behind(multiaddr)
            if target is None or target.peer != peer or target is node:
                continue
            if self._ways.apart(node, target) or self._doors.closed(node, target):
                break
            knock = partial(self._accept, node, node.lives, target, multiaddr)
            self._timeline.at(self._ways.latency_ms(), knock)
            return
        silent_ms = self._dice.between(10, HANDSHAKE_SECONDS_MAX * 1_000)
        node.give_later(silent_ms, Dialled(peer, connected=False))

    def connect(self, a: Node, b: Node) -> None:
        """Let a connection stand at once, without a dial."""
        if not self.connected(a, b):
            self._establish(a, b, self._doors.home(b))

    def hang_up(self, node: Node, peer: PeerId) -> None:
        """Close a connection from one side."""
        conn = self._held.get(node.number, {}).get(peer)
        if conn is not None:
            self._end(conn)

    def send(self, node: Node, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Put one frame on its way; False if there is no connection to carry it."""
        conn = self._held.get(node.number, {}).get(peer)
        if conn is None or not conn.alive or len(data) > FRAME_BYTES_MAX:
            return False
        self._transmit(conn, node, channel, data)
        return True

    def _transmit(
        self, conn: Connection, node: Node, channel: Channel, data: bytes
    ) -> None:
        other, now_ms = conn.other(node), self._timeline.now_ms
        if self._ways.is_cut(node, other):
            waiting = conn.stalled.setdefault(node.number, [])
            if len(waiting) < FLIGHT_FRAMES_MAX:
                waiting.append((channel, data))
            return
        if self._ways.breaks():
            self._end(conn)
            return
        lane = (node.number, channel.value)
        arrival_ms = now_ms + self._ways.stream_ms()
        arrival_ms = max(arrival_ms, conn.floors_ms.get(lane, 0))
        conn.floors_ms[lane] = arrival_ms
        item = Arrived(node.peer, channel, data)
        other.later(arrival_ms - now_ms, partial(self._arrive, conn, other, item))

    def _arrive(self, conn: Connection, node: Node, item: Arrived) -> None:
        if conn.alive and self._held.get(node.number, {}).get(item.peer) is conn:
            node.give(item)

    def _accept(self, node: Node, life: int, target: Node, multiaddr: str) -> None:
        """A dial reached its target; both may have gone meanwhile."""
        if node.lives != life or node.core is None:
            return
        delay_ms, connected = self._ways.latency_ms(), self.connected(node, target)
        if not connected and target.awake and not self._ways.apart(node, target):
            delay_ms, connected = self._establish(node, target, multiaddr), True
        node.give_later(delay_ms, Dialled(target.peer, connected))

    def _establish(self, node: Node, target: Node, multiaddr: str) -> int:
        """Connect the two; returns the ms after which the dialler knows.

        A side that has not noticed the end of an older connection with the same peer
        is told of that end first.
        """
        delay_ms = self._ways.latency_ms()
        conn = Connection(node, target, self._timeline.now_ms + delay_ms)
        for channel in Channel:
            lane = (target.number, channel.value)
            conn.floors_ms[lane] = conn.known_ms
        from_where = f"{host_of(node)}/tcp/{OUTGOING_PORT}"
        news = [
            (target, 0, PeerUp(node.peer, from_where, inbound=True)),
            (node, delay_ms, PeerUp(target.peer, multiaddr, inbound=False)),
        ]
        for side, after_ms, item in news:
            held = self._held.setdefault(side.number, {})
            if item.peer in held:
                side.give_later(after_ms, PeerDown(item.peer))
            held[item.peer] = conn
            side.give_later(after_ms, item)
        return delay_ms

    def _end(self, conn: Connection, silent_ms: int = 0) -> None:
        """The connection is dead; each side learns it in its own time."""
        if not conn.alive:
            return
        conn.alive = False
        conn.stalled.clear()
        unknown_ms = max(0, conn.known_ms - self._timeline.now_ms)
        for node, least_ms in ((conn.a, unknown_ms), (conn.b, 0)):
            delay_ms = max(least_ms, silent_ms, self._ways.latency_ms())
            node.later(delay_ms, partial(self._notice, conn, node))

    def _notice(self, conn: Connection, node: Node) -> None:
        peer = conn.other(node).peer
        held = self._held.get(node.number, {})
        if held.get(peer) is conn:
            del held[peer]
            node.give(PeerDown(peer))

    def _examine_later(self, conn: Connection) -> None:
        self._timeline.at(self._health_ms(), partial(self._examine, conn))

    def _health_ms(self) -> int:
        return self._dice.between(HEALTH_MS_MIN, HEALTH_MS_MAX)

    def _examine(self, conn: Connection) -> None:
        """A health check that fails ends the connection."""
        if conn.a.paused or conn.b.paused or self._ways.apart(conn.a, conn.b):
            self._end(conn)
