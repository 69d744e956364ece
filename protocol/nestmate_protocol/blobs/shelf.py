"""The shelf: which blobs are here, whole or in part, and their bytes on disk.

Four kinds of row, by a number that no two blobs share: what is known of a blob, its
tree, which of its chunks are there, and the chunks. A chunk and the note that it is
there are one write; a blob counts as whole once that is safe on disk. When there is no
room, blobs that nobody pinned go, those used longest ago first. This file decides
nothing about who may have a blob, and asks nobody for one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.blobs.ports import Reader
from nestmate_protocol.blobs.requests import Scope, Stage
from nestmate_protocol.blobs.tree import Bits, Tree, count_of
from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Encodable, Fields, Value, decode, encode, row
from nestmate_protocol.effects import Effect, Notify, Save, Scalar
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import Address, BlobId, SpaceId
from nestmate_protocol.limits import (
    BLOB_BYTES_MAX,
    BLOB_SCOPES_MAX,
    BLOB_USED_MS,
    BLOBS_BYTES_MAX,
    BLOBS_MAX,
    MEDIA_CHARS_MAX,
)

LISTED: Final = b"b/l/"
_TREES, _HELD, _CHUNKS, _LOADING = b"b/t/", b"b/h/", b"b/c/", b"b/u/"
_STAGES: Final = (Stage.WHOLE, Stage.FETCHING, Stage.PARTIAL)
_NUMBER_MAX: Final = 2**32 - 1
_TIME_MAX: Final = 2**63


@dataclass(slots=True)
class Entry:
    """One blob as this node knows it.

    ``size`` is -1 until somebody has told it. ``asked`` are the scopes it is looked
    for in, and nobody looks any more after ``wanted_ms``, on the wall clock.
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
        ]
        return LISTED + self.number.to_bytes(4), encode(fields)


