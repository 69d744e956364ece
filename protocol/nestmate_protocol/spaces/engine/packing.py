"""Packing: entries and mutations as bytes that sort as they should and open fast.

The key of an object is its path, a zero byte and its type, so that objects lie on disk
in the order of paths. This file knows which byte is where and nothing of what it means.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from nestmate_protocol.codec import decode, encode
from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot, Mutation, Type
from nestmate_protocol.spaces.types.entries import Entry

VALUE_INLINE_BYTES_MAX: Final = 512

_HAS_DIGEST: Final = 1
_HAS_VALUE: Final = 2
VALUE_ELSEWHERE: Final = 4

_ENTRY: Final = struct.Struct(">BBQQ32s16s32sH")
_ARG_AT: Final = _ENTRY.size
_TOUCHED: Final = struct.Struct(">HBB")
_NO_DIGEST: Final = bytes(32)
TYPE_BYTE: Final = tuple(b"\0" + bytes((kind,)) for kind in range(max(Type) + 1))

WRITER: Final = slice(18, 66)
AUTHOR: Final = slice(18, 50)
DIGEST: Final = slice(66, 98)
PLACE: Final = slice(2, 10)
"""Where in a packed entry its writer, author, digest and seq are."""


class Writer(NamedTuple):
    """What all mutations of one op have in common."""

    id: bytes
    author: bytes
    incarnation: bytes
    seq: int
    hlc: int


class Touched(NamedTuple):
    """One mutation as far as taking it back needs it."""

    key: bytes
    action: int
    superseded: tuple[bytes, ...]


def object_key(path: str, kind: int) -> bytes:
    """The key of an object."""
    return path.encode() + TYPE_BYTE[kind]


def object_of(key: bytes) -> tuple[str, Type]:
    """The object a key is of."""
    return key[:-2].decode(), Type(key[-1])


def pack_entry(by: Writer, mutation: Mutation, value: bytes | None) -> bytes:
    """A mutation as a live entry on disk; long values stay in their op alone."""
    digest = mutation.digest
    flags = 0 if digest is None else _HAS_DIGEST
    if value is not None:
        if len(value) <= VALUE_INLINE_BYTES_MAX:
            flags |= _HAS_VALUE
        else:
            flags |= VALUE_ELSEWHERE
            value = None
    arg = b"" if mutation.arg is None else encode(mutation.arg)
    fixed = _ENTRY.pack(
        *(mutation.action, flags, by.seq, by.hlc, by.author, by.incarnation),
        *(digest or _NO_DIGEST, len(arg)),
    )
    return fixed + arg + (value or b"")


def unpack_entry(dot: bytes, raw: bytes) -> Entry:
    """The live entry a row holds, without a value that lies elsewhere."""
    action, flags, seq, hlc, author, incarnation, digest, size = _ENTRY.unpack_from(raw)
    end = _ARG_AT + size
    return Entry(
        Dot(dot),
        DeviceKey(author),
        incarnation,
        seq,
        hlc,
        action,
        digest if flags & _HAS_DIGEST else None,
        raw[end:] if flags & _HAS_VALUE else None,
        decode(raw[_ARG_AT:end]) if size else None,
    )


def is_elsewhere(raw: bytes) -> bool:
    """Whether the value of a packed entry is to be read from its op."""
    return bool(raw[1] & VALUE_ELSEWHERE)


def pack_touched(mutations: Sequence[Mutation]) -> bytes:
    """What an op touches, for its place in the chain."""
    parts: list[bytes] = []
    for mutation in mutations:
        key = mutation.path.encode() + TYPE_BYTE[mutation.type]
        superseded = mutation.superseded
        parts.append(_TOUCHED.pack(len(key), mutation.action, len(superseded)))
        parts.append(key)
        parts += superseded
    return b"".join(parts)


def touched_of(raw: bytes) -> Iterator[Touched]:
    """What an op touches, mutation by mutation."""
    at = 0
    while at < len(raw):
        size, action, count = _TOUCHED.unpack_from(raw, at)
        at += _TOUCHED.size
        key = raw[at : at + size]
        at += size
        end = at + count * DOT_BYTES
        yield Touched(
            key, action, tuple([raw[n : n + DOT_BYTES] for n in range(at, end, 33)])
        )
        at = end
