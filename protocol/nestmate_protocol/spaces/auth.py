"""Auth: the mutations that say who may do what, made and read.

A grant and a revocation are made under the cap of the op that carries them; an
endorsement is a founder's word for what another founder did. Whatever is read here came
from somewhere: what is not well formed is None, and counts for nothing anywhere. This
file knows no set of ops and does not say what holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.codec import Encodable, Value, decode, encode
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.grants import Grant, check_grant, read_grant
from nestmate_protocol.ids import ID_BYTES, DeviceKey, RecordId
from nestmate_protocol.limits import (
    ENDORSED_PER_MUTATION_MAX,
    HEADS_PER_REVOCATION_MAX,
)
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot, Mutation, Type

_ENDS: Final = (Type.REVOKE, Type.CLOSE)


@dataclass(frozen=True, slots=True)
class Revocation:
    """The end of a grant: all that was done under it goes, but what is kept.

    ``heads`` name the last op that is kept of each chain; what comes before it in its
    author's chain is kept with it. If it only ``closes`` the grant, it is about what
    names that very grant as its cap, and what is kept may go on: grants that were made
    out of it stay good.
    """

    grant: Dot
    heads: tuple[RecordId, ...]
    closes: bool = False


def granting(grant: Grant) -> Mutation:
    """The mutation that makes a grant, a child of the cap its op is written under."""
    check_grant(grant)
    return _mutation(Type.GRANT, grant.fields())


def revoking(grant: Dot, heads: Sequence[RecordId]) -> Mutation:
    """The mutation that ends a grant and keeps what leads up to the heads."""
    return _ending(Type.REVOKE, grant, heads)


def closing(grant: Dot, heads: Sequence[RecordId]) -> Mutation:
    """The mutation that ends a grant and keeps all that was made out of it."""
    return _ending(Type.CLOSE, grant, heads)


def endorsing(ops: Sequence[RecordId]) -> Mutation:
    """The mutation by which a founder stands behind what other founders did."""
    if not 1 <= len(ops) <= ENDORSED_PER_MUTATION_MAX:
        raise LocalError(f"endorse 1 to {ENDORSED_PER_MUTATION_MAX} ops at once")
    return _mutation(Type.ENDORSE, [op.raw for op in sorted(set(ops))])


def leaving() -> Mutation:
    """The mutation by which an author says that it goes."""
    return _mutation(Type.LEAVE, None)


def grant_in(mutation: Mutation) -> Grant | None:
    """The grant a mutation makes."""
    if mutation.type is not Type.GRANT or not is_plain(mutation):
        return None
    try:
        return read_grant(mutation.arg)
    except RemoteError:
        return None


def revocation_in(mutation: Mutation) -> Revocation | None:
    """The revocation a mutation is, be it one that only closes."""
    if mutation.type not in _ENDS or not is_plain(mutation):
        return None
    match mutation.arg:
        case [bytes(dot), list(rows)] if len(dot) == DOT_BYTES:
            heads = _ids_in(rows, HEADS_PER_REVOCATION_MAX)
            closes = mutation.type is Type.CLOSE
            return None if heads is None else Revocation(Dot(dot), heads, closes)
        case _:
            return None


def endorsed_in(mutation: Mutation) -> tuple[RecordId, ...] | None:
    """The ops a mutation endorses."""
    if mutation.type is not Type.ENDORSE or not is_plain(mutation):
        return None
    match mutation.arg:
        case list(rows) if rows:
            return _ids_in(rows, ENDORSED_PER_MUTATION_MAX)
        case _:
            return None


def is_leave(mutation: Mutation) -> bool:
    """Whether it says that its author goes."""
    plain = mutation.type is Type.LEAVE and is_plain(mutation)
    return plain and mutation.arg is None


def takes_over(mutations: Sequence[Mutation], cap: Grant, author: DeviceKey) -> bool:
    """Whether an op does nothing but carry its cap over to its address's new keys.

    Then its author need not be among the keys that the cap names.
    """
    grants = [grant_in(mutation) for mutation in mutations]
    taken = [each for each in grants if each and cap.lets_issue(each, author)]
    return 0 < len(taken) == len(grants)


def _ending(kind: Type, grant: Dot, heads: Sequence[RecordId]) -> Mutation:
    kept = sorted(set(heads))
    if len(kept) > HEADS_PER_REVOCATION_MAX:
        raise LocalError(
            f"a revocation keeps at most {HEADS_PER_REVOCATION_MAX} chains",
            "revoke the grants below this one first, each with its own chains",
        )
    return _mutation(kind, [grant, [head.raw for head in kept]])


def _mutation(kind: Type, arg: Encodable) -> Mutation:
    return Mutation(kind, 0, "", arg=decode(encode(arg)))


def is_plain(mutation: Mutation) -> bool:
    """Whether it is its arg and nothing else."""
    return mutation.action == 0 and not mutation.digest and not mutation.superseded


def _ids_in(rows: list[Value], most: int) -> tuple[RecordId, ...] | None:
    ids = tuple(
        RecordId(row) for row in rows if type(row) is bytes and len(row) == ID_BYTES
    )
    return ids if len(ids) == len(rows) <= most else None
