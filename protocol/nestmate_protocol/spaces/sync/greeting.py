"""Greeting: how two nodes find out which spaces they share, and prove their keys.

A tag is a hash of a space's id under a salt of its sender: whoever does not know the
space learns nothing from it, and no two connections show the same tag. A proof signs
who speaks to whom, and both salts, so that it holds in this connection alone.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from nestmate_protocol.ids import DeviceKey, NetworkId, PeerId, SpaceId
from nestmate_protocol.keys import SigningKey, verify
from nestmate_protocol.spaces.reconcile import SHORT_BYTES, Short
from nestmate_protocol.spaces.sync.frames import TAG_BYTES

_PROOF: Final = b"nestmate/1/space-proof\0"
_TAG: Final = b"nestmate/tag"
_SHORT: Final = b"nestmate/short"


@dataclass(frozen=True, slots=True)
class Salted:
    """One end of a connection: whose it is, and the salt it said hello with."""

    peer: PeerId
    salt: bytes


def tag_of(space: SpaceId, salt: bytes) -> bytes:
    """How the one who chose this salt names a space to those who know it."""
    return blake2b(space.raw, digest_size=TAG_BYTES, key=salt, person=_TAG).digest()


def prove(
    key: SigningKey, network: NetworkId, space: SpaceId, me: Salted, other: Salted
) -> bytes:
    """A signature that shows the other end that we hold this key."""
    return key.sign(_message(network, space, me, other))


def check(
    proof: tuple[DeviceKey, bytes],
    network: NetworkId,
    space: SpaceId,
    other: Salted,
    me: Salted,
) -> None:
    """Come back only if the other end holds the key; RemoteError otherwise."""
    key, signature = proof
    verify(key, _message(network, space, other, me), signature)


def short_ids(one: Salted, other: Salted) -> Short:
    """The short form of ids between these two, which nobody could choose alone."""
    first, second = sorted((one, other), key=lambda end: end.peer)
    secret = first.salt + second.salt

    def short(key: bytes) -> bytes:
        return blake2b(
            key[8:], digest_size=SHORT_BYTES, key=secret, person=_SHORT
        ).digest()

    return short


def _message(
    network: NetworkId, space: SpaceId, prover: Salted, other: Salted
) -> bytes:
    ends = prover.peer.raw + other.peer.raw + prover.salt + other.salt
    return _PROOF + network.raw + space.raw + ends
