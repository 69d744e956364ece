"""Golden vectors of ops: the signed headers a space is made of.

Ann founds a space, lets Bob in and makes an invite; Bob writes one op for each type,
and his rotated key takes over. What goes beside a header, skeleton and values, is
written here as inputs. Keys come from equal bytes, so that any language makes them.
"""

from dataclasses import dataclass, replace
from functools import partial

from nestmate_protocol.grants import Grant, Rights
from nestmate_protocol.identity.log import begin_log, rotate_log
from nestmate_protocol.ids import Address, NetworkId, SpaceId
from nestmate_protocol.keys import SigningKey, recovery_key, rotation_key
from nestmate_protocol.records import Record, open_record
from nestmate_protocol.spaces.auth import (
    closing,
    endorsing,
    granting,
    leaving,
    revoking,
)
from nestmate_protocol.spaces.founding import Genesis, found_space
from nestmate_protocol.spaces.ops import (
    Dot,
    Lane,
    Mutation,
    Op,
    Place,
    Type,
    open_op,
    sign_op,
)

NETWORK = NetworkId(b"\x06" * 32)
ANN = b"\x11" * 32
ANN_ADDRESS = Address(b"\x21" * 32)
INCARNATION = b"\x31" * 16
CREATED = 1_800_000_000_000
HLC = CREATED << 16
BOB, NEW = b"\x12" * 32, b"\x14" * 32
PHRASE = b"\x19" * 32
BOB_LOG = begin_log(
    SigningKey(BOB),
    rotation_key(PHRASE, 1).public,
    recovery_key(PHRASE).public,
    b"\x42" * 16,
)
BOB_ROTATED = rotate_log(
    BOB_LOG,
    rotation_key(PHRASE, 1),
    [SigningKey(NEW).public],
    rotation_key(PHRASE, 2).public,
)

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


@dataclass
class Chain:
    """The ops of one author in one lane, each after the one before it."""

    seed: bytes
    space: SpaceId
    lane: Lane
    cap: Dot | None = None
    last: Op | None = None

    def write(self, *mutations, values=(), expires_ms=0):
        seq, prev = 0, None
        if self.last is not None:
            seq, prev = self.last.place.seq + 1, self.last.id
        hlc = HLC + 1 + seq
        place = Place(
            *(self.space, self.lane, seq, prev, hlc, self.cap, INCARNATION, expires_ms)
        )
        made = values or [None] * len(mutations)
        self.last = sign_op(SigningKey(self.seed), NETWORK, place, mutations, made)
        return self.last


def space() -> SpaceId:
    return SpaceId(genesis()[2].id.raw)


def bobs_grant() -> Grant:
    rights = Rights.READ | Rights.WRITE | Rights.GRANT | Rights.RULE
    return Grant(
        *(BOB_LOG.address, (SigningKey(BOB).public,), rights),
        paths=("tasks", "notes/{self}"),
        types=frozenset(range(1, 8)),
        expires_ms=CREATED + 30 * 24 * 3_600_000,
        depth=2,
        label="Bob",
        generation=1,
    )


