"""Dice: all chance in a simulated world, from one number.

SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators,
OOPSLA 2014), in integers, so that a seed gives the same world on every machine. A fork
is named and depends on the seed alone, never on how many draws came before it: a new
draw in one corner of the world does not change the weather in another. This file knows
nothing of what is decided by it, and must never make a key that is worth anything.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

_Item = TypeVar("_Item")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


class Dice:
    """A stream of draws that a seed fixes for ever."""

    __slots__ = ("_seed", "_state")

    def __init__(self, seed: int) -> None:
        self._seed = seed & _MASK
        self._state = self._seed

    def __repr__(self) -> str:
        return f"<Dice {self._seed:016x}>"

    def fork(self, name: str) -> "Dice":
        """Other dice, fixed by this seed and the name only."""
        key = self._seed.to_bytes(8)
        digest = blake2b(name.encode(), key=key, digest_size=8).digest()
        return Dice(int.from_bytes(digest))

    def bits(self) -> int:
        """64 bits, each as likely as not."""
        self._state = (self._state + _GOLDEN) & _MASK
        mixed = self._state
        mixed = ((mixed ^ mixed >> 30) * _MIX_1) & _MASK
        mixed = ((mixed ^ mixed >> 27) * _MIX_2) & _MASK
        return mixed ^ mixed >> 31

    def below(self, bound: int) -> int:
        """A whole number from 0 up to but without ``bound``."""
        return self.bits() * bound >> 64

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both possible."""
        return low + self.below(high - low + 1)

    def chance(self, rate: float) -> bool:
        """True as often as ``rate`` says, 0 never and 1 always."""
        return self.bits() < rate * (1 << 64)

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One of the items; there must be one."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        """The same items in another order."""
        deck = list(items)
        for last in range(len(deck) - 1, 0, -1):
            other = self.below(last + 1)
            deck[last], deck[other] = deck[other], deck[last]
        return deck

    def octets(self, count: int) -> bytes:
        """So many bytes; this is the entropy a simulated node is given."""
        words = (self.bits().to_bytes(8) for _ in range((count + 7) // 8))
        return b"".join(words)[:count]
