"""Entries: what is known of one blob, and how it is kept.

This file knows neither where bytes lie nor who may have them.
"""

from dataclasses import dataclass
from typing import Final

from nestmate_protocol.blobs.requests import Scope, Stage
from nestmate_protocol.codec import Encodable, Value, decode, encode, row
from nestmate_protocol.ids import Address, BlobId, SpaceId
from nestmate_protocol.limits import BLOB_BYTES_MAX, BLOB_SCOPES_MAX, MEDIA_CHARS_MAX

LISTED: Final = b"b/l/"
_STAGES: Final = (Stage.WHOLE, Stage.FETCHING, Stage.PARTIAL)
_TIME_MAX: Final = 2**63


@dataclass(slots=True)
class Entry:
    """One blob as this node knows it.

    ``size`` is -1 until somebody has told it. ``asked`` are the scopes it is looked
    for in, and nobody looks any more after ``wanted_ms``, on the wall clock. As long as
    there is no size, ``sealed`` is what whoever looks for it has said.
    """

    number: int
    blob: BlobId
    size: int
    stage: Stage
    made_ms: int
    used_ms: int
    pinned: bool = False
    media: str = ""
    public: bool = False
    scopes: tuple[Scope, ...] = ()
    asked: tuple[Scope, ...] = ()
    wanted_ms: int = 0
    sealed: bool = False

    @property
    def takes(self) -> int:
        """The room it takes up, or will."""
        return max(0, self.size)

    def row(self) -> tuple[bytes, bytes]:
        """How it is kept."""
        fields: list[Encodable] = [
            *(self.blob.raw, self.size, _STAGES.index(self.stage)),
            *(self.made_ms, self.used_ms, self.pinned, self.media, self.public),
            [_scope_row(scope) for scope in self.scopes],
            [_scope_row(scope) for scope in self.asked],
            self.wanted_ms,
            self.sealed,
        ]
        return LISTED + self.number.to_bytes(4), encode(fields)


def _scope_row(scope: Scope) -> list[Encodable]:
    return [int(isinstance(scope, Address)), scope.raw]


def _read_scope(item: Value) -> Scope:
    fields = row(item)
    if fields.integer(0, 0, 1):
        return fields.identifier(1, Address)
    return fields.identifier(1, SpaceId)


def read_entry(key: bytes, raw: bytes) -> Entry:
    """The entry these bytes of our own disk are; RemoteError if they are none."""
    fields = row(decode(raw))
    scopes = [
        tuple(_read_scope(item) for item in fields.items(at, BLOB_SCOPES_MAX))
        for at in (8, 9)
    ]
    return Entry(
        number=int.from_bytes(key[len(LISTED) :]),
        blob=fields.identifier(0, BlobId),
        size=fields.integer(1, -1, BLOB_BYTES_MAX),
        stage=_STAGES[fields.integer(2, 0, len(_STAGES) - 1)],
        made_ms=fields.integer(3, 0, _TIME_MAX),
        used_ms=fields.integer(4, 0, _TIME_MAX),
        pinned=fields.boolean(5),
        media=fields.text(6, MEDIA_CHARS_MAX),
        public=fields.boolean(7),
        scopes=scopes[0],
        asked=scopes[1],
        wanted_ms=fields.integer(10, 0, _TIME_MAX),
        sealed=fields.boolean_or(11, default=False),
    )
