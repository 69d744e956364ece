"""Offers: which held ops are offered to others, kept as one number for each branch.

Offered is what passes, what a passing revocation names as a head, and everything that
these rest on: what comes before them, and the ops that carry their grants. Whatever
else is held is in quarantine. This file is told what passes.
"""

import struct
from collections.abc import Iterator
from typing import Final

from nestmate_protocol.spaces.engine.authority import Authority
from nestmate_protocol.spaces.engine.chains import Branch, Chain, Chains, Link
from nestmate_protocol.spaces.engine.changes import Offer, Telling
from nestmate_protocol.spaces.engine.deeds import Deed, Holding, Spot
from nestmate_protocol.spaces.engine.rows import ASIDE, VERSION, Rows
from nestmate_protocol.spaces.ops import Lane

SHOWN: Final = b"g"
VOID: Final = b"q"
COUNTS: Final = b"m"

_COUNTS: Final = struct.Struct(">BQQQQ")

_LANES: Final = {int(lane): lane for lane in Lane}


class Offers:
    """What is offered of everything that is held in chains."""

    def __init__(
        self, rows: Rows, chains: Chains, authority: Authority, telling: Telling
    ) -> None:
        self._rows = rows
        self._chains = chains
        self._authority = authority
        self._telling = telling
        self._heads: dict[tuple[int, bytes], dict[bytes, Spot]] = {}
        self._pinned: dict[bytes, dict[bytes, Deed]] = {}
        self._unsettled: dict[Chain, None] = {}
        self._counted: dict[bytes, Holding] = {}
        self.counts = [0, 0]
        self.held = [0, 0]
        self.voidings = 0
        self._written = _COUNTS.pack(VERSION, 0, 0, 0, 0)

    def __repr__(self) -> str:
        return f"<Offers {self.counts}>"

    @property
    def quarantined(self) -> int:
        """How many held ops are not offered."""
        return sum(self.held) - sum(self.counts)

    def enter(
        self, chain: Chain, branch: Branch, link: Link, now_ms: int, *, passes: bool
    ) -> None:
        """A new op at the end of a branch: offer it, or keep it in quarantine."""
        seq = link.seq
        self.held[chain.lane] += 1
        if self._authority.cuts_naming(link.id):
            spot = Spot(chain.lane, chain.author, branch.number, seq)
            self._heads.setdefault((chain.lane, chain.author), {})[link.id] = spot
        if passes:
            branch.top = seq + 1
            if branch.offered == seq and seq > branch.first:
                branch.offered = seq + 1
                self._offer(chain.lane, link, entered=True)
                self._count(link.cap, 1)
                return
        self.settle(chain, now_ms)

    def note_head(self, head: bytes, spot: Spot) -> Chain:
        """Take note where a head stands that a revocation names; gives its chain."""
        self._heads.setdefault((spot.lane, spot.author), {})[head] = spot
        return self._chains.chain(spot.lane, spot.author)

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

    def settle(self, chain: Chain, now_ms: int) -> None:
        """Offer what is to be offered of a chain, and of chains that it rests on."""
        self._unsettled[chain] = None
        while self._unsettled:
            self._settle(self._unsettled.popitem()[0], now_ms)

    def _settle(self, chain: Chain, now_ms: int) -> None:
        named: dict[int, int] = {}
        for spot in self._needed(chain):
            named[spot.branch] = max(named.get(spot.branch, 0), spot.seq + 1)
        for branch in reversed(chain.branches):
            end = max(branch.top, branch.first, named.get(branch.number, 0))
            if end > branch.first or branch.offered > branch.first:
                self._move(chain, branch, end)
            if end > branch.first and branch.parent >= 0:
                below = named.get(branch.parent, 0)
                named[branch.parent] = max(below, branch.first)
            self.note_void(chain, branch, now_ms)

    def _needed(self, chain: Chain) -> Iterator[Spot]:
        """The ops of a chain that others need, whether they pass or not."""
        for head, spot in self._heads.get((chain.lane, chain.author), {}).items():
            if self._authority.is_named(head):
                yield spot
        if not chain.lane:
            for deed in self._pinned.get(chain.author, {}).values():
                yield deed.spot

    def _move(self, chain: Chain, branch: Branch, end: int) -> None:
        """Offer a branch up to ``end``."""
        offered = branch.offered
        if end == offered:
            return
        low, high = sorted((offered, end))
        under: dict[bytes, int] = {}
        for link in self._chains.links(chain, branch.number, low, high):
            self._offer(chain.lane, link, entered=end > offered)
            under[link.cap] = under.get(link.cap, 0) + 1
        for cap, count in under.items():
            self._count(cap, count if end > offered else -count)
        branch.offered = end
        self._chains.touch(chain, branch)

    def note_void(self, chain: Chain, branch: Branch, now_ms: int) -> None:
        """Remember since when the end of a branch is in quarantine, if it is."""
        void = branch.offered < branch.next
        if void == bool(branch.void_ms):
            return
        self.voidings += 1
        place = chain.key + branch.number.to_bytes(4)
        if void:
            self._rows.put(VOID + now_ms.to_bytes(8) + place, b"")
        else:
            self._rows.delete(VOID + branch.void_ms.to_bytes(8) + place)
        branch.void_ms = now_ms if void else 0
        self._chains.touch(chain, branch)

    def forget(self, chain: Chain, op: bytes) -> None:
        """A held op is dropped that was not offered."""
        self.held[chain.lane] -= 1
        self._heads.get((chain.lane, chain.author), {}).pop(op, None)

    def _offer(self, lane: int, link: Link, *, entered: bool) -> None:
        key = link.hlc.to_bytes(8) + link.id
        row = b"t" + bytes((lane,)) + key
        if entered:
            self._rows.put(row, b"")
            self.counts[lane] += 1
        else:
            self._rows.delete(row)
            self.counts[lane] -= 1
        self._telling.offers.append(Offer(_LANES[lane], key, entered))

    def _count(self, cap: bytes, more: int) -> None:
        """Ops under a grant are offered, and so the op that carries the grant is."""
        if not cap:
            return
        holding = self._authority.holdings[cap]
        holding.shown += more
        self._counted[cap] = holding
        if holding.shown == max(more, 0):
            deed = holding.deed
            pinned = self._pinned.setdefault(deed.author, {})
            if more > 0:
                pinned[deed.id] = deed
            elif not any(
                self._authority.holdings[dot].shown
                for dot in deed.grants
                if dot in self._authority.holdings
            ):
                del pinned[deed.id]
            if not deed.passing:
                self._unsettled[self._chains.chain(0, deed.author)] = None

    def flush(self) -> None:
        """Put every count that has changed into its row."""
        for dot, holding in self._counted.items():
            self._rows.put(SHOWN + dot, holding.shown.to_bytes(8))
        self._counted.clear()
        counts = _COUNTS.pack(VERSION, *self.held, *self.counts)
        if counts != self._written:
            self._written = counts
            self._rows.put(COUNTS, counts)

    def restore_counts(self) -> bool:
        """Read how much is held, after a restart; whether the rows can be read."""
        raw = self._rows.get(COUNTS)
        aside = next(self._rows.scan(ASIDE), None)
        if raw is None or raw[0] != VERSION or aside is not None:
            return False
        found = _COUNTS.unpack(raw)
        self.held[:], self.counts[:] = found[1:3], found[3:]
        self._written = raw
        return True

    def restore(self, holding: Holding) -> None:
        """Read how many offered ops act under a grant, after a restart."""
        raw = self._rows.get(SHOWN + holding.dot)
        holding.shown = 0 if raw is None else int.from_bytes(raw)
        if holding.shown:
            deed = holding.deed
            self._pinned.setdefault(deed.author, {})[deed.id] = deed
