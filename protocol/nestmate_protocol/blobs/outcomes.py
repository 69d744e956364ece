"""Outcomes: what the blobs subject wants done that it cannot say as an effect.

Whoever calls the subject passes these on, in list order, and carries the effects
among them out unchanged.
"""

from dataclasses import dataclass

from nestmate_protocol.effects import Effect
from nestmate_protocol.ids import PeerId


@dataclass(frozen=True, slots=True)
class Visit:
    """Connect to a peer that may have a blob, wherever it is said to be."""

    peer: PeerId
    multiaddrs: tuple[str, ...]


Outcome = Effect | Visit
"""What comes back from the subject."""
