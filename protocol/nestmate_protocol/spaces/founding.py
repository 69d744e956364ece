"""Founding: the first op of a space, which names it and says who its founders are.

Founders may do everything; what they do in the auth lane counts once ``threshold`` of
them stand behind it. This file knows nothing of what happens in a space afterwards.
"""

from dataclasses import dataclass

from nestmate_protocol.codec import Fields, Value
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import Address, DeviceKey, NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import FOUNDERS_MAX, NAME_CHARS_MAX
from nestmate_protocol.spaces.auth import is_plain
from nestmate_protocol.spaces.ops import (
    NO_SPACE,
    Lane,
    Mutation,
    Op,
    Place,
    Type,
    sign_op,
)

SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a space is from the start: name, founders, how many must agree.

    In a ``private`` space what is written is sealed for its members. ``salt`` is 16
    random bytes, so that two spaces of one name are two.
    """

    name: str
    founders: tuple[tuple[Address, DeviceKey], ...]
    threshold: int
    private: bool
    salt: bytes

    @property
    def keys(self) -> frozenset[DeviceKey]:
        """The keys of all founders."""
        return frozenset(key for _, key in self.founders)


def found_space(
    key: SigningKey, network: NetworkId, genesis: Genesis, hlc: int, incarnation: bytes
) -> Op:
    """The first op of a new space; its id is the space's."""
    founders: list[Value] = [[a.raw, d.raw] for a, d in genesis.founders]
    arg: dict[int | str, Value] = {
        0: genesis.name,
        1: founders,
        2: genesis.threshold,
        3: genesis.private,
        4: genesis.salt,
    }
    place = Place(NO_SPACE, Lane.AUTH, 0, None, hlc, None, incarnation)
    mutation = Mutation(Type.GENESIS, 0, "", arg=arg)
    return sign_op(key, network, place, [mutation], [None])


def read_genesis(op: Op) -> Genesis:
    """What a first op says; RemoteError if it is no first op or contradicts itself."""
    place = op.place
    if (
        place.space != NO_SPACE
        or (place.lane, place.seq) != (Lane.AUTH, 0)
        or place.cap is not None
        or op.mutations is None
        or not all(map(is_plain, op.mutations))
        or [mutation.type for mutation in op.mutations] != [Type.GENESIS]
    ):
        raise RemoteError(Fault.BAD_FIELD, "no first op of a space")
    fields = Fields(op.mutations[0].arg)
    rows = fields.rows(1, FOUNDERS_MAX)
    founders = tuple(
        (row.identifier(0, Address), row.identifier(1, DeviceKey)) for row in rows
    )
    keys = {key for _, key in founders}
    if op.author not in keys or len(keys) != len(founders):
        raise RemoteError(Fault.BAD_FIELD, "founders")
    return Genesis(
        name=fields.text(0, NAME_CHARS_MAX),
        founders=founders,
        threshold=fields.integer(2, 1, len(founders)),
        private=fields.boolean(3),
        salt=fields.octets(4, SALT_BYTES, SALT_BYTES),
    )