def auth() -> dict[str, tuple[str, bytes, Op]]:
    """The ops of the auth lane: who wrote each, and what it shows."""
    first = open_op(genesis()[1]["op"], NETWORK)
    ann = Chain(ANN, space(), Lane.AUTH, last=first)
    grant = ann.write(granting(bobs_grant()))
    bearer = SigningKey(b"\x15" * 32).public
    invite = Grant(None, (bearer,), Rights.READ | Rights.GRANT, ("",), depth=1)
    made = ann.write(granting(invite))
    new = SigningKey(NEW).public
    heir = replace(bobs_grant(), keys=(new,), log=BOB_ROTATED.entries, generation=2)
    took = Chain(NEW, space(), Lane.AUTH, grant.dot(0)).write(granting(heir))
    ended = ann.write(revoking(made.dot(0), [took.id]))
    endorsed = ann.write(endorsing([grant.id, made.id]))
    door = replace(invite, closes_ms=CREATED + 7 * 24 * 3_600_000)
    dated = ann.write(granting(door))
    closed = ann.write(closing(dated.dot(0), []))
    gone = Chain(BOB, space(), Lane.AUTH, grant.dot(0)).write(leaving())
    return {
        "op_grant": ("Ann lets Bob in.", ANN, grant),
        "op_grant_bearer": ("Ann makes an invite for whoever has it.", ANN, made),
        "op_grant_heir": ("Bob's new key takes over what Bob had.", NEW, took),
        "op_revoke": ("Ann ends the invite and keeps one chain.", ANN, ended),
        "op_grant_dated": ("Ann makes an invite for a week.", ANN, dated),
        "op_close": ("Ann closes it before that.", ANN, closed),
        "op_endorse": ("Ann stands behind two ops.", ANN, endorsed),
        "op_leave": ("Bob says that he goes.", BOB, gone),
    }


def data() -> dict[str, tuple[str, bytes, Op]]:
    """One op for each type, of Bob under his grant, and one of the ephemeral lane."""
    cap = auth()["op_grant"][2].dot(0)
    bob, key = Chain(BOB, space(), Lane.DATA, cap), SigningKey(BOB).public.raw
    words = Chain(BOB, space(), Lane.EPHEMERAL, cap)

    def op(kind, path, *parts, values=()):
        return bob.write(
            *(Mutation(kind, n, path, None, sup, arg) for n, arg, sup in parts),
            values=values,
        )

    one, two = b'"open"', b'"done"'
    register = op(Type.REGISTER, "tasks/7", (0, None, ()), values=[one])
    seen = (register.dot(0),)
    again = bob.write(
        Mutation(Type.REGISTER, 0, "tasks/7", superseded=seen),
        Mutation(Type.REGISTER, 1, "tasks/8", superseded=seen),
        values=[two, None],
    )
    tags = op(
        Type.SET,
        "tasks/7",
        (0, None, ()),
        (1, None, (again.dot(0),)),
        values=[one, None],
    )
    count = op(Type.COUNTER, "tasks/7", (0, [7, 2], ()))
    log = op(Type.LOG, "tasks/7", (0, None, ()), values=[one])
    items = op(
        Type.LIST,
        "tasks/7",
        (0, b"\x80\0\0\x01", ()),
        (1, None, (log.dot(0),)),
        values=[one, None],
    )
    bid = op(
        Type.CLAIM,
        "tasks/7",
        (0, [3, CREATED + 60_000], ()),
        (1, None, (items.dot(0),)),
    )
    mint = op(Type.BUDGET, "tasks/7", (0, [100, key, []], ()))
    cited = [mint.dot(0)]
    spend = op(
        Type.BUDGET, "tasks/7", (1, [30, key, cited], ()), (2, [5, None, cited], ())
    )
    mood = words.write(
        Mutation(Type.REGISTER, 0, "tasks/7"), values=[one], expires_ms=CREATED + 60_000
    )
    return {
        "op_register": ("Bob puts a value.", BOB, register),
        "op_register_next": ("Bob replaces it, and deletes another.", BOB, again),
        "op_set": ("Bob adds an element and removes another.", BOB, tags),
        "op_counter": ("Bob has added 7 and taken 2 away.", BOB, count),
        "op_log": ("Bob appends a line.", BOB, log),
        "op_list": ("Bob inserts an element and removes another.", BOB, items),
        "op_claim": ("Bob bids for a task and takes another bid back.", BOB, bid),
        "op_budget_mint": ("Bob makes money.", BOB, mint),
        "op_budget": ("Bob passes money on and spends some.", BOB, spend),
        "op_ephemeral": ("Bob says what holds for a minute.", BOB, mood),
    }


VECTORS = {
    "op_genesis": genesis,
    **{
        name: partial(shown, comment, seed, op)
        for name, (comment, seed, op) in {**auth(), **data()}.items()
    },
}
