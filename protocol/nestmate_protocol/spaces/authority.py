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
from nestmate_protocol.spaces.auth import (
    endorsed_in,
    grant_in,
    is_leave,
    revocation_in,
    takes_over,
)
from nestmate_protocol.spaces.founding import Genesis, read_genesis
from nestmate_protocol.spaces.ops import Dot, Lane, Mutation, Op, Type, op_of

Ops = Mapping[RecordId, Op]


@dataclass(frozen=True, slots=True)
class Given:
    """A sound grant as some op gives it; ``chain`` leads from its dot to the root."""

    grant: Grant
    carrier: RecordId
    issuer: DeviceKey
    chain: tuple[Dot, ...]

    @property
    def parent(self) -> Dot | None:
        """The grant it was made out of, None if a founder made it."""
        return self.chain[1] if len(self.chain) > 1 else None


class Cut(NamedTuple):
    """A revocation: the op that makes it, and the ops that it keeps.

    One that only ``closes`` is about ops under that very grant, not under those that
    were made out of it.
    """

    carrier: RecordId
    kept: frozenset[RecordId]
    closes: bool


def rests_on(op: Op) -> tuple[RecordId, ...]:
    """The ops an op cannot stand without: the one before it, and its grant's."""
    place = op.place
    before = () if place.prev is None else (place.prev,)
    return before if place.cap is None else (*before, op_of(place.cap))


def prev_closure(ids: Iterable[RecordId], ops: Ops) -> frozenset[RecordId]:
    """The named ops that are here, and all that come before them in their chains."""
    closed: set[RecordId] = set()
    for each in ids:
        at: RecordId | None = each
        while at is not None and at in ops and at not in closed:
            closed.add(at)
            at = ops[at].place.prev
    return frozenset(closed)


def closure(ids: Iterable[RecordId], ops: Ops) -> frozenset[RecordId]:
    """The named ops that are here, and all that they rest on."""
    closed: set[RecordId] = set()
    waiting = list(ids)
    while waiting:
        at = waiting.pop()
        if at in ops and at not in closed:
            closed.add(at)
            waiting += rests_on(ops[at])
    return frozenset(closed)


