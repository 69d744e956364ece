"""Outside: what a board is given by whoever runs it, as ports and values.

Entropy, the disk, trust and what is known of others come from there; nothing else does.
This file knows nothing of what a board does with them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address
from nestmate_protocol.signals.liars import Whose, nobody
from nestmate_protocol.signals.parameters import RULE, Rule
from nestmate_protocol.signals.trail import Able


class Reader(Protocol):
    """What is on disk, in key order."""

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All pairs whose key starts with ``prefix``."""
        ...


def _nobody(_: str, __: Moment) -> tuple[Address, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Outside:
    """What a board is given from outside.

    ``trust`` in an agent is 0..1, 0 for blocked; ``able`` names the others who are
    known to have a skill; ``entropy`` gives so many random bytes; ``whose`` says for
    whom a device key speaks, if that is known.
    """

    entropy: Callable[[int], bytes]
    reader: Reader
    trust: Callable[[Address], float]
    able: Able = _nobody
    rule: Rule = RULE
    whose: Whose = nobody
