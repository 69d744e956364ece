"""Standing: which held ops pass, judged anew where a grant or a revocation changes it.

Within a branch that is told by one number for almost every op, so that a revocation
costs what it changes. This file knows no objects: it gives back which ops have begun or
ceased to pass.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from nestmate_protocol.spaces.engine.authority import Authority, Ends
from nestmate_protocol.spaces.engine.chains import Branch, Chain, Chains, Link
from nestmate_protocol.spaces.engine.changes import Granted, Telling, Ungranted
from nestmate_protocol.spaces.engine.deeds import Deed, Holding, Spot
from nestmate_protocol.spaces.engine.offers import Offers
from nestmate_protocol.spaces.ops import Dot, Lane


class Flip(NamedTuple):
    """An op that has begun or ceased to pass."""

    chain: Chain
    branch: int
    link: Link
    passes: bool


class Standing:
    """What passes of everything that is held in chains."""

    def __init__(
        self, chains: Chains, authority: Authority, offers: Offers, telling: Telling
    ) -> None:
        self._chains = chains
        self._authority = authority
        self._offers = offers
        self._telling = telling

    def __repr__(self) -> str:
        return f"<Standing by {self._authority!r}>"

    def passes(self, chain: Chain, branch: int, link: Link) -> bool:
        """Whether a held op passes."""
        spot = Spot(chain.lane, chain.author, branch, link.seq)
        return self._authority.passes(link.cap, spot, link.hlc, link.id)

    def judge_first(self, holding: Holding) -> None:
        """Judge a holding after a restart; what follows from it is on disk."""
        self._authority.judge(holding)
        self._flipped(holding, was_alive=holding.alive, had={})

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
                    for each in self._authority.hanging_on(deed):
                        forced.add(each.dot)
                        heappush(heap, (len(each.line), each.dot))
                    for chain in self._offers.chains_named(deed):
                        unsettled[chain.key] = chain
            flips += found
            if changed:
                for child in holding.children:
                    heappush(heap, (len(child.line), child.dot))
        for chain in unsettled.values():
            self._lower_tops(chain)
        for chain in unsettled.values():
            self._offers.settle(chain, now_ms)
        self._chains.forget()
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

    def _flipped(
        self, holding: Holding, was_alive: bool, had: dict[tuple[int, bytes], Ends]
    ) -> list[Flip]:
        """The ops under a holding that pass and did not, or did and do not."""
        flips: list[Flip] = []
        ends: dict[tuple[int, bytes], Ends] = {}
        for author in holding.writers:
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
        links = list(self._chains.links(chain, number, *sorted((old, new))))
        self._chains.remember(chain, number, links)
        flips = [
            Flip(chain, number, link, new > old)
            for link in links
            if link.cap == dot and link.hlc <= ends_hlc
        ]
        if flips and new > old:
            branch.top = max(branch.top, flips[-1].link.seq + 1)
            self._chains.touch(chain, branch)
        elif len(flips) == len(links) and branch.top <= old:
            branch.top = min(branch.top, new)
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
