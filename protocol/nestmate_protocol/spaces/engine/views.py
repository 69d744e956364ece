"""Views: what is in a space, read from the rows when it is asked for.

Everything here is as of the last admitted op, drained or not. This file changes
nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from nestmate_protocol.codec import encode
from nestmate_protocol.spaces.engine.ledger import Ledger
from nestmate_protocol.spaces.engine.packing import (
    is_elsewhere,
    object_key,
    object_of,
    unpack_entry,
)
from nestmate_protocol.spaces.engine.rows import Rows
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot, Type, op_of
from nestmate_protocol.spaces.types import Entry

Key = tuple[str, Type]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is held: offered ops by lane, void ones not offered, and sealed ones.

    ``sealed`` are those of the data lane that cannot be read here.
    """

    offered: tuple[int, int, int]
    quarantined: int
    sealed: int = 0


class Views:
    """What is in one space."""

    def __init__(self, rows: Rows, ledger: Ledger) -> None:
        self._rows = rows
        self._ledger = ledger
        self._hash = b""
        self._hashed_at: tuple[list[tuple[Type, bytes]], int] | None = None

    def __repr__(self) -> str:
        return f"<Views of {self._ledger!r}>"

    def live(self, path: str, kind: Type) -> tuple[Entry, ...]:
        """The live entries of one object, in the order of dots."""
        found = self._ledger.live.live(object_key(path, kind))
        return tuple([self._entry(dot, raw) for dot, raw in found])

    def ephemeral(self, path: str, kind: Type) -> tuple[Entry, ...]:
        """The last word of each author at an object, in the order of dots."""
        return tuple(self._ledger.ephemeral.at((path, kind)))

    def objects(self, prefix: str = "", after: Key | None = None) -> Iterator[Key]:
        """The objects with live entries whose path begins so, in order of paths.

        ``after`` is the last one of a page before.
        """
        last = b"" if after is None else object_key(*after)
        found = self._ledger.live.keys(prefix.encode(), last)
        return (object_of(key) for key in found)

    def entries(
        self, prefix: str = "", after: Key | None = None
    ) -> Iterator[tuple[Key, Entry]]:
        """The live entries of all objects whose path begins so, in their order."""
        last = b"" if after is None else object_key(*after)
        key, place = b"", ("", Type.REGISTER)
        for found, dot, raw in self._ledger.live.entries(prefix.encode(), last):
            if found != key:
                key, place = found, object_of(found)
            yield place, self._entry(dot, raw)

    def conflicts(self) -> list[str]:
        """The paths of registers that hold more than one value."""
        return [object_of(key)[0] for key in sorted(self._ledger.live.conflicts)]

    def value(self, dot: Dot) -> bytes | None:
        """The value of a mutation, None if it has none, or it was dropped."""
        found = self._ledger.find(op_of(dot).raw)
        values = () if found is None else self._ledger.vault.parts(found)[1]
        return values[dot[-1]] if dot[-1] < len(values) else None

    def _entry(self, dot: bytes, raw: bytes) -> Entry:
        entry = unpack_entry(dot, raw)
        if is_elsewhere(raw):
            return replace(entry, value=self.value(entry.dot))
        return entry

    def state_hash(self) -> bytes:
        """SHA-256 over what is live, the same for all who hold the same offered set.

        In a private space that is so for those who can read the same: what is sealed
        here is not told apart, and so a relay's is over the auth lane alone. It is
        reckoned anew only where something has changed since it was last asked for.
        """
        auth = [
            (kind, deed.id + bytes((n,)))
            for deed in self._ledger.authority.deeds.values()
            if deed.valid
            for n, kind in enumerate(deed.types)
        ]
        stamp = sorted(auth), self._ledger.live.changes
        if stamp != self._hashed_at:
            self._hash, self._hashed_at = self._hash_over(stamp[0]), stamp
        return self._hash

    def _hash_over(self, auth: list[tuple[Type, bytes]]) -> bytes:
        total = sha256()
        for kind, dot in auth:
            total.update(encode(["", int(kind), dot]))
        last, begin = b"", b""
        for key, dot in self._ledger.live.all():
            if key != last:
                row = encode([key[:-2].decode(), key[-1], dot])
                last, begin = key, row[:-DOT_BYTES]
            total.update(begin + dot)
        return total.digest()

    def sizes(self) -> Sizes:
        """How much is held."""
        words = len(self._ledger.ephemeral)
        auth, data = self._ledger.offers.counts
        offers, sealed = self._ledger.offers, self._ledger.vault.count
        return Sizes((auth, data, words), offers.quarantined, sealed)
