"""Golden vectors of a private space: its first op, a secret handed out, a sealed op.

Ann founds it, hands the secret to Bob and to herself, and writes. The secret, the seeds
of the boxes and the clear skeleton stand among the inputs: whoever makes the same bytes
from them, or opens them with Bob's key, seals and opens as we do.
"""

from itertools import count

from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Record, open_record
from nestmate_protocol.spaces.founding import Genesis, found_space
from nestmate_protocol.spaces.keyring import handing, sealed, secret_of
from nestmate_protocol.spaces.ops import (
    Lane,
    Mutation,
    Op,
    Place,
    Type,
    digest_of,
    sign_op,
    sign_sealed_op,
    skeleton_of,
)

NETWORK = NetworkId(b"\x06" * 32)
ANN, BOB = b"\x11" * 32, b"\x12" * 32
INCARNATION = b"\x31" * 16
HLC = 1_800_000_000_000 << 16
RAW = b"\x51" * 32

Vector = tuple[str, dict[str, object], Record]


def draws():
    """Entropy that anybody can draw: all bytes of the nth draw are n, from 1."""
    numbers = count(1)
    return lambda size: bytes([next(numbers)]) * size


def shown(comment: str, op: Op, **more: object) -> Vector:
    inputs = {
        "seed": ANN,
        "network": NETWORK.raw,
        "skeleton": op.skeleton,
        "values": list(op.values),
        "op": op.data,
    }
    return comment, {**inputs, **more}, open_record(op.header, NETWORK)


def first() -> Op:
    founders = ((Address(b"\x21" * 32), SigningKey(ANN).public),)
    genesis = Genesis("garden", founders, 1, private=True, salt=b"\x41" * 16)
    return found_space(SigningKey(ANN), NETWORK, genesis, HLC, INCARNATION)


def genesis() -> Vector:
    return shown("Ann founds a private space.", first())


def keys() -> Vector:
    begun = first()
    secret = secret_of(begun.space, RAW)
    readers = [SigningKey(seed).public for seed in (ANN, BOB)]
    place = Place(begun.space, Lane.AUTH, 1, begun.id, HLC + 1, None, INCARNATION)
    mutations = handing(secret, readers, draws())
    op = sign_op(SigningKey(ANN), NETWORK, place, mutations, [None])
    more = {"secret": RAW, "name": secret.name, "readers": [ANN, BOB]}
    return shown("Ann hands the secret to Bob and herself.", op, **more)


def written() -> Vector:
    begun, key = first(), SigningKey(ANN)
    secret = secret_of(begun.space, RAW)
    place = Place(begun.space, Lane.DATA, 0, None, HLC + 2, None, INCARNATION)
    value = b'"met the badger"'
    values = [value, None]
    rows = (
        Mutation(Type.REGISTER, 0, "diary/monday"),
        Mutation(Type.REGISTER, 1, "diary/sunday"),
    )
    box, closed = sealed(secret, place, key.public, (rows, values), draws())
    op = sign_sealed_op(key, NETWORK, place, box, closed)
    more = {
        "secret": RAW,
        "clear_skeleton": skeleton_of(rows, [digest_of(each) for each in values]),
        "clear_values": values,
    }
    return shown("Ann puts a value and deletes another, sealed.", op, **more)


VECTORS = {
    "private_genesis": genesis,
    "private_keys": keys,
    "private_op": written,
}
