"""Outcomes: what the spaces subject wants done that it cannot say as an effect.

Whoever calls the subject passes these on, in list order, and carries the effects
among them out unchanged.
"""

from dataclasses import dataclass

from nestmate_protocol.effects import Effect
from nestmate_protocol.ids import PeerId


@dataclass(frozen=True, slots=True)
class Settle:
    """Somebody has to settle a conflict: call for help, once.

    ``key`` is the same wherever the same conflict is seen; ``space`` and ``path`` say
    where, ``urgency`` is from 0 to 1.
    """

    skill: str
    key: bytes
    space: str
    path: str
    urgency: float


@dataclass(frozen=True, slots=True)
class Reach:
    """Connect to a peer that may have a space, wherever it is said to be."""

    peer: PeerId
    multiaddrs: tuple[str, ...]


Outcome = Effect | Settle | Reach
