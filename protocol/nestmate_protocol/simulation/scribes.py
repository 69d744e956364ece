"""Scribes: device keys that write real ops of a space, honestly or not.

A scribe keeps its own chains and knows no others; what it writes it writes at once,
with no node around it. Told to, it goes on from an older op of its own, which makes a
branch in a new life and a fork in the same one. This file knows no set of ops.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from typing import Final

from nestmate_protocol.clocks import COUNTER_BITS
from nestmate_protocol.codec import encode
from nestmate_protocol.grants import ALL_RIGHTS, Grant, Rights
from nestmate_protocol.ids import Address, DeviceKey, NetworkId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import INCARNATION_BYTES
from nestmate_protocol.spaces.founding import SALT_BYTES, Genesis, found_space
from nestmate_protocol.spaces.keyring import Content, Secret, sealed
from nestmate_protocol.spaces.ops import (
    Dot,
    Lane,
    Mutation,
    Op,
    Place,
    Type,
    digest_of,
    read_skeleton,
    sign_op,
    sign_sealed_op,
    skeleton_of,
)

NETWORK: Final = NetworkId(b"\x06" * 32)
START_MS: Final = 1_800_000_000_000


@dataclass(frozen=True, slots=True)
class Draft:
    """An op before it is placed: what it changes, with which values, under what cap.

    ``expires_ms`` other than 0 puts it into the ephemeral lane.
    """

    mutations: Sequence[Mutation]
    values: Sequence[bytes | None] = ()
    cap: Dot | None = None
    expires_ms: int = 0

    @property
    def lane(self) -> Lane:
        """The lane it belongs to."""
        if self.expires_ms:
            return Lane.EPHEMERAL
        return Lane.AUTH if self.mutations[0].type.is_auth else Lane.DATA


class Scribe:
    """One key and its chains in one space; ``written`` are all its ops, first to last.

    ``address`` is who it speaks for, ``life`` how often it was started. With a
    ``secret`` it seals what does not go into the auth lane.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = SigningKey(sha256(b"scribe " + name.encode()).digest())
        self.address = Address(sha256(b"address " + name.encode()).digest())
        self.life = 0
        self.written: list[Op] = []
        self.tips: dict[Lane, Op] = {}
        self.space = SpaceId(bytes(32))
        self.secret: Secret | None = None
        self.hlc = START_MS << COUNTER_BITS

    def __repr__(self) -> str:
        return f"<Scribe {self.name}, {len(self.written)} ops>"

    @property
    def public(self) -> DeviceKey:
        """The key its ops are known by."""
        return self.key.public

    @property
    def incarnation(self) -> bytes:
        """The name of its present life."""
        return self.life.to_bytes(INCARNATION_BYTES)

    def found(
        self,
        founders: "Sequence[Scribe]",
        threshold: int = 1,
        *,
        private: bool = False,
    ) -> Op:
        """Begin a space, and tell the founders which."""
        keys = tuple((each.address, each.public) for each in founders)
        genesis = Genesis(
            "garden", keys, threshold, private=private, salt=b"s" * SALT_BYTES
        )
        op = found_space(self.key, NETWORK, genesis, self.hlc, self.incarnation)
        self._keep(op)
        for each in founders:
            each.space = op.space
        return op

    def write(
        self, draft: Draft, hlc: int | None = None, after: Op | None = None
    ) -> Op:
        """Write an op after its last one, or after an older one of its own.

        The time is later than what it wrote before, unless it is given.
        """
        lane = draft.lane
        before = None if lane is Lane.EPHEMERAL else after or self.tips.get(lane)
        place = Place(
            space=self.space,
            lane=lane,
            seq=0 if before is None else before.place.seq + 1,
            prev=None if before is None else before.id,
            hlc=self.hlc + 1 if hlc is None else hlc,
            cap=draft.cap,
            incarnation=self.incarnation,
            expires_ms=draft.expires_ms,
        )
        values = draft.values or [None] * len(draft.mutations)
        if self.secret is None or lane is Lane.AUTH:
            op = sign_op(self.key, NETWORK, place, draft.mutations, values)
        else:
            op = self._seal(self.secret, place, (draft.mutations, values))
        self._keep(op)
        return op

    def _seal(self, secret: Secret, place: Place, content: Content) -> Op:
        """A sealed op as one sees it who has the secret; its bytes are sealed."""
        draws = count(place.hlc)

        def entropy(size: int) -> bytes:
            seed = self.public.raw + next(draws).to_bytes(16)
            return sha256(seed + encode(len(self.written))).digest()[:size]

        box, closed = sealed(secret, place, self.public, content, entropy)
        op = sign_sealed_op(self.key, NETWORK, place, box, closed)
        mutations, values = content
        skeleton = skeleton_of(mutations, [digest_of(value) for value in values])
        clear = read_skeleton(skeleton, place.lane)
        return replace(op, mutations=clear, values=tuple(values))

    def grant_to(
        self, other: "Scribe", rights: Rights = ALL_RIGHTS, depth: int = 3
    ) -> Grant:
        """A grant for another scribe's key, everywhere."""
        return Grant(other.address, (other.public,), rights, ("",), depth=depth)

    def go_back(self, lane: Lane, tip: Op | None) -> None:
        """Go on in a lane as if nothing had been written after ``tip``."""
        self.tips.pop(lane, None)
        if tip is not None:
            self.tips[lane] = tip

    def _keep(self, op: Op) -> None:
        self.written.append(op)
        self.tips[op.place.lane] = op
        self.hlc = max(self.hlc, op.place.hlc)


def put(path: str, superseded: Sequence[Dot] = ()) -> Mutation:
    """A write of a register."""
    return Mutation(Type.REGISTER, 0, path, superseded=tuple(superseded))
