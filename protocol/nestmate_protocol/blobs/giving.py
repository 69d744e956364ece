"""Giving: what of our blobs a peer may have, and how fast it gets it.

A hash is not enough: a blob is given to anybody only if it is public, else to the
agents it was shared with and to readers of the spaces it was put into, if it is sealed
to their relays as well; all others are told what they would be told if it were not
here. Each asked chunk is one credit of the peer's; nothing is sent that was not asked
for. This file fetches nothing.
"""

from collections import deque
from dataclasses import dataclass, field

from nestmate_protocol.blobs.entries import Entry
from nestmate_protocol.blobs.frames import (
    AskChunks,
    BlobsFrame,
    Chunk,
    Have,
    No,
    Reason,
    Want,
    pack,
)
from nestmate_protocol.blobs.ports import Audience
from nestmate_protocol.blobs.requests import Stage
from nestmate_protocol.blobs.shelf import Shelf
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Channel, Effect, Send
from nestmate_protocol.ids import Address, BlobId, PeerId
from nestmate_protocol.limits import (
    BLOB_ASKED_PER_PEER_MAX,
    BLOB_CHUNKS_PER_PEER_BURST,
    BLOB_CHUNKS_PER_PEER_PER_SECOND,
    BLOB_WANTS_PER_PEER_BURST,
    BLOB_WANTS_PER_PEER_PER_SECOND,
)
from nestmate_protocol.ration import Ration

_TREE_COST_BYTES = 8_192


@dataclass(slots=True)
class _Line:
    """What one peer has asked for and not got, and what it may still cost us."""

    queue: deque[tuple[BlobId, int]] = field(default_factory=deque)
    due_ms: int = 0
    wants: Ration = field(
        default_factory=lambda: Ration(
            BLOB_WANTS_PER_PEER_PER_SECOND, BLOB_WANTS_PER_PEER_BURST
        )
    )
    chunks: Ration = field(
        default_factory=lambda: Ration(
            BLOB_CHUNKS_PER_PEER_PER_SECOND, BLOB_CHUNKS_PER_PEER_BURST
        )
    )


class Giving:
    """Gives blobs to those who may have them."""

    def __init__(self, shelf: Shelf, audience: Audience) -> None:
        self._shelf = shelf
        self._audience = audience
        self._lines: dict[PeerId, _Line] = {}

    def __repr__(self) -> str:
        return f"<Giving to {len(self._lines)} peers>"

    def peer_down(self, peer: PeerId) -> None:
        """The last connection with a peer is gone."""
        self._lines.pop(peer, None)

    def may_have(self, peer: PeerId, entry: Entry) -> bool:
        """Whether a peer may have a blob; what is sealed, also to pass it on."""
        if entry.public:
            return True
        agent, audience = self._audience.agent_at(peer), self._audience
        members = audience.keepers if entry.sealed else audience.readers
        return any(
            scope == agent if isinstance(scope, Address) else peer in members(scope)
            for scope in entry.scopes
        )

    def want(self, peer: PeerId, said: Want, now: Moment) -> list[Effect]:
        """A peer wants to know what we have of a blob."""
        entry = self._given(peer, said.blob)
        tree = None if entry is None else self._shelf.chest.tree(entry)
        wants = self._line(peer).wants
        cost = 1 + (len(tree.hashes) // _TREE_COST_BYTES if tree and said.tree else 0)
        if not wants.take(now, cost):
            return [_send(peer, No(said.blob, Reason.BUSY))]
        if entry is None or tree is None:
            return [_send(peer, No(said.blob, Reason.ABSENT))]
        whole = entry.stage is Stage.WHOLE
        held = None if whole else bytes(self._shelf.chest.bits(entry).raw)
        hashes = tree.hashes if said.tree else None
        have = Have(said.blob, tree.size, entry.public, held, hashes)
        return [_send(peer, have)]

    def ask(self, peer: PeerId, said: AskChunks, now: Moment) -> list[Effect]:
        """A peer wants chunks; what it asks for beyond all measure is not heard."""
        if self._given(peer, said.blob) is None:
            return [_send(peer, No(said.blob, Reason.ABSENT))]
        line = self._line(peer)
        room = BLOB_ASKED_PER_PEER_MAX - len(line.queue)
        line.queue.extend((said.blob, index) for index in said.indexes[:room])
        return self._serve(peer, line, now)

    def wake(self, now: Moment) -> list[Effect]:
        """Give what there was no ration for before."""
        effects: list[Effect] = []
        for peer, line in self._lines.items():
            if line.queue and line.due_ms <= now.mono_ms:
                effects += self._serve(peer, line, now)
        return effects

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        lines = self._lines.values()
        return min((line.due_ms for line in lines if line.queue), default=None)

    def _serve(self, peer: PeerId, line: _Line, now: Moment) -> list[Effect]:
        effects: list[Effect] = []
        while line.queue:
            if not line.chunks.take(now):
                line.due_ms = line.chunks.free_ms(now)
                break
            blob, index = line.queue.popleft()
            entry = self._shelf.get(blob)
            data = None if entry is None else self._shelf.chest.chunk(entry, index)
            if entry is None or data is None:
                effects.append(_send(peer, No(blob, Reason.ABSENT)))
                continue
            self._shelf.used(entry, now)
            effects.append(_send(peer, Chunk(blob, index, data)))
        return effects

    def _given(self, peer: PeerId, blob: BlobId) -> Entry | None:
        entry = self._shelf.get(blob)
        allowed = entry is not None and self.may_have(peer, entry)
        return entry if allowed else None

    def _line(self, peer: PeerId) -> _Line:
        return self._lines.setdefault(peer, _Line())


def _send(peer: PeerId, frame: BlobsFrame) -> Send:
    return Send(peer, Channel.BLOBS, pack(frame))
