"""The audience: who is connected and what each may have, told by those who know.

Blobs are given to agents and to readers of spaces, which are the affairs of two other
subjects; here their answers come together. This file decides nothing.
"""

from nestmate_protocol.directory.neighbours import Neighbours
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import Address, PeerId, SpaceId
from nestmate_protocol.spaces.subject import Spaces


class Audience:
    """Whom this node can talk to, as agents and as readers of spaces."""

    def __init__(self, neighbours: Neighbours, spaces: Spaces) -> None:
        self._neighbours = neighbours
        self._spaces = spaces

    def __repr__(self) -> str:
        return f"<Audience of {len(self.peers())} peers>"

    def peers(self) -> list[PeerId]:
        """Everybody connected, in order."""
        return self._neighbours.some(None)

    def peer_of(self, address: Address) -> PeerId | None:
        """The connected peer at which an agent is, proved by its card."""
        return self._neighbours.peer_of(address)

    def agent_at(self, peer: PeerId) -> Address | None:
        """The agent at a connected peer, proved by its card."""
        return self._neighbours.agent_at(peer)

    def readers(self, space: SpaceId) -> list[PeerId]:
        """Everybody connected who has proved that it may read in a space."""
        return self._spaces.entitled(space, Rights.READ)

    def keepers(self, space: SpaceId) -> list[PeerId]:
        """These, and who may hold and pass on what it cannot read."""
        return self._spaces.entitled(space, Rights.READ, Rights.RELAY)
