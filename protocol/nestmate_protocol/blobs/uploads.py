"""Uploads: bytes that a local agent puts, chunk by chunk, until they have a name.

What was put before a restart or left lying for long is let go. This file knows nothing
of peers.
"""

from dataclasses import dataclass, field

from nestmate_protocol.blobs.entries import Entry
from nestmate_protocol.blobs.requests import PutChunk, Scope, Stage, Stored
from nestmate_protocol.blobs.shelf import Shelf
from nestmate_protocol.blobs.tree import Tree, hash_of
from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import LocalError
from nestmate_protocol.limits import (
    BLOB_BYTES_MAX,
    BLOB_SCOPES_MAX,
    BLOB_UPLOAD_IDLE_MS_MAX,
    BLOB_UPLOADS_MAX,
    CHUNK_BYTES,
    MEDIA_CHARS_MAX,
)


@dataclass(slots=True)
class _Upload:
    number: int
    at_ms: int
    size: int = 0
    hashes: bytearray = field(default_factory=bytearray)


class Uploads:
    """What is being put."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._open: dict[int, _Upload] = {}

    def __repr__(self) -> str:
        return f"<Uploads: {len(self._open)} open>"

    def put(self, body: PutChunk, now: Moment) -> Stored:
        """Take the next chunk.

        Raises LocalError if it does not go on where the last one ended.
        """
        _check(body)
        upload = self._find(body, now)
        upload.at_ms = now.mono_ms
        if body.data:
            index = upload.size // CHUNK_BYTES
            self._shelf.load(upload.number, index, body.data)
            upload.size += len(body.data)
            upload.hashes += hash_of(body.data)
        if body.more:
            return Stored(upload.number, upload.size, None)
        tree = Tree(upload.size, bytes(upload.hashes))
        self._name(upload.number, tree, body, now)
        del self._open[upload.number]
        return Stored(upload.number, tree.size, tree.blob)

    def wake(self, now: Moment) -> None:
        """Let go of what nobody goes on with."""
        for upload in list(self._open.values()):
            if upload.at_ms + BLOB_UPLOAD_IDLE_MS_MAX <= now.mono_ms:
                del self._open[upload.number]
                self._shelf.drop_load(upload.number)

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        times = [each.at_ms + BLOB_UPLOAD_IDLE_MS_MAX for each in self._open.values()]
        return min(times, default=None)

    def _find(self, body: PutChunk, now: Moment) -> _Upload:
        upload = self._open.get(body.upload)
        if not body.upload:
            if len(self._open) >= BLOB_UPLOADS_MAX:
                raise LocalError(
                    f"{BLOB_UPLOADS_MAX} blobs are being put already",
                    "finish one of them, or wait",
                )
            number = self._shelf.begin_load()
            upload = self._open[number] = _Upload(number, now.mono_ms)
        if upload is None:
            raise LocalError(
                f"there is no upload {body.upload}",
                "begin anew: an upload ends after ten minutes, or with the node",
            )
        if body.offset != upload.size:
            raise LocalError(
                f"the upload goes on at {upload.size}, not at {body.offset}",
                "put the chunks one after the other",
            )
        if upload.size + len(body.data) > BLOB_BYTES_MAX:
            raise LocalError(
                f"a blob has {BLOB_BYTES_MAX} bytes at most", "put it in parts"
            )
        return upload

    def _name(self, number: int, tree: Tree, body: PutChunk, now: Moment) -> None:
        """What was put is this blob; one that is here already stays."""
        known = self._shelf.get(tree.blob)
        if known is not None and known.stage is Stage.WHOLE:
            known.scopes = merged(known.scopes, body.scopes)
            known.public |= body.public
            known.media, known.pinned = body.media or known.media, True
            self._shelf.keep(known, durable=True)
            self._shelf.drop_load(number)
            return
        if known is not None:
            self._shelf.remove(known)
        entry = Entry(
            *(number, tree.blob, tree.size, Stage.WHOLE, now.wall_ms, now.wall_ms),
            pinned=True,
            media=body.media,
            public=body.public,
            scopes=merged((), body.scopes),
        )
        self._shelf.end_load(entry, tree)


def merged(before: tuple[Scope, ...], more: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """Scopes, and more of them; LocalError if they are too many."""
    scopes = tuple(dict.fromkeys((*before, *more)))
    if len(scopes) > BLOB_SCOPES_MAX:
        raise LocalError(
            f"a blob is shared with {BLOB_SCOPES_MAX} spaces and agents at most",
            "put it into a space that they share",
        )
    return scopes


def _check(body: PutChunk) -> None:
    if len(body.data) > CHUNK_BYTES or (body.more and len(body.data) != CHUNK_BYTES):
        raise LocalError(
            f"a chunk has {len(body.data)} bytes",
            f"put {CHUNK_BYTES} bytes at a time, and what is left in the last",
        )
    if len(body.media) > MEDIA_CHARS_MAX:
        raise LocalError(f"a media type has {MEDIA_CHARS_MAX} characters at most")
    if len(body.scopes) > BLOB_SCOPES_MAX:
        raise LocalError(f"a blob has {BLOB_SCOPES_MAX} scopes at most")
