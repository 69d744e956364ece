"""Standing: which held ops pass, and which of them are offered to others.

Within a branch both are told by one number for almost every op, so that a revocation
costs what it changes. Offered is what passes, what a passing revocation names as a
head, and everything below these; whatever else is held is in quarantine. This file
knows no objects: it gives back which ops have begun or ceased to pass.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from nestmate_protocol.spaces.engine.authority import Authority, Ends
from nestmate_protocol.spaces.engine.chains import Branch, Chain, Chains, Link
from nestmate_protocol.spaces.engine.changes import (
    Granted,
    Offer,
    Telling,
    Ungranted,
)
from nestmate_protocol.spaces.engine.deeds import Deed, Holding, Spot
from nestmate_protocol.spaces.engine.needs import Needs
from nestmate_protocol.spaces.engine.rows import Rows
from nestmate_protocol.spaces.ops import Dot, Lane

_LANES: Final = {int(lane): lane for lane in Lane}


class Flip(NamedTuple):
    """An op that has begun or ceased to pass."""

    chain: Chain
    branch: int
    link: Link
    passes: bool


class Standing:
    """What passes and what is offered, of everything that is held in chains."""

    def __init__(
        self, rows: Rows, chains: Chains, authority: Authority, telling: Telling
    ) -> None:
        self._rows = rows
        self._chains = chains
        self._authority = authority
        self._telling = telling
        self._heads: dict[tuple[int, bytes], dict[bytes, Spot]] = {}
        self._needs = Needs(chains, authority)
        self._unsettled: dict[bytes, Chain] = {}
        self.offered = [0, 0, 0]

    def __repr__(self) -> str:
        return f"<Standing {self.offered} offered>"

    def passes(self, chain: Chain, branch: int, link: Link) -> bool:
        """Whether a held op passes."""
        spot = Spot(chain.lane, chain.author, branch, link.seq)
        return self._authority.passes(link.cap, spot, link.hlc, link.id)

    def enter(
        self, chain: Chain, branch: Branch, link: Link, now_ms: int, *, passes: bool
    ) -> None:
        """A new op at the end of a branch: offer it, or keep it in quarantine."""
        seq = link.seq
        if not chain.lane:
            self._needs.note(link.id, passes=passes)
        if self._authority.cuts_naming(link.id):
            spot = Spot(chain.lane, chain.author, branch.number, seq)
            self._heads.setdefault((chain.lane, chain.author), {})[link.id] = spot
        if passes:
            branch.top = seq + 1
            if branch.offered == seq and seq > branch.first:
                branch.offered = seq + 1
                self._offer(chain.lane, link, entered=True)
                return
        self.settle(chain, now_ms)

    def note_head(self, head: bytes, spot: Spot) -> Chain:
        """Take note where a head stands that a revocation names; gives its chain."""
        self._heads.setdefault((spot.lane, spot.author), {})[head] = spot
        return self._chains.chain(spot.lane, spot.author)

    def settle(self, chain: Chain, now_ms: int) -> None:
        """Offer what is to be offered of a chain, and of those it rests on."""
        self._unsettled[chain.key] = chain
        while self._unsettled:
            self._settle(self._unsettled.popitem()[1], now_ms)

    def _settle(self, chain: Chain, now_ms: int) -> None:
        named: dict[int, int] = {}
        spots = [
            spot
            for head, spot in self._heads.get((chain.lane, chain.author), {}).items()
            if self._authority.is_named(head)
        ]
        for spot in spots if chain.lane else [*spots, *self._needs.carriers_on(chain)]:
            named[spot.branch] = max(named.get(spot.branch, 0), spot.seq + 1)
        for branch in reversed(chain.branches):
            end = max(branch.top, branch.first, named.get(branch.number, 0))
            if end > branch.first or branch.offered > branch.first:
                self._move(chain, branch, end)
            if end > branch.first and branch.parent >= 0:
                below = named.get(branch.parent, 0)
                named[branch.parent] = max(below, branch.first)
            self._note_void(chain, branch, now_ms)

    def _move(self, chain: Chain, branch: Branch, end: int) -> None:
        """Offer a branch up to ``end``."""
        offered = branch.offered
        if end == offered:
            return
        low, high = sorted((offered, end))
        for link in self._chains.links(chain, branch.number, low, high):
            self._offer(chain.lane, link, entered=end > offered)
        branch.offered = end
        self._chains.touch(chain, branch)

    def _note_void(self, chain: Chain, branch: Branch, now_ms: int) -> None:
        void = branch.offered < branch.next
        if void == bool(branch.void_ms):
            return
        branch.void_ms = now_ms if void else 0
        self._chains.touch(chain, branch)

    def _offer(self, lane: int, link: Link, *, entered: bool) -> None:
        key = link.hlc.to_bytes(8) + link.id
        row = b"t" + bytes((lane,)) + key
        if entered:
            self._rows.put(row, b"")
            self.offered[lane] += 1
        else:
            self._rows.delete(row)
            self.offered[lane] -= 1
        self._telling.offers.append(Offer(_LANES[lane], key, entered))
        resting = self._needs.count(link.cap, 1 if entered else -1)
        if resting is not None:
            self._unsettled[resting.key] = resting

    def judge_first(self, holding: Holding) -> None:
        """Judge a holding after a restart; what follows from it is on disk."""
        self._authority.judge(holding)
        self._flipped(holding, was_alive=holding.alive, had={})
        if not holding.deed.passing:
            self._needs.begin(holding)

    def review(self, again: Iterable[Holding], now_ms: int) -> list[Flip]:
        """Judge holdings anew, and whatever follows from it.

        Holdings are taken from the root down; a deed hangs only on what is above it.
        """
        flips: list[Flip] = []
        unsettled: dict[bytes, Chain] = {}
        heap = [(len(h.line), h.dot) for h in dict.fromkeys(again)]
        heapify(heap)
        forced = {dot for _, dot in heap}
        done: set[bytes] = set()
        while heap:
            _, dot = heappop(heap)
            if dot in done:
                continue
            done.add(dot)
            holding = self._authority.holdings[dot]
            alive, ends = holding.alive, holding.ends
            changed = self._authority.judge(holding)
            if not changed and dot not in forced:
                continue
            self._tell_granted(holding, alive, ends)
            found = self._flipped(holding, alive, ends)
            for flip in found:
                unsettled[flip.chain.key] = flip.chain
                deed = self._deed_of(flip)
                if deed is not None:
                    deed.passing = flip.passes
                    self._needs.note(deed.id, passes=flip.passes)
                    for each in self._authority.hanging_on(deed):
                        forced.add(each.dot)
                        heappush(heap, (len(each.line), each.dot))
                    for chain in self.chains_named(deed):
                        unsettled[chain.key] = chain
            flips += found
            if changed:
                for child in holding.children:
                    heappush(heap, (len(child.line), child.dot))
        for chain in unsettled.values():
            self._lower_tops(chain)
        for chain in unsettled.values():
            self.settle(chain, now_ms)
        return flips

    def _tell_granted(
        self, holding: Holding, alive: bool, ends: dict[tuple[int, bytes], Ends]
    ) -> None:
        before = alive and not ends
        after = holding.alive and not holding.cuts
        if before != after:
            dot = Dot(holding.dot)
            self._telling.changes.append(Granted(dot) if after else Ungranted(dot))

    def _deed_of(self, flip: Flip) -> Deed | None:
        if flip.chain.lane:
            return None
        return self._authority.deeds.get(flip.link.id)

    def chains_named(self, deed: Deed) -> list[Chain]:
        """The chains that hold heads which the revocations of a deed name."""
        if not deed.cuts:
            return []
        named = frozenset().union(*(cut.heads for cut in deed.cuts))
        return [
            self._chains.chain(*key)
            for key, heads in self._heads.items()
            if not named.isdisjoint(heads)
        ]

    def _flipped(
        self, holding: Holding, was_alive: bool, had: dict[tuple[int, bytes], Ends]
    ) -> list[Flip]:
        """The ops under a holding that pass and did not, or did and do not."""
        flips: list[Flip] = []
        ends: dict[tuple[int, bytes], Ends] = {}
        for author in holding.keys:
            for lane in (Lane.AUTH, Lane.DATA):
                chain = self._chains.chain(lane, author)
                key = (int(lane), author)
                if holding.cuts:
                    ends[key] = self._authority.ends_in(holding, chain)
                before = had.get(key)
                same = was_alive == holding.alive and before == ends.get(key)
                if holding.fresh or same:
                    continue
                for branch in chain.branches:
                    old = _end(branch, before) if was_alive else branch.first
                    new = _end(branch, ends.get(key)) if holding.alive else branch.first
                    flips += self._between(chain, branch, holding, old, new)
        holding.ends = ends
        holding.fresh = False
        return flips

    def _between(
        self, chain: Chain, branch: Branch, holding: Holding, old: int, new: int
    ) -> list[Flip]:
        if old == new:
            return []
        number, dot, ends_hlc = branch.number, holding.dot, holding.ends_hlc
        flips = [
            Flip(chain, number, link, new > old)
            for link in self._chains.links(chain, number, *sorted((old, new)))
            if link.cap == dot and link.hlc <= ends_hlc
        ]
        if flips and new > old:
            branch.top = max(branch.top, flips[-1].link.seq + 1)
            self._chains.touch(chain, branch)
        return flips

    def _lower_tops(self, chain: Chain) -> None:
        """Find the last op that passes, for each branch whose last one does not."""
        for branch in chain.branches:
            top = branch.first
            for link in self._chains.links_down(chain, branch.number, branch.top):
                if self.passes(chain, branch.number, link):
                    top = link.seq + 1
                    break
            if top != branch.top:
                branch.top = top
                self._chains.touch(chain, branch)


def _end(branch: Branch, ends: Ends) -> int:
    """One more than the last op of a branch that is not cut off."""
    if ends is None:
        return branch.next
    return max(branch.first, min(branch.next, ends.get(branch.number, 0)))
