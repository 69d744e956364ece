"""Vault: what the ops of a space say, as far as that can be read here.

In a private space the ops of the data lane and of the ephemeral lane are sealed. Which
of them cannot be read is kept by the name of the secret that they wait for; whoever has
no secrets, such as a relay, holds and offers them all the same. This file knows no
objects and does not say who is to have a secret.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from nestmate_protocol.ids import DeviceKey, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.engine.authority import Authority
from nestmate_protocol.spaces.engine.chains import COVERED, SEALED
from nestmate_protocol.spaces.engine.rows import Rows
from nestmate_protocol.spaces.engine.stored import Stored
from nestmate_protocol.spaces.keyring import (
    NAME_BYTES,
    Content,
    Keyring,
    handing_in,
)
from nestmate_protocol.spaces.ops import Lane, Mutation, Op, Place, box_in
from nestmate_protocol.spaces.types.rules import right_for, well_formed

WAITING = b"u"

_NOTHING: Content = ((), ())


class Vault:
    """What can be read in one space; ``keyring`` has what it is read with.

    ``readable`` are the secrets that have come and that ops may still wait for.
    """

    def __init__(
        self,
        space: SpaceId,
        rows: Rows,
        authority: Authority,
        keys: Iterable[SigningKey] = (),
    ) -> None:
        self._space = space
        self._rows = rows
        self._authority = authority
        self.keyring = Keyring(space, keys)
        self.readable: dict[bytes, None] = {}
        self.count = 0

    def __repr__(self) -> str:
        return f"<Vault {self.keyring!r}, {self.count} sealed>"

    @property
    def is_private(self) -> bool:
        """Whether what is written is sealed."""
        genesis = self._authority.genesis
        return genesis is not None and genesis.private

    def is_of_kind(self, op: Op) -> bool:
        """Whether an op is sealed exactly if it has to be."""
        sealed = self.is_private and op.place.lane is not Lane.AUTH
        return sealed == (op.mutations is None)

    # --- reading

    def opened(self, op: Op) -> Op:
        """An op as it can be read here: what it says in the clear, or as it is."""
        if op.mutations is not None:
            return op
        content = self.keyring.opened(op.place, op.author, op.box, op.values)
        if content is None:
            return op
        return replace(op, mutations=tuple(content[0]), values=tuple(content[1]))

    def parts(self, held: Stored) -> Content:
        """What a held op says; nothing if it cannot be read here."""
        if not self.is_private or held.lane == Lane.AUTH:
            return held.parts()
        skeleton, values = held.travelling()
        box = box_in(skeleton) if skeleton else b""
        lane = Lane(held.lane)
        place = Place(self._space, lane, held.seq, None, held.hlc, None, b"")
        found = self.keyring.opened(place, DeviceKey(held.author), box, values)
        return found or _NOTHING

    def covered_parts(self, held: Stored, cap: bytes) -> Content:
        """What a held op says if its author may say it, else nothing."""
        content = self.parts(held)
        lane = Lane(held.lane)
        return content if self.covers(content[0], cap, lane) else _NOTHING

    def flags(self, op: Op) -> int:
        """How an op is marked: whether it cannot be read, or is covered."""
        if op.mutations is None:
            return 0 if self.keyring.knows(op.box) else SEALED
        covered = self.covers(op.mutations, op.place.cap or b"", op.place.lane)
        return COVERED if covered else 0

    def covers(self, mutations: Sequence[Mutation], cap: bytes, lane: Lane) -> bool:
        """Whether every mutation is one that its type and its author's grant allow."""
        if not mutations:
            return False
        if lane is Lane.AUTH:
            return True
        if not cap:
            return all(map(well_formed, mutations))
        holding = self._authority.holdings.get(cap)
        if holding is None:
            return False
        everywhere, covers = int(holding.rights_everywhere), holding.grant.covers
        for mutation in mutations:
            if not well_formed(mutation):
                return False
            right = right_for(mutation)
            if not int(right) & everywhere and not covers(
                right, mutation.path, mutation.type
            ):
                return False
        return True

    # --- what waits for a secret

    def learn(self, mutations: Iterable[Mutation]) -> None:
        """Take in the secrets that an op hands to us."""
        for mutation in mutations:
            handed = handing_in(mutation)
            if handed is not None and self.keyring.learn(handed):
                self.readable[handed.name] = None

    def put(self, op: Op) -> None:
        """Take note that an op cannot be read."""
        self._rows.put(WAITING + op.box[:NAME_BYTES] + op.id.raw, b"")
        self.count += 1

    def forget(self, op: bytes, held: Stored) -> None:
        """An op that could not be read is let go of."""
        skeleton, _ = held.travelling()
        self._rows.delete(WAITING + box_in(skeleton)[:NAME_BYTES] + op)
        self.count -= 1

    def take(self, name: bytes, most: int) -> Iterator[bytes]:
        """Some of the ops that waited for a secret."""
        for row, _ in list(islice(self._rows.scan(WAITING + name), most)):
            self._rows.delete(row)
            self.count -= 1
            yield row[1 + NAME_BYTES :]

    def restore(self) -> None:
        """Count what waits, after a restart, and see what of it can be read."""
        self.readable = {}
        for row, _ in self._rows.scan(WAITING) if self.is_private else ():
            self.count += 1
            name = row[1 : 1 + NAME_BYTES]
            if name in self.keyring:
                self.readable[name] = None
