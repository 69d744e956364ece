"""Frames of the FRIENDS channel: redeeming an invite, and its two answers.

Nothing in a frame is signed: the connection proves which node speaks, and that node's
card proves for whom. This file knows nothing of what is done about a frame.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from nestmate_protocol.codec import decode, encode
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.friends.invites import SECRET_BYTES
from nestmate_protocol.ids import ID_BYTES, RecordId

_REDEEM, _WELCOME, _REFUSED = 1, 2, 3
_FRAME_BYTES_MAX: Final = 256


@unique
class Reason(StrEnum):
    """Why an invite was not taken; UNKNOWN also stands for reasons yet to come."""

    EXPIRED = "expired"
    USED = "used"
    UNKNOWN = "unknown"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Redeem:
    """Let us be contacts: this invite of yours, and the secret in it."""

    invite: RecordId
    secret: bytes


@dataclass(frozen=True, slots=True)
class Welcome:
    """You are a contact of mine now."""

    invite: RecordId


@dataclass(frozen=True, slots=True)
class Refused:
    """Not with this invite."""

    invite: RecordId
    reason: Reason


FriendsFrame = Redeem | Welcome | Refused


def pack(frame: FriendsFrame) -> bytes:
    """The bytes of a frame."""
    match frame:
        case Redeem(invite, secret):
            return encode([_REDEEM, invite.raw, secret])
        case Welcome(invite):
            return encode([_WELCOME, invite.raw])
        case Refused(invite, reason):
            return encode([_REFUSED, invite.raw, str(reason)])


def unpack(data: bytes) -> FriendsFrame:
    """The frame these foreign bytes are; raises RemoteError and nothing else."""
    match decode(data, _FRAME_BYTES_MAX):
        case [bool(), *_]:  # which would match as 0 or 1
            raise RemoteError(Fault.MALFORMED, "the number of a frame")
        case [int(number), bytes(raw), bytes(secret)] if number == _REDEEM:
            if len(secret) != SECRET_BYTES:
                raise RemoteError(Fault.BAD_FIELD, "secret")
            return Redeem(_invite(raw), secret)
        case [int(number), bytes(raw)] if number == _WELCOME:
            return Welcome(_invite(raw))
        case [int(number), bytes(raw), str(reason)] if number == _REFUSED:
            known = reason in set(Reason)
            return Refused(_invite(raw), Reason(reason) if known else Reason.UNKNOWN)
        case _:
            raise RemoteError(Fault.MALFORMED, "no frame of the friends channel")


def _invite(raw: bytes) -> RecordId:
    if len(raw) != ID_BYTES:
        raise RemoteError(Fault.BAD_FIELD, "invite")
    return RecordId(raw)
