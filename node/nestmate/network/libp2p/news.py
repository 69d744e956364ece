"""News: tells the node which peers came and went, in order and without growing.

Only what changed since it was last told is told, so a peer that came and went while
the inbox was full is not mentioned at all. Nothing of a peer's streams is let through
before its coming was told. This file knows nothing of why peers come and go.
"""

import trio

from nestmate.network.libp2p.host import Connection, Tell
from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import PeerDown, PeerUp


class News:
    """The difference between who is up and who was told to be up."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._up: dict[PeerId, Connection] = {}
        self._told: dict[PeerId, Connection] = {}
        self._changed: dict[PeerId, None] = {}
        self._wake = trio.Event()

    def __repr__(self) -> str:
        return f"<News of {len(self._told)} peers>"

    def peer_is_up(self, connection: Connection) -> None:
        """A peer came, or came back reborn."""
        self._up[connection.peer] = connection
        self._change(connection.peer)

    def peer_is_down(self, peer: PeerId) -> None:
        """A peer went."""
        self._up.pop(peer, None)
        self._change(peer)

    async def run(self) -> None:
        """Tell changes for ever."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._changed:
                peer = next(iter(self._changed))
                del self._changed[peer]
                await self._tell_of(peer)

    async def _tell_of(self, peer: PeerId) -> None:
        told = self._told.get(peer)
        if told is not None and told is not self._up.get(peer):
            del self._told[peer]
            await self._tell(PeerDown(peer))
        now = self._up.get(peer)
        if now is not None and peer not in self._told:
            self._told[peer] = now
            await self._tell(PeerUp(peer, now.place.text, now.inbound))
            now.announced.set()

    def _change(self, peer: PeerId) -> None:
        self._changed[peer] = None
        self._wake.set()
