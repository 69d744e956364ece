"""Reconciliation: two ordered sets find out in few messages where they differ.

Each side says fingerprints of stretches of its set; where they differ it says those of
up to sixteen parts, and at last the ids. The arithmetic is that of negentropy,
version 1; ``Negentropy`` also speaks its messages, byte for byte, so that foreign
implementations can judge it. ``Exchange`` is what nodes speak: short ids, newest first,
and each side hands over what the other lacks. No message refers to an earlier one but
the answer to a list, so whoever is cut off just starts anew. This file knows no op and
no peer; it knows how much one answer may cost.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES
from nestmate_protocol.limits import (
    RANGE_LISTED_BY_PEER_MAX,
    RANGE_LISTED_MAX,
    RANGE_NEWEST_LISTED,
    RANGE_PARTS,
    RANGES_BYTES_MAX,
    RANGES_PER_MESSAGE_MAX,
)
from nestmate_protocol.spaces.ranges import (
    FINGERPRINT_BYTES,
    Listed,
    Print,
    Range,
    Skip,
    Wanted,
    Writer,
    unpack,
    varint,
)
from nestmate_protocol.spaces.summary import END, START

SHORT_BYTES: Final = 8
NEGENTROPY_VERSION: Final = b"\x61"

_ROOM_BYTES: Final = 1_024
_ROOM_RANGES: Final = 2 * RANGE_PARTS

Short = Callable[[bytes], bytes]
"""The short form of the id in a key, which both sides of one exchange compute alike."""


class Keys(Protocol):
    """An ordered set that can count and add up; ``summary.Summary`` is one."""

    def __len__(self) -> int:
        """How many keys there are."""
        ...

    def rank(self, bound: bytes) -> int:
        """How many keys lie below a bound."""
        ...

    def total(self, low: int, high: int) -> int:
        """What the ids between two ranks add up to, modulo 2^256."""
        ...

    def keys(self, low: int, high: int) -> list[bytes]:
        """The keys between two ranks."""
        ...


def fingerprint(keys: Keys, low: int, high: int) -> bytes:
    """Sixteen bytes that tell stretches of sets apart.

    The first 16 bytes of SHA-256 over the sum of the ids, as 32 bytes little-endian,
    and the count as a varint. Source: the negentropy protocol, version 1.
    """
    added = keys.total(low, high).to_bytes(ID_BYTES, "little") + varint(high - low)
    return sha256(added).digest()[:FINGERPRINT_BYTES]


def split(
    keys: Keys, low: int, high: int, upper: bytes, parts: int = RANGE_PARTS
) -> list[Print]:
    """Fingerprints of parts from rank ``low`` on; the last ends at ``upper``."""
    each, more = divmod(high - low, parts)
    prints: list[Print] = []
    for part in range(parts):
        end = low + each + (part < more)
        last = part == parts - 1
        bound = upper if last else bound_between(*keys.keys(end - 1, end + 1))
        prints.append(Print(bound, fingerprint(keys, low, end)))
        low = end
    return prints


def bound_between(below: bytes, above: bytes) -> bytes:
    """The shortest bound that has one key below it and the next one not."""
    if below[:8] != above[:8]:
        return above[:8]
    at = next(at for at in range(8, len(above)) if below[at] != above[at])
    return above[: at + 1]


class Negentropy:
    """One side of the reconciliation as negentropy, version 1, has it.

    ``have`` and ``need`` are what the side that began found out: ids that only it
    has, and ids that only the other has.
    """

    def __init__(self, keys: Keys, bytes_max: int = RANGES_BYTES_MAX) -> None:
        self._keys = keys
        self._bytes_max = bytes_max
        self.have: set[bytes] = set()
        self.need: set[bytes] = set()

    def __repr__(self) -> str:
        return f"<Negentropy {len(self._keys)} keys>"

    def begin(self) -> bytes:
        """The first message."""
        writer = Writer()
        for each in self._told(0, len(self._keys), END):
            writer.add(each)
        return NEGENTROPY_VERSION + writer.data

    def answer(self, message: bytes, *, began: bool) -> bytes:
        """The next message; empty once there is nothing more to say.

        Raises RemoteError and nothing else, whatever the bytes.
        """
        if message[:1] != NEGENTROPY_VERSION:
            raise RemoteError(Fault.UNKNOWN_VERSION, "negentropy")
        writer, low, lower = Writer(), 0, START
        for each in unpack(message[1:], ID_BYTES):
            high = self._keys.rank(each.upper)
            for said in self._say(each, low, high, began=began):
                writer.add(said)
            low, lower = high, each.upper
            if writer.size > self._bytes_max - _ROOM_BYTES and lower != END:
                rest = fingerprint(self._keys, low, len(self._keys))
                writer.add(Print(END, rest))
                break
        return NEGENTROPY_VERSION + writer.data if writer.size or not began else b""

    def _say(self, each: Range, low: int, high: int, *, began: bool) -> Iterable[Range]:
        match each:
            case Print(upper, said) if said != fingerprint(self._keys, low, high):
                return self._told(low, high, upper)
            case Listed(upper, ids):
                mine = [key[8:] for key in self._keys.keys(low, high)]
                if not began:
                    return [Listed(upper, tuple(mine))]
                self.have |= set(mine) - set(ids)
                self.need |= set(ids) - set(mine)
            case Wanted():
                raise RemoteError(Fault.BAD_FIELD, "mode of a range")
            case _:
                pass
        return [Skip(each.upper)]

    def _told(self, low: int, high: int, upper: bytes) -> Iterable[Range]:
        if high - low >= 2 * RANGE_PARTS:
            return split(self._keys, low, high, upper)
        return [Listed(upper, tuple(key[8:] for key in self._keys.keys(low, high)))]


@dataclass(frozen=True, slots=True)
class Some:
    """These keys the other side lacks."""

    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Everything from one bound to below another the other side lacks."""

    low: bytes
    high: bytes


