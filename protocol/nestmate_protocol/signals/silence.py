"""Silence: issuers that left a claim without an answer and were not heard since.

Their tasks come last: what is done for them may be done by others as well, and nobody
gets the result before they are back. One word straight from an issuer ends its
silence. This file knows no task.
"""

from nestmate_protocol.ids import Address
from nestmate_protocol.signals.asking import remember


class Silence:
    """Who is silent, as far as this node has asked."""

    def __init__(self) -> None:
        self._silent: dict[bytes, None] = {}

    def __repr__(self) -> str:
        return f"<Silence of {len(self._silent)}>"

    def __contains__(self, issuer: Address) -> bool:
        return issuer.raw in self._silent

    def falls(self, issuer: Address) -> None:
        """An issuer has not answered in time."""
        remember(self._silent, issuer.raw, None)

    def ends(self, issuer: Address) -> None:
        """An issuer was heard, or can be reached again."""
        self._silent.pop(issuer.raw, None)
