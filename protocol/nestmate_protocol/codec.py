"""Codec: deterministic CBOR out, strict CBOR in, and typed reading of what came in.

One value has one encoding (RFC 8949 section 4.2.1) and every other spelling of it is
refused: shortest forms, sorted and unique map keys, definite lengths, nothing left
over. Tags, floats and simple values other than false, true and null do not exist
here. This is the only importer of cbor2; it knows nothing of what the bytes mean.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import cbor2

from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import ID_BYTES, Identifier
from nestmate_protocol.limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX, RECORD_BYTES_MAX

Value: TypeAlias = (
    "bool | int | bytes | str | list[Value] | dict[int | str, Value] | None"
)
"""What ``decode`` gives."""

Encodable: TypeAlias = (
    "bool | int | bytes | str | Sequence[Encodable] | Mapping[int, Encodable]"
    " | Mapping[str, Encodable] | Mapping[int | str, Encodable] | None"
)
"""What ``encode`` takes: any ``Value``, and tuples and other mappings as well."""

INTEGER_MIN: Final = -(2**64)
INTEGER_MAX: Final = 2**64 - 1

_Id = TypeVar("_Id", bound=Identifier)
_Default = TypeVar("_Default")

_INLINE: Final = 24  # a head below this in its low five bits is its own argument
_SHORTEST: Final = {24: (1, 24), 25: (2, 1 << 8), 26: (4, 1 << 16), 27: (8, 1 << 32)}
_UNSIGNED, _NEGATIVE, _OCTETS, _TEXT, _ARRAY, _MAP = range(6)
_OCTETS_0: Final = 0x40  # a byte string whose length stands in its head
_OCTETS_8: Final = 0x58  # a byte string whose length stands in one byte after it
_SIMPLE: Final[dict[int, bool | None]] = {0xF4: False, 0xF5: True, 0xF6: None}


def encode(value: Encodable) -> bytes:
    """The one encoding of a value; map keys are sorted here, in any order given.

    Raises LocalError for what has no place in a record: floats, other types, integers
    beyond 64 bits, text that is not Unicode, too deep a nesting.
    """
    encoded: bytes = cbor2.dumps(_ordered(value, 0))
    return encoded


def _ordered(value: Encodable, depth: int) -> object:
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, int | str):
        return _checked(value)
    if depth == CBOR_DEPTH_MAX:
        raise LocalError(f"values nest at most {CBOR_DEPTH_MAX} deep")
    if isinstance(value, Mapping):
        pairs = [(_key_bytes(key), key, below) for key, below in value.items()]
        pairs.sort(key=lambda pair: pair[0])
        return {key: _ordered(below, depth + 1) for _, key, below in pairs}
    if isinstance(value, list | tuple):
        return [_ordered(below, depth + 1) for below in value]
    raise LocalError(f"a record holds no {type(value).__name__}")


def _key_bytes(key: object) -> bytes:
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise LocalError(f"a map key is an integer or a text, not {key!r}")
    encoded: bytes = cbor2.dumps(_checked(key))
    return encoded


def _checked(value: int | str) -> int | str:
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise LocalError(f"{value} does not fit into 64 bits")
    elif not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise LocalError("this text holds half a character")
    return value


def decode(data: bytes, bytes_max: int = RECORD_BYTES_MAX) -> Value:
    """The value these foreign bytes are the one encoding of.

    Whatever comes out, ``encode`` would give back byte for byte: every form that is
    not the shortest, sorted and only one is refused on the way, so that nothing has
    to be encoded again for comparison. Raises RemoteError and nothing else, whatever
    the bytes.
    """
    if len(data) > bytes_max:
        raise RemoteError(Fault.TOO_LARGE, f"{len(data)} bytes")
    try:
        value, end = _read(data, 0, 0, [CBOR_ITEMS_MAX])
    except IndexError:
        raise RemoteError(Fault.MALFORMED, "cut short") from None
    except UnicodeDecodeError:
        raise RemoteError(Fault.MALFORMED, "not UTF-8") from None
    if end != len(data):
        raise RemoteError(Fault.NOT_CANONICAL, "cut short or bytes left over")
    return value


def _read(data: bytes, at: int, depth: int, room: list[int]) -> tuple[Value, int]:
    """One item from ``at`` on, and where the next begins; ``room`` counts items."""
    head = data[at]
    major, number = head >> 5, head & 31
    at += 1
    if number >= _INLINE:
        if number not in _SHORTEST:
            raise RemoteError(Fault.NOT_CANONICAL, "indefinite or reserved length")
        width, low = _SHORTEST[number]
        number = int.from_bytes(data[at : at + width])
        if number < low:
            raise RemoteError(Fault.NOT_CANONICAL, "not the shortest form")
        at += width
    if major <= _NEGATIVE:
        return number if major == _UNSIGNED else -1 - number, at
    if major <= _TEXT:
        chunk = data[at : at + number]
        if len(chunk) != number:
            raise RemoteError(Fault.MALFORMED, "cut short")
        return chunk if major == _OCTETS else chunk.decode(), at + number
    if major <= _MAP:
        room[0] -= number if major == _ARRAY else number * 2
        if depth == CBOR_DEPTH_MAX or room[0] < 0:
            raise RemoteError(Fault.OVER_LIMIT, "too deep or too many items")
        if major == _MAP:
            return _read_map(data, at, number, depth + 1, room)
        return _read_array(data, at, number, depth + 1, room)
    if head not in _SIMPLE:
        raise RemoteError(Fault.MALFORMED, "tag, float or simple value")
    return _SIMPLE[head], at


def _read_array(
    data: bytes, at: int, count: int, depth: int, room: list[int]
) -> tuple[Value, int]:
    items: list[Value] = []
    for _ in range(count):
        item, at = _read(data, at, depth, room)
        items.append(item)
    return items, at


def _read_map(
    data: bytes, at: int, count: int, depth: int, room: list[int]
) -> tuple[Value, int]:
    """Pairs in bytewise order; small keys and plain values are read in place.

    Protocol maps are little else, and a call per item would take half as long again.
    """
    pairs: dict[int | str, Value] = {}
    last, before = -1, b""
    for _ in range(count):
        small = data[at]
        if last < small < _INLINE:
            last = small
            key: int | str = small
            at += 1
        else:
            start = at
            key, at = _read_key(data, at, room)
            if data[start:at] <= before or last >= small:
                raise RemoteError(Fault.NOT_CANONICAL, "keys unsorted or twice")
            last, before = _INLINE - 1, data[start:at]
        head = data[at]
        if head < _INLINE:
            pairs[key] = head
            at += 1
        elif _OCTETS_0 <= head <= _OCTETS_8:
            size, begin = head - _OCTETS_0, at + 1
            if head == _OCTETS_8:
                size, begin = data[begin], begin + 1
                if size < _INLINE:
                    raise RemoteError(Fault.NOT_CANONICAL, "not the shortest form")
            at = begin + size
            chunk = data[begin:at]
            if len(chunk) != size:
                raise RemoteError(Fault.MALFORMED, "cut short")
            pairs[key] = chunk
        elif head in _SHORTEST:
            width, low = _SHORTEST[head]
            begin = at + 1
            at = begin + width
            number = int.from_bytes(data[begin:at])
            if number < low:
                raise RemoteError(Fault.NOT_CANONICAL, "not the shortest form")
            pairs[key] = number
        else:
            pairs[key], at = _read(data, at, depth, room)
    return pairs, at


def _read_key(data: bytes, at: int, room: list[int]) -> tuple[int | str, int]:
    key, end = _read(data, at, CBOR_DEPTH_MAX, room)
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise RemoteError(Fault.MALFORMED, "map key")
    return key, end


class Fields:
    """Typed reading of a map with integer keys, or of an array by position.

    Every reading states its bounds (inclusive) and fails with
    RemoteError(BAD_FIELD, "field N"). The ``_or`` readings give their default where the
    field is missing or null. Fields nobody asks for are left alone.
    """

    __slots__ = ("body",)

    def __init__(self, body: Value) -> None:
        if type(body) is dict:
            self.body: Mapping[int | str, Value] = body
        elif type(body) is list:
            self.body = dict(enumerate(body))
        else:
            raise RemoteError(Fault.BAD_FIELD, "not a map")

    def __repr__(self) -> str:
        return f"<Fields {sorted(map(str, self.body))}>"

    def integer(self, key: int, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``."""
        value = self.body.get(key)
        if type(value) is not int or not low <= value <= high:
            raise RemoteError(Fault.BAD_FIELD, f"field {key}")
        return value

    def integers(self, bounds: Iterable[tuple[int, int, int]]) -> list[int]:
        """As ``integer``, for many: key, low and high of each."""
        body, found = self.body, []
        for key, low, high in bounds:
            value = body.get(key)
            if type(value) is not int or not low <= value <= high:
                raise RemoteError(Fault.BAD_FIELD, f"field {key}")
            found.append(value)
        return found

    def integer_or(
        self, key: int, default: _Default, low: int, high: int
    ) -> int | _Default:
        """An integer from ``low`` to ``high``, or the default."""
        return default if self.body.get(key) is None else self.integer(key, low, high)

    def octets(self, key: int, low: int, high: int) -> bytes:
        """Bytes, ``low`` to ``high`` of them."""
        value = self.body.get(key)
        if type(value) is not bytes or not low <= len(value) <= high:
            raise RemoteError(Fault.BAD_FIELD, f"field {key}")
        return value

    def octets_or(
        self, key: int, default: _Default, low: int, high: int
    ) -> bytes | _Default:
        """Bytes, ``low`` to ``high`` of them, or the default."""
        return default if self.body.get(key) is None else self.octets(key, low, high)

    def text(self, key: int, chars_max: int) -> str:
        """Text of at most ``chars_max`` characters, as it came: see ``plain``."""
        value = self.body.get(key)
        if type(value) is not str or len(value) > chars_max:
            raise RemoteError(Fault.BAD_FIELD, f"field {key}")
        return value

    def text_or(self, key: int, default: _Default, chars_max: int) -> str | _Default:
        """Text of at most ``chars_max`` characters, or the default."""
        return default if self.body.get(key) is None else self.text(key, chars_max)

    def boolean(self, key: int) -> bool:
        """True or false."""
        value = self.body.get(key)
        if type(value) is not bool:
            raise RemoteError(Fault.BAD_FIELD, f"field {key}")
        return value

    def boolean_or(self, key: int, default: bool) -> bool:
        """True or false, or the default."""
        return default if self.body.get(key) is None else self.boolean(key)

    def items(self, key: int, count_max: int) -> list[Value]:
        """An array of at most ``count_max`` items; a missing one is empty."""
        value = self.body.get(key)
        if value is None:
            return []
        if type(value) is not list or len(value) > count_max:
            raise RemoteError(Fault.BAD_FIELD, f"field {key}")
        return value

    def identifier(self, key: int, cls: type[_Id]) -> _Id:
        """An identifier of the named type."""
        return cls(self.octets(key, ID_BYTES, ID_BYTES))

    def identifier_or(
        self, key: int, cls: type[_Id], default: _Default
    ) -> _Id | _Default:
        """An identifier of the named type, or the default."""
        return default if self.body.get(key) is None else self.identifier(key, cls)

    def identifiers(self, key: int, cls: type[_Id], count_max: int) -> tuple[_Id, ...]:
        """An array of at most ``count_max`` identifiers; a missing one is empty."""
        row = Fields(self.items(key, count_max))
        return tuple(row.identifier(place, cls) for place in range(len(row.body)))

    def rows(self, key: int, count_max: int) -> "list[Fields]":
        """An array of at most ``count_max`` arrays, each to be read by position."""
        return [row(item) for item in self.items(key, count_max)]


def row(value: Value) -> Fields:
    """An array to be read by position; a map in its place is refused."""
    if type(value) is not list:
        raise RemoteError(Fault.BAD_FIELD, "not an array")
    return Fields(value)


def plain(text: str) -> str:
    """Foreign text as it may be shown to people, on one line.

    What moves the cursor, turns the reading direction, is invisible or unassigned is
    gone, and every run of white space is one space.
    """
    shown = (c if c.isprintable() else " " if c.isspace() else "" for c in text)
    return " ".join("".join(shown).split())
