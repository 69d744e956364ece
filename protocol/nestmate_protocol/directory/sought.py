"""Sought: friends who are away, and when to ask the network about each again.

Redialling where a friend used to be does not help once it has moved; so every friend
that is not connected is also searched for, at first after a moment and then ever more
rarely, for ever. This file only keeps the times.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address

FIRST_AFTER_MS: Final = 3_000
AGAIN_MS_MIN: Final = 10_000
AGAIN_MS_MAX: Final = 300_000
_DOUBLINGS_MAX: Final = 8


@dataclass(slots=True)
class _Turn:
    due_ms: int
    tries: int = 0


class Sought:
    """Friends who are away."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._turns: dict[Address, _Turn] = {}

    def __repr__(self) -> str:
        return f"<Sought {len(self._turns)}>"

    def miss(self, address: Address, now: Moment) -> None:
        """This friend is not connected."""
        if address not in self._turns:
            self._turns[address] = _Turn(now.mono_ms + FIRST_AFTER_MS)

    def found(self, address: Address) -> None:
        """This agent is connected, or no friend any more."""
        self._turns.pop(address, None)

    def due(self, now: Moment) -> list[Address]:
        """Whom to search for now; each has its next turn set."""
        due = [a for a, turn in self._turns.items() if turn.due_ms <= now.mono_ms]
        for address in due:
            turn = self._turns[address]
            wait_ms = AGAIN_MS_MIN << min(turn.tries, _DOUBLINGS_MAX)
            chance = self._entropy(1)[0]
            turn.tries += 1
            turn.due_ms = (
                now.mono_ms + min(wait_ms, AGAIN_MS_MAX) * (384 + chance) // 512
            )
        return due

    def next_wakeup(self) -> int | None:
        """When the first of them has its turn; monotonic ms."""
        return min((turn.due_ms for turn in self._turns.values()), default=None)
