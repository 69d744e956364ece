"""Opbook: which ops are held, how each of them stands, and where chains end.

Everything here is as of the last admitted op, drained or not. This file changes
nothing.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from nestmate_protocol.ids import ID_BYTES, DeviceKey, RecordId
from nestmate_protocol.spaces.engine import stored
from nestmate_protocol.spaces.engine.chains import COVERED, SEALED, Branch, Chain, Link
from nestmate_protocol.spaces.engine.forks import FORKED
from nestmate_protocol.spaces.engine.ledger import Ledger
from nestmate_protocol.spaces.engine.packing import object_key, touched_of
from nestmate_protocol.spaces.engine.rows import Rows
from nestmate_protocol.spaces.ops import Dot, Lane, Mutation, Type

_PLACE_BYTES: Final = 8 + ID_BYTES
_BEYOND: Final = b"\xff" * (_PLACE_BYTES + 1)


class Tip(NamedTuple):
    """The last op of a branch: what a writer goes on from."""

    id: RecordId
    seq: int
    hlc: int
    incarnation: bytes


class Standing(NamedTuple):
    """How a held op stands: a valid one counts, and an offered one is shown to others.

    ``sealed`` says that what it wrote cannot be read here; ``cap`` is the grant it
    acts under, None for a founder's own right.
    """

    op: RecordId
    author: DeviceKey
    lane: Lane
    hlc: int
    cap: Dot | None
    valid: bool
    offered: bool
    sealed: bool


class Opbook:
    """The ops of one space."""

    def __init__(self, rows: Rows, ledger: Ledger) -> None:
        self._rows = rows
        self._ledger = ledger

    def __repr__(self) -> str:
        return f"<Opbook of {self._ledger!r}>"

    def standing(self, op: RecordId) -> Standing | None:
        """How a held op of a chain stands, None if it is not here."""
        spot = self._ledger.locate(op.raw)
        if spot is None or spot.lane == Lane.EPHEMERAL:
            return None
        chain = self._ledger.chains.chain(spot.lane, spot.author)
        link = self._ledger.chains.link(chain, (spot.branch, spot.seq))
        if link is None:
            return None
        return self._standing(chain, chain.branches[spot.branch], link)

    def voided(self) -> Iterator[Standing]:
        """The held ops that do not count, offered or not, and can be read."""
        for lane in (Lane.AUTH, Lane.DATA):
            for chain, branch, link in self._links(lane):
                standing = self._standing(chain, branch, link)
                if not standing.valid and not standing.sealed:
                    yield standing

    def quarantined(self) -> Iterator[Standing]:
        """The held ops that are not offered to others."""
        for lane in (Lane.AUTH, Lane.DATA):
            for chain in self._ledger.chains.all(lane):
                for branch in chain.branches:
                    found = self._ledger.chains.links(
                        chain, branch.number, branch.offered
                    )
                    for link in found:
                        yield self._standing(chain, branch, link)

    def offered(self, lane: Lane) -> Iterator[bytes]:
        """The offered ops of a lane, hybrid timestamp in 8 bytes and id, in order."""
        return (row[-_PLACE_BYTES:] for row in self.offered_rows(lane, b"", _BEYOND))

    def offered_rows(self, lane: Lane, start: bytes, stop: bytes) -> Iterator[bytes]:
        """As ``offered``, from ``start`` on and below ``stop``, with more in front."""
        prefix = b"t" + bytes((lane,))
        return self._rows.keys(prefix + start, prefix + stop)

    def bytes_held(self) -> int:
        """What the ops of all chains take up together."""
        return sum(
            chain.bytes
            for lane in (Lane.AUTH, Lane.DATA)
            for chain in self._ledger.chains.all(lane)
        )

    def author_of(self, op: RecordId) -> DeviceKey | None:
        """Who wrote a held op."""
        found = self._ledger.find(op.raw)
        return None if found is None else DeviceKey(found.author)

    def parts(
        self, op: RecordId
    ) -> tuple[tuple[Mutation, ...], tuple[bytes | None, ...]]:
        """The mutations of a held op and their values; nothing if it is not here."""
        found = self._ledger.find(op.raw)
        if found is None:
            return (), ()
        mutations, values = self._ledger.vault.parts(found)
        return tuple(mutations), tuple(values)

    def is_ancestor(self, one: RecordId, other: RecordId) -> bool:
        """Whether ``one`` is ``other``, or comes before it in its author's chain."""
        above, below = self._ledger.locate(one.raw), self._ledger.locate(other.raw)
        if above is None or below is None or above[:2] != below[:2]:
            return False
        chain = self._ledger.chains.chain(below.lane, below.author)
        ends = chain.limits([(below.branch, below.seq)])
        return above.seq < ends.get(above.branch, 0)

    def held(self) -> Iterator[RecordId]:
        """Every held op."""
        return (RecordId(row[1:]) for row, _ in self._rows.scan(stored.AT))

    def _links(self, lane: Lane) -> Iterator[tuple[Chain, Branch, Link]]:
        for chain in self._ledger.chains.all(lane):
            for branch in chain.branches:
                for link in self._ledger.chains.links(chain, branch.number):
                    yield chain, branch, link

    def _standing(self, chain: Chain, branch: Branch, link: Link) -> Standing:
        valid = self._ledger.standing.passes(chain, branch.number, link)
        if chain.lane == Lane.AUTH:
            valid = self._ledger.authority.deeds[link.id].valid
        return Standing(
            op=RecordId(link.id),
            author=DeviceKey(chain.author),
            lane=Lane(chain.lane),
            hlc=link.hlc,
            cap=Dot(link.cap) if link.cap else None,
            valid=valid and bool(link.flags & COVERED),
            offered=link.seq < branch.offered,
            sealed=bool(link.flags & SEALED),
        )

    def history(self, path: str, kind: Type) -> Iterator[tuple[Standing, Dot]]:
        """Every held op that wrote an object and what it wrote there, by author."""
        key = object_key(path, kind)
        for chain, branch, link in self._links(Lane.DATA):
            for n, touched in enumerate(touched_of(link.touched)):
                if touched.key == key:
                    dot = Dot(link.id + bytes((n,)))
                    yield self._standing(chain, branch, link), dot

    # --- chains

    def tips(self, author: DeviceKey, lane: Lane) -> list[Tip]:
        """The last op of each branch of an author, the highest seq last."""
        chain = self._ledger.chains.chain(lane, author.raw)
        tips = [
            Tip(RecordId(each.tip), each.next - 1, each.tip_hlc, each.incarnation)
            for each in chain.branches
            if each.next > each.first
            and not any(c.first == each.next for c in chain.children(each.number))
        ]
        return sorted(tips, key=lambda tip: (tip.seq, tip.hlc, tip.id))

    def leaves(self, lane: Lane, author: bytes) -> Iterator[tuple[int, bytes]]:
        """Seq and id of the last offered op of each branch of an author."""
        ledger = self._ledger
        chain = ledger.chains.chain(lane, author)
        for branch in chain.branches:
            end = branch.offered
            if end == branch.first or any(
                child.first == end and child.offered > end
                for child in chain.children(branch.number)
            ):
                continue
            if end == branch.next:
                yield end - 1, branch.tip
            else:
                link = ledger.chains.link(chain, (branch.number, end - 1))
                if link is not None:
                    yield link.seq, link.id

    def frontier(self) -> list[tuple[DeviceKey, Lane, int, RecordId]]:
        """The last offered op of each branch of each author, in order."""
        found = [
            (chain.author, lane, seq, op)
            for lane in (Lane.AUTH, Lane.DATA)
            for chain in self._ledger.chains.all(lane)
            for seq, op in self.leaves(lane, chain.author)
        ]
        return [
            (DeviceKey(author), lane, seq, RecordId(op))
            for author, lane, seq, op in sorted(found)
        ]

    def forks(self) -> Iterator[tuple[DeviceKey, Lane, bytes, int, RecordId]]:
        """Ops that prove an author contradicted itself: author, lane, life, seq, id."""
        for row, _ in self._rows.scan(FORKED):
            lane, author, incarnation = row[1], row[2:34], row[34:50]
            seq = int.from_bytes(row[50:58])
            yield DeviceKey(author), Lane(lane), incarnation, seq, RecordId(row[58:])
