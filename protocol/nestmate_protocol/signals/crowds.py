"""Crowds: how many others have to come by before something is said to all once more.

Whoever comes by is greeted. The topic hears it for those who come back in numbers, as
after a cut; and each time twice as many are a number, so that what is said because
others come and go grows with the logarithm of how often they do. This file knows no
agent.
"""

from typing import NamedTuple

from nestmate_protocol.signals.asking import remember


class _Crowd(NamedTuple):
    """How many more make a crowd, and how many it is in all."""

    left: int = 1
    size: int = 1


class Crowds:
    """One crowd per task, of the latest tasks."""

    def __init__(self) -> None:
        self._crowds: dict[bytes, _Crowd] = {}

    def __repr__(self) -> str:
        return f"<Crowds for {len(self._crowds)}>"

    def one_more(self, raw: bytes) -> bool:
        """Somebody has come by; whether that makes a crowd for this task."""
        left, size = self._crowds.get(raw, _Crowd())
        full = left <= 1
        crowd = _Crowd(2 * size, 2 * size) if full else _Crowd(left - 1, size)
        remember(self._crowds, raw, crowd)
        return full
