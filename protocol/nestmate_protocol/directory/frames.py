"""Frames of the CARDS channel: what two directories say to each other.

Each frame is a deterministic CBOR array whose first item is its number. Cards travel
as the bytes their agents signed; nothing in a frame itself is signed, because it is
worth no more than the connection it came over. This file knows nothing of what is
done about a frame.
"""

from dataclasses import dataclass
from typing import Final

from nestmate_protocol.codec import Value, decode, encode
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES
from nestmate_protocol.limits import (
    CARD_BYTES_MAX,
    FRAME_BYTES_MAX,
    PEERS_INTRODUCED_MAX,
    SKILL_CHARS_MAX,
)

_HELLO, _CARDS, _ADDRESS, _SKILL, _PING, _PONG, _DEVICE, _WHO = range(1, 9)
_NUMBER_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Hello:
    """This connection ends at the agent of this card."""

    card: bytes


@dataclass(frozen=True, slots=True)
class Cards:
    """Cards of others; ``about`` repeats the question, empty for introductions."""

    cards: tuple[bytes, ...]
    about: bytes = b""


@dataclass(frozen=True, slots=True)
class WantAddress:
    """Send the card of this address, if you know it."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class WantDevice:
    """Send the card this device key speaks for, if you know it."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class WantSkill:
    """Send cards of those who offer this skill."""

    name: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with the same number."""

    number: int


@dataclass(frozen=True, slots=True)
class Echo:
    """The answer to a ping."""

    number: int


@dataclass(frozen=True, slots=True)
class Who:
    """Say hello again: the first one has not come."""


CardsFrame = Hello | Cards | WantAddress | WantDevice | WantSkill | Ping | Echo | Who


def pack(frame: CardsFrame) -> bytes:
    """The bytes of a frame."""
    match frame:
        case Hello(card):
            return encode([_HELLO, card])
        case Cards(cards, about):
            return encode([_CARDS, list(cards), about])
        case WantAddress(raw):
            return encode([_ADDRESS, raw])
        case WantDevice(raw):
            return encode([_DEVICE, raw])
        case WantSkill(name):
            return encode([_SKILL, name])
        case Ping(number):
            return encode([_PING, number])
        case Echo(number):
            return encode([_PONG, number])
        case Who():
            return encode([_WHO])


def unpack(data: bytes) -> CardsFrame:
    """The frame these foreign bytes are; raises RemoteError and nothing else."""
    match decode(data, FRAME_BYTES_MAX):
        case [bool(), *_]:  # which would match as 0 or 1
            raise RemoteError(Fault.MALFORMED, "the number of a frame")
        case [int(number), bytes(card)] if number == _HELLO:
            return Hello(_card(card))
        case [int(number), list(cards), bytes(about)] if number == _CARDS:
            if len(cards) > PEERS_INTRODUCED_MAX or len(about) not in {0, ID_BYTES}:
                raise RemoteError(Fault.OVER_LIMIT, "cards in one frame")
            return Cards(tuple(_card(card) for card in cards), about)
        case [int(number), bytes(raw)] if number == _ADDRESS and _is_id(raw):
            return WantAddress(raw)
        case [int(number), bytes(raw)] if number == _DEVICE and _is_id(raw):
            return WantDevice(raw)
        case [int(number), str(name)] if number == _SKILL:
            if not 0 < len(name) <= SKILL_CHARS_MAX:
                raise RemoteError(Fault.BAD_FIELD, "skill")
            return WantSkill(name)
        case [int(number), int(value)] if number in {_PING, _PONG}:
            if isinstance(value, bool) or not 0 <= value <= _NUMBER_MAX:
                raise RemoteError(Fault.BAD_FIELD, "number")
            return Ping(value) if number == _PING else Echo(value)
        case [int(number)] if number == _WHO:
            return Who()
        case _:
            raise RemoteError(Fault.MALFORMED, "no frame of the cards channel")


def _is_id(raw: bytes) -> bool:
    return len(raw) == ID_BYTES


def _card(item: Value) -> bytes:
    if not isinstance(item, bytes):
        raise RemoteError(Fault.MALFORMED, "card")
    if len(item) > CARD_BYTES_MAX:
        raise RemoteError(Fault.TOO_LARGE, "card")
    return item
