"""Ranges: what two sides of a reconciliation say about stretches of an ordered set.

A message is a row of ranges, each going from where the last one ended up to a bound.
The wire is that of negentropy, version 1 (Doug Hoyte), with ids of a width that is
agreed on, and with one more mode that answers a list. Every spelling but the shortest
is refused. This file knows no set and no rule of who says what when.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.limits import (
    RANGE_LISTED_MAX,
    RANGE_NEWEST_LISTED,
    RANGES_PER_MESSAGE_MAX,
)
from nestmate_protocol.spaces.summary import END, KEY_BYTES

FINGERPRINT_BYTES: Final = 16
_TIME_BYTES: Final = 8
_ID_BYTES_MAX: Final = KEY_BYTES - _TIME_BYTES
_SKIP, _FINGERPRINT, _LIST, _WANT = range(4)
_MORE: Final = 0x80
_VARINT_BYTES_MAX: Final = 10
_TIME_MAX: Final = 2**64 - 1
_WANTED_BYTES_MAX: Final = (RANGE_LISTED_MAX + RANGE_NEWEST_LISTED + 7) // 8


@dataclass(frozen=True, slots=True)
class Skip:
    """Up to this bound there is nothing to say."""

    upper: bytes


@dataclass(frozen=True, slots=True)
class Print:
    """Up to this bound my keys have this fingerprint."""

    upper: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """Up to this bound these are the ids of all my keys."""

    upper: bytes
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of the ids you listed up to this bound, those at these places are news to me."""

    upper: bytes
    places: tuple[int, ...]


Range = Skip | Print | Listed | Wanted


def varint(number: int) -> bytes:
    """A number in base 128, most significant digit first, all but the last marked."""
    digits = [number & 127]
    while number := number >> 7:
        digits.append(_MORE | number & 127)
    return bytes(reversed(digits))


class Writer:
    """Puts ranges into one message; runs of skips become one, the last is left out."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._time = 0
        self._skipped = b""
        self.size = 0
        self.count = 0

    def add(self, each: Range) -> None:
        """The range that goes from where the last one ended."""
        if isinstance(each, Skip):
            self._skipped = each.upper
            return
        if self._skipped:
            self._put(self._bound(self._skipped) + bytes((_SKIP,)))
            self._skipped = b""
        head = self._bound(each.upper)
        match each:
            case Print(_, fingerprint):
                self._put(head + bytes((_FINGERPRINT,)) + fingerprint)
            case Listed(_, ids):
                count = varint(len(ids))
                self._put(b"".join((head, bytes((_LIST,)), count, *ids)))
            case Wanted(_, places):
                bits = sum(1 << place for place in places)
                data = bits.to_bytes((max(places, default=0) >> 3) + 1, "little")
                self._put(head + bytes((_WANT,)) + varint(len(data)) + data)

    @property
    def data(self) -> bytes:
        """The message so far; empty if there is nothing to say."""
        return b"".join(self._parts)

    def _put(self, part: bytes) -> None:
        self._parts.append(part)
        self.size += len(part)
        self.count += 1

    def _bound(self, upper: bytes) -> bytes:
        if upper == END:
            return b"\0\0"
        time = int.from_bytes(upper[:_TIME_BYTES])
        step, self._time = time - self._time, time
        rest = upper[_TIME_BYTES:]
        return varint(1 + step) + varint(len(rest)) + rest


def pack(ranges: Iterable[Range]) -> bytes:
    """One message of all these ranges."""
    writer = Writer()
    for each in ranges:
        writer.add(each)
    return writer.data


def unpack(data: bytes, id_bytes: int) -> Iterator[Range]:
    """The ranges of a foreign message one by one, each bound above the one before.

    They are read as they are asked for. Raises RemoteError and nothing else, whatever
    the bytes.
    """
    reader = _Reader(data, id_bytes)
    count = 0
    while reader.at < len(data):
        count += 1
        if count > RANGES_PER_MESSAGE_MAX:
            raise RemoteError(Fault.OVER_LIMIT, "ranges")
        yield reader.range()


class _Reader:
    """A place in a foreign message."""

    def __init__(self, data: bytes, id_bytes: int) -> None:
        self._data = data
        self._id_bytes = id_bytes
        self._time = 0
        self._upper = b""
        self.at = 0

    def range(self) -> Range:
        upper = self._bound()
        mode = self._number()
        if mode == _SKIP:
            return Skip(upper)
        if mode == _FINGERPRINT:
            return Print(upper, self._take(FINGERPRINT_BYTES))
        if mode == _LIST:
            width = self._id_bytes
            ids = self._take(self._number() * width)
            listed = [ids[at : at + width] for at in range(0, len(ids), width)]
            return Listed(upper, tuple(listed))
        if mode == _WANT:
            octets = self._take(min(self._number(), _WANTED_BYTES_MAX + 1))
            if len(octets) > _WANTED_BYTES_MAX or not octets or not octets[-1]:
                raise RemoteError(Fault.NOT_CANONICAL, "places")
            bits = int.from_bytes(octets, "little")
            places = [p for p in range(bits.bit_length()) if bits >> p & 1]
            return Wanted(upper, tuple(places))
        raise RemoteError(Fault.BAD_FIELD, "mode of a range")

    def _bound(self) -> bytes:
        step = self._number()
        rest = self._take(self._number())
        if step == 0:
            if rest:
                raise RemoteError(Fault.BAD_FIELD, "bound")
            upper = END
        else:
            self._time += step - 1
            if self._time > _TIME_MAX or len(rest) > _ID_BYTES_MAX:
                raise RemoteError(Fault.BAD_FIELD, "bound")
            upper = self._time.to_bytes(_TIME_BYTES) + rest
        if upper <= self._upper:
            raise RemoteError(Fault.BAD_FIELD, "order of bounds")
        self._upper = upper
        return upper

    def _number(self) -> int:
        number = 0
        for count in range(_VARINT_BYTES_MAX):
            if self.at >= len(self._data):
                raise RemoteError(Fault.MALFORMED, "cut short")
            digit = self._data[self.at]
            self.at += 1
            if count == 0 and digit == _MORE:
                raise RemoteError(Fault.NOT_CANONICAL, "not the shortest form")
            number = number << 7 | digit & 127
            if digit < _MORE:
                return number
        raise RemoteError(Fault.MALFORMED, "number")

    def _take(self, count: int) -> bytes:
        chunk = self._data[self.at : self.at + count]
        if len(chunk) != count:
            raise RemoteError(Fault.MALFORMED, "cut short")
        self.at += count
        return chunk
