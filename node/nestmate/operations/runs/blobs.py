"""Carries out the operations on blobs."""

import base64
from re import fullmatch

from nestmate.errors import UsageError
from nestmate.operations.blobs import (
    Blob,
    BlobGet,
    BlobList,
    BlobPart,
    BlobPin,
    BlobPut,
    BlobRemove,
    BlobRemoved,
    Blobs,
    BlobShare,
    BlobShow,
    BlobStored,
)
from nestmate.operations.forms import identifier, plain, seconds, to_bytes
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX, answer
from nestmate.texts import format_time
from nestmate_protocol.blobs import requests as core
from nestmate_protocol.directory.requests import AgentView, WhoIs
from nestmate_protocol.ids import Address, BlobId, SpaceId
from nestmate_protocol.limits import CHUNK_BYTES
from nestmate_protocol.spaces.requests import ShowSpace, SpaceView


async def put(node: Node, request: BlobPut, _caller: Caller) -> BlobStored:
    """Keep the next bytes of a blob."""
    views = [await answer(node, ShowSpace(text), SpaceView) for text in request.spaces]
    agents = await _agents(node, request.agents)
    wish = core.PutChunk(
        data=to_bytes(request.data, "data", CHUNK_BYTES),
        upload=request.upload,
        offset=request.offset,
        more=request.more,
        media=request.media,
        public=request.public,
        scopes=(*(view.space for view in views), *agents),
        sealed=request.sealed or any(view.private for view in views),
    )
    stored = await answer(node, wish, core.Stored)
    return BlobStored(
        blob=None if stored.blob is None else stored.blob.text,
        bytes=stored.size,
        upload=stored.upload,
        media=request.media,
        key=stored.key.hex() or None,
    )


async def get(node: Node, request: BlobGet, _caller: Caller) -> BlobPart:
    """Bytes of a blob, waited for if they are not here."""
    wish = core.ReadBlob(
        blob=_blob(request.blob),
        offset=request.offset,
        wait_seconds=seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX),
        spaces=await _spaces(node, request.spaces),
        agents=await _agents(node, request.agents),
        key=_key(request.key),
    )
    part = await answer(node, wish, core.BlobPart)
    end = part.offset + len(part.data)
    return BlobPart(
        blob=part.blob.text,
        bytes=part.size,
        offset=part.offset,
        base64=base64.b64encode(part.data).decode(),
        next=end if end < part.size else None,
        sealed=part.sealed,
    )


async def ls(node: Node, _request: BlobList, _caller: Caller) -> Blobs:
    """All blobs here."""
    views = await answer(node, core.ListBlobs(), core.BlobViews)
    return Blobs(
        blobs=[_show(view) for view in views.blobs],
        bytes=views.bytes_kept,
        bytes_max=views.bytes_max,
    )


async def show(node: Node, request: BlobShow, _caller: Caller) -> Blob:
    """One blob."""
    wish = core.ShowBlob(_blob(request.blob))
    return _show(await answer(node, wish, core.BlobView))


async def share(node: Node, request: BlobShare, _caller: Caller) -> Blob:
    """Let more have it."""
    spaces = await _spaces(node, request.spaces)
    agents = await _agents(node, request.agents)
    blob = _blob(request.blob)
    wish = core.ShareBlob(blob, request.public, (*spaces, *agents))
    return _show(await answer(node, wish, core.BlobView))


async def pin(node: Node, request: BlobPin, _caller: Caller) -> Blob:
    """Keep it come what may, or no longer."""
    wish = core.PinBlob(_blob(request.blob), pinned=not request.off)
    return _show(await answer(node, wish, core.BlobView))


async def rm(node: Node, request: BlobRemove, _caller: Caller) -> BlobRemoved:
    """Have it here no longer."""
    wish = core.RemoveBlob(_blob(request.blob))
    gone = await answer(node, wish, core.Removed)
    return BlobRemoved(blob=gone.blob.text, freed=gone.freed)


def _blob(text: str) -> BlobId:
    return identifier(BlobId, text, "blob")


def _key(text: str) -> bytes:
    """The key these digits are; nothing for none."""
    if text and not fullmatch("[0-9a-f]{64}", text):
        raise UsageError(
            "`key` is no key of a blob.",
            "Give the 64 digits that stand beside it where it is referred to.",
        )
    return bytes.fromhex(text)


async def _spaces(node: Node, texts: tuple[str, ...]) -> tuple[SpaceId, ...]:
    views = [await answer(node, ShowSpace(text), SpaceView) for text in texts]
    return tuple(view.space for view in views)


async def _agents(node: Node, texts: tuple[str, ...]) -> tuple[Address, ...]:
    return tuple([await _agent(node, text) for text in texts])


async def _agent(node: Node, text: str) -> Address:
    """An agent by address, whether it is known or not, or by name."""
    if text.startswith(f"{Address.prefix}1"):
        return identifier(Address, text, "agents")
    return (await answer(node, WhoIs(text, 0), AgentView)).address


def _show(view: core.BlobView) -> Blob:
    return Blob(
        blob=view.blob.text,
        bytes=view.size,
        held=view.held,
        state=view.stage.value,
        media=plain(view.media),
        pinned=view.pinned,
        public=view.public,
        sealed=view.sealed,
        spaces=[each.text for each in view.scopes if isinstance(each, SpaceId)],
        agents=[each.text for each in view.scopes if isinstance(each, Address)],
        made=format_time(view.made_ms),
        used=format_time(view.used_ms),
        sources=view.sources,
    )
