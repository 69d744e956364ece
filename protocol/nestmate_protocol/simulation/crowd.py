"""A crowd: a thousand nodes that hear the same few calls for help.

Nothing goes wrong here; it shows how far signals reach and what that costs. Gathering
and calling are two steps, so that whoever measures can time each. The crowd stands
connected from the start, as a ring with chords, and everybody has the callers' cards,
as if there had been time to meet.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from nestmate_protocol.core import Core, Settings
from nestmate_protocol.directory.frames import Cards, pack
from nestmate_protocol.directory.requests import (
    AddSkill,
    AgentView,
    ShowSelf,
    SkillOffer,
)
from nestmate_protocol.effects import Channel, Effect, Notify
from nestmate_protocol.inputs import Arrived
from nestmate_protocol.limits import PEERS_INTRODUCED_MAX
from nestmate_protocol.signals.requests import (
    Deposited,
    DepositTask,
    ReinforceTask,
)
from nestmate_protocol.simulation.cast import NETWORK, Cast, MakeCore
from nestmate_protocol.simulation.hostile import Loot
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.register import Register
from nestmate_protocol.simulation.world import World

SKILL = "translate"
CHORDS_PER_NODE = 1
GATHER_MS = 10_000
CALL_MS = 5_000  # less than the pause before a call is repeated


@dataclass(frozen=True, slots=True)
class Echoes:
    """How far the calls were heard.

    ``sensed`` counts pairs of a node and a task of another's that it sensed; ``copies``
    is how many frames were heard for that, ``events`` what the whole took.
    """

    nodes: int
    signals: int
    sensed: int
    copies: int
    events: int
    trace_hash: str

    @property
    def complete(self) -> bool:
        """Whether everybody sensed every call of everybody else."""
        return self.sensed == self.signals * (self.nodes - 1)


class Crowd:
    """So many nodes, all with one skill."""

    def __init__(
        self, nodes: int, calls: int, seed: int = 0, make_core: MakeCore = Core
    ) -> None:
        self._sensed = 0
        self._deposited = 0
        self._cards: dict[bytes, bytes] = {}
        self._world = World(seed, NETWORK, self._watch)
        register, loot = Register(), Loot(list, list)
        cast = Cast(self._world, register, loot, make_core)
        settings = replace(Settings(), peers_wanted=0)
        self._nodes = [cast.honest(settings) for _ in range(nodes)]
        self._callers = self._world.dice.fork("callers").shuffled(self._nodes)[:calls]

    def gather(self) -> None:
        """Start and connect everybody, and show them the callers' cards."""
        world, nodes = self._world, self._nodes
        dice = world.dice.fork("crowd")
        for node in nodes:
            world.start(node)
            node.ask(AddSkill(SkillOffer(SKILL)), lambda _: None)
        for place, node in enumerate(nodes):
            world.links.connect(node, nodes[place - 1])
            for _ in range(CHORDS_PER_NODE):
                other = dice.pick(nodes)
                if other is not node:
                    world.links.connect(node, other)
        world.run(GATHER_MS)
        for caller in self._callers:
            caller.ask(ShowSelf(card=True), self._shown)
        world.run(GATHER_MS)
        for node in nodes:
            bearer = world.links.neighbours(node)[0].peer
            for cards in _batched(self._cards.values(), PEERS_INTRODUCED_MAX):
                node.give(Arrived(bearer, Channel.CARDS, pack(Cards(cards))))
        world.run(GATHER_MS)

    def call(self) -> Echoes:
        """Let every caller deposit one task, and wait until all is heard."""
        world = self._world
        for number, node in enumerate(self._callers):
            key = f"call {number}".encode()
            job = DepositTask(SKILL, 0.9, b"help", key=key)
            node.ask(job, partial(self._heard_back, node))
        world.run(CALL_MS)
        return Echoes(
            nodes=len(self._nodes),
            signals=self._deposited,
            sensed=self._sensed,
            copies=world.gossip.copies,
            events=world.timeline.events,
            trace_hash=world.timeline.trace_hash,
        )

    def _shown(self, response: object) -> None:
        if isinstance(response, AgentView) and response.card is not None:
            self._cards[response.address.raw] = response.card

    def _heard_back(self, node: Node, response: object) -> None:
        """Say it twice more: the third call of a flash task goes to the whole topic."""
        if isinstance(response, Deposited):
            self._deposited += 1
            for _ in range(2):
                node.ask(ReinforceTask(response.task), lambda _: None)

    def _watch(self, _: Node, effect: Effect) -> None:
        self._sensed += isinstance(effect, Notify) and effect.kind == "signal.sensed"


def _batched(cards: Iterable[bytes], count: int) -> Iterator[tuple[bytes, ...]]:
    """The same in order, so many at a time."""
    rest = list(cards)
    while rest:
        yield tuple(rest[:count])
        rest = rest[count:]
