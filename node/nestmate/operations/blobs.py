"""Operations on blobs: bytes of any size, named by their hash.

Types only; ``runs/blobs.py`` carries them out.
"""

from typing import Annotated, Literal

from msgspec import Meta

from nestmate.operations.fields import Document, Request, Response, Timeout
from nestmate_protocol.limits import BLOB_BYTES_MAX, BLOB_SCOPES_MAX, MEDIA_CHARS_MAX

BlobText = Annotated[
    str, Meta(description="A blob (blob1…).", min_length=1, max_length=128)
]
GivenSpaces = Annotated[
    tuple[str, ...],
    Meta(
        description="A space (its name here, or space1…) whose members may have it.",
        max_length=BLOB_SCOPES_MAX,
        extra={"kind": "texts"},
    ),
]
GivenAgents = Annotated[
    tuple[str, ...],
    Meta(
        description="An agent (nest1…, or the name of a contact) that may have it.",
        max_length=BLOB_SCOPES_MAX,
        extra={"kind": "texts"},
    ),
]
Key = Annotated[
    str,
    Meta(
        description="The key of a sealed blob, as 64 hexadecimal digits.",
        max_length=64,
    ),
]
Public = Annotated[bool, Meta(description="Give it to anybody who knows its hash.")]


class BlobPut(Request, frozen=True):
    """Keep bytes under their hash.

    What is larger than 64 KiB comes in pieces of 65,536 bytes: each says that there is
    ``more``, all but the first name the ``upload`` they go on with, and the last says
    who may have it. For a private space it is sealed under a key of its own: name the
    space with the first piece already.
    """

    data: Document = None
    upload: Annotated[
        int, Meta(description="The upload this goes on with; 0 for a new one.", ge=0)
    ] = 0
    offset: Annotated[
        int,
        Meta(
            description="At which byte of the blob this begins.",
            ge=0,
            le=BLOB_BYTES_MAX,
        ),
    ] = 0
    more: Annotated[bool, Meta(description="This is not the end.")] = False
    media: Annotated[
        str,
        Meta(
            description="What kind of bytes, such as image/png.",
            max_length=MEDIA_CHARS_MAX,
        ),
    ] = ""
    spaces: GivenSpaces = ()
    agents: GivenAgents = ()
    public: Public = False
    sealed: Annotated[
        bool,
        Meta(
            description="Seal it under a key of its own, from the first piece on; "
            "for a private space that is done anyway."
        ),
    ] = False


class BlobStored(Response, frozen=True):
    """What is here of it now."""

    blob: Annotated[
        str | None, Meta(description="Its name (blob1…); null while there is more.")
    ]
    bytes: Annotated[int, Meta(description="How many bytes have come.")]
    upload: Annotated[int, Meta(description="What the next piece has to name.")]
    media: Annotated[str, Meta(description="What kind of bytes.")]
    key: Annotated[
        str | None,
        Meta(description="The key of a sealed one, told here and kept nowhere."),
    ]


class BlobGet(Request, frozen=True):
    """Bytes of a blob from one place on."""

    blob: BlobText
    offset: Annotated[
        int, Meta(description="From which byte on.", ge=0, le=BLOB_BYTES_MAX)
    ] = 0
    spaces: Annotated[
        tuple[str, ...],
        Meta(
            description="A space (name or space1…) whose members are asked for it; "
            "what is fetched so is given to them, too.",
            max_length=BLOB_SCOPES_MAX,
            extra={"kind": "texts"},
        ),
    ] = ()
    agents: Annotated[
        tuple[str, ...],
        Meta(
            description="An agent (nest1… or name) that is asked for it. Without one, "
            "and without a space, everybody connected is asked.",
            max_length=BLOB_SCOPES_MAX,
            extra={"kind": "texts"},
        ),
    ] = ()
    timeout: Timeout = 10.0
    key: Key = ""


class BlobPart(Response, frozen=True):
    """Some bytes of a blob."""

    blob: Annotated[str, Meta(description="The blob (blob1…).")]
    bytes: Annotated[int, Meta(description="How many bytes it has.")]
    offset: Annotated[int, Meta(description="Where these begin.")]
    base64: Annotated[str, Meta(description="These bytes, as base64.")]
    next: Annotated[
        int | None, Meta(description="Where the rest begins; null if there is none.")
    ]
    sealed: Annotated[
        bool, Meta(description="Whether a key is needed to read these bytes.")
    ]


class BlobList(Request, frozen=True):
    """Which blobs are here."""


class Blob(Response, frozen=True):
    """One blob."""

    blob: Annotated[str, Meta(description="Its name (blob1…).")]
    bytes: Annotated[int, Meta(description="How many bytes it has, 0 if unknown.")]
    held: Annotated[int, Meta(description="How many of them are here.")]
    state: Annotated[
        Literal["whole", "fetching", "partial"],
        Meta(description="How much is here; of what is partial nothing is fetched."),
    ]
    media: Annotated[str, Meta(description="What kind of bytes, as far as was said.")]
    pinned: Annotated[bool, Meta(description="Whether it is kept, come what may.")]
    public: Annotated[bool, Meta(description="Whether anybody may have it.")]
    sealed: Annotated[bool, Meta(description="Whether a key is needed to read it.")]
    spaces: Annotated[list[str], Meta(description="Spaces whose members may.")]
    agents: Annotated[list[str], Meta(description="Agents that may.")]
    made: Annotated[str, Meta(description="Since when it is known here (RFC 3339).")]
    used: Annotated[str, Meta(description="When it was last used (RFC 3339).")]
    sources: Annotated[
        int, Meta(description="Connected nodes that it is being fetched from.")
    ]


class Blobs(Response, frozen=True):
    """All of them, the latest used first."""

    blobs: Annotated[list[Blob], Meta(description="All of them.")]
    bytes: Annotated[int, Meta(description="What they take up.")]
    bytes_max: Annotated[int, Meta(description="What they may take up.")]


class BlobShow(Request, frozen=True):
    """One of them."""

    blob: BlobText


class BlobShare(Request, frozen=True):
    """Let more have it."""

    blob: BlobText
    spaces: GivenSpaces = ()
    agents: GivenAgents = ()
    public: Public = False


class BlobPin(Request, frozen=True):
    """Keep it whatever room others need; what is put here is pinned."""

    blob: BlobText
    off: Annotated[bool, Meta(description="Let it go when there is no room.")] = False


class BlobRemove(Request, frozen=True):
    """Have it here no longer."""

    blob: BlobText


class BlobRemoved(Response, frozen=True):
    """It is gone from here."""

    blob: Annotated[str, Meta(description="The blob (blob1…).")]
    freed: Annotated[int, Meta(description="How many bytes are free now.")]
