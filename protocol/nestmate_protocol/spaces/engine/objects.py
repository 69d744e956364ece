"""Objects: the live entries of every object, kept up as ops begin and cease to count.

Every supersession by an op that counts has a row of its own, and registers and counters
keep a row for each write of each writer, so that an op that ceases to count can be
taken back at the cost of what it touched and not of what the object has been through.
What is live is what ``spaces/types`` says of all entries that count; the tests hold the
two together. This file knows no rights: it is told what counts.
"""

from collections.abc import Callable, Iterable
from typing import Final

from nestmate_protocol.spaces.engine.changes import (
    Changed,
    Telling,
)
from nestmate_protocol.spaces.engine.live import Live
from nestmate_protocol.spaces.engine.packing import (
    AUTHOR,
    PLACE,
    TYPE_BYTE,
    WRITER,
    Touched,
    Writer,
    object_of,
    pack_entry,
    unpack_entry,
)
from nestmate_protocol.spaces.engine.rows import Rows
from nestmate_protocol.spaces.keyring import Content
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot, Type
from nestmate_protocol.spaces.types import counter

Find = Callable[[bytes], tuple[Writer, Content] | None]
"""What an op that counts wrote; None if it does not count or is not here."""

_LOADED: Final = frozenset((Type.REGISTER, Type.COUNTER))
_REPLACED: Final = frozenset((Type.REGISTER, Type.SET, Type.LIST, Type.CLAIM))
_LIVING: Final = 0  # the action of an entry that can be live, in every type but BUDGET


