"""Bytes on a stream: exact reads, length prefixes, and agreeing on a protocol.

Whatever the other side claims about a length is checked against a limit before a byte
of it is taken in. Negotiation is multistream-select 1.0, bounded in bytes and rounds.
This file knows nothing of sockets, keys or the meaning of a frame.
"""

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from nestmate_protocol.errors import Fault, RemoteError

_MULTISTREAM: Final = "/multistream/1.0.0"
_LINE_BYTES_MAX: Final = 512
_ROUNDS_MAX: Final = 16
_VARINT_BYTES_MAX: Final = 9
_NOT_HERE: Final = "na"


class GoneError(Exception):
    """The other side is not there any more, or ended what we were reading."""


class ByteStream(Protocol):
    """Anything that bytes go in and come out of, in order."""

    async def receive_exactly(self, count: int) -> bytes:
        """So many bytes; raises GoneError if they never come."""
        ...

    async def send_all(self, data: bytes) -> None:
        """Hand all bytes over; raises GoneError if nobody takes them."""
        ...


def uvarint(number: int) -> bytes:
    """An unsigned varint, as protobuf and libp2p write lengths."""
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits to a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text_of(field: object) -> str:
    """A text field of a protobuf message, which hands out bytes that are no UTF-8."""
    if not isinstance(field, str):
        raise RemoteError(Fault.MALFORMED, "text")
    return field


async def receive_uvarint(stream: ByteStream) -> int:
    """One unsigned varint of at most 63 bits."""
    number = 0
    for position in range(_VARINT_BYTES_MAX):
        byte = (await stream.receive_exactly(1))[0]
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            return number
    raise RemoteError(Fault.MALFORMED, "varint")


async def receive_delimited(stream: ByteStream, bytes_max: int) -> bytes:
    """One varint-prefixed message; RemoteError if it claims to be longer."""
    size = await receive_uvarint(stream)
    if size > bytes_max:
        raise RemoteError(Fault.TOO_LARGE, f"{size} bytes")
    return await stream.receive_exactly(size) if size else b""


async def send_delimited(stream: ByteStream, message: bytes) -> None:
    """One varint-prefixed message."""
    await stream.send_all(uvarint(len(message)) + message)


def _line(text: str) -> bytes:
    line = text.encode() + b"\n"
    return uvarint(len(line)) + line


async def _receive_line(stream: ByteStream) -> str:
    line = await receive_delimited(stream, _LINE_BYTES_MAX)
    if not line.endswith(b"\n"):
        raise RemoteError(Fault.MALFORMED, "negotiation")
    return line[:-1].decode("utf-8", "replace")


async def propose(stream: ByteStream, protocols: Sequence[str]) -> str:
    """Agree on one of our protocols, best first; RemoteError if none is spoken."""
    await stream.send_all(_line(_MULTISTREAM) + _line(protocols[0]))
    if await _receive_line(stream) != _MULTISTREAM:
        raise RemoteError(Fault.MALFORMED, "negotiation")
    for position, protocol in enumerate(protocols):
        if position:
            await stream.send_all(_line(protocol))
        answer = await _receive_line(stream)
        if answer == protocol:
            return protocol
        if answer != _NOT_HERE:
            raise RemoteError(Fault.MALFORMED, "negotiation")
    raise RemoteError(Fault.UNKNOWN_KIND, "no protocol in common")


async def agree(stream: ByteStream, protocols: Collection[str]) -> str:
    """Let the other side choose one of our protocols, within a few rounds."""
    await stream.send_all(_line(_MULTISTREAM))
    if await _receive_line(stream) != _MULTISTREAM:
        raise RemoteError(Fault.MALFORMED, "negotiation")
    for _ in range(_ROUNDS_MAX):
        wanted = await _receive_line(stream)
        if wanted in protocols:
            await stream.send_all(_line(wanted))
            return wanted
        await stream.send_all(_line(_NOT_HERE))
    raise RemoteError(Fault.UNKNOWN_KIND, "no protocol in common")