class Shelf:
    """All blobs of this node."""

    def __init__(self, reader: Reader, bytes_max: int = BLOBS_BYTES_MAX) -> None:
        self._reader = reader
        self.bytes_max = bytes_max
        self._entries: dict[BlobId, Entry] = {}
        self._numbers = 0
        self._loading: dict[int, int] = {}
        self._writes: dict[bytes, bytes | None] = {}
        self._durable = False
        self._dropped: list[Entry] = []

    def __repr__(self) -> str:
        return f"<Shelf of {len(self._entries)} blobs, {self.bytes_kept} bytes>"

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, blob: BlobId) -> bool:
        return blob in self._entries

    @property
    def bytes_kept(self) -> int:
        """The room that is taken."""
        listed = sum(entry.takes for entry in self)
        return listed + sum(self._loading.values())

    def restore(self) -> None:
        """Take over what an earlier run kept; what was being put then is gone.

        Raises LocalError if it cannot be read.
        """
        for key, raw in self._reader.scan(LISTED):
            try:
                entry = _read_entry(key, row(decode(raw)))
            except RemoteError as error:
                raise LocalError(f"a blob cannot be read from disk: {error}") from None
            self._entries[entry.blob] = entry
            self._numbers = max(self._numbers, entry.number)
        for key, raw in list(self._reader.scan(_LOADING)):
            number = int.from_bytes(key[len(_LOADING) :])
            self._numbers = max(self._numbers, number)
            self._erase(number, int.from_bytes(raw))

    def get(self, blob: BlobId) -> Entry | None:
        """What is known of a blob."""
        return self._entries.get(blob)

    def collect(self) -> list[Effect]:
        """What has to be written since the last time, and what had to go for it."""
        effects: list[Effect] = []
        if self._writes:
            effects.append(Save(tuple(self._writes.items()), self._durable))
        self._writes, self._durable = {}, False
        for entry in self._dropped:
            details: dict[str, Scalar] = {"blob": entry.blob.text, "bytes": entry.takes}
            effects.append(Notify("blob.dropped", details=details))
        self._dropped = []
        return effects

    # --- entries

    def begin(self, entry: Entry) -> Entry:
        """List a blob that is not here; its number is given here if it has none."""
        self._make_place()
        if not entry.number:
            entry.number = self._next_number()
        self._entries[entry.blob] = entry
        self.keep(entry)
        return entry

    def keep(self, entry: Entry, *, durable: bool = False) -> None:
        """Write down what has changed about a blob."""
        key, value = entry.row()
        self._writes[key] = value
        self._durable |= durable

    def used(self, entry: Entry, now: Moment) -> None:
        """Somebody has read of it; that is worth a write now and then."""
        if now.wall_ms - entry.used_ms >= BLOB_USED_MS:
            entry.used_ms = now.wall_ms
            self.keep(entry)

    def remove(self, entry: Entry) -> None:
        """Let a blob go, with all its bytes."""
        del self._entries[entry.blob]
        self._erase(entry.number, count_of(entry.takes))
        self._writes[LISTED + entry.number.to_bytes(4)] = None

    # --- bytes

    def keep_tree(self, entry: Entry, tree: Tree) -> None:
        """Keep what a blob is made of; LocalError if there is no room for it."""
        self.make_room(tree.size, entry)
        entry.size = tree.size
        self._writes[_TREES + entry.number.to_bytes(4)] = tree.hashes
        self.keep(entry)

    def keep_chunk(self, entry: Entry, held: Bits, index: int, data: bytes) -> None:
        """Keep one chunk, and that it is there."""
        number = entry.number.to_bytes(4)
        self._writes[_CHUNKS + number + index.to_bytes(4)] = data
        self._writes[_HELD + number] = bytes(held.raw)

    def finish(self, entry: Entry) -> None:
        """All of a blob is here, and will be after a power cut."""
        entry.stage, entry.asked, entry.wanted_ms = Stage.WHOLE, (), 0
        self._writes[_HELD + entry.number.to_bytes(4)] = None
        self.keep(entry, durable=True)

    def tree(self, entry: Entry) -> Tree | None:
        """What a blob is made of, if that is known."""
        hashes = self._get(_TREES + entry.number.to_bytes(4))
        known = entry.size >= 0 and hashes is not None
        return Tree(entry.size, hashes or b"") if known else None

    def bits(self, entry: Entry) -> Bits:
        """Which chunks are here."""
        count = count_of(entry.takes)
        if entry.stage is Stage.WHOLE:
            return Bits(count, None)
        return Bits(count, self._get(_HELD + entry.number.to_bytes(4)) or b"")

    def chunk(self, entry: Entry, index: int) -> bytes | None:
        """The bytes of one chunk."""
        number = entry.number.to_bytes(4)
        return self._get(_CHUNKS + number + index.to_bytes(4))

    def _get(self, key: bytes) -> bytes | None:
        """A row as it is, or will be as soon as what is collected is written."""
        return self._writes[key] if key in self._writes else self._reader.get(key)

    # --- what is being put

    def begin_load(self) -> int:
        """A number for bytes whose name is not known before they are all here."""
        number = self._next_number()
        self._loading[number] = 0
        return number

    def load(self, number: int, index: int, data: bytes) -> None:
        """Keep the next chunk of what is being put; LocalError if it finds no room."""
        self.make_room(len(data))
        self._loading[number] += len(data)
        key = number.to_bytes(4)
        self._writes[_LOADING + key] = (index + 1).to_bytes(4)
        self._writes[_CHUNKS + key + index.to_bytes(4)] = data

    def drop_load(self, number: int) -> None:
        """Let go of what was being put."""
        self._erase(number, count_of(self._loading.pop(number)))

    def end_load(self, entry: Entry, tree: Tree) -> None:
        """What was put under an entry's number is a blob; nothing else is called so."""
        self._make_place()
        key = entry.number.to_bytes(4)
        self._writes[_LOADING + key] = None
        self._writes[_TREES + key] = tree.hashes
        del self._loading[entry.number]
        self.begin(entry)
        self.keep(entry, durable=True)

    # --- room

    def make_room(self, size: int, but: Entry | None = None) -> None:
        """Let others go until there is room; LocalError if that is not enough."""
        free = self.bytes_max - self.bytes_kept
        spare = sorted(self._spare(but), key=lambda entry: entry.used_ms)
        if size > free + sum(entry.takes for entry in spare):
            raise LocalError(
                f"there is no room for {size} bytes: blobs take {self.bytes_kept} of "
                f"{self.bytes_max}",
                "let go of some: `nestmate blob ls`, `nestmate blob rm BLOB`",
            )
        for entry in spare:
            if size <= free:
                return
            free += entry.takes
            self._drop(entry)

    def _make_place(self) -> None:
        if len(self._entries) < BLOBS_MAX:
            return
        spare = min(self._spare(None), key=lambda each: each.used_ms, default=None)
        if spare is None:
            raise LocalError(
                f"{BLOBS_MAX} blobs are here, and all of them are pinned",
                "let go of some: `nestmate blob ls`, `nestmate blob rm BLOB`",
            )
        self._drop(spare)

    def _spare(self, but: Entry | None) -> list[Entry]:
        spare = [e for e in self if not e.pinned and e.stage is not Stage.FETCHING]
        return [entry for entry in spare if entry is not but]

    def _drop(self, entry: Entry) -> None:
        self.remove(entry)
        self._dropped.append(entry)

    def _erase(self, number: int, count: int) -> None:
        key = number.to_bytes(4)
        rows = [kind + key for kind in (_LOADING, _TREES, _HELD)]
        rows += [_CHUNKS + key + index.to_bytes(4) for index in range(count)]
        self._writes.update(dict.fromkeys(rows))

    def _next_number(self) -> int:
        if self._numbers >= _NUMBER_MAX:
            raise LocalError("this node has held too many blobs")
        self._numbers += 1
        return self._numbers


def _scope_row(scope: Scope) -> list[Encodable]:
    return [int(isinstance(scope, Address)), scope.raw]


def _read_scope(item: Value) -> Scope:
    fields = row(item)
    if fields.integer(0, 0, 1):
        return fields.identifier(1, Address)
    return fields.identifier(1, SpaceId)


def _read_entry(key: bytes, fields: Fields) -> Entry:
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
    )
