"""What the directory needs to know of its owner's opinion of people.

The port stands here because its users do; who fills it is decided where the subjects
are put together.
"""

from typing import Protocol

from nestmate_protocol.ids import Address


class People(Protocol):
    """Local names and trust."""

    def name_of(self, address: Address) -> str:
        """What we call an agent; empty for nothing."""
        ...

    def address_of(self, name: str) -> Address | None:
        """The agent with this local name."""
        ...

    def rank(self, address: Address) -> int:
        """The higher, the more trusted; 0 for strangers."""
        ...

    def is_contact(self, address: Address) -> bool:
        """Whether we have a name for this agent."""
        ...

    def is_friend(self, address: Address) -> bool:
        """Whether we keep in touch with this agent for ever."""
        ...

    def is_blocked(self, address: Address) -> bool:
        """Whether we want nothing to do with this agent."""
        ...

    def friends(self) -> list[Address]:
        """Everyone we keep in touch with, in a fixed order."""
        ...
