"""Fetch: one blob on its way here, from one peer or many, chunk by chunk.

A peer is asked what it holds, then for chunks, so many at a time; each chunk is proved
when it comes. Who sends a false one is asked no more, who falls silent is let wait,
and what they owed is asked of others. Which chunks are here lies on disk, so that a
fetch goes on where it was cut. This file knows peers by name only, and no disk.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto, unique

from nestmate_protocol.blobs.frames import AskChunks, BlobsFrame, Want
from nestmate_protocol.blobs.tree import Bits, Tree
from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import BlobId, PeerId
from nestmate_protocol.limits import (
    BLOB_AGAIN_MS_MAX,
    BLOB_AGAIN_MS_MIN,
    BLOB_ASKED_PER_FRAME_MAX,
    BLOB_SILENT_MS_MAX,
    BLOB_SOURCES_MAX,
    BLOB_UNDERWAY_CHUNKS_MAX,
    BLOB_WINDOW_CHUNKS,
)

Said = tuple[PeerId, BlobsFrame]


@unique
class Came(Enum):
    """What a chunk turned out to be."""

    NEWS = auto()
    KNOWN = auto()


@dataclass(slots=True)
class Source:
    """One peer that may have the blob; ``held`` is None until it has said so.

    ``want_ms`` is when to ask it again what it holds, None while an answer is due.
    """

    want_ms: int | None
    again_ms: int = BLOB_AGAIN_MS_MIN
    heard_ms: int = 0
    held: Bits | None = None
    owes: dict[int, None] = field(default_factory=dict)

    def put_off(self, now: Moment) -> None:
        """It has nothing now: ask it later, and later each time."""
        self.held = None
        self.want_ms = now.mono_ms + self.again_ms
        self.again_ms = min(2 * self.again_ms, BLOB_AGAIN_MS_MAX)


class Fetch:
    """One blob on its way here."""

    def __init__(self, blob: BlobId, tree: Tree | None, held: Bits) -> None:
        self.blob = blob
        self.tree = tree
        self.held = held
        self._sources: dict[PeerId, Source] = {}
        self._liars: set[PeerId] = set()
        self._asked: dict[int, PeerId] = {}

    def __repr__(self) -> str:
        return f"<Fetch {self.blob.short} {self.held!r} of {len(self._sources)} peers>"

    @property
    def done(self) -> bool:
        """Whether all of it is here."""
        return self.tree is not None and self.held.full

    @property
    def holders(self) -> int:
        """How many peers are known to hold something of it."""
        return sum(1 for source in self._sources.values() if source.held is not None)

    # --- peers

    def meet(self, peers: Iterable[PeerId], now: Moment) -> None:
        """These can be asked, and nobody else."""
        there = set(peers) - self._liars
        for peer in sorted(self._sources.keys() - there):
            self.lose(peer)
        for peer in sorted(there - self._sources.keys()):
            if len(self._sources) < BLOB_SOURCES_MAX:
                self._sources[peer] = Source(now.mono_ms)

    def lose(self, peer: PeerId) -> None:
        """A peer is gone; what it owed is asked of others."""
        source = self._sources.pop(peer, None)
        if source is not None:
            self._release(source)

    def distrust(self, peer: PeerId) -> None:
        """A peer has lied: it is asked for nothing of this blob any more."""
        self._liars.add(peer)
        self.lose(peer)

    def hurry(self, peer: PeerId, now: Moment) -> None:
        """Something about a peer has changed: it may give now what it refused."""
        source = self._sources.get(peer)
        if source is not None and source.held is None and source.want_ms is not None:
            source.want_ms = now.mono_ms

    # --- what peers say

    def have(self, peer: PeerId, held: bytes | None, now: Moment) -> None:
        """A peer holds some of it; the tree is known by now."""
        source = self._sources.get(peer)
        if source is None or self.tree is None:
            return
        bits = Bits(self.tree.count, held)
        source.held, source.heard_ms = bits, now.mono_ms
        source.want_ms, source.again_ms = None, BLOB_AGAIN_MS_MIN
        if not any(index in bits for index in self.held.missing()):
            source.put_off(now)  # it fetches too, and has nothing new yet

    def refused(self, peer: PeerId, now: Moment) -> None:
        """Nothing comes from a peer now."""
        source = self._sources.get(peer)
        if source is not None:
            self._release(source)
            source.put_off(now)

    def chunk(self, peer: PeerId, index: int, data: bytes, now: Moment) -> Came:
        """One chunk came; RemoteError if it is not what the tree says."""
        source = self._sources.get(peer)
        if source is not None:
            source.heard_ms = now.mono_ms
            if index in source.owes:
                del source.owes[index]
                self._asked.pop(index, None)
        if self.tree is None or index in self.held:
            return Came.KNOWN
        if not self.tree.holds(index, data):
            self.distrust(peer)
            raise RemoteError(Fault.BROKEN_CHAIN, "not the chunk that was asked for")
        self.held.add(index)
        return Came.NEWS

    # --- what to say

    def wake(self, now: Moment) -> list[Said]:
        """Let the silent wait; ask for what is missing, and who has it."""
        for source in self._sources.values():
            silent = source.heard_ms + BLOB_SILENT_MS_MAX <= now.mono_ms
            if source.owes and silent:
                self._release(source)
                source.put_off(now)
        return [*self._wants(now), *self.asks(now)]

    def asks(self, now: Moment) -> list[Said]:
        """Ask for chunks of whoever has room for more."""
        said: list[Said] = []
        for peer, source in self._sources.items():
            if source.held is not None and 2 * len(source.owes) <= BLOB_WINDOW_CHUNKS:
                said += self._ask(peer, source, source.held, now)
        return said

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        sources = self._sources.values()
        times = [each.want_ms for each in sources if each.want_ms is not None]
        times += [each.heard_ms + BLOB_SILENT_MS_MAX for each in sources if each.owes]
        return min(times, default=None)

    def _wants(self, now: Moment) -> list[Said]:
        said: list[Said] = []
        tree = self.tree is None
        for peer, source in self._sources.items():
            if source.want_ms is not None and source.want_ms <= now.mono_ms:
                said.append((peer, Want(self.blob, tree)))
                # an answer that got lost is asked for again
                source.want_ms = now.mono_ms + BLOB_SILENT_MS_MAX
        return said

    def _ask(self, peer: PeerId, source: Source, held: Bits, now: Moment) -> list[Said]:
        room = BLOB_WINDOW_CHUNKS - len(source.owes)
        room = min(room, BLOB_UNDERWAY_CHUNKS_MAX - len(self._asked))
        indexes: list[int] = []
        for index in self.held.missing():
            if len(indexes) >= room:
                break
            if index not in self._asked and index in held:
                indexes.append(index)
        if not indexes:
            if not source.owes and not self.held.full and source.want_ms is None:
                source.put_off(now)
            return []
        if not source.owes:
            source.heard_ms = now.mono_ms  # its silence begins with being asked
        for index in indexes:
            source.owes[index] = None
            self._asked[index] = peer
        step = BLOB_ASKED_PER_FRAME_MAX
        return [
            (peer, AskChunks(self.blob, tuple(indexes[at : at + step])))
            for at in range(0, len(indexes), step)
        ]

    def _release(self, source: Source) -> None:
        for index in source.owes:
            self._asked.pop(index, None)
        source.owes.clear()
