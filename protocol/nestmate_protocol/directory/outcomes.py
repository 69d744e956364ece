"""Outcomes: what the directory has to tell that is no effect.

Whoever calls the directory passes these on, in list order, and carries the effects
among them out unchanged.
"""

from dataclasses import dataclass

from nestmate_protocol.effects import Effect
from nestmate_protocol.errors import Fault
from nestmate_protocol.identity.cards import Card
from nestmate_protocol.ids import Address, DeviceKey, PeerId


@dataclass(frozen=True, slots=True)
class AgentUp:
    """A connected peer has proved to be this agent's node, for the first time now."""

    address: Address
    peer: PeerId


@dataclass(frozen=True, slots=True)
class Entitled:
    """A card has shown that a device key speaks for an agent."""

    device: DeviceKey
    card: Card


@dataclass(frozen=True, slots=True)
class Skilled:
    """An agent that is connected offers skills that it did not offer before."""

    address: Address
    skills: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lapse:
    """A fault nobody is struck for: honest nodes commit or carry it too; count it."""

    fault: Fault


Outcome = Effect | AgentUp | Entitled | Skilled | Lapse
