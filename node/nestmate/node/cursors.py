"""Durable named cursors: how far each reader of the feed has come, and what it gave up.

A cursor is moved by whoever reads with it, once what was read is done; so a reader
that died finds again what it had not done. An event a reader could not deal with is
kept as a dead letter of its cursor, whole, so that it outlives the feed. What changes
is known here at once and handed back as writes; whoever changes something does so in
its turn to write. This file knows nothing of who reads and starts no command.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from nestmate.errors import BusyError, NotFoundError
from nestmate.node.events import Event
from nestmate.node.filters import Filter
from nestmate.store.base import KeyValue, Write
from nestmate_protocol.limits import CURSORS_MAX, DEAD_LETTERS_MAX

_CURSORS: Final = b"ec/"
_LETTERS: Final = b"ed/"
RETRIED: Final = "event.retried"
REJECTED: Final = "event.rejected"
OWN: Final = (RETRIED, REJECTED)


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reader's place: everything up to ``seq`` is done. Times are Unix ms."""

    name: str
    seq: int
    made_ms: int
    moved_ms: int
    filter: Filter = Filter()

    def wants(self, event: Event) -> bool:
        """Whether a reader with this cursor is shown the event.

        What its own reader gave up, or is to try again, is no news to it.
        """
        own = event.kind in OWN and event.details.get("cursor") == self.name
        return not own and self.filter.matches(event)


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event its reader gave up, why, and after how many tries.

    ``again`` is the number of the event that hands it out once more: as soon as the
    cursor is there, the letter is settled.
    """

    event: Event
    reason: str
    tries: int
    at_ms: int
    again: int | None = None


class Cursors:
    """All cursors of a node and their dead letters.

    ``last_seq`` is the number of the last event there is.
    """

    def __init__(self, store: KeyValue, last_seq: int) -> None:
        self._store = store
        self._all: dict[str, Cursor] = {}
        for _, raw in store.scan(_CURSORS):
            cursor = msgspec.json.decode(raw, type=Cursor)
            if cursor.seq > last_seq:  # the disk has lost what was read
                cursor = msgspec.structs.replace(cursor, seq=last_seq)
            self._all[cursor.name] = cursor

    def __repr__(self) -> str:
        return f"<Cursors {len(self._all)}>"

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def __iter__(self) -> Iterator[Cursor]:
        return iter(sorted(self._all.values(), key=lambda cursor: cursor.name))

    def get(self, name: str) -> Cursor:
        """The cursor of that name; NotFoundError if there is none."""
        try:
            return self._all[name]
        except KeyError:
            raise NotFoundError(
                f"There is no cursor {name[:80]!r}.",
                f"Make it with `nestmate event cursor set {name[:80]}`.",
            ) from None

    def put(self, cursor: Cursor) -> tuple[Write, ...]:
        """Make or change a cursor; BusyError if there are too many."""
        if cursor.name not in self._all and len(self._all) >= CURSORS_MAX:
            raise BusyError(
                f"There are {CURSORS_MAX} cursors already.",
                "Remove one that nobody reads with: `nestmate event cursor ls`.",
            )
        self._all[cursor.name] = cursor
        return ((_CURSORS + cursor.name.encode(), msgspec.json.encode(cursor)),)

    def move(self, name: str, seq: int, now_ms: int) -> tuple[Write, ...]:
        """Everything up to ``seq`` is done; letters handed out again are settled.

        A cursor never goes back by this.
        """
        cursor = self.get(name)
        if seq <= cursor.seq:
            return ()
        moved = msgspec.structs.replace(cursor, seq=seq, moved_ms=now_ms)
        settled = [
            (_letter_key(name, letter.event.seq), None)
            for letter in self._stored_letters(name)
            if letter.again is not None and letter.again <= seq
        ]
        return (*self.put(moved), *settled)

    def remove(self, name: str) -> tuple[Write, ...]:
        """Forget a cursor and its dead letters."""
        self.get(name)
        letters = [key for key, _ in self._store.scan(_letters_of(name))]
        del self._all[name]
        return tuple((key, None) for key in (_CURSORS + name.encode(), *letters))

    def letters(self, name: str) -> Iterator[DeadLetter]:
        """The dead letters of a cursor that are not settled, oldest event first."""
        seq = self.get(name).seq
        for letter in self._stored_letters(name):
            if letter.again is None or letter.again > seq:
                yield letter

    def is_dead(self, name: str, seq: int) -> bool:
        """Whether the reader of a cursor gave an event up, and it is not settled."""
        letter, at = self.letter(name, seq), self.get(name).seq
        return letter is not None and (letter.again is None or letter.again > at)

    def letter(self, name: str, seq: int) -> DeadLetter | None:
        """The dead letter of a cursor about an event, if there is one."""
        raw = self._store.get(_letter_key(name, seq))
        return None if raw is None else msgspec.json.decode(raw, type=DeadLetter)

    def bury(self, name: str, letter: DeadLetter) -> tuple[Write, ...]:
        """Keep an event its reader gave up, or what has become of one.

        Raises BusyError if there are too many.
        """
        seq = letter.event.seq
        others = sum(1 for each in self._stored_letters(name) if each.event.seq != seq)
        if others >= DEAD_LETTERS_MAX:
            raise BusyError(
                f"The cursor {name} has {DEAD_LETTERS_MAX} dead letters.",
                f"See `nestmate event dead ls {name}`; retry or remove some.",
            )
        return ((_letter_key(name, seq), msgspec.json.encode(letter)),)

    def settle(self, name: str, seq: int) -> tuple[Write, ...]:
        """Forget a dead letter; NotFoundError if there is none."""
        self.get(name)
        if self.letter(name, seq) is None:
            raise no_letter(name, seq)
        return ((_letter_key(name, seq), None),)

    def _stored_letters(self, name: str) -> Iterator[DeadLetter]:
        for _, raw in self._store.scan(_letters_of(name)):
            yield msgspec.json.decode(raw, type=DeadLetter)


def no_letter(name: str, seq: int) -> NotFoundError:
    """The refusal for a dead letter that is not there."""
    return NotFoundError(
        f"The cursor {name} has no dead letter about event {seq}.",
        f"See `nestmate event dead ls {name}`.",
    )


def _letters_of(name: str) -> bytes:
    return _LETTERS + name.encode() + b"\0"


def _letter_key(name: str, seq: int) -> bytes:
    return _letters_of(name) + seq.to_bytes(8)