class Objects:
    """The objects of a space, as ops begin and cease to count."""

    def __init__(self, rows: Rows, live: Live, telling: Telling, find: Find) -> None:
        self._rows = rows
        self._live = live
        self._telling = telling
        self._find = find
        self._early = next(rows.scan(b"e"), None) is not None

    def __repr__(self) -> str:
        return f"<Objects in {self._live!r}>"

    # --- what begins to count

    def add(self, by: Writer, content: Content, *, last: bool) -> None:
        """An op counts from now on; ``last`` says its writer wrote nothing later."""
        early = self._early and self._came_early(by.id)
        tell = self._telling.changes.append
        for n, (mutation, value) in enumerate(zip(*content, strict=True)):
            kind = mutation.type
            key = mutation.path.encode() + TYPE_BYTE[kind]
            dot = by.id + bytes((n,))
            raw = b""
            if (mutation.action == _LIVING or kind is Type.BUDGET) and not (
                early and self._live.is_superseded(key, kind, dot, by.author)
            ):
                raw = pack_entry(by, mutation, value)
            if kind is Type.REGISTER:
                replaced = mutation.superseded
                self._add_to_register(key, (dot, raw), by, replaced, last=last)
            elif kind is Type.COUNTER:
                self._add_to_counter(key, dot, raw)
            else:
                if mutation.superseded and kind in _REPLACED:
                    self._supersede(key, dot, by.author, mutation.superseded)
                if raw:
                    self._live.put(key, dot, raw)
            tell(Changed(mutation.path, kind, Dot(dot)))

    def add_again(self, by: Writer, content: Content) -> None:
        """An op counts again, long after others came that may have replaced it."""
        self._early = True
        self._rows.put(b"e" + by.id, b"")
        self.add(by, content, last=False)

    def _supersede(
        self, key: bytes, dot: bytes, author: bytes, superseded: Iterable[bytes]
    ) -> None:
        """An entry of a set, list or claim replaces others."""
        for target in superseded:
            self._rows.put(b"d" + key + target + dot, author)
            raw = self._live.entry(key, target)
            if raw is None:
                self._note_early(target)
            elif key[-1] != Type.CLAIM or raw[AUTHOR] == author:
                self._live.delete(key, target)

    def _add_to_register(
        self,
        key: bytes,
        entry: tuple[bytes, bytes],
        by: Writer,
        superseded: Iterable[bytes],
        *,
        last: bool,
    ) -> None:
        """A write replaces what it names, and what its writer wrote before.

        That the latter is so can be told from the writer's own rows, with none that
        says it once more. An ``entry`` is a dot and what it leaves, maybe nothing.
        """
        dot, raw = entry
        live, rows = self._live, self._rows
        loaded = live.load(key)
        writer = by.author + by.incarnation
        place = by.seq.to_bytes(8)
        for target in superseded:
            other = loaded.get(target)
            if other is None:
                rows.put(b"d" + key + target + dot, b"")
                self._note_early(target)
                continue
            if other[WRITER] != writer or other[PLACE] >= place:
                rows.put(b"d" + key + target + dot, b"")
            live.delete(key, target)
        ahead = b"" if last else live.last_place(key, writer)
        rows.put(b"v" + key + writer + place + dot, b"")
        if ahead <= place:
            if loaded:
                op = dot[:-1]
                for each, other in tuple(loaded.items()):
                    if other[WRITER] == writer and (
                        other[PLACE] < place or each[:-1] == op
                    ):
                        live.delete(key, each)
            if raw:
                live.put(key, dot, raw)
        live.note_conflict(key, loaded)

    def _note_early(self, target: bytes) -> None:
        """Remember that something was replaced which may not be here yet."""
        if self._rows.get(b"o" + target[:-1]) is None:
            self._rows.put(b"e" + target[:-1], b"")
            self._early = True

    def _add_to_counter(self, key: bytes, dot: bytes, raw: bytes) -> None:
        loaded = self._live.load(key)
        self._rows.put(b"v" + key + raw[WRITER] + raw[PLACE] + dot, raw)
        mine = {d: r for d, r in loaded.items() if r[WRITER] == raw[WRITER]}
        mine[dot] = raw
        self._keep_totals(key, mine)

    def _keep_totals(self, key: bytes, mine: dict[bytes, bytes]) -> None:
        """Of all entries of one writer keep those that make up its totals."""
        entries = [unpack_entry(dot, raw) for dot, raw in mine.items()]
        kept = {entry.dot for entry in counter.live(entries)}
        loaded = self._live.load(key)
        for dot, raw in mine.items():
            if dot in kept:
                self._live.put(key, dot, raw)
            elif dot in loaded:
                self._live.delete(key, dot)

    # --- what ceases to count

    def remove(self, by: Writer, touched: Iterable[Touched]) -> "list[Lost]":
        """An op does not count any more; gives what may be live again in its stead."""
        lost: list[Lost] = []
        rows = self._rows
        writer = by.author + by.incarnation
        for n, (key, _, superseded) in enumerate(touched):
            dot = by.id + bytes((n,))
            kind = key[-1]
            if kind in _LOADED:
                self._live.load(key)  # most are not live any more: nothing to delete
            self._live.delete(key, dot)
            if kind in _REPLACED:
                for target in superseded:
                    rows.delete(b"d" + key + target + dot)
                    lost.append((key, target, b""))
            if kind in _LOADED:
                rows.delete(b"v" + key + writer + by.seq.to_bytes(8) + dot)
                lost.append((key, b"", writer))
            path, kind_ = object_of(key)
            self._telling.changes.append(Changed(path, kind_, Dot(dot)))
        return lost

    def revive(self, lost: Iterable["Lost"]) -> None:
        """Make live again what nothing replaces any more, now that all is removed."""
        for key, target, writer in dict.fromkeys(lost):
            if target:
                self._revive(key, target)
            elif key[-1] == Type.COUNTER:
                rows = self._rows.scan(b"v" + key + writer)
                self._keep_totals(key, {row[-DOT_BYTES:]: raw for row, raw in rows})
            else:
                for dot in self._live.last_dots(key, writer):
                    self._revive(key, dot)
            if key[-1] == Type.REGISTER:
                self._live.note_conflict(key, self._live.load(key))

    def _revive(self, key: bytes, dot: bytes) -> None:
        if self._live.entry(key, dot) is not None:
            return
        found = self._find(dot[:-1])
        if found is None:
            return
        by, (mutations, values) = found
        n = dot[-1]
        if n >= len(mutations):
            return
        mutation = mutations[n]
        kind = mutation.type
        if (
            mutation.path.encode() + TYPE_BYTE[kind] != key
            or mutation.action != _LIVING
            or self._live.is_superseded(key, kind, dot, by.author)
        ):
            return
        if kind is Type.REGISTER and dot not in self._live.last_dots(
            key, by.author + by.incarnation
        ):
            return
        self._live.put(key, dot, pack_entry(by, mutation, values[n]))

    def _came_early(self, op: bytes) -> bool:
        """Whether something superseded this op before it came."""
        if self._rows.get(b"e" + op) is None:
            return False
        self._rows.delete(b"e" + op)
        return True


Lost = tuple[bytes, bytes, bytes]
"""An object, and what may be live there again: a dot, or else a writer's last."""
