"""Outcomes: what the friends subject wants done that it cannot say as an effect.

Whoever calls the subject passes these on, in list order, and carries the effects
among them out unchanged.
"""

from dataclasses import dataclass

from nestmate_protocol.effects import Effect
from nestmate_protocol.ids import Address, PeerId


@dataclass(frozen=True, slots=True)
class Meet:
    """Bring us into contact with an agent, starting at these places.

    ``until_ms`` is monotonic: whoever waits gives up then.
    """

    address: Address
    peer: PeerId
    multiaddrs: tuple[str, ...]
    until_ms: int


@dataclass(frozen=True, slots=True)
class Regarded:
    """What we think of an agent has changed: it is a friend now, blocked, or gone."""

    address: Address


Outcome = Effect | Meet | Regarded
