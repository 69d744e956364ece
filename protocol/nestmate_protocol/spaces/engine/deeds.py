"""Deeds: grants, revocations and endorsements as the ops of the auth lane state them.

All of them are kept in memory, because there are few and everything hangs on them. This
file knows their shape and who hangs on whom; what follows is for ``authority`` to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from nestmate_protocol.clocks import COUNTER_BITS
from nestmate_protocol.grants import Grant, Rights
from nestmate_protocol.spaces.auth import (
    endorsed_in,
    grant_in,
    is_leave,
    revocation_in,
)
from nestmate_protocol.spaces.keyring import handing_in
from nestmate_protocol.spaces.ops import Lane, Mutation, Type

HLC_MAX: Final = 2**64 - 1


class Spot(NamedTuple):
    """Where an op stands: lane, author, number of the branch, seq."""

    lane: int
    author: bytes
    branch: int
    seq: int


@dataclass(eq=False, slots=True)
class Deed:
    """One op of the auth lane; ``passing`` and ``in_force`` are kept up to date.

    ``cap`` is empty for a founder's own right. ``free`` says that founders need not
    agree on it; ``covered``, that every mutation is one its author may make.
    ``handed`` are names of secrets, each with the keys that it was handed to.
    """

    id: bytes
    spot: Spot
    cap: bytes
    hlc: int
    grants: dict[bytes, Grant] = field(default_factory=dict)
    cuts: "list[Cut]" = field(default_factory=list)
    endorsed: tuple[bytes, ...] = ()
    types: tuple[Type, ...] = ()
    well_formed: set[int] = field(default_factory=set)
    handed: tuple[tuple[bytes, frozenset[bytes]], ...] = ()
    free: bool = False
    leaves: bool = False
    covered: bool = False
    passing: bool = False
    in_force: bool = False

    @property
    def author(self) -> bytes:
        """The key that signed it."""
        return self.spot.author

    @property
    def counts(self) -> bool:
        """Whether what it states has any effect."""
        return self.passing and self.in_force

    @property
    def valid(self) -> bool:
        """Whether it counts as a whole."""
        return self.passing and self.in_force and self.covered


@dataclass(eq=False, slots=True)
class Cut:
    """One revocation: of which grant, and the heads of what still counts.

    One that only ``closes`` is not inherited by what was made out of the grant.
    """

    deed: Deed
    grant: bytes
    heads: frozenset[bytes]
    closes: bool = False


@dataclass(eq=False, slots=True)
class Holding:
    """One sound grant and where it stands in the tree of grants.

    ``line`` is the holding itself and all above it. ``line_ends_hlc`` is the least
    end of the line, ``ends_hlc`` when nothing more is done under the holding itself: a
    bearer's may close before that. ``alive`` says that every op that carries one of the
    line counts; ``cuts`` are all revocations that count on the line, and of those that
    close only its own. ``ends`` keeps, for lane and author, how
    far each branch counts under those; None for all of it. A ``fresh`` one was never
    judged, and nothing is held under it; ``shown`` counts the offered ops under it.
    ``rights_everywhere`` are those for every path and type. ``heirs`` are keys that it
    does not name and that took it over; they did nothing else under it.
    """

    dot: bytes
    deed: Deed
    grant: Grant
    line: "tuple[Holding, ...]"
    line_ends_hlc: int
    children: "list[Holding]" = field(default_factory=list)
    alive: bool = False
    cuts: tuple[Cut, ...] = ()
    ends: dict[tuple[int, bytes], dict[int, int] | None] = field(default_factory=dict)
    fresh: bool = True
    shown: int = 0
    heirs: tuple[bytes, ...] = ()
    ends_hlc: int = field(init=False)
    keys: tuple[bytes, ...] = field(init=False)
    rights_everywhere: Rights = field(init=False)

    def __post_init__(self) -> None:
        grant = self.grant
        self.keys = tuple([key.raw for key in grant.keys])
        self.ends_hlc = min(self.line_ends_hlc, last_hlc(grant.closes_ms))
        everywhere = grant.types is None and "" in grant.areas
        self.rights_everywhere = grant.rights if everywhere else Rights(0)

    @property
    def writers(self) -> tuple[bytes, ...]:
        """The keys of all ops under it."""
        return self.keys + self.heirs

    def note_heir(self, author: bytes) -> None:
        """An author has taken it over, unless it was its own all along."""
        if author in self.writers:
            return
        self.heirs += (author,)
        if self.cuts:  # nothing of it counted so far: what is kept is found anew
            self.ends |= {(int(lane), author): {} for lane in (Lane.AUTH, Lane.DATA)}

    @property
    def cuts_below(self) -> "tuple[Cut, ...]":
        """The revocations that hold for what was made out of it, too."""
        return tuple([cut for cut in self.cuts if not cut.closes])

    @property
    def parent(self) -> "Holding | None":
        """The holding it was made out of, None for a founder's own right."""
        return self.line[1] if len(self.line) > 1 else None


def last_hlc(until_ms: int) -> int:
    """The last timestamp up to a Unix time in ms, 0 for never."""
    return (until_ms + 1 << COUNTER_BITS) - 1 if until_ms else HLC_MAX


def read_deed(deed: Deed, mutations: Sequence[Mutation]) -> None:
    """Fill in what the mutations of an op state; what is malformed states nothing."""
    deed.types = tuple([mutation.type for mutation in mutations])
    deed.free = all(m.type is Type.ENDORSE or is_leave(m) for m in mutations)
    for n, mutation in enumerate(mutations):
        grant = grant_in(mutation)
        revocation = revocation_in(mutation)
        endorsed = endorsed_in(mutation)
        handed = handing_in(mutation)
        if grant is not None:
            deed.grants[deed.id + bytes((n,))] = grant
        elif revocation is not None:
            heads = frozenset(head.raw for head in revocation.heads)
            cut = Cut(deed, revocation.grant, heads, revocation.closes)
            deed.cuts.append(cut)
        elif endorsed is not None:
            deed.endorsed += tuple([op.raw for op in endorsed])
        elif is_leave(mutation):
            deed.leaves = True
        elif handed is not None:
            deed.handed += ((handed.name, frozenset(handed.boxes)),)
        else:
            continue
        deed.well_formed.add(n)
