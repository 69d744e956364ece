"""Invites: one pasteable line that proves who asks you in, and to which network.

An invite is a record of its issuer, so nobody can change where it leads; the secret
in it is what its bearer redeems with the issuer's node. It names its network in the
body as well, so that a node of another network can say so instead of calling the
signature bad. This file knows nothing of who redeems it and how often.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from typing import Final

from nestmate_protocol.codec import Encodable, Fields, decode, plain
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.identity.log import open_log
from nestmate_protocol.ids import Address, DeviceKey, NetworkId, PeerId, RecordId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import (
    HOST_ADDRESSES_MAX,
    INVITE_CHARS_MAX,
    INVITE_USES_MAX,
    LOG_ENTRIES_MAX,
    MULTIADDR_CHARS_MAX,
    NAME_CHARS_MAX,
    RECORD_BYTES_MAX,
)
from nestmate_protocol.records import Kind, Record, open_record, sign_record

PREFIX: Final = "nestmate1"
SECRET_BYTES: Final = 16
GRANTS_MAX: Final = 16
_TIME_MAX: Final = 2**53
_AGAIN: Final = "copy the whole line again, or ask for a new invite"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an invite says.

    ``log`` holds the issuer's identity log, so that the signer is provably one of its
    devices; it is empty where the log is too long for a pasteable line, and is then
    proved by the issuer's card. ``expires_ms`` is Unix ms.
    """

    issuer: Address
    peer: PeerId
    multiaddrs: tuple[str, ...]
    secret: bytes
    uses: int
    expires_ms: int
    network: NetworkId
    grants: tuple[str, ...] = ()
    called: str = ""
    log: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Invite:
    """One signed invite; ``id`` is what it is redeemed under."""

    id: RecordId
    author: DeviceKey
    terms: Terms
    data: bytes

    @property
    def text(self) -> str:
        """The line to paste."""
        return PREFIX + urlsafe_b64encode(self.data).rstrip(b"=").decode()


def make_invite(key: SigningKey, terms: Terms) -> Invite:
    """A new invite; raises LocalError if it does not fit into a pasteable line."""
    invite = _sign(key, terms)
    if len(invite.text) > INVITE_CHARS_MAX and terms.log:
        invite = _sign(key, replace(terms, log=()))
    if len(invite.text) > INVITE_CHARS_MAX:
        raise LocalError(
            "an invite with all these addresses and grants is too long to paste",
            "listen on fewer addresses or name fewer grants",
        )
    return invite


def open_invite(text: str, network: NetworkId) -> Invite:
    """The invite a pasted line stands for, verified to the last bit.

    Blanks, line breaks and words before it are forgiven. Raises LocalError with a way
    out if it is no invite, was cut or mistyped, or belongs to another network.
    """
    data = _from_text(text)
    try:
        elsewhere = _network_named(data)
        invite = _read(open_record(data, elsewhere))
    except RemoteError:
        raise LocalError("this invite is cut short or mistyped", _AGAIN) from None
    if elsewhere != network:
        raise LocalError(
            f"this invite is for another network, {elsewhere.short}; this node"
            f" belongs to {network.short}",
            "make a second home for it: `nestmate --home DIR init --network NAME`",
        )
    return invite


def _sign(key: SigningKey, terms: Terms) -> Invite:
    body: dict[int, Encodable] = {
        1: terms.issuer.raw,
        2: terms.peer.raw,
        3: terms.multiaddrs,
        4: terms.secret,
        5: terms.uses,
        6: terms.expires_ms,
        7: terms.grants,
        8: terms.called,
        9: terms.log,
        10: terms.network.raw,
    }
    record = sign_record(key, terms.network, Kind.INVITE, body)
    return Invite(record.id, record.author, terms, record.data)


def _from_text(text: str) -> bytes:
    compact = "".join(text.split()).strip("<>`'\"")
    start = compact.find(PREFIX)
    if start < 0:
        raise LocalError(
            "this is not an invite", f"an invite is one line that starts with {PREFIX}"
        )
    body = compact[start + len(PREFIX) :]
    if len(body) > INVITE_CHARS_MAX:
        raise LocalError("this is too long for an invite", _AGAIN)
    try:
        padded = body + "=" * (-len(body) % 4)
        data = urlsafe_b64decode(padded.encode())
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise LocalError("this invite is cut short or mistyped", _AGAIN) from None
    return data


def _network_named(data: bytes) -> NetworkId:
    """The network an invite says it is for, before anything of it is verified."""
    payload = Fields(decode(data)).octets(2, 1, RECORD_BYTES_MAX)
    return Fields(decode(payload)).identifier(10, NetworkId)


def _read(record: Record) -> Invite:
    fields = record.fields
    terms = Terms(
        issuer=fields.identifier(1, Address),
        peer=fields.identifier(2, PeerId),
        multiaddrs=_texts(fields, 3, HOST_ADDRESSES_MAX, MULTIADDR_CHARS_MAX),
        secret=fields.octets(4, SECRET_BYTES, SECRET_BYTES),
        uses=fields.integer(5, 1, INVITE_USES_MAX),
        expires_ms=fields.integer(6, 0, _TIME_MAX),
        network=fields.identifier(10, NetworkId),
        grants=_texts(fields, 7, GRANTS_MAX, NAME_CHARS_MAX),
        called=plain(fields.text_or(8, "", NAME_CHARS_MAX)),
        log=_entries(fields),
    )
    if terms.log:
        log = open_log(terms.log)
        if log.address != terms.issuer or record.author not in log.devices:
            raise RemoteError(Fault.NOT_ENTITLED, "invite")
    return Invite(record.id, record.author, terms, record.data)


def _texts(fields: Fields, key: int, count_max: int, chars_max: int) -> tuple[str, ...]:
    row = Fields(fields.items(key, count_max))
    return tuple(row.text(place, chars_max) for place in range(len(row.body)))


def _entries(fields: Fields) -> tuple[bytes, ...]:
    row = Fields(fields.items(9, LOG_ENTRIES_MAX))
    return tuple(
        row.octets(place, 1, RECORD_BYTES_MAX) for place in range(len(row.body))
    )
