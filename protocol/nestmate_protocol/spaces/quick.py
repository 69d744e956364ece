"""Quick: the common shape of an op's parts, read in one pass and as strictly as ever.

What ``codec`` reads item by item is read here by place, as nearly all ops look alike.
Whatever looks otherwise in a single byte is None here, and the codec reads it and says
what is wrong with it, if anything is: nothing is taken here that it would refuse. This
file knows the layout of bytes and not what they mean.
"""

from typing import Final, NamedTuple

from nestmate_protocol.codec import Value

_NULL: Final = 0xF6
_INLINE: Final = 24
_OCTETS: Final = 0x40
_TEXT: Final = 0x60
_ARRAY: Final = 0x80
_MAP: Final = 0xA0
_ID: Final = b"\x58\x20"  # a byte string of 32 bytes
_DOT: Final = b"\x58\x21"  # one of 33
_DOT_WIDTH: Final = 35
_VERSION_SPACE: Final = b"\x00\x01\x01\x58\x20"
_LANE_SEQ: Final = (2, 3)  # the keys of two fields of one byte or more
_HLC: Final = 5
_EXPIRES: Final = 9
_PREV: Final = b"\x04\x58\x20"
_CAP: Final = b"\x06\x58\x21"
_INCARNATION: Final = b"\x07\x50"
_SKELETON: Final = b"\x08\x58\x20"

Row = tuple[int, int, str, bytes | None, list[bytes], Value]
"""A mutation: type, action, path, digest, superseded, arg."""


class Header(NamedTuple):
    """The fields of an op's header, unjudged."""

    space: bytes
    lane: int
    seq: int
    prev: bytes | None
    hlc: int
    cap: bytes | None
    incarnation: bytes
    digest: bytes
    expires_ms: int


def read_wire(data: bytes) -> tuple[bytes, bytes, list[bytes | None]] | None:
    """Header, skeleton and values of an op."""
    try:
        if data[0] != _ARRAY + 3:
            return None
        header, at = _octets(data, 1)
        skeleton, at = _octets(data, at)
        count = data[at] - _ARRAY
        at += 1
        if header is None or skeleton is None or not 0 <= count < _INLINE:
            return None
        values: list[bytes | None] = []
        for _ in range(count):
            if data[at] == _NULL:
                values.append(None)
                at += 1
            else:
                value, at = _octets(data, at)
                if value is None:
                    return None
                values.append(value)
    except IndexError:
        return None
    return (header, skeleton, values) if at == len(data) else None


def read_header(payload: bytes) -> Header | None:
    """The fields of the header of an op."""
    try:
        lane = payload[39]
        if payload[1:6] != _VERSION_SPACE or (payload[38], payload[40]) != _LANE_SEQ:
            return None
        seq, at = _uint(payload, 41)
        count = 7
        prev = cap = None
        if payload[at : at + 3] == _PREV:
            count += 1
            prev = payload[at + 3 : at + 35]
            at += 35
        if payload[at] != _HLC or lane >= _INLINE:
            return None
        hlc, at = _uint(payload, at + 1)
        if payload[at : at + 3] == _CAP:
            count += 1
            cap = payload[at + 3 : at + 36]
            at += 36
        end = at + 18
        if payload[at : at + 2] != _INCARNATION or payload[end : end + 3] != _SKELETON:
            return None
        incarnation, digest = payload[at + 2 : end], payload[end + 3 : end + 35]
        at, expires_ms = end + 35, 0
        if at < len(payload):
            count += 1
            if payload[at] != _EXPIRES:
                return None
            expires_ms, at = _uint(payload, at + 1)
    except IndexError:
        return None
    if payload[0] != _MAP + count or at != len(payload) or seq < 0 or hlc < 0:
        return None
    if count != 7 + (prev is not None) + (cap is not None) and expires_ms < 1:
        return None
    space = payload[6:38]
    return Header(space, lane, seq, prev, hlc, cap, incarnation, digest, expires_ms)


def read_rows(skeleton: bytes) -> list[Row] | None:
    """The mutations a skeleton lists."""
    try:
        count = skeleton[0] - _ARRAY
        if not 0 <= count < _INLINE:
            return None
        rows: list[Row] = []
        at = 1
        for _ in range(count):
            found = _row(skeleton, at)
            if found is None:
                return None
            row, at = found
            rows.append(row)
    except (IndexError, UnicodeDecodeError):
        return None
    return rows if at == len(skeleton) else None


def _row(data: bytes, at: int) -> tuple[Row, int] | None:
    kind, action, head = data[at + 1], data[at + 2], data[at + 3]
    begin, size = at + 4, head - _TEXT
    if size == _INLINE:
        begin, size = at + 5, data[at + 4]
        if size < _INLINE:
            return None
    if data[at] != _ARRAY + 6 or max(kind, action) >= _INLINE or not 0 <= size <= 255:  # noqa: PLR2004 - what one byte counts
        return None
    if head > _TEXT + _INLINE:
        return None
    at = begin + size
    path = data[begin:at].decode()
    digest: bytes | None = None
    if data[at] == _NULL:
        at += 1
    elif data[at : at + 2] == _ID:
        digest = data[at + 2 : at + 34]
        at += 34
    else:
        return None
    count = data[at] - _ARRAY
    at += 1
    if not 0 <= count < _INLINE:
        return None
    dots: list[bytes] = []
    for _ in range(count):
        if data[at : at + 2] != _DOT:
            return None
        dots.append(data[at + 2 : at + _DOT_WIDTH])
        at += _DOT_WIDTH
    if data[at] == _NULL:
        return (kind, action, path, digest, dots, None), at + 1
    arg, at = _arg(data, at)
    return None if arg is None else ((kind, action, path, digest, dots, arg), at)


def _arg(data: bytes, at: int) -> tuple[Value, int]:
    """Bytes, or a few bytes and whole numbers; None for anything else."""
    head = data[at]
    if _OCTETS <= head < _TEXT:
        return _octets(data, at)
    if not _ARRAY <= head < _ARRAY + _INLINE:
        return None, at
    items: list[Value] = []
    at += 1
    for _ in range(head - _ARRAY):
        item: int | bytes | None
        if data[at] < _OCTETS // 2:
            item, at = _uint(data, at)
            if item < 0:
                return None, at
        else:
            item, at = _octets(data, at)
            if item is None:
                return None, at
        items.append(item)
    return items, at


def _uint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number in its shortest form; -1 for anything else."""
    head = data[at]
    at += 1
    if head < _INLINE:
        return head, at
    if head > _INLINE + 3:
        return -1, at
    end = at + (1 << head - _INLINE)
    number = int.from_bytes(data[at:end])
    if number < (_INLINE, 1 << 8, 1 << 16, 1 << 32)[head - _INLINE]:
        return -1, at
    return (number, end) if end <= len(data) else (-1, at)


def _octets(data: bytes, at: int) -> tuple[bytes | None, int]:
    """Bytes behind the shortest head; None for anything else."""
    head = data[at]
    size, begin = head - _OCTETS, at + 1
    if size == _INLINE + 1:
        size, begin = data[at + 1] << 8 | data[at + 2], at + 3
        if size < 1 << 8:
            return None, at
    elif size == _INLINE:
        size, begin = data[at + 1], at + 2
        if size < _INLINE:
            return None, at
    elif not 0 <= size < _INLINE:
        return None, at
    end = begin + size
    return (data[begin:end], end) if end <= len(data) else (None, at)
