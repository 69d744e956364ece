"""Ephemeral: what is true for a moment, one last word of each author at each object.

Such ops are in no chain: each stands alone, makes way for a later one, and goes when it
is due, or when its author may not write any more. They are few and kept in memory, with
the rows that bring them back after a restart. In a private space none makes way before
it is due, because a relay could not tell; of too many by one author the oldest go. This
file knows no data lane.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final

from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.limits import EPHEMERAL_PER_AUTHOR_MAX
from nestmate_protocol.spaces.engine import stored
from nestmate_protocol.spaces.engine.changes import Changed, Offer, Telling
from nestmate_protocol.spaces.engine.rows import Rows
from nestmate_protocol.spaces.engine.vault import Vault
from nestmate_protocol.spaces.keyring import Content
from nestmate_protocol.spaces.ops import Dot, Lane, Op, Type
from nestmate_protocol.spaces.types import Entry

Key = tuple[str, Type]

_DUE: Final = b"w"
_OFFERED: Final = b"t" + bytes((Lane.EPHEMERAL,))


@dataclass(frozen=True, slots=True)
class Word:
    """One ephemeral op; ``cap`` is empty for a founder's own right."""

    id: bytes
    author: bytes
    cap: bytes
    hlc: int
    expires_ms: int
    entries: tuple[tuple[Key, Entry], ...]

    @property
    def age(self) -> tuple[int, bytes]:
        """Where it stands among the words of its author, the oldest first."""
        return self.hlc, self.id


