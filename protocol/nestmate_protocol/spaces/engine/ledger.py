"""Ledger: puts an op where it belongs, and carries out what follows from it elsewhere.

A data op changes its objects; a grant, a revocation or a head that has come may change
whether thousands of others count. This file knows the order in which the rooms are to
be told; each of them knows its own rule.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import ID_BYTES, DeviceKey, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.engine import stored
from nestmate_protocol.spaces.engine.authority import Authority
from nestmate_protocol.spaces.engine.chains import (
    COVERED,
    SEALED,
    Branch,
    Chain,
    Chains,
    Link,
)
from nestmate_protocol.spaces.engine.changes import (
    Admission,
    Restored,
    Telling,
    Verdict,
    Voided,
)
from nestmate_protocol.spaces.engine.deeds import Cut, Deed, Holding, Spot, read_deed
from nestmate_protocol.spaces.engine.ephemeral import Ephemeral
from nestmate_protocol.spaces.engine.forks import Forks
from nestmate_protocol.spaces.engine.live import Live
from nestmate_protocol.spaces.engine.objects import Lost, Objects
from nestmate_protocol.spaces.engine.offers import Offers
from nestmate_protocol.spaces.engine.packing import (
    Writer,
    pack_touched,
    touched_of,
)
from nestmate_protocol.spaces.engine.rows import ASIDE, Rows
from nestmate_protocol.spaces.engine.standing import Flip, Standing
from nestmate_protocol.spaces.engine.vault import Vault
from nestmate_protocol.spaces.founding import read_genesis
from nestmate_protocol.spaces.keyring import Content
from nestmate_protocol.spaces.ops import NO_SPACE, Lane, Op, Place


class Ledger:
    """All ops of one space that are in chains, and what they come to."""

    def __init__(
        self,
        space: SpaceId,
        rows: Rows,
        telling: Telling,
        keys: Iterable[SigningKey] = (),
    ) -> None:
        self._rows = rows
        self._telling = telling
        self.chains = Chains(rows)
        self.authority = Authority(self.locate)
        self.vault = Vault(space, rows, self.authority, keys)
        self.offers = Offers(rows, self.chains, self.authority, telling)
        self.standing = Standing(self.chains, self.authority, self.offers, telling)
        self.live = Live(rows, telling)
        self.objects = Objects(rows, self.live, telling, self._find)
        self.ephemeral = Ephemeral(rows, telling, self.vault)
        self.forks = Forks(rows, self.chains, telling)
        self.is_readable = True
        self._restore(space)

    def __repr__(self) -> str:
        return f"<Ledger {self.authority!r} {self.standing!r}>"

    def locate(self, op: bytes) -> Spot | None:
        """Where a held op stands."""
        found = self.find(op)
        if found is None:
            return None
        return Spot(found.lane, found.author, found.branch, found.seq)

    def find(self, op: bytes) -> stored.Stored | None:
        """A held op as it is stored."""
        raw = self._rows.get(stored.AT + op)
        return None if raw is None else stored.unpack(raw)

    def flush(self) -> None:
        """Put everything that was changed in memory into its rows."""
        self.chains.flush()
        self.offers.flush()
        self.live.rest()

    # --- keeping

    def keep_word(self, op: Op, now_ms: int) -> Admission:
        """Take in an op of the ephemeral lane, if it says anything new."""
        place = op.place
        spot = Spot(place.lane, op.author.raw, 0, 0)
        passes = self.authority.passes(place.cap or b"", spot, place.hlc, op.id.raw)
        fault: Fault | None = Fault.NOT_ENTITLED
        op = self.vault.opened(op)
        flags = self.vault.flags(op)
        if not flags & COVERED:
            op = replace(op, mutations=None)
        if passes and (flags or self.vault.is_private):
            fault = self.ephemeral.refuses(op, now_ms)
        if fault is not None:
            return Admission(Verdict.REFUSED, fault=fault)
        self.ephemeral.keep(op)
        return Admission(Verdict.NEW)

    def keep(self, op: Op, chain: Chain, branch: Branch, now_ms: int) -> bool:
        """Put an op at the end of a branch; whether it is offered to others."""
        op = self.vault.opened(op)
        place, raw, author = op.place, op.id.raw, op.author.raw
        seq, hlc, cap = place.seq, place.hlc, place.cap or b""
        incarnation, mutations = place.incarnation, op.mutations or ()
        flags = self.vault.flags(op)
        if flags & SEALED:
            self.vault.put(op)
        touched = pack_touched(mutations) if flags & COVERED and place.lane else b""
        link = Link(seq, raw, hlc, flags, cap, incarnation, touched)
        head = stored.head(place.lane, branch.number, seq, hlc, author, incarnation)
        self._rows.put(stored.AT + raw, head + op.data)
        if len(chain.branches) > 1:
            self.forks.look(chain, branch, link)
        chain.extend(branch, link, len(op.data))
        self.chains.put(chain, branch, link)
        self.chains.touch(chain, branch)
        passes = self.authority.lets(cap, author, hlc)
        if passes is None:
            passes = self.standing.passes(chain, branch.number, link)
        again: list[Holding] = []
        if not place.lane:
            spot = Spot(0, author, branch.number, seq)
            again = self._keep_deed(Deed(raw, spot, cap, hlc), op, passes=passes)
        self.offers.enter(chain, branch, link, now_ms, passes=passes)
        if passes and flags & COVERED and place.lane:
            self.objects.add(
                Writer(raw, author, incarnation, seq, hlc),
                (mutations, op.values),
                last=chain.is_latest(branch),
            )
        cuts = self.authority.cuts_naming(raw)
        if again or cuts:
            self._review([*again, *self._cut_by(cuts)], now_ms)
        if not place.lane:
            self._settle_named(self.authority.deeds[raw], now_ms)
            self.vault.learn(mutations)
        return branch.offered > seq

    # --- the auth lane

    def _keep_deed(self, deed: Deed, op: Op, *, passes: bool) -> list[Holding]:
        """Take in an op of the auth lane; gives the holdings to be judged anew."""
        read_deed(deed, op.mutations or ())
        deed.passing = passes
        again = self.authority.add(deed)
        for cut in deed.cuts:
            self._note_heads(cut)
        return again

    def _note_heads(self, cut: Cut) -> None:
        for head in sorted(cut.heads):
            at = self.locate(head)
            if at is not None and at.lane != Lane.EPHEMERAL:
                self.offers.note_head(head, at)

    def _settle_named(self, deed: Deed, now_ms: int) -> None:
        """Offer the heads that a revocation names, if it passes."""
        for chain in self.offers.chains_named(deed):
            self.offers.settle(chain, now_ms)

    def _cut_by(self, cuts: list[Cut]) -> list[Holding]:
        """The holdings under revocations, of which one's head has just come."""
        holdings = self.authority.holdings
        roots = [holdings[cut.grant] for cut in cuts if cut.grant in holdings]
        return list(self.authority.below(roots))

    # --- what counts and what does not any more

    def _review(self, again: list[Holding], now_ms: int) -> None:
        flips = self.standing.review(again, now_ms)
        for word in self.ephemeral.words:
            spot = Spot(Lane.EPHEMERAL, word.author, 0, 0)
            if not self.authority.passes(word.cap, spot, word.hlc, word.id):
                self.ephemeral.drop(word)
        if not flips:
            return
        self._telling.changes += _fates_of(flips)
        data = [f for f in flips if f.chain.lane and f.link.flags & COVERED]
        gone = {flip.link.id for flip in data if not flip.passes}
        lost: list[Lost] = []
        for flip in data:
            if not flip.passes:
                lost += self._take_back(flip, gone)
        for flip in data:
            if flip.passes:
                found = self.find(flip.link.id)
                if found is not None:
                    self.objects.add_again(_writer(flip), self.vault.parts(found))
        self.objects.revive(lost)

    def _take_back(self, flip: Flip, gone: set[bytes]) -> list[Lost]:
        lost = self.objects.remove(_writer(flip), touched_of(flip.link.touched))
        return [each for each in lost if each[1][:-1] not in gone]

    def _find(self, op: bytes) -> tuple[Writer, Content] | None:
        """What an op of the data lane wrote, if it counts."""
        found = self.find(op)
        if found is None or found.lane != Lane.DATA:
            return None
        chain = self.chains.chain(found.lane, found.author)
        link = self.chains.link(chain, (found.branch, found.seq))
        if link is None or not link.flags & COVERED:
            return None
        if not self.standing.passes(chain, found.branch, link):
            return None
        by = Writer(op, found.author, found.incarnation, found.seq, found.hlc)
        return by, self.vault.parts(found)

    # --- restart

    def _restore(self, space: SpaceId) -> None:
        """Read the auth lane; everything else is read when it is asked for."""
        first = self.find(space.raw)
        if first is None:
            self.is_readable = next(self._rows.scan(ASIDE), None) is None
            return
        self.is_readable = self.offers.restore_counts()
        if not self.is_readable:
            return
        self.authority.begin(space.raw, read_genesis(_first_op(space, first)))
        waiting: dict[bytes, list[Deed]] = {}
        for chain in self.chains.all(Lane.AUTH):
            for branch in chain.branches:
                for link in self.chains.links(chain, branch.number):
                    spot = Spot(0, chain.author, branch.number, link.seq)
                    deed = Deed(link.id, spot, link.cap, link.hlc)
                    waiting.setdefault(link.cap[:ID_BYTES], []).append(deed)
        ready = waiting.pop(b"", [])
        while ready or waiting:
            if not ready:  # what is left acts under no grant of this space
                ready = waiting.popitem()[1]
            deed = ready.pop()
            self._restore_deed(deed)
            ready += waiting.pop(deed.id, [])
        self._judge_all()
        self.vault.restore()
        self.ephemeral.restore()

    def _restore_deed(self, deed: Deed) -> None:
        held = self.find(deed.id)
        mutations = held.parts()[0] if held else ()
        read_deed(deed, mutations)
        self.vault.learn(mutations)
        self.authority.add(deed)
        for cut in deed.cuts:
            self._note_heads(cut)

    def _judge_all(self) -> None:
        """Judge every grant as it was judged before, from the root down."""
        authority = self.authority
        under: dict[bytes, list[Deed]] = {}
        for deed in authority.deeds.values():
            under.setdefault(deed.cap, []).append(deed)
        for deed in under.get(b"", ()):
            deed.passing = authority.is_founder(deed.author)
        for holding in sorted(authority.holdings.values(), key=lambda h: len(h.line)):
            self.offers.restore(holding)
            self.standing.judge_first(holding)
            for deed in under.get(holding.dot, ()):
                deed.passing = authority.passes(deed.cap, deed.spot, deed.hlc, deed.id)


def _fates_of(flips: list[Flip]) -> Iterator[Restored | Voided]:
    for chain, group in groupby(flips, key=attrgetter("chain")):
        author, lane = DeviceKey(chain.author), Lane(chain.lane)
        for flip in group:
            kind = Restored if flip.passes else Voided
            yield kind(RecordId(flip.link.id), author, lane)


def _writer(flip: Flip) -> Writer:
    link = flip.link
    return Writer(link.id, flip.chain.author, link.incarnation, link.seq, link.hlc)


def _first_op(space: SpaceId, held: stored.Stored) -> Op:
    """The first op again, as far as it has to be read."""
    place = Place(NO_SPACE, Lane.AUTH, 0, None, held.hlc, None, held.incarnation)
    mutations, values = held.parts()
    identity, author = RecordId(space.raw), DeviceKey(held.author)
    return Op(identity, author, place, mutations, values, (), b"", b"", held.wire)
