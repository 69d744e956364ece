"""The cast: identities out of the dice, and the cores that play them.

Keys made here come from a seed that anybody can guess; they are worth nothing outside
a simulated world. This file knows how to make a node, not what happens to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nestmate_protocol.core import Core, Identity, Settings
from nestmate_protocol.directory.topics import network_id
from nestmate_protocol.identity.log import NONCE_BYTES, begin_log
from nestmate_protocol.keys import (
    SEED_BYTES,
    SigningKey,
    host_peer,
    recovery_key,
    rotation_key,
)
from nestmate_protocol.ports import Entropy, Reader
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.hostile import Hostile, Loot
from nestmate_protocol.simulation.nodes import Boot, Brain, Life, Node
from nestmate_protocol.simulation.register import Register
from nestmate_protocol.simulation.world import World

NETWORK = network_id("simulation")

MakeCore = Callable[[Identity, Settings, Entropy, bytes, Reader], Brain]


def make_identity(dice: Dice, called: str) -> Identity:
    """A new agent with one device, of the simulated network."""
    device_seed, recovery_seed = dice.octets(SEED_BYTES), dice.octets(SEED_BYTES)
    device = SigningKey(device_seed)
    log = begin_log(
        device,
        rotation_key(recovery_seed, 1).public,
        recovery_key(recovery_seed).public,
        dice.octets(NONCE_BYTES),
    )
    return Identity(device, log, host_peer(device_seed), called, NETWORK)


@dataclass(frozen=True, slots=True)
class Cast:
    """Puts nodes into a world and writes down whose they are."""

    world: World
    register: Register
    loot: Loot
    make_core: MakeCore = Core

    def honest(self, settings: Settings) -> Node:
        """One more node that means well."""
        identity = self._identity()
        node = self.world.add(identity.peer, self._boot(identity, settings))
        self._enrol(node, identity, hostile=False)
        return node

    def hostile(self, settings: Settings) -> Node:
        """One more node that means harm."""
        identity = self._identity()
        number, world = len(self.world.nodes), self.world
        honest_boot = self._boot(identity, settings)
        dice = world.dice.fork(f"hostile {number}")

        def boot(life: Life) -> Brain:
            inner = honest_boot(life)
            brain = Hostile(inner, identity, self.loot, dice)
            brain.spill = lambda topic, frame: world.gossip.spread(
                world.nodes[number], topic, frame
            )
            return brain

        node = world.add(identity.peer, boot)
        self._enrol(node, identity, hostile=True)
        return node

    def identity(self, number: int) -> Identity:
        """Who the node of a number is, its key included."""
        return make_identity(self.world.dice.fork(f"identity {number}"), f"n{number}")

    def _identity(self) -> Identity:
        return self.identity(len(self.world.nodes))

    def _boot(self, identity: Identity, settings: Settings) -> Boot:
        return lambda life: self.make_core(
            identity, settings, life.entropy, life.incarnation, life.reader
        )

    def _enrol(self, node: Node, identity: Identity, *, hostile: bool) -> None:
        address, device = identity.log.address, identity.device.public
        self.register.enrol(node, address, device, hostile=hostile)