Gift = Some | All


class Exchange:
    """Our side of reconciling one lane with one peer, one message after the other.

    A message is taken in whole and answered in steps, so that a large one does not
    hold everything else up. What the other side lacks comes out as gifts.
    """

    def __init__(self, keys: Keys, short: Short) -> None:
        self._keys = keys
        self._short = short
        self._listed: dict[bytes, list[bytes]] = {}
        self._asked: dict[bytes, list[bytes]] = {}
        self._todo: Iterator[Range] | None = None
        self._lower = START
        self._writer = Writer()
        self._said = 0

    def __repr__(self) -> str:
        return f"<Exchange {len(self._keys)} keys, busy: {self.is_busy}>"

    @property
    def is_busy(self) -> bool:
        """Whether part of the last message waits for its answer."""
        return self._todo is not None

    def begin(self) -> bytes:
        """The first message: the newest ids, and fingerprints of all that is older."""
        self._turn()
        count = len(self._keys)
        older = max(0, count - RANGE_NEWEST_LISTED)
        if older <= RANGE_LISTED_MAX:
            self._list(0, count, END)
            return self._writer.data
        bound = bound_between(*self._keys.keys(older - 1, older + 1))
        for each in split(self._keys, 0, older, bound):
            self._say(each)
        self._list(older, count, END)
        return self._writer.data

    def take(self, message: bytes) -> None:
        """A foreign message, to be read and answered by steps.

        RemoteError if the last one is not answered yet.
        """
        if self._todo is not None:
            raise RemoteError(Fault.OVER_LIMIT, "two messages at once")
        self._turn()
        self._todo = unpack(message, SHORT_BYTES)

    def step(self, ranges_max: int) -> tuple[list[Gift], int]:
        """Answer some more of the message; what to hand over, and what it cost.

        The cost is in ranges said or looked at. Once this side is not busy any more
        ``answer`` is whole. Raises RemoteError and nothing else, whatever the message.
        """
        gifts: list[Gift] = []
        cost = 0
        while self._todo is not None and cost < ranges_max:
            each = next(self._todo, None)
            if each is None:
                self._todo = None
                break
            before = self._said
            low, high = self._keys.rank(self._lower), self._keys.rank(each.upper)
            gifts += self._answer(each, low, high)
            cost += 1 + self._said - before
            self._lower = each.upper
            if self._is_full() and each.upper != END:
                self._todo = None
                rest = fingerprint(self._keys, high, len(self._keys))
                self._say(Print(END, rest))
        return gifts, cost

    @property
    def answer(self) -> bytes:
        """What there is to say to the last message; empty for nothing."""
        return self._writer.data

    def _turn(self) -> None:
        self._asked, self._listed = self._listed, {}
        self._writer, self._said, self._lower = Writer(), 0, START

    def _is_full(self) -> bool:
        return (
            self._writer.size > RANGES_BYTES_MAX - _ROOM_BYTES
            or self._writer.count > RANGES_PER_MESSAGE_MAX - _ROOM_RANGES
        )

    def _say(self, each: Range) -> None:
        self._writer.add(each)
        self._said += 1

    def _list(self, low: int, high: int, upper: bytes) -> None:
        keys = self._keys.keys(low, high)
        self._listed[upper] = keys
        self._say(Listed(upper, tuple(map(self._short, keys))))

    def _tell(self, low: int, high: int, upper: bytes) -> None:
        if high - low <= RANGE_LISTED_MAX:
            self._list(low, high, upper)
            return
        parts = min(RANGE_PARTS, -(-(high - low) // RANGE_LISTED_MAX))
        for each in split(self._keys, low, high, upper, parts):
            self._say(each)

    def _answer(self, each: Range, low: int, high: int) -> list[Gift]:
        match each:
            case Print(upper, said) if said != fingerprint(self._keys, low, high):
                self._tell(low, high, upper)
            case Listed(upper, ids) if not ids and high > low:
                self._writer.add(Skip(upper))
                return [All(self._lower, upper)]
            case Listed(upper, _) if high - low > RANGE_LISTED_BY_PEER_MAX:
                self._tell(low, high, upper)
            case Listed(upper, ids):
                return self._compare(upper, ids, self._keys.keys(low, high))
            case Wanted(upper, places):
                self._writer.add(Skip(upper))
                return [self._wanted(upper, places)]
            case _:
                self._writer.add(Skip(each.upper))
        return []

    def _compare(
        self, upper: bytes, ids: tuple[bytes, ...], mine: list[bytes]
    ) -> list[Gift]:
        shorts = {self._short(key): key for key in mine}
        places = tuple(at for at, each in enumerate(ids) if each not in shorts)
        if places and len(ids) <= RANGE_LISTED_MAX + RANGE_NEWEST_LISTED:
            self._say(Wanted(upper, places))
        else:
            self._writer.add(Skip(upper))
        theirs = set(ids)
        gift = tuple(key for each, key in shorts.items() if each not in theirs)
        return [Some(gift)] if gift else []

    def _wanted(self, upper: bytes, places: tuple[int, ...]) -> Some:
        listed = self._asked.pop(upper, [])
        if not listed or places[-1] >= len(listed):
            raise RemoteError(Fault.BAD_FIELD, "places of no list")
        return Some(tuple(listed[place] for place in places))
