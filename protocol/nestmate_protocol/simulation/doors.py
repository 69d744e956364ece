"""Doors: where each node listens, and whom it no longer lets in.

Enough strikes close a node's door to a peer for a while, as the real border does. This
file knows nothing of why a peer is struck.
"""

from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import Listening
from nestmate_protocol.limits import BAN_MS_MIN, STRIKES_MAX
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.timeline import Timeline

FIRST_PORT = 4_000


class Doors:
    """Multiaddrs and the nodes behind them, strikes and bans."""

    def __init__(self, timeline: Timeline) -> None:
        self.bans: list[tuple[Node, PeerId]] = []
        self._timeline = timeline
        self._open: dict[str, Node] = {}
        self._homes: dict[int, str] = {}
        self._port = FIRST_PORT
        self._strikes: dict[tuple[int, PeerId], int] = {}
        self._banned_until_ms: dict[tuple[int, PeerId], int] = {}

    def listen(self, node: Node, *, move: bool) -> None:
        """Open a node's door, where it was or somewhere new."""
        home = self._homes.get(node.number)
        if home is None or move:
            self._port += 1
            home = f"{host_of(node)}/tcp/{self._port}"
        self._homes[node.number] = home
        self._open[home] = node
        node.give(Listening((home,)))

    def home(self, node: Node) -> str:
        """Where a node listens, or did last."""
        return self._homes[node.number]

    def behind(self, multiaddr: str) -> Node | None:
        """Who listens there now."""
        return self._open.get(multiaddr)

    def shut(self, node: Node) -> None:
        """Nobody listens there any more."""
        self._open.pop(self._homes.get(node.number, ""), None)

    def strike(self, node: Node, peer: PeerId) -> bool:
        """Count a fault against a peer; True if that closes the door to it."""
        key = (node.number, peer)
        self._strikes[key] = self._strikes.get(key, 0) + 1
        if self._strikes[key] < STRIKES_MAX:
            return False
        self._strikes[key] = 0
        self._banned_until_ms[key] = self._timeline.now_ms + BAN_MS_MIN
        self.bans.append((node, peer))
        return True

    def closed(self, a: Node, b: Node) -> bool:
        """Whether one of the two does not let the other in."""
        now_ms = self._timeline.now_ms
        keys = ((a.number, b.peer), (b.number, a.peer))
        return any(self._banned_until_ms.get(key, 0) > now_ms for key in keys)


def host_of(node: Node) -> str:
    """The multiaddr of a node's machine, without a port."""
    return f"/ip4/10.0.{node.number // 250}.{node.number % 250 + 1}"
