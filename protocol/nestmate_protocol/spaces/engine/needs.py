"""Needs: which void grants something rests on that is offered nevertheless.

Whoever takes in an offered op needs the op that gave its grant, so that one is offered
as well. As long as the giver passes it is offered anyway; only while it does not is it
counted here how many offered ops act under its grants. This file offers nothing.
"""

from collections.abc import Iterator

from nestmate_protocol.spaces.engine.authority import Authority
from nestmate_protocol.spaces.engine.chains import Chain, Chains
from nestmate_protocol.spaces.engine.deeds import Holding, Spot
from nestmate_protocol.spaces.ops import Lane


class Needs:
    """The void grants of one space, each with how many offered ops act under it."""

    def __init__(self, chains: Chains, authority: Authority) -> None:
        self._chains = chains
        self._authority = authority
        self._counts: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<Needs {len(self._counts)} void grants>"

    def carriers_on(self, chain: Chain) -> Iterator[Spot]:
        """Where void ops stand on a chain that others rest on."""
        for dot, count in self._counts.items():
            spot = self._authority.holdings[dot].deed.spot
            if count and spot.author == chain.author:
                yield spot

    def count(self, cap: bytes, more: int) -> Chain | None:
        """So many more offered ops act under a cap; gives the chain to settle anew."""
        before = self._counts.get(cap)
        if before is None:
            return None
        self._counts[cap] = before + more
        if before and before + more:
            return None
        spot = self._authority.holdings[cap].deed.spot
        return self._chains.chain(spot.lane, spot.author)

    def note(self, op: bytes, *, passes: bool) -> None:
        """An op of the auth lane passes now, or does not."""
        for dot in self._authority.deeds[op].grants:
            holding = self._authority.holdings.get(dot)
            if passes:
                self._counts.pop(dot, None)
            elif holding is not None:
                self.begin(holding)

    def begin(self, holding: Holding) -> None:
        """Count what is offered under a grant whose giver does not pass."""
        count = 0
        for author in holding.keys:
            for lane in (Lane.AUTH, Lane.DATA):
                chain = self._chains.chain(lane, author)
                for branch in chain.branches:
                    first, end = branch.first, branch.offered
                    for link in self._chains.links(chain, branch.number, first, end):
                        count += link.cap == holding.dot
        self._counts[holding.dot] = count
