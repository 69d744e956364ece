"""Identifiers: 32 bytes each, with a text form, a short form and a type of their own.

The text form is bech32m (BIP 350), whose prefix says what the identifier names and
whose checksum catches any mistyped character. Only peer ids keep the text form of
their own world, libp2p's. This file knows nothing of how identifiers come about.
"""

from base64 import b32encode
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import ClassVar, Final, Self

from nestmate_protocol.errors import LocalError

ID_BYTES: Final = 32
SHORT_CHARS: Final = 8

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_TO_VALUES: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", bytes(range(32))
)
_TO_CHARSET: Final = bytes.maketrans(bytes(range(32)), _CHARSET.encode())
_BECH32M: Final = 0x2BC830A3
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_CHARS: Final = 6
_TEXTS_REMEMBERED: Final = 1_024  # events name the same few again and again
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519_MULTIHASH: Final = bytes.fromhex("002408011220")


class Identifier:
    """32 bytes that name something; equal only within one type."""

    __slots__ = ("raw",)
    prefix: ClassVar[str] = "id"

    def __init__(self, raw: bytes) -> None:
        if len(raw) != ID_BYTES:
            raise LocalError(f"{type(self).__name__} takes 32 bytes, not {len(raw)}")
        self.raw = raw

    @property
    def text(self) -> str:
        """The whole identifier as people and programs exchange it."""
        return _bech32m_encode(self.prefix, self.raw)

    @property
    def short(self) -> str:
        """The first eight characters after the prefix, for tables and logs."""
        start = len(self.prefix) + 1
        return self.text[start : start + SHORT_CHARS]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The identifier a text form stands for; LocalError says what is wrong."""
        return cls(_bech32m_decode(cls.prefix, text.strip()))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.raw == getattr(other, "raw", None)

    def __lt__(self, other: Self) -> bool:
        return self.raw < other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.short}>"

    def __str__(self) -> str:
        return self.text


class Address(Identifier):
    """An agent, for as long as it lives: the id of its inception record."""

    __slots__ = ()
    prefix = "nest"


class DeviceKey(Identifier):
    """The Ed25519 public key that signs an agent's records."""

    __slots__ = ()
    prefix = "device"


class RecordId(Identifier):
    """One signed record: SHA-256 of its protected header and payload."""

    __slots__ = ()
    prefix = "record"


class TaskId(Identifier):
    """One task: hash of its issuer's address and the issuer's idempotency key."""

    __slots__ = ()
    prefix = "task"


class SpaceId(Identifier):
    """One space: the id of its first op."""

    __slots__ = ()
    prefix = "space"


class BlobId(Identifier):
    """Some bytes, for ever the same: the hash over their size and their chunks."""

    __slots__ = ()
    prefix = "blob"


class NetworkId(Identifier):
    """One network; records of another network never verify in it."""

    __slots__ = ()
    prefix = "net"


class PeerId(Identifier):
    """The Ed25519 host key a node answers to; written the way libp2p writes it."""

    __slots__ = ()
    prefix = "12D3KooW"

    @property
    def text(self) -> str:
        """Base58btc of the identity multihash of the public key."""
        return _base58_encode(_ED25519_MULTIHASH + self.raw)

    @property
    def short(self) -> str:
        """The last eight characters, because the first eight are the same for all."""
        return self.text[-SHORT_CHARS:]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The peer id a libp2p text stands for; only Ed25519 peer ids are taken."""
        raw = _base58_decode(text.strip())
        if not raw.startswith(_ED25519_MULTIHASH):
            raise LocalError(f"{text!r} is not an Ed25519 peer id")
        return cls(raw[len(_ED25519_MULTIHASH) :])


def _polymod(values: Iterable[int], check: int = 1) -> int:
    for value in values:
        check = (check & 0x1FFFFFF) << 5 ^ value ^ _FALLEN_OUT[check >> 25]
    return check


def _fallen_out(top: int) -> int:
    """What five bits that leave the checksum at its top put back into it."""
    check = 0
    for bit, generator in enumerate(_GENERATOR):
        if top >> bit & 1:
            check ^= generator
    return check


# An event spells two or three identifiers, so this is worth a table.
_FALLEN_OUT: Final = tuple(_fallen_out(top) for top in range(32))


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


@lru_cache(maxsize=_TEXTS_REMEMBERED)
def _bech32m_encode(prefix: str, raw: bytes) -> str:
    data = b32encode(raw).rstrip(b"=").translate(_TO_VALUES)
    check = _polymod(data + bytes(_CHECKSUM_CHARS), _polymod_of(prefix)) ^ _BECH32M
    data += bytes(check >> shift & 31 for shift in range(25, -1, -5))
    return f"{prefix}1{data.translate(_TO_CHARSET).decode()}"


@cache
def _polymod_of(prefix: str) -> int:
    return _polymod(_expand(prefix))


def _bech32m_decode(prefix: str, text: str) -> bytes:
    way_out = f"expected a text that starts with {prefix}1"
    if text != text.lower():
        raise LocalError(f"{text[:80]!r} mixes cases", way_out)
    head, separator, tail = text.rpartition("1")
    if not separator or head != prefix:
        raise LocalError(f"{text[:80]!r} is not an identifier here", way_out)
    if len(tail) != 52 + _CHECKSUM_CHARS or any(c not in _CHARSET for c in tail):
        raise LocalError(f"{text[:80]!r} is cut short or mistyped", way_out)
    data = [_CHARSET.index(c) for c in tail]
    if _polymod(_expand(prefix) + data) != _BECH32M:
        raise LocalError(f"{text[:80]!r} has a typing error in it", way_out)
    bits = 0
    for value in data[:-_CHECKSUM_CHARS]:
        bits = bits << 5 | value
    if bits & 15:
        raise LocalError(f"{text[:80]!r} has a typing error in it", way_out)
    return (bits >> 4).to_bytes(ID_BYTES)


def _base58_encode(raw: bytes) -> str:
    number, digits = int.from_bytes(raw), ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def _base58_decode(text: str) -> bytes:
    number = 0
    if len(text) > 2 * ID_BYTES or any(character not in _BASE58 for character in text):
        raise LocalError(f"{text[:80]!r} is not a peer id")
    for character in text:
        number = number * 58 + _BASE58.index(character)
    body = number.to_bytes((number.bit_length() + 7) // 8)
    return b"\0" * (len(text) - len(text.lstrip("1"))) + body
