"""What a local agent may ask of blobs, and what it is answered.

Values only. Times are Unix milliseconds, 0 for never. A *scope* is a space or an agent
that a blob may be given to; a ``public`` one is given to anybody who knows its id.
This file knows nothing of how a request is met.
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from nestmate_protocol.ids import Address, BlobId, SpaceId

Scope = SpaceId | Address


@unique
class Stage(StrEnum):
    """How much of a blob is here."""

    WHOLE = "whole"
    FETCHING = "fetching"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class PutChunk:
    """The next bytes of a blob: CHUNK_BYTES of them, fewer if there are no ``more``.

    The first chunk begins an ``upload``, whose number the others name, with the
    ``offset`` they begin at. What the last chunk says of media type and scopes counts,
    and of ``sealed``, by which it gets a key of its own, what the first one says.
    """

    data: bytes
    upload: int = 0
    offset: int = 0
    more: bool = False
    media: str = ""
    public: bool = False
    scopes: tuple[Scope, ...] = ()
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """What there is of an upload; ``blob`` once it is whole and safe on disk.

    A sealed one is told its ``key`` with it, which is kept nowhere here.
    """

    upload: int
    size: int
    blob: BlobId | None
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class ReadBlob:
    """Bytes of a blob from ``offset`` on, fetched from others if they are not here.

    Asked are the members of ``spaces`` and ``agents``; if both are empty, everybody
    connected. A blob that was not here before may then be given to those members too.
    With a ``key``, offset and bytes are those of what was sealed.
    """

    blob: BlobId
    offset: int = 0
    wait_seconds: float = 10.0
    spaces: tuple[SpaceId, ...] = ()
    agents: tuple[Address, ...] = ()
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class BlobPart:
    """Bytes of a blob: to the end of the chunk ``offset`` is in, none beyond.

    ``sealed`` says that they cannot be read as they are.
    """

    blob: BlobId
    size: int
    offset: int
    data: bytes
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class ListBlobs:
    """Which blobs are here, whole or in part."""


@dataclass(frozen=True, slots=True)
class ShowBlob:
    """One of them."""

    blob: BlobId


@dataclass(frozen=True, slots=True)
class BlobView:
    """One blob. ``size`` is 0 as long as nobody has told it; ``held`` is what is here.

    ``sources`` are peers that hold something of it, as far as they were asked.
    """

    blob: BlobId
    size: int
    held: int
    stage: Stage
    media: str
    pinned: bool
    public: bool
    scopes: tuple[Scope, ...]
    made_ms: int
    used_ms: int
    sources: int = 0
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class BlobViews:
    """All of them, the latest used first, and what they take up of what they may."""

    blobs: tuple[BlobView, ...]
    bytes_kept: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class PinBlob:
    """Keep a blob whatever room others need, or no longer."""

    blob: BlobId
    pinned: bool = True


@dataclass(frozen=True, slots=True)
class ShareBlob:
    """Let more have a blob that is here."""

    blob: BlobId
    public: bool = False
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoveBlob:
    """Have it here no longer."""

    blob: BlobId


@dataclass(frozen=True, slots=True)
class Removed:
    """It is gone; so many bytes are free."""

    blob: BlobId
    freed: int


BlobsRequest = (
    PutChunk | ReadBlob | ListBlobs | ShowBlob | PinBlob | ShareBlob | RemoveBlob
)
