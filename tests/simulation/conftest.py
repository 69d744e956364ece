"""What the tests of the simulation share: puppets instead of cores, and proofs.

A puppet does what its test tells it and remembers what happened to it. Proofs are
remembered because all nodes of a world live in one process: what one of them found
well signed is, to the byte, what the next one would find. Neither knows the protocol.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from nestmate_protocol import records
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Effect
from nestmate_protocol.ids import NetworkId, PeerId
from nestmate_protocol.inputs import (
    Abandon,
    Arrived,
    Heard,
    Input,
    PeerDown,
    PeerUp,
)
from nestmate_protocol.simulation.nodes import Life, Node
from nestmate_protocol.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

NETWORK = NetworkId(b"n" * 32)
PROOFS_MAX = 10_000


class Puppet:
    """A brain that obeys: ``react`` says what follows from an input."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.seen: list[Input] = []
        self.react: Callable[[Input], list[Effect]] = lambda _: []
        self.wakeup: int | None = None

    def steps(self, item: Input, now: Moment) -> Iterator[list[Effect]]:
        self.seen.append(item)
        self.now = now
        yield self.react(item)

    def next_wakeup(self) -> int | None:
        return self.wakeup


class Theatre:
    """A world in which every node runs a puppet."""

    def __init__(self, seed: int = 1) -> None:
        self.watched: list[tuple[Node, Effect]] = []
        self.world = World(seed, NETWORK, lambda *pair: self.watched.append(pair))

    def cast(self, count: int) -> list[Node]:
        """So many nodes, started."""
        nodes = [
            self.world.add(PeerId(bytes([65 + number]) * 32), Puppet)
            for number in range(count)
        ]
        for node in nodes:
            self.world.start(node)
        self.world.run(10)
        return nodes

    def pair(self) -> tuple[Node, Node]:
        """Two nodes with a connection between them."""
        a, b = self.cast(2)
        self.world.links.connect(a, b)
        self.world.run(100)
        return a, b

    def do(self, node: Node, *effects: Effect) -> None:
        """Let a node's next input cause these effects."""
        puppet = self.puppet(node)
        puppet.react = lambda _: list(effects)
        node.give(Abandon(0))
        puppet.react = lambda _: []

    @staticmethod
    def puppet(node: Node) -> Puppet:
        assert isinstance(node.core, Puppet)
        return node.core

    def frames(self, node: Node) -> list[bytes]:
        """What arrived over direct streams, in order."""
        seen = self.puppet(node).seen
        return [item.data for item in seen if isinstance(item, Arrived)]

    def heard(self, node: Node) -> list[Heard]:
        seen = self.puppet(node).seen
        return [item for item in seen if isinstance(item, Heard)]

    def news(self, node: Node) -> list[str]:
        """Which connections came and went, in order."""
        seen = self.puppet(node).seen
        kinds = [item for item in seen if isinstance(item, PeerUp | PeerDown)]
        return [type(item).__name__ for item in kinds]


@pytest.fixture
def theatre():
    return Theatre()


@pytest.fixture(autouse=True, scope="module")
def proved_once():
    """Good signatures are remembered; a bad one is found anew each time."""
    good, verify = set(), records.verify

    def look(*signed):
        if signed not in good:
            verify(*signed)
            if len(good) >= PROOFS_MAX:
                good.clear()
            good.add(signed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "verify", look)
        yield
