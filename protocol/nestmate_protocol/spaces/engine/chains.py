"""Chains: what one author wrote in one lane, op after op, as a tree of branches.

An honest author makes a branch where a lost disk made it start again from an older op,
a dishonest one where it pleases. Within a branch there is one op to a number, so an op
is found by its place, and whether one op stands above another is told by walking up as
many branches as lie between, never op by op. Numbers of branches follow the order in
which ops came and are this node's own. This file knows no rights and no objects.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from nestmate_protocol.spaces.engine.rows import Rows

CHAINS_KEPT_MAX: Final = 2_048

COVERED: Final = 1
SEALED: Final = 2
PRUNED: Final = 4

_BRANCH: Final = struct.Struct(">iQQ32s16sQQQQQ")
_NUMBER: Final = struct.Struct(">I")
_PLACE: Final = struct.Struct(">IQ")
_LINK: Final = struct.Struct(">32sQB33s16s")
_NONE: Final = bytes(33)
_SEQ_MAX: Final = 2**64 - 1

Spot = tuple[int, int]
"""A place in a chain: number of the branch, seq."""


class Link(NamedTuple):
    """One op as its chain knows it.

    ``touched`` are its mutations, packed by ``objects``; ``cap`` is the dot of the
    grant it acts under, empty for a founder's own right.
    """

    seq: int
    id: bytes
    hlc: int
    flags: int
    cap: bytes
    incarnation: bytes
    touched: bytes


class Branch:
    """A stretch of ops, each after the one before it.

    It leaves branch ``parent`` (-1 for none) before ``first``. ``top`` and ``offered``
    are one more than the last op that passes, and than the last that is offered;
    ``void_ms`` is since when the ops from ``offered`` on are in quarantine, else 0.
    """

    __slots__ = (
        *("bytes", "first", "incarnation", "next", "number", "offered", "parent"),
        *("tip", "tip_hlc", "top", "void_ms"),
    )

    def __init__(self, number: int, parent: int, first: int) -> None:
        self.number = number
        self.parent = parent
        self.first = self.next = self.top = self.offered = first
        self.tip = bytes(32)
        self.tip_hlc = 0
        self.incarnation = bytes(16)
        self.bytes = 0
        self.void_ms = 0

    def __repr__(self) -> str:
        return f"<Branch {self.number} {self.first}..{self.next - 1}>"

    def packed(self) -> bytes:
        """The branch as a row."""
        return _BRANCH.pack(
            *(self.parent, self.first, self.next, self.tip, self.incarnation),
            *(self.tip_hlc, self.top, self.offered, self.void_ms, self.bytes),
        )

    @classmethod
    def unpacked(cls, number: int, raw: bytes) -> "Branch":
        """The branch a row holds."""
        row = _BRANCH.unpack(raw)
        branch = cls(number, row[0], row[1])
        branch.next, branch.tip, branch.incarnation, branch.tip_hlc = row[2:6]
        branch.top, branch.offered, branch.void_ms, branch.bytes = row[6:]
        return branch


class Chain:
    """All branches of one author in one lane."""

    __slots__ = ("author", "branches", "bytes", "key", "lane", "tips", "touched")

    def __init__(self, key: bytes, branches: list[Branch]) -> None:
        self.key = key
        self.lane, self.author = key[0], key[1:]
        self.branches = branches
        self.bytes = sum(branch.bytes for branch in branches)
        self.tips = {each.tip: each for each in branches if each.next > each.first}
        self.touched: dict[Branch, None] = {}

    def __repr__(self) -> str:
        return f"<Chain of {len(self.branches)} branches>"

    def extend(self, branch: Branch, link: "Link", size: int) -> None:
        """Put one more op of ``size`` bytes at the end of a branch."""
        if branch.next > branch.first:
            del self.tips[branch.tip]
        self.tips[link.id] = branch
        branch.tip = link.id
        branch.next = link.seq + 1
        branch.tip_hlc = link.hlc
        branch.incarnation = link.incarnation
        branch.bytes += size
        self.bytes += size

    def cut(self, branch: Branch, end: int, last: "Link | None", size: int) -> None:
        """End a branch before ``end``, after ``last``; ``size`` bytes are gone."""
        if branch.next > branch.first:
            self.tips.pop(branch.tip, None)
        branch.next = end
        branch.top = min(branch.top, end)
        branch.bytes -= size
        self.bytes -= size
        if last is not None and end > branch.first:
            branch.tip, branch.tip_hlc = last.id, last.hlc
            branch.incarnation = last.incarnation
            self.tips[last.id] = branch

    def fork(self, parent: int, first: int) -> Branch:
        """A new branch that leaves another one before ``first``; -1 for a new root."""
        branch = Branch(len(self.branches), parent, first)
        self.branches.append(branch)
        return branch

    def limits(self, heads: Iterable[Spot]) -> dict[int, int]:
        """For each branch one more than the last seq at or below one of the heads."""
        limits: dict[int, int] = {}
        for head in heads:
            number, end = head[0], head[1] + 1
            while number >= 0 and limits.get(number, 0) < end:
                limits[number] = end
                branch = self.branches[number]
                number, end = branch.parent, branch.first
        return limits

    def children(self, number: int) -> Iterator[Branch]:
        """The branches that leave one branch."""
        return (each for each in self.branches if each.parent == number)

    def is_latest(self, branch: Branch) -> bool:
        """Whether no other branch goes on further than this one."""
        end = branch.next
        return len(self.branches) == 1 or all(b.next <= end for b in self.branches)


class Chains:
    """The chains of a space, read when they are asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._chains: tuple[dict[bytes, Chain], ...] = ({}, {})
        self._touched: dict[Chain, None] = {}
        self._known: dict[tuple[bytes, int], list[Link]] = {}

    def __repr__(self) -> str:
        return f"<Chains {sum(map(len, self._chains))} read>"

    def chain(self, lane: int, author: bytes) -> Chain:
        """The chain of an author in a lane, maybe empty."""
        chain = self._chains[lane].get(author)
        if chain is None:
            key = bytes((lane,)) + author
            found = self._rows.scan(b"b" + key)
            chain = Chain(
                key, [Branch.unpacked(n, raw) for n, (_, raw) in enumerate(found)]
            )
            self._chains[lane][author] = chain
        return chain

    def touch(self, chain: Chain, branch: Branch) -> None:
        """Take note that a branch has changed."""
        chain.touched[branch] = None
        self._touched[chain] = None

    def flush(self) -> None:
        """Put every branch that has changed into its row."""
        for chain in self._touched:
            for branch in chain.touched:
                row = b"b" + chain.key + _NUMBER.pack(branch.number)
                self._rows.put(row, branch.packed())
            chain.touched.clear()
        self._touched.clear()
        for kept in self._chains:
            if len(kept) > CHAINS_KEPT_MAX:
                kept.clear()

    def all(self, lane: int) -> Iterator[Chain]:
        """Every chain of a lane, in the order of its authors."""
        self.flush()
        last = b""
        for key, _ in self._rows.scan(b"b" + bytes((lane,))):
            author = key[2:34]
            if author != last:
                last = author
                yield self.chain(lane, author)

    def put(self, chain: Chain, branch: Branch, link: Link) -> None:
        """Keep one op at its place."""
        seq, identity, hlc, flags, cap, incarnation, touched = link
        fixed = _LINK.pack(identity, hlc, flags, cap or _NONE, incarnation)
        place = _PLACE.pack(branch.number, seq)
        self._rows.put(b"a" + chain.key + place, fixed + touched)

    def links(
        self, chain: Chain, number: int, first: int = 0, end: int = _SEQ_MAX
    ) -> Iterator[Link]:
        """The ops of a branch from ``first`` up to, not with, ``end``."""
        known = self._known.get((chain.key, number))
        if known and known[0].seq <= first and end <= known[-1].seq + 1:
            at = known[0].seq
            return iter(known[first - at : end - at])
        return self._links(chain, number, first, end)

    def remember(self, chain: Chain, number: int, links: list[Link]) -> None:
        """Keep ops that were read and follow each other at hand until ``forget``."""
        if links:
            self._known[chain.key, number] = links

    def forget(self) -> None:
        """Let go of what was read."""
        self._known.clear()

    def _links(self, chain: Chain, number: int, first: int, end: int) -> Iterator[Link]:
        prefix = b"a" + chain.key + _NUMBER.pack(number)
        start = prefix + first.to_bytes(8)
        for key, raw in self._rows.scan(prefix, start=start):
            seq = int.from_bytes(key[-8:])
            if seq >= end:
                return
            yield _link(seq, raw)

    def links_down(self, chain: Chain, number: int, end: int) -> Iterator[Link]:
        """The ops of a branch below ``end``, the last one first."""
        prefix = b"a" + chain.key + _NUMBER.pack(number)
        start = prefix + max(0, end - 1).to_bytes(8)
        for key, raw in self._rows.scan(prefix, start=start, reverse=True):
            seq = int.from_bytes(key[-8:])
            if seq < end:
                yield _link(seq, raw)

    def link(self, chain: Chain, spot: Spot) -> Link | None:
        """The op at one place."""
        raw = self._rows.get(b"a" + chain.key + _PLACE.pack(*spot))
        return None if raw is None else _link(spot[1], raw)

    def drop(self, chain: Chain, number: int, seq: int) -> None:
        """Forget the op at one place."""
        self._rows.delete(b"a" + chain.key + _PLACE.pack(number, seq))


def _link(seq: int, raw: bytes) -> Link:
    identity, hlc, flags, cap, incarnation = _LINK.unpack_from(raw)
    if cap == _NONE:
        cap = b""
    return Link(seq, identity, hlc, flags, cap, incarnation, raw[_LINK.size :])