class Ephemeral:
    """The ephemeral lane of one space."""

    def __init__(self, rows: Rows, telling: Telling, vault: Vault) -> None:
        self._rows = rows
        self._vault = vault
        self._telling = telling
        self._words: dict[bytes, Word] = {}
        self._of_author: dict[bytes, int] = {}
        self._last: dict[Key, dict[bytes, tuple[Entry, bytes]]] = {}
        self._due: list[tuple[int, bytes]] = []

    def __repr__(self) -> str:
        return f"<Ephemeral {len(self._words)} words>"

    def __len__(self) -> int:
        return len(self._words)

    def at(self, key: Key) -> list[Entry]:
        """The last word of each author at an object, in the order of dots."""
        found = [entry for entry, _ in self._last.get(key, {}).values()]
        return sorted(found, key=lambda entry: entry.dot)

    def keys(self) -> Iterable[Key]:
        """The objects somebody has something to say about."""
        return self._last.keys()

    @property
    def words(self) -> list[Word]:
        """All that is held."""
        return list(self._words.values())

    @property
    def next_ms(self) -> int | None:
        """When the next one is due, Unix ms."""
        return self._due[0][0] if self._due else None

    def refuses(self, op: Op, now_ms: int) -> Fault | None:
        """Why an op is not worth keeping, if it is not."""
        if op.place.expires_ms <= now_ms:
            return Fault.EXPIRED
        word = _word(op)
        full = self._of_author.get(word.author, 0) >= EPHEMERAL_PER_AUTHOR_MAX
        if self._vault.is_private:
            late = not full or self._oldest(word.author).age < word.age
            return None if late else Fault.OVER_LIMIT
        if word.entries and not any(self._is_later(*each) for each in word.entries):
            return Fault.EXPIRED
        said = [
            key for key, _ in word.entries if word.author in self._last.get(key, {})
        ]
        return Fault.OVER_LIMIT if full and len(said) < len(word.entries) else None

    def keep(self, op: Op) -> None:
        """Take in an op that passes and that ``refuses`` had nothing against."""
        place = op.place
        author, incarnation = op.author.raw, place.incarnation
        head = stored.head(place.lane, 0, 0, place.hlc, author, incarnation)
        word = _word(op)
        full = self._of_author.get(author, 0) >= EPHEMERAL_PER_AUTHOR_MAX
        if full and self._vault.is_private:
            self.drop(self._oldest(author))
        due = place.expires_ms.to_bytes(8) + op.id.raw
        self._rows.put(stored.AT + word.id, head + op.data)
        self._rows.put(_OFFERED + place.hlc.to_bytes(8) + word.id, b"")
        self._rows.put(_DUE + due, word.cap)
        self._telling.offers.append(Offer(Lane.EPHEMERAL, due_key(word), entered=True))
        for (path, kind), entry in self._take(word):
            self._telling.changes.append(Changed(path, kind, entry.dot))

    def restore(self) -> None:
        """Read what was kept, after a restart."""
        for row, cap in self._rows.scan(_DUE):
            raw = self._rows.get(stored.AT + row[9:])
            if raw is None:
                continue
            held = stored.unpack(raw)
            entries = _entries(row[9:], held, self._vault.covered_parts(held, cap))
            due_ms = int.from_bytes(row[1:9])
            self._take(Word(row[9:], held.author, cap, held.hlc, due_ms, entries))

    def drop(self, word: Word) -> None:
        """Forget an op altogether."""
        if self._words.pop(word.id, None) is None:
            return
        self._of_author[word.author] -= 1
        if not self._of_author[word.author]:
            del self._of_author[word.author]
        for key, entry in word.entries:
            last = self._last.get(key, {})
            if last.get(word.author, (None, b""))[1] == word.id:
                del last[word.author]
                self._telling.changes.append(Changed(*key, entry.dot))
            if not last:
                self._last.pop(key, None)
        self._rows.delete(stored.AT + word.id)
        self._rows.delete(_OFFERED + due_key(word))
        self._rows.delete(_DUE + word.expires_ms.to_bytes(8) + word.id)
        self._telling.offers.append(Offer(Lane.EPHEMERAL, due_key(word), entered=False))

    def reread(self) -> None:
        """Read words again that said nothing, because they were sealed."""
        for word in self.words:
            raw = None if word.entries else self._rows.get(stored.AT + word.id)
            if raw is None:
                continue
            held = stored.unpack(raw)
            content = self._vault.covered_parts(held, word.cap)
            entries = _entries(word.id, held, content)
            self._words[word.id] = read = replace(word, entries=entries)
            for (path, kind), entry in self._say(read):
                self._telling.changes.append(Changed(path, kind, entry.dot))

    def wake(self, now_ms: int) -> None:
        """Forget what is due."""
        while self._due and self._due[0][0] <= now_ms:
            word = self._words.get(heappop(self._due)[1])
            if word is not None:
                self.drop(word)

    def _take(self, word: Word) -> list[tuple[Key, Entry]]:
        """Put a word where it is the last one; drop those that have none left."""
        self._words[word.id] = word
        self._of_author[word.author] = self._of_author.get(word.author, 0) + 1
        heappush(self._due, (word.expires_ms, word.id))
        return self._say(word)

    def _say(self, word: Word) -> list[tuple[Key, Entry]]:
        said: list[tuple[Key, Entry]] = []
        outdone: set[bytes] = set()
        for key, entry in word.entries:
            last = self._last.setdefault(key, {})
            before = last.get(word.author)
            if before is None or entry.recency > before[0].recency:
                last[word.author] = entry, word.id
                said.append((key, entry))
                if before is not None:
                    outdone.add(before[1])
        for each in sorted(outdone - {word.id}):
            self._drop_if_outdone(self._words[each])
        return said

    def _drop_if_outdone(self, word: Word) -> None:
        if self._vault.is_private:
            return
        last = (self._last[key].get(word.author) for key, _ in word.entries)
        if not any(each is not None and each[1] == word.id for each in last):
            self.drop(word)

    def _oldest(self, author: bytes) -> Word:
        """The oldest word of an author who has some."""
        words = (word for word in self._words.values() if word.author == author)
        return min(words, key=lambda word: word.age)

    def _is_later(self, key: Key, entry: Entry) -> bool:
        last = self._last.get(key, {}).get(entry.author.raw)
        return last is None or entry.recency > last[0].recency


def due_key(word: Word) -> bytes:
    """Where a word stands in the order of sync."""
    return word.hlc.to_bytes(8) + word.id


def _word(op: Op) -> Word:
    place = op.place
    held = stored.Stored(2, 0, 0, place.hlc, op.author.raw, place.incarnation, b"")
    content = ((), ()) if op.mutations is None else (op.mutations, op.values)
    entries = _entries(op.id.raw, held, content)
    cap = place.cap or b""
    return Word(op.id.raw, op.author.raw, cap, place.hlc, place.expires_ms, entries)


def _entries(
    op: bytes, held: stored.Stored, content: Content
) -> tuple[tuple[Key, Entry], ...]:
    return tuple(
        (
            (mutation.path, mutation.type),
            Entry(
                dot=Dot(op + bytes((n,))),
                author=DeviceKey(held.author),
                incarnation=held.incarnation,
                seq=0,
                hlc=held.hlc,
                action=mutation.action,
                digest=mutation.digest,
                value=value,
                arg=mutation.arg,
                superseded=mutation.superseded,
            ),
        )
        for n, (mutation, value) in enumerate(zip(*content, strict=True))
    )
