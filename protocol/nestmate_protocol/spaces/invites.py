"""Invites to a space: one pasteable line that carries a grant and the key to use it.

The key in the line was granted something; whoever holds the line signs with it, once, a
grant to its own key, and from then on the line is not needed. It is a secret. This
file knows nothing of who made it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as EncodingError
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.codec import Fields, Value, decode, encode
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.grants import Grant, read_grant
from nestmate_protocol.ids import PeerId, SpaceId
from nestmate_protocol.keys import SEED_BYTES
from nestmate_protocol.limits import (
    HOST_ADDRESSES_MAX,
    MULTIADDR_CHARS_MAX,
    NAME_CHARS_MAX,
    SPACE_INVITE_CHARS_MAX,
)
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot

PREFIX: Final = "nestspace1"


@dataclass(frozen=True, slots=True)
class SpaceInvite:
    """What a line says: the space, the grant, the seed of its key, and where to ask."""

    space: SpaceId
    name: str
    private: bool
    dot: Dot
    grant: Grant
    seed: bytes
    peer: PeerId
    multiaddrs: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<SpaceInvite to {self.space.short}>"

    @property
    def text(self) -> str:
        """The line."""
        fields: list[Value] = [
            *(self.space.raw, self.name, self.private, bytes(self.dot)),
            *(decode(encode(self.grant.fields())), self.seed, self.peer.raw),
            list(self.multiaddrs),
        ]
        return PREFIX + urlsafe_b64encode(encode(fields)).decode().rstrip("=")


def is_invite(text: str) -> bool:
    """Whether a text looks like an invite to a space rather than like a name."""
    return text.strip().startswith(PREFIX)


def read_invite(text: str) -> SpaceInvite:
    """What a line says; LocalError if it is cut short or no such line."""
    line = "".join(text.split())[:SPACE_INVITE_CHARS_MAX]
    try:
        body = line.removeprefix(PREFIX)
        fields = Fields(decode(urlsafe_b64decode(body + "=" * (-len(body) % 4))))
        addresses = Fields(fields.items(7, HOST_ADDRESSES_MAX))
        return SpaceInvite(
            space=fields.identifier(0, SpaceId),
            name=fields.text(1, NAME_CHARS_MAX),
            private=fields.boolean(2),
            dot=Dot(fields.octets(3, DOT_BYTES, DOT_BYTES)),
            grant=read_grant(fields.body.get(4)),
            seed=fields.octets(5, SEED_BYTES, SEED_BYTES),
            peer=fields.identifier(6, PeerId),
            multiaddrs=tuple(
                addresses.text(n, MULTIADDR_CHARS_MAX)
                for n in range(len(addresses.body))
            ),
        )
    except (EncodingError, ValueError, RemoteError):
        raise LocalError(
            "this is no invite to a space, or it was cut short",
            f"paste the whole line; it starts with {PREFIX}",
        ) from None
