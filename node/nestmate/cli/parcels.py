"""Parcels: what is too large for a document goes as a blob, and comes back as a file.

A file is sent to the node piece by piece, and so fetched; what was fetched when a
command was ended is not fetched again. In place of a large document stands a reference
to its blob. This file knows which documents have a limit, and no command.
"""

import base64
import json
import mimetypes
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

from nestmate.cli.documents import bytes_of, document_of
from nestmate.errors import NodeError
from nestmate_protocol.blobs.tree import Tree, hash_of
from nestmate_protocol.ids import BlobId
from nestmate_protocol.limits import CHUNK_BYTES, RESULT_BYTES_MAX, VALUE_BYTES_MAX

LIMITS: Final = {
    ("put", "value"): VALUE_BYTES_MAX,
    ("log.append", "value"): VALUE_BYTES_MAX,
    ("claim.done", "result"): RESULT_BYTES_MAX,
}
"""Documents in whose place a reference may stand, and how large they may be."""

_EARLY: Final = ("spaces", "sealed")
"""What the first piece of a blob says already: whether it is to be sealed."""

_DOCUMENT_BYTES_MAX: Final = 1024 * 1024

Ask = Callable[[str, Mapping[str, object]], dict[str, Any]]


def store(ask: Ask, file: IO[bytes], wish: Mapping[str, object]) -> dict[str, Any]:
    """Send all of a file to the node; the node's last answer.

    ``wish`` is what the operation takes besides: what it is, and who may have it.
    """
    return _send(ask, _chunks(file), wish)


def carried(
    ask: Ask, file: IO[bytes], name: str, limit: int, wish: Mapping[str, object]
) -> Any:
    """The document in a file, or if it is too large a reference to its blob."""
    head = file.read(_DOCUMENT_BYTES_MAX)
    if len(head) < _DOCUMENT_BYTES_MAX:
        document = document_of(head)
        if len(head) <= limit or len(_tight(document)) <= limit:
            return document
    media = mimetypes.guess_type(name)[0] or ""
    chunks = chain(_chunks(BytesIO(head)), _chunks(file))
    return reference(_send(ask, chunks, {**wish, "media": media}))


def reference(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in a document in place of a blob."""
    told = {"blob": stored["blob"], "bytes": stored["bytes"]}
    told |= {"type": stored["media"]} if stored["media"] else {}
    return told | ({"key": stored["key"]} if stored["key"] else {})


def referred(document: Any) -> dict[str, str] | None:
    """The blob a document stands for, and its key; None if it stands for itself."""
    match document:
        case {"blob": str(), "bytes": int()} if set(document) <= _KEYS:
            told = {name: document.get(name, "") for name in ("blob", "key")}
            return told if isinstance(told["key"], str) else None
    return None


def audience(
    ask: Ask, operation: str, values: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Who has to be able to fetch what a document refers to."""
    if operation != "claim.done":
        return {"spaces": [values["space"]]}
    task = ask("signal.show", {"task": values["task"]})
    return {"agents": [task["issuer"]]}


def pieces(ask: Ask, wish: Mapping[str, object], offset: int = 0) -> Iterator[bytes]:
    """The bytes of a blob from an offset on, as they come."""
    return (piece for _, piece in _parts(ask, wish, offset))


def fetch(ask: Ask, wish: Mapping[str, object], to: Path) -> tuple[int, bool]:
    """Write a blob to a file, which is there only once it is whole.

    Comes back with its size, and whether it is sealed still.

    What an earlier attempt has left lies beside it, and is gone on with.
    """
    blob = BlobId.parse(str(wish["blob"]))
    part = to.with_name(f".{to.name}.{blob.short}.part")
    with part.open("ab") as file:
        whole = file.tell() // CHUNK_BYTES * CHUNK_BYTES
        file.truncate(whole)
        sealed = False
        for told, piece in _parts(ask, wish, whole):
            sealed = told["sealed"]
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    if _blob_of(part, size, str(wish.get("key", "")), sealed=sealed) != blob:
        part.unlink()
        raise NodeError(
            f"What was in {part} was not the beginning of that blob.",
            "It is gone now; get the blob again.",
        )
    part.replace(to)
    return size, sealed


_KEYS: Final = {"blob", "bytes", "type", "key"}


def _parts(
    ask: Ask, wish: Mapping[str, object], offset: int
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The answers for a blob from an offset on, each with its bytes."""
    at: int | None = offset
    while at is not None:
        part = ask("blob.get", {**wish, "offset": at})
        yield part, base64.b64decode(part["base64"])
        at = part["next"]


def _send(
    ask: Ask, chunks: Iterable[bytes], wish: Mapping[str, object]
) -> dict[str, Any]:
    coming = iter(chunks)
    early = {name: wish[name] for name in _EARLY if name in wish}
    chunk, upload, offset = next(coming, b""), 0, 0
    while True:
        after = next(coming, b"")
        sent: dict[str, object] = {
            "data": {"base64": base64.b64encode(chunk).decode()},
            "upload": upload,
            "offset": offset,
            "more": bool(after),
        }
        said = wish if not after else {} if upload else early
        stored = ask("blob.put", {**sent, **said})
        if not after:
            return stored
        upload, offset, chunk = stored["upload"], stored["bytes"], after


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """All of a file in chunks, also of a pipe that gives less at a time."""
    chunk = b""
    while more := file.read(CHUNK_BYTES - len(chunk)):
        chunk += more
        if len(chunk) == CHUNK_BYTES:
            yield chunk
            chunk = b""
    if chunk:
        yield chunk


def _blob_of(path: Path, size: int, key: str, *, sealed: bool) -> BlobId:
    """What the bytes in a file are called, sealed again if they were opened."""
    with path.open("rb") as file:
        if not key:
            return Tree(size, b"".join(map(hash_of, _chunks(file))), sealed).blob
        from nestmate_protocol.blobs.sealing import sealed_tree  # noqa: PLC0415 - heavy

        return sealed_tree(bytes.fromhex(key), _chunks(file)).blob


def _tight(document: Any) -> bytes:
    """A document as the node sends it, about."""
    if isinstance(document, str):
        return bytes_of(document)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace")
