"""What spaces need to know about agents and peers that are not theirs to keep.

The port stands here because its users do; who fills it is decided where the subjects
are put together.
"""

from typing import Protocol

from nestmate_protocol.ids import Address, PeerId


class Agents(Protocol):
    """Agents as the rest of this node knows them."""

    def peer_of(self, address: Address) -> PeerId | None:
        """The connected peer at which this agent is, proved by its card."""
        ...

    def agent_at(self, peer: PeerId) -> Address | None:
        """The agent at a connected peer, proved by its card."""
        ...

    def own_multiaddrs(self) -> tuple[str, ...]:
        """Where this node can be reached."""
        ...
