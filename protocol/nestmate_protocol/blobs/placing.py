"""Placing: how those who look for a blob find those who have it, in the DHT.

Under a hash that only those can make who know the blob's id, and for a space's blob
the space's as well, a node says that it has something to say. Who finds it there is
still asked who he is. A blob that is only for some agents is not in the DHT at all.
"""

from collections.abc import Iterable
from hashlib import sha256

from nestmate_protocol.blobs.entries import Entry
from nestmate_protocol.blobs.outcomes import Visit
from nestmate_protocol.blobs.requests import Stage
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Effect, Find, Provide
from nestmate_protocol.ids import BlobId, NetworkId, PeerId, SpaceId
from nestmate_protocol.limits import BLOB_SEEK_MS, PROVIDE_AGAIN_MS

Places = Iterable[tuple[PeerId, tuple[str, ...]]]


class Placing:
    """Says what is here, and looks for what is not."""

    def __init__(self, me: PeerId, network: NetworkId) -> None:
        self._me = me
        self._network = network
        self._said: dict[BlobId, tuple[int, tuple[bytes, ...]]] = {}
        self._sought: dict[BlobId, tuple[int, tuple[bytes, ...]]] = {}

    def __repr__(self) -> str:
        return f"<Placing {len(self._said)} blobs>"

    def key_of(self, blob: BlobId, space: SpaceId | None = None) -> bytes:
        """The key a blob has in the DHT, for members of a space or for anybody."""
        within = b"" if space is None else space.raw
        told = b"nestmate/blob" + self._network.raw + blob.raw + within
        return sha256(told).digest()

    def add(self, entry: Entry, now: Moment) -> list[Effect]:
        """A blob is here, or may be given to more; say so now, and now and then."""
        keys = self.plan(entry, now.mono_ms + PROVIDE_AGAIN_MS)
        return [Provide(key) for key in keys]

    def plan(self, entry: Entry, due_ms: int) -> tuple[bytes, ...]:
        """Say of a blob that it is here, from a time on; its keys."""
        if entry.stage is not Stage.WHOLE:
            return ()
        spaces = [scope for scope in entry.scopes if isinstance(scope, SpaceId)]
        keys = [self.key_of(entry.blob, space) for space in spaces]
        if entry.public:
            keys.append(self.key_of(entry.blob))
        if keys:
            self._said[entry.blob] = (due_ms, tuple(keys))
        return tuple(keys)

    def drop(self, blob: BlobId) -> None:
        """A blob is not here any more, or not looked for."""
        self._said.pop(blob, None)
        self._sought.pop(blob, None)

    def seek(self, entry: Entry, now: Moment) -> list[Effect]:
        """Nobody is known to have a blob: ask the DHT, unless that was just done."""
        due_ms, _ = self._sought.get(entry.blob, (now.mono_ms, ()))
        spaces = [scope for scope in entry.asked if isinstance(scope, SpaceId)]
        keys = [self.key_of(entry.blob, space) for space in spaces]
        if not entry.asked:
            keys.append(self.key_of(entry.blob))
        if due_ms > now.mono_ms or not keys:
            return []
        self._sought[entry.blob] = (now.mono_ms + BLOB_SEEK_MS, tuple(keys))
        return [Find(key) for key in keys]

    def found(self, key: bytes, places: Places) -> list[Visit]:
        """What the DHT said about a key; nothing if it is none of a blob we seek."""
        if all(key not in keys for _, keys in self._sought.values()):
            return []
        return [Visit(peer, where) for peer, where in places if peer != self._me]

    def wake(self, now: Moment) -> list[Effect]:
        """Say again what is here."""
        effects: list[Effect] = []
        for blob, (due_ms, keys) in list(self._said.items()):
            if due_ms <= now.mono_ms:
                self._said[blob] = (now.mono_ms + PROVIDE_AGAIN_MS, keys)
                effects += [Provide(key) for key in keys]
        return effects

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        return min((due_ms for due_ms, _ in self._said.values()), default=None)
