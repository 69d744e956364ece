"""Stored: an op as it lies on disk, with what is needed to find it before its bytes.

What is in here was verified when it came in, so that reading it again checks nothing.
This file knows no rights and no objects.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from nestmate_protocol.codec import decode, encode
from nestmate_protocol.limits import OP_BYTES_MAX
from nestmate_protocol.spaces import quick
from nestmate_protocol.spaces.ops import Lane, Mutation, read_skeleton

_HEAD: Final = struct.Struct(">BIQQ32s16s")

AT: Final = b"o"
HEAD_BYTES: Final = _HEAD.size


class Stored(NamedTuple):
    """One op: where it stands, who wrote it when, and its bytes."""

    lane: int
    branch: int
    seq: int
    hlc: int
    author: bytes
    incarnation: bytes
    wire: bytes

    @property
    def writer(self) -> bytes:
        """Its author, in one life."""
        return self.author + self.incarnation

    def with_values(self, values: Sequence[bytes | None]) -> bytes:
        """Its bytes with other values."""
        match decode(self.wire, OP_BYTES_MAX):
            case [bytes() as header, bytes() as skeleton, _]:
                return encode([header, skeleton, list(values)])
            case _:
                return self.wire

    def travelling(self) -> tuple[bytes, tuple[bytes | None, ...]]:
        """Its skeleton and its values as they travel, sealed in a private space."""
        quickly = quick.read_wire(self.wire)
        if quickly is not None:
            return quickly[1], tuple(quickly[2])
        match decode(self.wire, OP_BYTES_MAX):
            case [bytes(), bytes() as skeleton, list() as found]:
                kept = tuple(v if isinstance(v, bytes) else None for v in found)
                return skeleton, kept
            case _:
                return b"", ()

    def parts(self) -> tuple[tuple[Mutation, ...], tuple[bytes | None, ...]]:
        """Its mutations and their values, if it is not sealed."""
        skeleton, values = self.travelling()
        if not skeleton:
            return (), ()
        return read_skeleton(skeleton, Lane(self.lane)), values


head = _HEAD.pack
"""What stands before an op's bytes: lane, branch, seq, hlc, author, incarnation."""


def unpack(raw: bytes) -> Stored:
    """The op a row holds."""
    lane, branch, seq, hlc, author, incarnation = _HEAD.unpack_from(raw)
    wire = raw[_HEAD.size :]
    return Stored(lane, branch, seq, hlc, author, incarnation, wire)