class Authority:
    """The judge of one set of ops.

    ``ops`` are those that stand: all that they rest on stands, and their authors are
    named by a sound grant, or are founders. That follows from the ops they rest on and
    from nothing else, so that what does not stand can be refused for good. ``grants``
    are the sound grants, whether they count or not.
    """

    def __init__(self, space: SpaceId, ops: Ops) -> None:
        self._first = RecordId(space.raw)
        self.genesis = _genesis_of(ops.get(self._first))
        self.founders = frozenset() if self.genesis is None else self.genesis.keys
        self.ops: dict[RecordId, Op] = {}
        self.grants: dict[Dot, Given] = {}
        self._passing: dict[RecordId, bool] = {}
        self._take(op for op in ops.values() if op.space == space)

    # --- what stands

    def _take(self, ops: Iterable[Op]) -> None:
        """Take in what stands, each op once all that it rests on is here."""
        waiting: dict[RecordId, list[Op]] = defaultdict(list)
        ready = list(ops)
        while ready:
            op = ready.pop()
            missing = [each for each in rests_on(op) if each not in self.ops]
            if missing:
                waiting[missing[0]].append(op)
            elif self._follows(op) and self._is_named(op):
                self.ops[op.id] = op
                self.grants |= self._given_by(op)
                ready += waiting.pop(op.id, [])

    def _follows(self, op: Op) -> bool:
        """Whether it goes on from the op before it: same author and lane, next seq."""
        if op.place.prev is None:
            return True
        before = self.ops[op.place.prev]
        return (
            before.author == op.author
            and before.place.lane == op.place.lane
            and before.place.seq + 1 == op.place.seq
        )

    def _is_named(self, op: Op) -> bool:
        """Whether its cap names its author, or is taken over by it."""
        cap = op.place.cap
        if cap is None:
            return op.author in self.founders
        if cap not in self.grants:
            return False
        grant = self.grants[cap].grant
        named = op.author in grant.keys
        return named or takes_over(op.mutations or (), grant, op.author)

    def _given_by(self, op: Op) -> dict[Dot, Given]:
        """The sound grants an op gives: none exceeds what its author has."""
        parent = None if op.place.cap is None else self.grants[op.place.cap]
        above = () if parent is None else parent.chain
        given: dict[Dot, Given] = {}
        for n, mutation in enumerate(op.mutations or ()):
            grant = grant_in(mutation)
            if grant is None or len(above) == GRANT_CHAIN_MAX:
                continue
            if parent is None or parent.grant.lets_issue(grant, op.author):
                chain = (op.dot(n), *above)
                given[op.dot(n)] = Given(grant, op.id, op.author, chain)
        return given

    # --- what the auth lane says, whether it counts or not

    @cached_property
    def cuts(self) -> dict[Dot, list[Cut]]:
        """Every revocation, by the grant it is meant for, counting or not."""
        cuts: dict[Dot, list[Cut]] = defaultdict(list)
        for op in self._auth_ops:
            for revocation in filter(None, map(revocation_in, op.mutations or ())):
                kept = prev_closure(revocation.heads, self.ops)
                cut = Cut(op.id, kept, revocation.closes)
                cuts[revocation.grant].append(cut)
        return cuts

    @cached_property
    def endorsers(self) -> dict[RecordId, set[DeviceKey]]:
        """The founders behind each op that was endorsed."""
        behind: dict[RecordId, set[DeviceKey]] = defaultdict(set)
        for op in self._auth_ops:
            if op.place.cap is None and needs_nobody(op):
                for mutation in op.mutations or ():
                    for endorsed in endorsed_in(mutation) or ():
                        behind[endorsed].add(op.author)
        return behind

    @cached_property
    def _auth_ops(self) -> list[Op]:
        return [op for op in self.ops.values() if op.place.lane is Lane.AUTH]

    # --- what counts

    def is_passing(self, op: Op) -> bool:
        """Whether the op's author held, for this op, the cap it names."""
        if op.id not in self._passing:
            self._passing[op.id] = self._passes(op)
        return self._passing[op.id]

    def _passes(self, op: Op) -> bool:
        if op.place.cap is None:
            return True
        cap = self.grants[op.place.cap]
        wall_ms = Timestamp.from_int(op.place.hlc).wall_ms
        if wall_ms > (cap.grant.closes_ms or wall_ms):
            return False
        return all(
            self.is_given(dot)
            and wall_ms <= (self.grants[dot].grant.expires_ms or wall_ms)
            and all(op.id in cut.kept for cut in self.cuts_for(op.place.cap, dot))
            for dot in cap.chain
        )

    def cuts_for(self, cap: Dot, above: Dot) -> list[Cut]:
        """The counting revocations of a grant, as far as they touch ops under a cap."""
        cuts = self.counting_cuts(above)
        return [cut for cut in cuts if cap == above or not cut.closes]

    def is_given(self, dot: Dot) -> bool:
        """Whether the op that gives the grant counts itself."""
        carrier = self.ops[self.grants[dot].carrier]
        return self.is_passing(carrier) and self.is_in_force(carrier)

    def counting_cuts(self, dot: Dot) -> list[Cut]:
        """The revocations of a grant that were made from above it.

        Whoever holds a grant above, or founded the space, may revoke it; nobody else,
        whoever they are now.
        """
        above = self.grants[dot].chain[1:]
        return [
            cut
            for cut in self.cuts.get(dot, ())
            if (carrier := self.ops[cut.carrier]).place.cap in {None, *above}
            and self.is_passing(carrier)
            and self.is_in_force(carrier)
        ]

    def is_revoked(self, dot: Dot) -> bool:
        """Whether a grant was closed, or it or one it was made out of was revoked."""
        return any(self.cuts_for(dot, each) for each in self.grants[dot].chain)

    def is_in_force(self, op: Op) -> bool:
        """Whether enough founders stand behind it, if that is asked for.

        It is asked for what a founder does as founder in the auth lane, but for
        endorsing and leaving, and for the first op of all.
        """
        asked = op.place.lane is Lane.AUTH and op.place.cap is None
        if not asked or op.id == self._first or needs_nobody(op):
            return True
        behind = self.endorsers.get(op.id, set()) | {op.author}
        return self.genesis is not None and len(behind) >= self.genesis.threshold

    @cached_property
    def passing(self) -> frozenset[RecordId]:
        """All ops whose authors held their caps."""
        return frozenset(op.id for op in self.ops.values() if self.is_passing(op))

    @cached_property
    def offered(self) -> frozenset[RecordId]:
        """What a replica must show others, so that all come to agree.

        What passes, what passing revocations name as kept, whether they count or not,
        and all that these rest on. Offering only what is valid is not enough: a replica
        that lacks a void op cannot tell what a revocation keeps. Of the ephemeral lane,
        where nothing comes before anything, what passes is enough.
        """
        named = [
            head
            for op in self._auth_ops
            if op.id in self.passing
            for revocation in filter(None, map(revocation_in, op.mutations or ()))
            for head in revocation.heads
            if head in self.ops and self.ops[head].place.lane is not Lane.EPHEMERAL
        ]
        return closure([*self.passing, *named], self.ops)


def needs_nobody(op: Op) -> bool:
    """Whether it only endorses or leaves, so that nobody else must stand behind it."""
    return all(map(_is_word, op.mutations or ()))


def _is_word(mutation: Mutation) -> bool:
    return mutation.type is Type.ENDORSE or is_leave(mutation)


def _genesis_of(first: Op | None) -> Genesis | None:
    try:
        return None if first is None else read_genesis(first)
    except RemoteError:
        return None
