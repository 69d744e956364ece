"""Live: the rows of live entries, and what tells whether an entry may be one.

The few objects that are being written are kept at hand, so that a write asks the disk
as little as possible. This file knows the rows and not when they change.
"""

from collections.abc import Iterator
from typing import Final

from nestmate_protocol.spaces.engine.changes import (
    ConflictOpened,
    ConflictResolved,
    Telling,
)
from nestmate_protocol.spaces.engine.packing import DIGEST, object_of
from nestmate_protocol.spaces.engine.rows import Rows
from nestmate_protocol.spaces.ops import DOT_BYTES, Type

OBJECTS_KEPT_MAX: Final = 4_096
ENTRIES_KEPT_MAX: Final = 16


class Live:
    """The live entries of a space; ``changes`` grows whenever they may be others."""

    def __init__(self, rows: Rows, telling: Telling) -> None:
        self._rows = rows
        self._telling = telling
        self._loaded: dict[bytes, dict[bytes, bytes]] = {}
        self._unseen: set[bytes] = set()
        self._conflicts = {key[1:] for key, _ in rows.scan(b"f")}
        self.changes = 0

    def __repr__(self) -> str:
        return f"<Live {len(self._loaded)} loaded>"

    # --- reading

    def live(self, key: bytes) -> list[tuple[bytes, bytes]]:
        """The live entries of one object, each with its dot, in the order of dots."""
        loaded = self._loaded.get(key)
        if loaded is not None:
            return sorted(loaded.items()) if len(loaded) > 1 else list(loaded.items())
        rows = self._rows
        found = rows.scan(b"k" + key) if len(rows) else rows.below(b"k" + key)
        entries = [(k[-DOT_BYTES:], raw) for k, raw in found]
        if len(entries) <= ENTRIES_KEPT_MAX and len(self._loaded) < OBJECTS_KEPT_MAX:
            self._loaded[key] = dict(entries)
        return entries

    def keys(self, prefix: bytes, after: bytes) -> Iterator[bytes]:
        """The objects with live entries whose key begins so and comes after a key."""
        start = b"k" + after + b"\xff" * (DOT_BYTES + 1) if after else None
        last = b""
        for row, _ in self._rows.scan(b"k" + prefix, start=start):
            key = row[1:-DOT_BYTES]
            if key != last:
                last = key
                yield key

    def entries(
        self, prefix: bytes, after: bytes
    ) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Object, dot and packed entry of all live entries, as ``keys`` has it."""
        start = b"k" + after + b"\xff" * (DOT_BYTES + 1) if after else None
        for row, raw in self._rows.scan(b"k" + prefix, start=start):
            yield row[1:-DOT_BYTES], row[-DOT_BYTES:], raw

    def all(self) -> Iterator[tuple[bytes, bytes]]:
        """Every live entry of the space, object and dot, in their order."""
        cut = self._rows.cut + 1
        for row in self._rows.keys(b"k", b"l"):
            yield row[cut:-DOT_BYTES], row[-DOT_BYTES:]

    @property
    def conflicts(self) -> frozenset[bytes]:
        """The registers that hold more than one value."""
        return frozenset(self._conflicts)

    def rest(self) -> None:
        """Let go of what was read; to be called when nothing waits to be written."""
        self._unseen.clear()
        if len(self._loaded) > OBJECTS_KEPT_MAX:
            self._loaded.clear()

    # --- writing

    def load(self, key: bytes) -> dict[bytes, bytes]:
        """The live entries of a register or counter, kept at hand."""
        loaded = self._loaded.get(key)
        if loaded is None:
            scan = self._rows.scan if key in self._unseen else self._rows.below
            found = scan(b"k" + key)
            loaded = {row[-DOT_BYTES:]: raw for row, raw in found}
            self._loaded[key] = loaded
        return loaded

    def entry(self, key: bytes, dot: bytes) -> bytes | None:
        """One live entry of an object, packed; None if it is not live."""
        loaded = self._loaded.get(key)
        if loaded is not None:
            return loaded.get(dot)
        return self._rows.get(b"k" + key + dot)

    def put(self, key: bytes, dot: bytes, raw: bytes) -> None:
        """An entry is live."""
        loaded = self._loaded.get(key)
        if loaded is None:
            self._unseen.add(key)
        else:
            loaded[dot] = raw
        self.changes += 1
        self._rows.put(b"k" + key + dot, raw)

    def delete(self, key: bytes, dot: bytes) -> None:
        """An entry is not live."""
        loaded = self._loaded.get(key)
        if loaded is None:
            self._unseen.add(key)
        elif loaded.pop(dot, None) is None:
            return
        self.changes += 1
        self._rows.delete(b"k" + key + dot)

    def is_superseded(self, key: bytes, kind: Type, dot: bytes, author: bytes) -> bool:
        """Whether an op that counts replaced an entry."""
        found = self._rows.scan(b"d" + key + dot)
        if kind is Type.CLAIM:
            return any(by == author for _, by in found)
        return next(found, None) is not None

    def replaced_by(self, key: bytes, dot: bytes, writer: bytes) -> bytes | None:
        """What replaced an entry, its dot; None if it is live or never counted."""
        if self.entry(key, dot) is not None:
            return None
        for row, _ in self._rows.scan(b"d" + key + dot):
            return row[-DOT_BYTES:]
        if key[-1] != Type.REGISTER:
            return None
        last = self.last_dots(key, writer)
        return last[0] if last and dot not in last else None

    def last_place(self, key: bytes, writer: bytes) -> bytes:
        """The greatest seq at which a writer wrote an object, as 8 bytes."""
        for row, _ in self._rows.scan(b"v" + key + writer, reverse=True):
            return row[-DOT_BYTES - 8 : -DOT_BYTES]
        return b""

    def last_dots(self, key: bytes, writer: bytes) -> list[bytes]:
        """A writer's last writes: one, or one of each branch where it forked."""
        place = b""
        last: dict[bytes, bytes] = {}
        for row, _ in self._rows.scan(b"v" + key + writer, reverse=True):
            dot = row[-DOT_BYTES:]
            if place and row[-DOT_BYTES - 8 : -DOT_BYTES] != place:
                break
            place = row[-DOT_BYTES - 8 : -DOT_BYTES]
            last.setdefault(dot[:-1], dot)
        return list(last.values())

    def note_conflict(self, key: bytes, loaded: dict[bytes, bytes]) -> None:
        """Tell whether a register has begun or ceased to hold several values."""
        conflict = len(loaded) > 1 and len({raw[DIGEST] for raw in loaded.values()}) > 1
        if conflict == (key in self._conflicts):
            return
        path = object_of(key)[0]
        if conflict:
            self._conflicts.add(key)
            self._rows.put(b"f" + key, b"")
            self._telling.changes.append(ConflictOpened(path))
        else:
            self._conflicts.discard(key)
            self._rows.delete(b"f" + key)
            self._telling.changes.append(ConflictResolved(path))
