"""Golden vectors of ops: the signed headers a space is made of.

Ann founds a space. What goes beside a header, skeleton and values, is written here as
inputs. Keys and addresses come from equal bytes, so that any language can make them.
"""

from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Record, open_record
from nestmate_protocol.spaces.founding import Genesis, found_space
from nestmate_protocol.spaces.ops import Op

NETWORK = NetworkId(b"\x06" * 32)
ANN = b"\x11" * 32
ANN_ADDRESS = Address(b"\x21" * 32)
INCARNATION = b"\x31" * 16
HLC = 1_800_000_000_000 << 16

Vector = tuple[str, dict[str, object], Record]


def shown(comment: str, seed: bytes, op: Op) -> Vector:
    """A vector of an op: its header is the record, all that travels is ``op``."""
    inputs = {
        "seed": seed,
        "network": NETWORK.raw,
        "skeleton": op.skeleton,
        "values": list(op.values),
        "op": op.data,
    }
    return comment, inputs, open_record(op.header, NETWORK)


def genesis() -> Vector:
    key = SigningKey(ANN)
    founders = ((ANN_ADDRESS, key.public),)
    first = Genesis("garden", founders, 1, private=False, salt=b"\x41" * 16)
    op = found_space(key, NETWORK, first, HLC, INCARNATION)
    return shown("Ann founds a space.", ANN, op)


VECTORS = {"op_genesis": genesis}
