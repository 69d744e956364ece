"""Keyring: the secrets of a private space, and what is sealed with them.

A secret is 32 random bytes and is named by a hash of itself, so that nobody can hand
different secrets to different members under one name. It is handed to a device key in a
box which only that key opens; the boxes are ops of the auth lane, and nothing else
keeps a secret. What is sealed is bound to the space, the author and the time of its op.
This file knows neither grants nor who ought to have a secret.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES, DeviceKey, SpaceId
from nestmate_protocol.keys import (
    NONCE_BYTES,
    SEALED_BOX_BYTES,
    SECRET_BYTES,
    SEED_BYTES,
    SigningKey,
    seal,
    seal_to,
    unseal,
)
from nestmate_protocol.limits import KEY_READERS_PER_OP_MAX
from nestmate_protocol.spaces.auth import is_plain
from nestmate_protocol.spaces.ops import (
    Mutation,
    Place,
    Type,
    digest_of,
    read_skeleton,
    skeleton_of,
)

NAME_BYTES: Final = 16
PAD_BYTES: Final = 64
HANDED_BYTES: Final = ID_BYTES + SEALED_BOX_BYTES + SECRET_BYTES

_NAMED: Final = b"nestmate space secret 1\n"
_END: Final = b"\x80"
_SKELETON: Final = b"\xff"

Content = tuple[Sequence[Mutation], Sequence[bytes | None]]
"""Mutations and their values."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What ops are sealed with; ``name`` is told to everybody."""

    name: bytes
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handing:
    """A secret on its way to some keys: its name, and a box for each of them."""

    name: bytes
    boxes: dict[bytes, bytes] = field(repr=False)


def secret_of(space: SpaceId, raw: bytes) -> Secret:
    """The secret of a space that these 32 bytes are."""
    return Secret(sha256(_NAMED + space.raw + raw).digest()[:NAME_BYTES], raw)


def handing(
    secret: Secret, keys: Iterable[DeviceKey], entropy: Callable[[int], bytes]
) -> list[Mutation]:
    """The mutations that hand a secret to keys; what is no key is left out."""
    rows: list[bytes] = []
    for key in sorted(set(keys)):
        try:
            rows.append(key.raw + seal_to(key, secret.raw, entropy(SEED_BYTES)))
        except RemoteError:
            continue
    return [
        Mutation(Type.KEYS, 0, "", arg=[secret.name, [*rows[n : n + _MOST]]])
        for n in range(0, len(rows), _MOST)
    ]


def handing_in(mutation: Mutation) -> Handing | None:
    """What a mutation hands out, None if it hands out nothing."""
    if mutation.type is not Type.KEYS or not is_plain(mutation):
        return None
    match mutation.arg:
        case [bytes(name), list(rows)] if len(name) == NAME_BYTES:
            boxes = {
                row[:ID_BYTES]: row[ID_BYTES:]
                for row in rows
                if type(row) is bytes and len(row) == HANDED_BYTES
            }
            whole = len(boxes) == len(rows) and 0 < len(rows) <= _MOST
            return Handing(name, boxes) if whole else None
        case _:
            return None


class Keyring:
    """The secrets of one space that were handed to the keys of this node.

    They are in memory only: after a restart they are taken out of their boxes again.
    """

    def __init__(self, space: SpaceId, keys: Iterable[SigningKey] = ()) -> None:
        self._space = space
        self._keys = {key.public.raw: key for key in keys}
        self._secrets: dict[bytes, Secret] = {}

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._secrets)} secrets>"

    def __contains__(self, name: bytes) -> bool:
        return name in self._secrets

    def __len__(self) -> int:
        return len(self._secrets)

    def get(self, name: bytes) -> Secret | None:
        """A secret by its name."""
        return self._secrets.get(name)

    def use(self, keys: Iterable[SigningKey]) -> None:
        """Open boxes with these keys as well."""
        self._keys.update({key.public.raw: key for key in keys})

    def opens(self, keys: Iterable[bytes]) -> bool:
        """Whether any of these keys is one of this node's."""
        return not self._keys.keys().isdisjoint(keys)

    def learn(self, handed: Handing) -> bool:
        """Take in what was handed out; whether this is a secret not known before."""
        if handed.name in self._secrets:
            return False
        for raw, box in handed.boxes.items():
            key = self._keys.get(raw)
            if key is not None and self._learn(handed.name, key, box):
                return True
        return False

    def keep(self, secret: Secret) -> None:
        """Take in a secret of our own making."""
        self._secrets[secret.name] = secret

    def knows(self, box: bytes) -> bool:
        """Whether what is in a box can be read here, if it can be read at all."""
        return box[:NAME_BYTES] in self._secrets

    def opened(
        self,
        place: Place,
        author: DeviceKey,
        box: bytes,
        values: Sequence[bytes | None],
    ) -> Content | None:
        """What a sealed op says; None if its secret is not here or it says nothing.

        A value that is not what the skeleton says is as one that was dropped: others
        may hold the op without it, and have to come to the same.
        """
        secret = self._secrets.get(box[:NAME_BYTES])
        if secret is None:
            return None
        about = _context(self._space, author, place.hlc)
        try:
            skeleton = unseal(secret.raw, box[NAME_BYTES:], about + _SKELETON)
            mutations = read_skeleton(_unpadded(skeleton), place.lane)
        except RemoteError:
            return None
        if len(mutations) != len(values):
            return None
        opened = [
            _opened_value(secret, about + bytes((n,)), value, mutations[n].digest)
            for n, value in enumerate(values)
        ]
        return mutations, opened

    def _learn(self, name: bytes, key: SigningKey, box: bytes) -> bool:
        try:
            raw = key.open_box(box)
        except RemoteError:
            return False
        secret = secret_of(self._space, raw)
        if len(raw) != SECRET_BYTES or secret.name != name:
            return False
        self._secrets[name] = secret
        return True


def sealed(
    secret: Secret,
    place: Place,
    author: DeviceKey,
    content: Content,
    entropy: Callable[[int], bytes],
) -> tuple[bytes, list[bytes | None]]:
    """The box of a private op at a place, and its values as they travel."""
    mutations, values = content
    about = _context(place.space, author, place.hlc)
    skeleton = skeleton_of(mutations, [digest_of(value) for value in values])

    def closed(clear: bytes, part: bytes) -> bytes:
        return seal(secret.raw, _padded(clear), entropy(NONCE_BYTES), about + part)

    return secret.name + closed(skeleton, _SKELETON), [
        None if value is None else closed(value, bytes((n,)))
        for n, value in enumerate(values)
    ]


_MOST: Final = KEY_READERS_PER_OP_MAX


def _opened_value(
    secret: Secret, about: bytes, value: bytes | None, digest: bytes | None
) -> bytes | None:
    if value is None:
        return None
    try:
        clear = _unpadded(unseal(secret.raw, value, about))
    except RemoteError:
        return None
    return clear if digest_of(clear) == digest else None


def _context(space: SpaceId, author: DeviceKey, hlc: int) -> bytes:
    return space.raw + author.raw + hlc.to_bytes(8)


def _padded(clear: bytes) -> bytes:
    """Up to a multiple of 64 bytes, so that a length tells little (ISO/IEC 7816-4)."""
    return clear + _END + bytes(-(len(clear) + 1) % PAD_BYTES)


def _unpadded(padded: bytes) -> bytes:
    clear = padded.rstrip(b"\0")
    if not clear.endswith(_END):
        raise RemoteError(Fault.BAD_FIELD, "padding")
    return clear[:-1]
