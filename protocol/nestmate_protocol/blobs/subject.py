"""Blobs: the subject as the core sees it.

Requests of local agents and frames of peers go in, outcomes come out. It puts the parts
together: the shelf, what is being put, what is being fetched, what is given, and the
places in the DHT. Who is connected and who may have what it asks through a port.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from nestmate_protocol.blobs.entries import Entry
from nestmate_protocol.blobs.frames import AskChunks, Chunk, Have, No, Want, unpack
from nestmate_protocol.blobs.getting import Getting
from nestmate_protocol.blobs.giving import Giving
from nestmate_protocol.blobs.outcomes import Outcome
from nestmate_protocol.blobs.placing import Placing
from nestmate_protocol.blobs.ports import Audience, Reader
from nestmate_protocol.blobs.reading import end_of, index_of, is_past, part_of, unfit
from nestmate_protocol.blobs.requests import (
    BlobPart,
    BlobsRequest,
    BlobView,
    BlobViews,
    ListBlobs,
    PinBlob,
    PutChunk,
    ReadBlob,
    RemoveBlob,
    Removed,
    ShareBlob,
    ShowBlob,
    Stage,
)
from nestmate_protocol.blobs.shelf import Shelf
from nestmate_protocol.blobs.tree import count_of
from nestmate_protocol.blobs.uploads import Uploads, merged
from nestmate_protocol.clocks import Moment, patience_ms
from nestmate_protocol.effects import DISK_FULL, Code, Refusal, Reply
from nestmate_protocol.ids import BlobId, NetworkId, PeerId
from nestmate_protocol.limits import CHUNK_BYTES, PROVIDES_PER_SECOND_MAX

_SECOND_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Wait:
    """A local agent that waits for bytes."""

    body: ReadBlob
    until_ms: int


class Blobs:
    """Everything one node does about blobs; while it ``rests`` it only gives them."""

    def __init__(
        self,
        me: PeerId,
        network: NetworkId,
        audience: Audience,
        reader: Reader,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Restore what is on disk; raises LocalError if it cannot be read."""
        self._shelf = Shelf(reader)
        self._uploads = Uploads(self._shelf, entropy)
        self._placing = Placing(me, network)
        self._giving = Giving(self._shelf, audience)
        self._getting = Getting(self._shelf, audience, self._placing)
        self._waits: dict[int, _Wait] = {}
        self.rests = False
        self._shelf.restore()

    def __repr__(self) -> str:
        return f"<Blobs {self._shelf!r}>"

    def start(self, now: Moment) -> list[Outcome]:
        """Go on with what an earlier run has begun."""
        due_ms = now.mono_ms
        for entry in self._shelf:
            told = self._placing.plan(entry, due_ms)
            due_ms += len(told) * _SECOND_MS // PROVIDES_PER_SECOND_MAX
        return self._settle([*self._getting.step(now)], now)

    def ask(self, request: int, body: BlobsRequest, now: Moment) -> list[Outcome]:
        """A local agent's request; LocalError if it makes no sense as it stands."""
        if isinstance(body, PutChunk):
            return self._put(request, body, now)
        if isinstance(body, ReadBlob):
            return self._read(request, body, now)
        if isinstance(body, ListBlobs):
            return [Reply(request, self._listed())]
        return self._about_one(request, body, now)

    def abandon(self, request: int) -> None:
        """Nobody waits for this request's answer any more."""
        self._waits.pop(request, None)

    def arrived(self, peer: PeerId, data: bytes, now: Moment) -> list[Outcome]:
        """One frame of the BLOBS channel; RemoteError if no honest node sends it."""
        frame = unpack(data)
        outcomes: list[Outcome] = []
        if self.rests and isinstance(frame, Have | No | Chunk):
            return []  # it is asked for again
        match frame:
            case Want():
                outcomes += self._giving.want(peer, frame, now)
            case AskChunks():
                outcomes += self._giving.ask(peer, frame, now)
            case Have():
                outcomes += self._getting.have(peer, frame, now)
            case No():
                outcomes += self._getting.refused(peer, frame, now)
            case Chunk():
                outcomes += self._getting.chunk(peer, frame, now)
            case _:
                assert_never(frame)
        return self._settle(outcomes, now)

    def peer_up(self, peer: PeerId, now: Moment) -> list[Outcome]:
        """A connection stands, or its agent is known now."""
        return self._settle([*self._getting.peer_changed(peer, now)], now)

    def peer_down(self, peer: PeerId) -> None:
        """The last connection with a peer is gone."""
        self._giving.peer_down(peer)
        self._getting.peer_down(peer)

    def found(
        self, key: bytes, providers: Iterable[tuple[PeerId, tuple[str, ...]]]
    ) -> list[Outcome]:
        """What the DHT said about a key; nothing if it is none of a blob."""
        return [*self._placing.found(key, providers)]

    def wake(self, now: Moment) -> list[Outcome]:
        """Do whatever is due."""
        if self.rests:
            return self._settle([*self._giving.wake(now)], now)
        self._uploads.wake(now)
        outcomes: list[Outcome] = [*self._giving.wake(now), *self._getting.wake(now)]
        return self._settle([*outcomes, *self._placing.wake(now)], now)

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        if self.rests:
            return self._giving.next_wakeup()
        parts = (self._uploads, self._giving, self._getting, self._placing)
        times = [part.next_wakeup() for part in parts]
        times += [wait.until_ms for wait in self._waits.values()]
        return min((time for time in times if time is not None), default=None)

    # --- requests

    def _put(self, request: int, body: PutChunk, now: Moment) -> list[Outcome]:
        outcomes: list[Outcome] = []
        stored = self._uploads.put(body, now)
        entry = None if stored.blob is None else self._shelf.get(stored.blob)
        if entry is not None:
            self._getting.stop(entry.blob)
            outcomes += self._placing.add(entry, now)
        return self._settle([*outcomes, Reply(request, stored)], now)

    def _read(self, request: int, body: ReadBlob, now: Moment) -> list[Outcome]:
        wait_ms = patience_ms(body.wait_seconds)
        asked = merged((), (*body.spaces, *body.agents))
        entry, outcomes = self._shelf.get(body.blob), list[Outcome]()
        if self.rests and (entry is None or entry.stage is not Stage.WHOLE):
            return [Reply(request, DISK_FULL)]
        if entry is None:
            wall_ms = now.wall_ms
            entry = Entry(
                *(0, body.blob, -1, Stage.FETCHING, wall_ms, wall_ms),
                scopes=body.spaces,
                asked=asked,
            )
            self._shelf.begin(entry)
        if entry.size < 0 and body.key:
            entry.sealed = True
        if entry.stage is not Stage.WHOLE:
            if entry.asked and asked:  # an open search stays open
                entry.asked = merged(entry.asked, asked)
            outcomes += self._getting.want(entry, now)
        self._waits[request] = _Wait(body, now.mono_ms + wait_ms)
        return self._settle(outcomes, now)

    def _about_one(
        self,
        request: int,
        body: ShowBlob | PinBlob | ShareBlob | RemoveBlob,
        now: Moment,
    ) -> list[Outcome]:
        entry = self._shelf.get(body.blob)
        if entry is None:
            return [Reply(request, _absent(body.blob))]
        outcomes: list[Outcome] = []
        match body:
            case ShowBlob():
                pass
            case PinBlob(_, pinned):
                entry.pinned = pinned
                self._shelf.keep(entry, durable=True)
            case ShareBlob(_, public, scopes):
                entry.scopes = merged(entry.scopes, scopes)
                entry.public |= public
                self._shelf.keep(entry, durable=True)
                outcomes += self._placing.add(entry, now)
            case RemoveBlob():
                self._getting.stop(entry.blob)
                self._shelf.remove(entry)
                outcomes.append(Reply(request, Removed(entry.blob, entry.takes)))
                return self._settle(outcomes, now)
            case _:
                assert_never(body)
        return self._settle([*outcomes, Reply(request, self._view(entry))], now)

    def _listed(self) -> BlobViews:
        entries = sorted(self._shelf, key=lambda each: (-each.used_ms, each.blob))
        views = tuple(self._view(entry) for entry in entries)
        return BlobViews(views, self._shelf.bytes_kept, self._shelf.bytes_max)

    def _view(self, entry: Entry) -> BlobView:
        fetch = self._getting.fetch(entry.blob)
        bits = fetch.held if fetch is not None else self._shelf.chest.bits(entry)
        held = len(bits) * CHUNK_BYTES
        if entry.size > 0 and count_of(entry.size) - 1 in bits:
            held += entry.size - count_of(entry.size) * CHUNK_BYTES
        return BlobView(
            blob=entry.blob,
            size=entry.takes,
            held=held,
            stage=entry.stage,
            media=entry.media,
            pinned=entry.pinned,
            public=entry.public,
            scopes=entry.scopes,
            made_ms=entry.made_ms,
            used_ms=entry.used_ms,
            sources=0 if fetch is None else fetch.holders,
            sealed=entry.sealed,
        )

    # --- what follows

    def _settle(self, outcomes: list[Outcome], now: Moment) -> list[Outcome]:
        """Bring on disk what has changed, and answer whoever waits for it."""
        answers = [
            Reply(request, answer)
            for request, wait in self._waits.items()
            if (answer := self._answer(wait, now)) is not None
        ]
        for reply in answers:
            del self._waits[reply.request]
        return [*self._shelf.collect(), *outcomes, *answers]

    def _answer(self, wait: _Wait, now: Moment) -> BlobPart | Refusal | None:
        """What somebody waits for once it is here, a refusal when it is late."""
        blob = wait.body.blob
        entry = self._shelf.get(blob)
        if entry is None:
            return _absent(blob)
        if (refusal := unfit(entry, wait.body)) is not None:
            return refusal
        if is_past(entry, wait.body):
            return end_of(entry, wait.body)
        fetch, index = self._getting.fetch(blob), index_of(wait.body)
        here = entry.stage is Stage.WHOLE or (fetch is not None and index in fetch.held)
        if here and (data := self._shelf.chest.chunk(entry, index)) is not None:
            self._shelf.used(entry, now)
            return part_of(entry, wait.body, data)
        return self._late(blob) if wait.until_ms <= now.mono_ms else None

    def _late(self, blob: BlobId) -> Refusal:
        fetch = self._getting.fetch(blob)
        if fetch is not None and fetch.holders:
            return Refusal(
                Code.TIMED_OUT,
                "that part of the blob has not come yet",
                "ask again: it is still being fetched",
            )
        return Refusal(
            Code.TIMED_OUT,
            "nobody who is connected has that blob and may give it",
            "ask again later, or ask whoever has it to share it: `nestmate blob share`",
        )


def _absent(blob: BlobId) -> Refusal:
    return Refusal(
        Code.NOT_FOUND,
        f"blob {blob.short} is not here",
        "see `nestmate blob ls`; `nestmate blob get` fetches one",
    )
