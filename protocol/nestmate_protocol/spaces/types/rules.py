"""Rules: for each type, what it understands, which right it takes, what is live.

This is the one table of types: the specification and the engine both read it. It knows
no op and no grant.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from nestmate_protocol.grants import Rights
from nestmate_protocol.spaces.ops import Mutation, Type
from nestmate_protocol.spaces.types import (
    budget,
    claim,
    counter,
    lists,
    log,
    register,
    sets,
)
from nestmate_protocol.spaces.types.entries import Entry

WellFormed = Callable[[Mutation], bool]
Live = Callable[[Sequence[Entry]], list[Entry]]

_WELL_FORMED: Final[Mapping[Type, WellFormed]] = {
    Type.REGISTER: register.well_formed,
    Type.SET: sets.well_formed,
    Type.COUNTER: counter.well_formed,
    Type.LOG: log.well_formed,
    Type.LIST: lists.well_formed,
    Type.CLAIM: claim.well_formed,
    Type.BUDGET: budget.well_formed,
}
_LIVE: Final[Mapping[Type, Live]] = {
    Type.REGISTER: register.live,
    Type.SET: sets.live,
    Type.COUNTER: counter.live,
    Type.LOG: log.live,
    Type.LIST: lists.live,
    Type.CLAIM: claim.live,
    Type.BUDGET: budget.live,
}


def well_formed(mutation: Mutation) -> bool:
    """Whether a mutation of data is one its type understands.

    One that is not makes its op invalid, for everybody alike.
    """
    return _WELL_FORMED[mutation.type](mutation)


def right_for(mutation: Mutation) -> Rights:
    """The right a mutation of data takes on its path.

    What governs takes ``RULE``: a path that begins with a full stop, and minting.
    """
    mints = mutation.type is Type.BUDGET and mutation.action == budget.MINT
    return Rights.RULE if mints or mutation.path.startswith(".") else Rights.WRITE


def live_of(kind: Type, entries: Sequence[Entry]) -> list[Entry]:
    """The live ones among all valid entries of one object, in the order of dots."""
    return _LIVE[kind](entries)
