"""The world: many nodes, what connects them, and every effect made to happen.

All chance comes from one seed, all time from one timeline; no two runs of a seed
differ. The world keeps no rule of the protocol: it carries effects out as the real
shell and network do, and lets nodes be crashed, started again, paused and cut off.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from nestmate_protocol.effects import (
    Announce,
    Dial,
    Effect,
    Find,
    HangUp,
    Join,
    Leave,
    Notify,
    Pin,
    Provide,
    Publish,
    Reply,
    Resolve,
    Save,
    Send,
    Strike,
)
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import NetworkId, PeerId
from nestmate_protocol.simulation.dht import Dht
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.doors import Doors
from nestmate_protocol.simulation.gossip import Gossip, Opener
from nestmate_protocol.simulation.links import Links
from nestmate_protocol.simulation.nodes import Boot, Habitat, Node
from nestmate_protocol.simulation.timeline import Timeline
from nestmate_protocol.simulation.weather import CALM, Ways

Watch = Callable[[Node, Effect], None]


class World:
    """A seed, a timeline, nodes, links, gossip and a DHT."""

    def __init__(self, seed: int, network: NetworkId, watch: Watch) -> None:
        self.seed = seed
        self.dice = Dice(seed)
        self.timeline = Timeline()
        self.nodes: list[Node] = []
        self.names: dict[PeerId, str] = {}
        self.complaints: list[str] = []
        self.opener = Opener(network)
        self.ways = Ways(self.dice.fork("ways"))
        self.doors = Doors(self.timeline)
        self.links = Links(
            self.timeline, self.ways, self.doors, self.dice.fork("links")
        )
        self.gone: dict[int, None] = {}
        self.gossip = Gossip(
            self.timeline, self.ways, self.links, self.opener, self._refuse
        )
        self.dht = Dht(
            self.timeline, self.ways, self.links, self.doors, self.dice.fork("dht")
        )
        self._habitat = Habitat(
            self.timeline,
            self.names,
            self._carry,
            watch,
            self.crash,
            self.complaints.append,
        )

    def __repr__(self) -> str:
        return f"<World {self.seed}, {len(self.nodes)} nodes>"

    def add(self, peer: PeerId, boot: Boot) -> Node:
        """A new node, not started yet."""
        number = len(self.nodes)
        node = Node(number, peer, boot, self._habitat, self.dice.fork(f"node {number}"))
        self.nodes.append(node)
        self.names[peer] = node.name
        return node

    def start(self, node: Node, *, move: bool = False) -> None:
        """Boot a node and open its door, at a new multiaddr if it moves."""
        node.start()
        self.doors.listen(node, move=move)

    def crash(self, node: Node) -> None:
        """End a node in the middle of whatever it does."""
        node.crash()
        self.doors.shut(node)
        self.links.gone(node)
        self.gossip.gone(node)

    def pause(self, node: Node) -> None:
        """Let a node stand still."""
        node.pause()
        self.links.paused(node)

    def heal(self) -> None:
        """End every fault: weather, cuts, pauses and crashes; bans stay.

        Who is ``gone`` does not come back.
        """
        self.ways.weather = CALM
        self.dht.failures = 0.0
        self.links.heal()
        for node in self.nodes:
            node.fuse = None
            node.sync_ms_max = 2
            node.resume()
            if node.core is None and node.number not in self.gone:
                self.start(node)

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Plan something that concerns no node's life."""
        self.timeline.at(delay_ms, action)

    def run(self, for_ms: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until it is over, ``stop`` says so, or a promise is broken."""
        until_ms = self.timeline.now_ms + for_ms
        self.timeline.run(until_ms, lambda: bool(self.complaints) or stop())

    def _refuse(self, node: Node, came_from: Node, fault: Fault) -> None:
        """A frame did not open: the border counts it against who passed it on."""
        self.timeline.counts[f"refused: {fault.value}"] += 1
        self._strike(node, came_from.peer)

    def _strike(self, node: Node, peer: PeerId) -> None:
        if self.doors.strike(node, peer):
            self.links.hang_up(node, peer)

    def _carry(self, node: Node, effect: Effect) -> None:
        links, gossip, dht = self.links, self.gossip, self.dht
        match effect:
            case Send(peer, channel, data):
                if not links.send(node, peer, channel, data):
                    self.timeline.counts["frames to nobody"] += 1
            case Publish():
                gossip.publish(node, effect)
            case Join(topic):
                gossip.join(node, topic)
            case Leave(topic):
                gossip.leave(node, topic)
            case Dial(peer, multiaddrs):
                links.dial(node, peer, multiaddrs)
            case HangUp(peer):
                links.hang_up(node, peer)
            case Provide(key):
                dht.provide(node, key)
            case Find(key):
                dht.find(node, key)
            case Announce(address, record):
                dht.announce(node, address, record)
            case Resolve(address):
                dht.resolve(node, address)
            case Strike(peer, fault):
                self.timeline.counts[f"strike: {fault.value}"] += 1
                node.later(0, partial(self._strike, node, peer))
            case Reply():
                node.answered(effect)
            case Pin() | Notify() | Save():
                return
            case _:
                assert_never(effect)
