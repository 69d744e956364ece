"""Uploads: bytes that a local agent puts, chunk by chunk, until they have a name.

What was put before a restart or left lying for long is let go. This file knows nothing
of peers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from nestmate_protocol.blobs.entries import Entry
from nestmate_protocol.blobs.requests import PutChunk, Scope, Stage, Stored
from nestmate_protocol.blobs.sealing import cut, seal_piece
from nestmate_protocol.blobs.shelf import Shelf
from nestmate_protocol.blobs.tree import Tree, hash_of
from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import LocalError
from nestmate_protocol.keys import SECRET_BYTES
from nestmate_protocol.limits import (
    BLOB_BYTES_MAX,
    BLOB_CONTENT_BYTES_MAX,
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
    laid: int = 0
    """The bytes of its chunks, which differ from those that were put in tags."""
    key: bytes = field(default=b"", repr=False)
    rest: bytes = b""
    """What came since the last piece that was sealed; there is one more to come."""


class Uploads:
    """What is being put."""

    def __init__(self, shelf: Shelf, entropy: Callable[[int], bytes]) -> None:
        self._shelf = shelf
        self._entropy = entropy
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
        self._lay(upload, body)
        if body.more:
            return Stored(upload.number, upload.size, None)
        tree = Tree(upload.laid, bytes(upload.hashes), bool(upload.key))
        self._name(upload.number, tree, body, now)
        del self._open[upload.number]
        return Stored(upload.number, upload.size, tree.blob, upload.key)

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

    def _lay(self, upload: _Upload, body: PutChunk) -> None:
        """Keep what has come, sealed where it is to be, or LocalError and nothing."""
        chunks, rest = _chunks(upload, body)
        if upload.key:  # no place of a sealed blob is written twice
            self._shelf.make_room(sum(map(len, chunks)))
            if not body.more:
                self._shelf.make_place()
        for chunk in chunks:
            self._shelf.load(upload.number, upload.laid // CHUNK_BYTES, chunk)
            upload.laid += len(chunk)
            upload.hashes += hash_of(chunk)
        upload.rest = rest
        upload.size += len(body.data)

    def _find(self, body: PutChunk, now: Moment) -> _Upload:
        upload = self._open.get(body.upload)
        if not body.upload:
            if len(self._open) >= BLOB_UPLOADS_MAX:
                raise LocalError(
                    f"{BLOB_UPLOADS_MAX} blobs are being put already",
                    "finish one of them, or wait",
                )
            number = self._shelf.begin_load()
            key = self._entropy(SECRET_BYTES) if body.sealed else b""
            upload = self._open[number] = _Upload(number, now.mono_ms, key=key)
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
        if body.sealed and not upload.key:
            raise LocalError(
                "what was put so far would lie there in clear",
                "begin anew, and say with the first piece that it is to be sealed, or "
                "name the private space it is for",
            )
        bytes_max = BLOB_CONTENT_BYTES_MAX if upload.key else BLOB_BYTES_MAX
        if upload.size + len(body.data) > bytes_max:
            raise LocalError(f"a blob has {bytes_max} bytes at most", "put it in parts")
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
            sealed=tree.sealed,
        )
        self._shelf.end_load(entry, tree)


def _chunks(upload: _Upload, body: PutChunk) -> tuple[list[bytes], bytes]:
    """The chunks that are known now, and what waits for more."""
    if not upload.key:
        return [body.data] if body.data else [], b""
    pieces, rest = cut(upload.rest + body.data, more=body.more)
    first, last = upload.laid // CHUNK_BYTES, len(pieces) - 1
    return [
        seal_piece(upload.key, first + n, piece, last=not body.more and n == last)
        for n, piece in enumerate(pieces)
    ], rest


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
