"""Getting: all blobs on their way here, and whom to ask for each.

A blob is asked for among the members of the spaces and the agents it was heard of
from, or else of everybody connected; a few are fetched at once, the others wait. What
was begun goes on after a restart, and is given up when nobody has wanted it for long.
This file gives nothing to anybody.
"""

from collections.abc import Iterable

from nestmate_protocol.blobs.entries import Entry
from nestmate_protocol.blobs.fetch import Came, Fetch, Said
from nestmate_protocol.blobs.frames import AskChunks, Chunk, Have, No, pack
from nestmate_protocol.blobs.placing import Placing
from nestmate_protocol.blobs.ports import Audience
from nestmate_protocol.blobs.requests import Stage
from nestmate_protocol.blobs.shelf import Shelf
from nestmate_protocol.blobs.tree import Bits, read_tree
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Channel, Effect, Notify, Scalar, Send
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import Address, BlobId, PeerId
from nestmate_protocol.limits import (
    BLOB_FETCHES_MAX,
    BLOB_STEP_MS,
    BLOB_WANTED_MS,
)


class Getting:
    """Fetches blobs."""

    def __init__(self, shelf: Shelf, audience: Audience, placing: Placing) -> None:
        self._shelf = shelf
        self._audience = audience
        self._placing = placing
        self._fetches: dict[BlobId, Fetch] = {}
        self._owed: dict[PeerId, int] = {}
        self._step_ms: int | None = None

    def __repr__(self) -> str:
        return f"<Getting {len(self._fetches)} blobs>"

    def fetch(self, blob: BlobId) -> Fetch | None:
        """The fetch of a blob, if it is on its way now."""
        return self._fetches.get(blob)

    def want(self, entry: Entry, now: Moment) -> list[Effect]:
        """Somebody here wants a blob that is not whole: go on with it."""
        entry.wanted_ms = now.wall_ms + BLOB_WANTED_MS
        entry.stage = Stage.FETCHING
        self._shelf.keep(entry)
        return self.step(now)

    def stop(self, blob: BlobId) -> None:
        """Nobody wants a blob any more."""
        self._fetches.pop(blob, None)
        self._placing.drop(blob)

    # --- peers

    def peer_down(self, peer: PeerId) -> None:
        """The last connection with a peer is gone."""
        self._owed.pop(peer, None)
        for fetch in self._fetches.values():
            fetch.lose(peer)

    def peer_changed(self, peer: PeerId, now: Moment) -> list[Effect]:
        """A peer is there, or somebody else than was known."""
        for fetch in self._fetches.values():
            fetch.hurry(peer, now)
        return self.step(now) if self._fetches else []

    # --- frames

    def have(self, peer: PeerId, said: Have, now: Moment) -> list[Effect]:
        """A peer tells what it holds; RemoteError if it cannot be so."""
        fetch, entry = self._fetches.get(said.blob), self._shelf.get(said.blob)
        if fetch is None or entry is None:
            return []
        if fetch.tree is None:
            if said.hashes is None:
                fetch.refused(peer, now)
                return []
            try:
                tree = read_tree(said.blob, said.size, said.hashes)
                self._shelf.sized(entry, tree)
            except RemoteError:
                self._distrust(fetch, peer, now)
                raise
            except LocalError:
                return self._give_up(entry, "there is no room for it")
            fetch.tree, fetch.held = tree, Bits(tree.count)
        entry.public |= said.public and not entry.asked
        fetch.have(peer, said.held, now)
        return self._go_on(fetch, entry, fetch.asks(now), now)

    def refused(self, peer: PeerId, said: No, now: Moment) -> list[Effect]:
        """A peer has nothing for us now."""
        fetch = self._fetches.get(said.blob)
        if fetch is None:
            return []
        fetch.refused(peer, now)
        return self._carry(fetch.asks(now))

    def chunk(self, peer: PeerId, said: Chunk, now: Moment) -> list[Effect]:
        """One chunk; RemoteError if nobody has asked for it, or it is a lie."""
        owed = self._owed.get(peer, 0)
        if not owed:
            raise RemoteError(Fault.OVER_LIMIT, "a chunk nobody asked for")
        self._owed[peer] = owed - 1
        fetch, entry = self._fetches.get(said.blob), self._shelf.get(said.blob)
        if fetch is None or entry is None:
            return []
        try:
            came = fetch.chunk(peer, said.index, said.data, now)
        except RemoteError:
            self._distrust(fetch, peer, now)
            raise
        if came is Came.NEWS:
            self._shelf.chest.keep_chunk(entry, fetch.held, said.index, said.data)
        return self._go_on(fetch, entry, fetch.asks(now), now)

    # --- time

    def wake(self, now: Moment) -> list[Effect]:
        """Do whatever is due."""
        due = self.next_wakeup()
        return self.step(now) if due is not None and due <= now.mono_ms else []

    def step(self, now: Moment) -> list[Effect]:
        """Look who is there, and ask whoever can be asked."""
        effects = [*self._expire(now), *self._fill(now)]
        for fetch in list(self._fetches.values()):
            entry = self._shelf.get(fetch.blob)
            if entry is not None:
                fetch.meet(_candidates(entry, self._audience), now)
                if not fetch.holders:
                    effects += self._placing.seek(entry, now)
                effects += self._carry(fetch.wake(now))
        self._step_ms = now.mono_ms + BLOB_STEP_MS if self._fetches else None
        return effects

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        times = [fetch.next_wakeup() for fetch in self._fetches.values()]
        return min((t for t in (*times, self._step_ms) if t is not None), default=None)

    def _expire(self, now: Moment) -> list[Effect]:
        """Give up what nobody has wanted for long."""
        return [
            effect
            for entry in list(self._shelf)
            if entry.stage is Stage.FETCHING and entry.wanted_ms <= now.wall_ms
            for effect in self._give_up(entry, "nobody has wanted it for long")
        ]

    def _fill(self, now: Moment) -> list[Effect]:
        """Begin with what waits, what was wanted last first."""
        effects: list[Effect] = []
        waiting = [
            entry
            for entry in self._shelf
            if entry.stage is Stage.FETCHING and entry.blob not in self._fetches
        ]
        chest = self._shelf.chest
        for entry in sorted(waiting, key=lambda each: -each.wanted_ms):
            if not self._has_place(entry):
                break
            fetch = Fetch(entry.blob, chest.tree(entry), chest.bits(entry))
            self._fetches[entry.blob] = fetch
            effects += self._go_on(fetch, entry, (), now)
        return effects

    def _has_place(self, entry: Entry) -> bool:
        """Whether there is a place; what nobody has makes way for what is wanted."""
        if len(self._fetches) < BLOB_FETCHES_MAX:
            return True
        idle = [
            other
            for blob, fetch in self._fetches.items()
            if not fetch.holders and (other := self._shelf.get(blob)) is not None
        ]
        last = min(idle, key=lambda each: each.wanted_ms, default=None)
        if last is None or last.wanted_ms >= entry.wanted_ms:
            return False
        del self._fetches[last.blob]
        return True

    def _go_on(
        self, fetch: Fetch, entry: Entry, said: Iterable[Said], now: Moment
    ) -> list[Effect]:
        if not fetch.done:
            return self._carry(said)
        self._shelf.finish(entry)
        self.stop(entry.blob)
        details: dict[str, Scalar] = {"blob": entry.blob.text, "bytes": entry.size}
        held = Notify("blob.held", details=details)
        return [held, *self._placing.add(entry, now), *self._fill(now)]

    def _distrust(self, fetch: Fetch, peer: PeerId, now: Moment) -> None:
        """A peer has lied: what it owed is asked of others, at once."""
        fetch.distrust(peer)
        self._step_ms = now.mono_ms

    def _give_up(self, entry: Entry, why: str) -> list[Effect]:
        """Look no further; what is here stays until there is no room for it."""
        self.stop(entry.blob)
        entry.stage, entry.wanted_ms = Stage.PARTIAL, 0
        if entry.size < 0:
            self._shelf.remove(entry)
        else:
            self._shelf.keep(entry)
        details = {"blob": entry.blob.text, "reason": why}
        return [Notify("blob.failed", details=details)]

    def _carry(self, said: Iterable[Said]) -> list[Effect]:
        effects: list[Effect] = []
        for peer, frame in said:
            if isinstance(frame, AskChunks):
                self._owed[peer] = self._owed.get(peer, 0) + len(frame.indexes)
            effects.append(Send(peer, Channel.BLOBS, pack(frame)))
        return effects


def _candidates(entry: Entry, audience: Audience) -> Iterable[PeerId]:
    """Who of those connected can be asked for a blob."""
    if not entry.asked:
        return audience.peers()
    members = audience.keepers if entry.sealed else audience.readers
    found: list[PeerId] = []
    for scope in entry.asked:
        if isinstance(scope, Address):
            peer = audience.peer_of(scope)
            found += [] if peer is None else [peer]
        else:
            found += members(scope)
    return found
