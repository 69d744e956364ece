"""Authority: of a set of ops, which count, and why; the specification of permissions.

Everything here is a function of the set alone: of no clock, no order of arrival and
nobody's current membership. It is written to be read, and is kept as the judge of the
engine, which finds the same step by step. Judging an op asks only about ops that act
under strictly shorter chains of grants, so it comes to an end.

What it decides needs no more than headers and the auth lane, which is never sealed: a
relay that reads nothing decides the same. This file knows no type of data.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from nestmate_protocol.clocks import Timestamp
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.grants import Grant
from nestmate_protocol.ids import DeviceKey, RecordId, SpaceId
from nestmate_protocol.limits import GRANT_CHAIN_MAX
from nestmate_protocol.spaces.auth import endorsed_in, grant_in, is_leave, revocation_in
from nestmate_protocol.spaces.founding import Genesis, read_genesis
from nestmate_protocol.spaces.ops import Dot, Lane, Mutation, Op, Type

Ops = Mapping[RecordId, Op]


@dataclass(frozen=True, slots=True)
class Given:
    """A grant as some op gives it: by whom, and out of which grant (None: the root)."""

    grant: Grant
    carrier: RecordId
    issuer: DeviceKey
    parent: Dot | None


class Cut(NamedTuple):
    """A revocation: the op that makes it, and the ops that it keeps."""

    carrier: RecordId
    kept: frozenset[RecordId]


def chained(space: SpaceId, ops: Ops) -> dict[RecordId, Op]:
    """The ops of the space that stand on a whole chain down to seq 0.

    What comes before an op must be here, and be of the same author and lane, with the
    seq just below. The others are as if they had not come yet.
    """
    found: dict[RecordId, Op] = {}
    for op in sorted(ops.values(), key=lambda op: op.place.seq):
        if op.space == space and (op.place.prev is None or _follows(op, found)):
            found[op.id] = op
    return found


def _follows(op: Op, found: Ops) -> bool:
    before = found.get(op.place.prev) if op.place.prev else None
    return before is not None and (
        before.author == op.author
        and before.place.lane == op.place.lane
        and before.place.seq + 1 == op.place.seq
    )


def prev_closure(ids: Iterable[RecordId], ops: Ops) -> frozenset[RecordId]:
    """The named ops that are here, and all that come before them in their chains."""
    closed: set[RecordId] = set()
    for each in ids:
        at: RecordId | None = each
        while at is not None and at in ops and at not in closed:
            closed.add(at)
            at = ops[at].place.prev
    return frozenset(closed)


class Authority:
    """The judge of one set of ops; ``ops`` are those that stand on whole chains."""

    def __init__(self, space: SpaceId, ops: Ops) -> None:
        self.ops = chained(space, ops)
        self.genesis = _genesis_of(space, self.ops)
        self.founders = frozenset() if self.genesis is None else self.genesis.keys
        self._first = RecordId(space.raw)
        self._sound: dict[Dot, bool] = {}
        self._passing: dict[RecordId, bool] = {}

    # --- what the auth lane says, whether it counts or not

    @cached_property
    def grants(self) -> dict[Dot, Given]:
        """Every grant that some op gives, sound or not."""
        return {
            op.dot(n): Given(grant, op.id, op.author, op.place.cap)
            for op in self._auth_ops
            for n, mutation in enumerate(op.mutations or ())
            if (grant := grant_in(mutation)) is not None
        }

    @cached_property
    def cuts(self) -> dict[Dot, list[Cut]]:
        """Every revocation, by the grant it is meant for, counting or not."""
        cuts: dict[Dot, list[Cut]] = defaultdict(list)
        for op in self._auth_ops:
            for revocation in filter(None, map(revocation_in, op.mutations or ())):
                kept = prev_closure(revocation.heads, self.ops)
                cuts[revocation.grant].append(Cut(op.id, kept))
        return cuts

    @cached_property
    def endorsers(self) -> dict[RecordId, set[DeviceKey]]:
        """The founders behind each op that was endorsed."""
        behind: dict[RecordId, set[DeviceKey]] = defaultdict(set)
        for op in self._auth_ops:
            if op.place.cap is None and op.author in self.founders and needs_nobody(op):
                for mutation in op.mutations or ():
                    for endorsed in endorsed_in(mutation) or ():
                        behind[endorsed].add(op.author)
        return behind

    @cached_property
    def _auth_ops(self) -> list[Op]:
        return [op for op in self.ops.values() if op.place.lane is Lane.AUTH]

    # --- what counts

    def chain(self, dot: Dot) -> tuple[Dot, ...] | None:
        """The grant and those it was made out of, up to the root; None if unsound."""
        chain: list[Dot] = []
        at: Dot | None = dot
        while at is not None:
            given = self.grants.get(at)
            if given is None or len(chain) == GRANT_CHAIN_MAX:
                return None
            chain.append(at)
            at = given.parent
        return tuple(chain) if all(map(self.is_sound, chain)) else None

    def is_sound(self, dot: Dot) -> bool:
        """Whether its issuer could give this much away, looking one step up."""
        if dot not in self._sound:
            given = self.grants.get(dot)
            self._sound[dot] = given is not None and self._could_give(given)
        return self._sound[dot]

    def _could_give(self, given: Given) -> bool:
        if given.parent is None:
            return given.issuer in self.founders
        parent = self.grants.get(given.parent)
        return parent is not None and parent.grant.lets_issue(given.grant, given.issuer)

    def is_passing(self, op: Op) -> bool:
        """Whether the op's author held, for this op, the cap it names."""
        if op.id not in self._passing:
            self._passing[op.id] = self._passes(op)
        return self._passing[op.id]

    def _passes(self, op: Op) -> bool:
        cap = op.place.cap
        if cap is None:
            return op.author in self.founders
        chain = self.chain(cap)
        if chain is None or op.author not in self.grants[cap].grant.keys:
            return False
        wall_ms = Timestamp.from_int(op.place.hlc).wall_ms
        return all(
            self._is_given(dot)
            and wall_ms <= (self.grants[dot].grant.expires_ms or wall_ms)
            and all(op.id in cut.kept for cut in self._counting_cuts(dot, chain))
            for dot in chain
        )

    def _is_given(self, dot: Dot) -> bool:
        """Whether the op that gives the grant counts itself."""
        carrier = self.ops[self.grants[dot].carrier]
        return self.is_passing(carrier) and self.is_in_force(carrier)

    def _counting_cuts(self, dot: Dot, chain: tuple[Dot, ...]) -> list[Cut]:
        """The revocations of a grant that were made from above it.

        ``chain`` is a chain of grants it is part of. Whoever holds a grant above, or
        founded the space, may revoke it; nobody else, whoever they are now.
        """
        above = chain[chain.index(dot) + 1 :]
        return [
            cut
            for cut in self.cuts.get(dot, ())
            if (carrier := self.ops[cut.carrier]).place.cap in {None, *above}
            and self.is_passing(carrier)
            and self.is_in_force(carrier)
        ]

    def is_revoked(self, dot: Dot) -> bool:
        """Whether a sound grant, or one it was made out of, was revoked."""
        chain = self.chain(dot) or ()
        return any(self._counting_cuts(each, chain) for each in chain)

    def is_in_force(self, op: Op) -> bool:
        """Whether enough founders stand behind it, if that is asked for.

        It is asked for what a founder does as founder in the auth lane, but for
        endorsing and leaving, and for the first op of all.
        """
        if self.genesis is None:
            return False
        asked = op.place.lane is Lane.AUTH and op.place.cap is None
        if not asked or op.id == self._first or needs_nobody(op):
            return True
        behind = self.endorsers.get(op.id, set()) | {op.author}
        return len(behind) >= self.genesis.threshold

    @cached_property
    def passing(self) -> frozenset[RecordId]:
        """All ops whose authors held their caps."""
        return frozenset(op.id for op in self.ops.values() if self.is_passing(op))

    @cached_property
    def offered(self) -> frozenset[RecordId]:
        """What a replica must show others, so that all come to agree.

        What passes, what passing revocations name as kept, whether they count or not,
        and all that comes before. Offering only what is valid is not enough: a replica
        that lacks a void op cannot tell what a revocation keeps.
        """
        named = [
            head
            for op in self._auth_ops
            if op.id in self.passing
            for revocation in filter(None, map(revocation_in, op.mutations or ()))
            for head in revocation.heads
        ]
        return prev_closure([*self.passing, *named], self.ops)


def needs_nobody(op: Op) -> bool:
    """Whether it only endorses or leaves, so that nobody else must stand behind it."""
    return all(map(_is_word, op.mutations or ()))


def _is_word(mutation: Mutation) -> bool:
    return mutation.type is Type.ENDORSE or is_leave(mutation)


def _genesis_of(space: SpaceId, ops: Ops) -> Genesis | None:
    first = ops.get(RecordId(space.raw))
    try:
        return None if first is None else read_genesis(first)
    except RemoteError:
        return None
