"""The shelf: which blobs are here, whole or in part, and how much room they take.

A blob counts as whole once all of it is safe on disk. When there is no room, blobs that
nobody pinned go, those used longest ago first. This file decides nothing about who may
have a blob, and asks nobody for one.
"""

from collections.abc import Iterator

from nestmate_protocol.blobs.chest import Chest
from nestmate_protocol.blobs.entries import LISTED, Entry, read_entry
from nestmate_protocol.blobs.ports import Reader
from nestmate_protocol.blobs.requests import Stage
from nestmate_protocol.blobs.tree import Tree, count_of
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Effect, Notify, Scalar
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import BlobId
from nestmate_protocol.limits import BLOB_USED_MS, BLOBS_BYTES_MAX, BLOBS_MAX


class Shelf:
    """All blobs of this node; their bytes are in ``chest``."""

    def __init__(self, reader: Reader, bytes_max: int = BLOBS_BYTES_MAX) -> None:
        self.chest = Chest(reader)
        self.bytes_max = bytes_max
        self._entries: dict[BlobId, Entry] = {}
        self._loading: dict[int, int] = {}
        self._dropped: list[Entry] = []

    def __repr__(self) -> str:
        return f"<Shelf of {len(self._entries)} blobs, {self.bytes_kept} bytes>"

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    @property
    def bytes_kept(self) -> int:
        """The room that is taken."""
        listed = sum(entry.takes for entry in self)
        return listed + sum(self._loading.values())

    def restore(self) -> None:
        """Take over what an earlier run kept; what was being put then is gone.

        Raises LocalError if it cannot be read.
        """
        for key, raw in self.chest.scan(LISTED):
            try:
                entry = read_entry(key, raw)
            except RemoteError as error:
                raise LocalError(f"a blob cannot be read from disk: {error}") from None
            self._entries[entry.blob] = entry
            self.chest.taken(entry.number)
        for number, count in self.chest.leftovers():
            self.chest.taken(number)
            self.chest.erase(number, count)

    def get(self, blob: BlobId) -> Entry | None:
        """What is known of a blob."""
        return self._entries.get(blob)

    def collect(self) -> list[Effect]:
        """What has to be written since the last time, and what had to go for it."""
        effects: list[Effect] = [*self.chest.collect()]
        for entry in self._dropped:
            details: dict[str, Scalar] = {
                "blob": entry.blob.text,
                "bytes": entry.takes,
            }
            effects.append(Notify("blob.dropped", details=details))
        self._dropped = []
        return effects

    # --- entries

    def begin(self, entry: Entry) -> None:
        """List a blob that is not here; its number is given here if it has none."""
        self.make_place()
        entry.number = entry.number or self.chest.next_number()
        self._entries[entry.blob] = entry
        self.keep(entry)

    def keep(self, entry: Entry, *, durable: bool = False) -> None:
        """Write down what has changed about a blob."""
        self.chest.put(*entry.row(), durable=durable)

    def used(self, entry: Entry, now: Moment) -> None:
        """Somebody has read of it; that is worth a write now and then."""
        if now.wall_ms - entry.used_ms >= BLOB_USED_MS:
            entry.used_ms = now.wall_ms
            self.keep(entry)

    def sized(self, entry: Entry, tree: Tree) -> None:
        """It is known what a blob is made of; LocalError if there is no room for it."""
        self.make_room(tree.size, entry)
        entry.size, entry.sealed = tree.size, tree.sealed
        self.chest.keep_tree(entry, tree)
        self.keep(entry)

    def finish(self, entry: Entry) -> None:
        """All of a blob is here, and will be after a power cut."""
        entry.stage, entry.asked, entry.wanted_ms = Stage.WHOLE, (), 0
        self.chest.finish(entry)
        self.keep(entry, durable=True)

    def remove(self, entry: Entry) -> None:
        """Let a blob go, with all its bytes."""
        del self._entries[entry.blob]
        self.chest.erase(entry.number, count_of(entry.takes))
        self.chest.put(LISTED + entry.number.to_bytes(4), None)

    # --- what is being put

    def begin_load(self) -> int:
        """A number for bytes whose name is not known before they are all here."""
        number = self.chest.next_number()
        self._loading[number] = 0
        return number

    def load(self, number: int, index: int, data: bytes) -> None:
        """Keep the next chunk of what is being put; LocalError if it finds no room."""
        self.make_room(len(data))
        self._loading[number] += len(data)
        self.chest.load(number, index, data)

    def drop_load(self, number: int) -> None:
        """Let go of what was being put."""
        self.chest.erase(number, count_of(self._loading.pop(number)))

    def end_load(self, entry: Entry, tree: Tree) -> None:
        """What was put under an entry's number is a blob; nothing else is called so."""
        self.begin(entry)
        del self._loading[entry.number]
        self.chest.name(entry, tree)
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
            self.remove(entry)
            self._dropped.append(entry)

    def make_place(self) -> None:
        """Let another go if no more can be listed; LocalError if all are pinned."""
        if len(self._entries) < BLOBS_MAX:
            return
        spare = min(self._spare(None), key=lambda each: each.used_ms, default=None)
        if spare is None:
            raise LocalError(
                f"{BLOBS_MAX} blobs are here, and all of them are pinned",
                "let go of some: `nestmate blob ls`, `nestmate blob rm BLOB`",
            )
        self.remove(spare)
        self._dropped.append(spare)

    def _spare(self, but: Entry | None) -> list[Entry]:
        spare = [e for e in self if not e.pinned and e.stage is not Stage.FETCHING]
        return [entry for entry in spare if entry is not but]
