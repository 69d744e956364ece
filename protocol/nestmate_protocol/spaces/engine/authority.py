"""Authority: who may do what, kept up as grants and revocations come in any order.

An op passes if the grant it names goes back to a founder through ops that count, names
its author, and is not revoked above it: that is told from headers alone. A revocation
counts by its place in the tree of grants, so that everything is judged on strictly less
than itself and there is no circle. This file knows no objects and no values.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import count, repeat
from typing import Final

from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.limits import GRANT_CHAIN_MAX
from nestmate_protocol.spaces.auth import takes_over
from nestmate_protocol.spaces.engine.chains import Chain
from nestmate_protocol.spaces.engine.deeds import Cut, Deed, Holding, Spot, last_hlc
from nestmate_protocol.spaces.founding import Genesis
from nestmate_protocol.spaces.ops import Lane, Op, Type

Locate = Callable[[bytes], Spot | None]
"""Where the op with an id stands, None if it is not here."""

Ends = dict[int, int] | None

_NOWHERE: Final[dict[int, int]] = {}
_NO_CUTS: Final[list[Cut]] = []


class Authority:
    """The tree of grants of one space, and what cuts it."""

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self.genesis: Genesis | None = None
        self.first = b""
        self._founders: frozenset[bytes] = frozenset()
        self.deeds: dict[bytes, Deed] = {}
        self.holdings: dict[bytes, Holding] = {}
        self._of_key: dict[bytes, list[Holding]] = {}
        self._cuts: dict[bytes, list[Cut]] = {}
        self._naming: dict[bytes, list[Cut]] = {}
        self._endorsers: dict[bytes, set[bytes]] = {}
        self.handed: dict[bytes, list[Deed]] = {}

    def __repr__(self) -> str:
        return f"<Authority {len(self.deeds)} deeds, {len(self.holdings)} holdings>"

    # --- what is asked for each op

    def is_founder(self, author: bytes) -> bool:
        """Whether a key is one of the founders'."""
        return author in self._founders

    def admits(self, op: Op) -> bool:
        """Whether its cap, which is here if it is sound, is its author's to act under.

        If it is not, the op may still do nothing but take the cap over.
        """
        cap, author = op.place.cap, op.author.raw
        if not cap:
            return author in self._founders
        holding = self.holdings.get(cap)
        if holding is None:
            return False
        if author in holding.keys:
            return True
        if op.place.lane is not Lane.AUTH:
            return False
        inherits = takes_over(op.mutations or (), holding.grant, op.author)
        if inherits:
            holding.note_heir(author)
        return inherits

    def lets(self, cap: bytes, author: bytes, hlc: int) -> bool | None:
        """Whether an author's op passes by its cap alone; None if its place decides."""
        if not cap:
            return author in self._founders
        holding = self.holdings.get(cap)
        if (
            holding is None
            or not holding.alive
            or hlc > holding.ends_hlc
            or (author not in holding.keys and author not in holding.heirs)
        ):
            return False
        return None if holding.cuts else True

    def passes(self, cap: bytes, spot: Spot, hlc: int, op: bytes) -> bool:
        """Whether an op at a place passes; its author is that of the place."""
        clear = self.lets(cap, spot.author, hlc)
        if clear is not None:
            return clear
        holding = self.holdings[cap]
        if spot.lane > 1:
            return all(op in cut.heads for cut in holding.cuts)
        ends = holding.ends.get((spot.lane, spot.author), _NOWHERE)
        return ends is None or spot.seq < ends.get(spot.branch, 0)

    def held_by(self, key: bytes) -> Iterator[Holding]:
        """The sound grants that name a key."""
        return iter(self._of_key.get(key, ()))

    def is_named(self, op: bytes) -> bool:
        """Whether a revocation that passes names an op as a head."""
        return any(cut.deed.passing for cut in self._naming.get(op, ()))

    def cuts_naming(self, op: bytes) -> list[Cut]:
        """The revocations that name an op as a head."""
        return self._naming.get(op, _NO_CUTS)

    # --- what comes in

    def begin(self, first: bytes, genesis: Genesis) -> None:
        """The first op is here."""
        self.first = first
        self.genesis = genesis
        self._founders = frozenset(key.raw for key in genesis.keys)

    def add(self, deed: Deed) -> list[Holding]:
        """Take in an op of the auth lane; gives the holdings to be looked at again."""
        self.deeds[deed.id] = deed
        above = self.holdings.get(deed.cap)
        if above is not None:
            above.note_heir(deed.author)
        again: list[Holding] = []
        for dot, grant in deed.grants.items():
            holding = self._hold(dot, deed)
            if holding is not None:
                self.holdings[dot] = holding
                again.append(holding)
                if holding.parent is not None:
                    holding.parent.children.append(holding)
                for key in grant.keys:
                    self._of_key.setdefault(key.raw, []).append(holding)
        for cut in deed.cuts:
            self._cuts.setdefault(cut.grant, []).append(cut)
            for head in cut.heads:
                self._naming.setdefault(head, []).append(cut)
            again += self._holding_of(cut)
        for name, _ in deed.handed:
            self.handed.setdefault(name, []).append(deed)
        if deed.free and not deed.cap and self.is_founder(deed.author):
            for op in deed.endorsed:
                self._endorsers.setdefault(op, set()).add(deed.author)
                again += self._endorsed(op)
        deed.in_force = self._is_in_force(deed)
        deed.covered = all(map(self._may, repeat(deed), count(), deed.types))
        return again

    def _may(self, deed: Deed, n: int, kind: Type) -> bool:
        """Whether its author may make a mutation, if the cap is really held."""
        match kind:
            case Type.GENESIS:
                return deed.id == self.first
            case Type.GRANT:
                return deed.id + bytes((n,)) in self.holdings
            case Type.REVOKE | Type.CLOSE:
                return n in deed.well_formed
            case Type.ENDORSE:
                return not deed.cap and n in deed.well_formed
            case Type.LEAVE:
                return n in deed.well_formed
            case _:
                holding = self.holdings.get(deed.cap)
                return not deed.cap or (
                    holding is not None and Rights.GRANT in holding.grant.rights
                )

    def _hold(self, dot: bytes, deed: Deed) -> Holding | None:
        """The holding a grant makes; None if it is not sound, whatever may come."""
        grant = deed.grants[dot]
        ends = last_hlc(grant.expires_ms)
        if not deed.cap:
            if not self.is_founder(deed.author):
                return None
            holding = Holding(dot, deed, grant, (), ends)
            holding.line = (holding,)
            return holding
        parent = self.holdings.get(deed.cap)
        if (
            parent is None
            or len(parent.line) >= GRANT_CHAIN_MAX
            or not parent.grant.lets_issue(grant, DeviceKey(deed.author))
        ):
            return None
        holding = Holding(dot, deed, grant, (), min(ends, parent.line_ends_hlc))
        holding.line = (holding, *parent.line)
        return holding

    def _endorsed(self, op: bytes) -> list[Holding]:
        """What hangs on an op that has just been endorsed, if that settled it."""
        deed = self.deeds.get(op)
        if deed is None or deed.in_force or not self._is_in_force(deed):
            return []
        deed.in_force = True
        return self.hanging_on(deed)

    def hanging_on(self, deed: Deed) -> list[Holding]:
        """The holdings whose state depends on whether a deed counts."""
        carried = [self.holdings[dot] for dot in deed.grants if dot in self.holdings]
        return carried + [each for cut in deed.cuts for each in self._holding_of(cut)]

    def _holding_of(self, cut: Cut) -> list[Holding]:
        holding = self.holdings.get(cut.grant)
        return [] if holding is None else [holding]

    def _is_in_force(self, deed: Deed) -> bool:
        if deed.cap or deed.free or deed.id == self.first or self.genesis is None:
            return True
        agree = self._endorsers.get(deed.id, set()) | {deed.author}
        return len(agree & self._founders) >= self.genesis.threshold

    # --- what follows

    def judge(self, holding: Holding) -> bool:
        """Bring a holding up to date whose line above is; whether anything changed.

        How far branches count is for ``ends_in`` to say, chain by chain.
        """
        parent = holding.parent
        alive = holding.deed.counts and (parent is None or parent.alive)
        above = () if parent is None else parent.cuts_below
        own = [
            cut
            for cut in self._cuts.get(holding.dot, ())
            if cut.deed.counts and _may_cut(cut.deed, holding)
        ]
        cuts = (*above, *own)
        changed = alive != holding.alive or cuts != holding.cuts
        holding.alive, holding.cuts = alive, cuts
        return changed

    def ends_in(self, holding: Holding, chain: Chain) -> Ends:
        """How far each branch of a chain counts under a holding, None for all of it."""
        ends: Ends = None
        for cut in holding.cuts:
            spots = [self._locate(head) for head in cut.heads]
            one = chain.limits(
                (spot.branch, spot.seq)
                for spot in spots
                if spot and (spot.lane, spot.author) == (chain.lane, chain.author)
            )
            if ends is None:
                ends = one
            else:
                ends = {n: min(end, one[n]) for n, end in ends.items() if n in one}
        return ends

    def below(self, roots: Iterable[Holding]) -> Iterator[Holding]:
        """Holdings and all below them, each after the one it was made out of."""
        waiting = list(dict.fromkeys(roots))
        waiting.sort(key=lambda holding: len(holding.line), reverse=True)
        while waiting:
            holding = waiting.pop()
            yield holding
            waiting += holding.children


def _may_cut(deed: Deed, holding: Holding) -> bool:
    """Whether a revocation was made as founder or from strictly above a grant."""
    return not deed.cap or any(deed.cap == each.dot for each in holding.line[1:])
