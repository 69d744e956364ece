"""Attic: what is let go of after a time, without a change to what anybody sees.

Void ops that are not offered stay in quarantine for QUARANTINE_MS, so that one who was
voided by mistake can be restored from here, and the oldest make way where there are too
many; our own and those of the auth lane stay. Of ops that were replaced the values go
after RETENTION_MS, while header and skeleton stay for ever: what is offered, what is
live and every hash are the same with them and without. This file decides nothing else.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from nestmate_protocol.clocks import COUNTER_BITS
from nestmate_protocol.limits import (
    QUARANTINE_MS,
    QUARANTINE_OPS_MAX,
    RETENTION_MS,
    SWEEP_MS,
    SWEEP_STEP_MS,
    SWEPT_OPS_PER_STEP,
)
from nestmate_protocol.spaces.engine import stored
from nestmate_protocol.spaces.engine.chains import SEALED, Branch, Chain
from nestmate_protocol.spaces.engine.changes import Changed, Telling
from nestmate_protocol.spaces.engine.ledger import Ledger
from nestmate_protocol.spaces.engine.offers import VOID
from nestmate_protocol.spaces.engine.packing import Writer, object_key, pack_entry
from nestmate_protocol.spaces.engine.rows import Rows
from nestmate_protocol.spaces.ops import Lane, Op, Type

_BRANCH_AT: Final = 1 + 8 + 33
_REPLACED: Final = frozenset((Type.REGISTER, Type.SET, Type.LIST))


class Attic:
    """What one space has in store that nobody sees."""

    def __init__(
        self, rows: Rows, ledger: Ledger, telling: Telling, own: frozenset[bytes]
    ) -> None:
        """Of ``own`` authors nothing is dropped."""
        self._telling = telling
        self._rows = rows
        self._ledger = ledger
        self._own = own
        self._cursor: bytes | None = None
        self._sweep_ms = 0
        self._oldest: int | None = None
        self._seen = -1

    def __repr__(self) -> str:
        return f"<Attic of {self._ledger!r}>"

    def next_ms(self) -> int | None:
        """When something is due, Unix ms; None for never."""
        if not self._ledger.offers.held[Lane.DATA]:
            return None
        sweep_ms = max(self._sweep_ms, self._founded_ms + RETENTION_MS)
        if self._seen != self._ledger.offers.voidings:
            self._seen = self._ledger.offers.voidings
            self._oldest = next((since for since, _, _ in self._void()), None)
        if self._oldest is None:
            return sweep_ms
        return min(sweep_ms, self._oldest + QUARANTINE_MS)

    @property
    def _founded_ms(self) -> int:
        """When the space began, as its first op says."""
        authority = self._ledger.authority
        return authority.deeds[authority.first].hlc >> COUNTER_BITS

    def wake(self, now_ms: int) -> None:
        """Let go of what is due; values a few ops at a time."""
        offers = self._ledger.offers
        for since, chain, branch in list(self._void()):
            full = offers.quarantined > QUARANTINE_OPS_MAX
            if since + QUARANTINE_MS > now_ms and not full:
                break
            self._drop(chain, branch, branch.offered)
        if now_ms >= self._sweep_ms and self._ledger.offers.held[Lane.DATA]:
            self._sweep(now_ms)

    # --- quarantine

    def _void(self) -> Iterator[tuple[int, Chain, Branch]]:
        """The branches that end in quarantine and may be cut, the oldest first."""
        chains = self._ledger.chains
        for row, _ in self._rows.scan(VOID):
            author = row[10:_BRANCH_AT]
            if row[9] == Lane.DATA and author not in self._own:
                chain = chains.chain(Lane.DATA, author)
                number = int.from_bytes(row[_BRANCH_AT:])
                yield int.from_bytes(row[1:9]), chain, chain.branches[number]

    def _drop(self, chain: Chain, branch: Branch, end: int) -> None:
        """Forget the ops of a branch from ``end`` on, and all that come after them."""
        for child in list(chain.children(branch.number)):
            if child.first > end and child.next > child.first:
                self._drop(chain, child, child.first)
        chains, rows = self._ledger.chains, self._rows
        size = 0
        for link in list(chains.links(chain, branch.number, end)):
            held = self._ledger.find(link.id)
            size += 0 if held is None else len(held.wire)
            if held is not None and link.flags & SEALED:
                self._ledger.vault.forget(link.id, held)
            rows.delete(stored.AT + link.id)
            chains.drop(chain, branch.number, link.seq)
            self._ledger.forks.forget(chain, link)
            self._ledger.offers.forget(chain, link.id)
        last = chains.link(chain, (branch.number, end - 1)) if end else None
        chain.cut(branch, end, last, size)
        self._ledger.offers.note_void(chain, branch, 0)

    # --- values

    def _sweep(self, now_ms: int) -> None:
        """Look at some ops, and begin anew a day after all were looked at."""
        before = now_ms - RETENTION_MS << COUNTER_BITS
        start = self._cursor
        found = self._rows.scan(stored.AT, start=start)
        some = list(islice(found, SWEPT_OPS_PER_STEP))
        for row, raw in some:
            if row != start:
                self._prune(row[1:], stored.unpack(raw), before)
        done = len(some) < SWEPT_OPS_PER_STEP
        self._cursor = None if done else some[-1][0]
        self._sweep_ms = now_ms + (SWEEP_MS if done else SWEEP_STEP_MS)

    def _prune(self, op: bytes, held: stored.Stored, before: int) -> None:
        """Drop the values of an op that were replaced long enough ago."""
        if held.lane != Lane.DATA or held.hlc >= before:
            return
        mutations, values = self._ledger.vault.parts(held)[0], held.travelling()[1]
        kept = list(values)
        for n, mutation in enumerate(mutations):  # none if it cannot be read here
            if kept[n] is None or mutation.type not in _REPLACED:
                continue
            key, dot = object_key(mutation.path, mutation.type), op + bytes((n,))
            by = self._ledger.live.replaced_by(key, dot, held.writer)
            replacing = None if by is None else self._ledger.find(by[:-1])
            if replacing is not None and replacing.hlc < before:
                kept[n] = None
        if kept != list(values):
            head = self._rows.get(stored.AT + op) or b""
            wire = held.with_values(kept)
            self._rows.put(stored.AT + op, head[: stored.HEAD_BYTES] + wire)

    def fill(self, op: Op) -> None:
        """Take values that are live here and were not brought before."""
        held = self._ledger.find(op.id.raw)
        clear = self._ledger.vault.opened(op)
        if held is None or len(held.wire) >= len(op.data) or clear.mutations is None:
            return
        ours = held.travelling()[1]
        lacking = [
            n
            for n, value in enumerate(op.values)
            if value is not None and ours[n] is None
        ]
        by = Writer(op.id.raw, held.author, held.incarnation, held.seq, held.hlc)
        live = [n for n in lacking if self._is_live(clear, n)]
        if not live:
            return
        both = [op.values[n] if n in live else each for n, each in enumerate(ours)]
        head = self._rows.get(stored.AT + op.id.raw) or b""
        wire = held.with_values(both)
        self._rows.put(stored.AT + op.id.raw, head[: stored.HEAD_BYTES] + wire)
        for n in live:
            mutation = clear.mutations[n]
            key = object_key(mutation.path, mutation.type)
            self._ledger.live.put(
                key, op.dot(n), pack_entry(by, mutation, clear.values[n])
            )
            changed = Changed(mutation.path, mutation.type, op.dot(n))
            self._telling.changes.append(changed)

    def _is_live(self, op: Op, n: int) -> bool:
        mutation = (op.mutations or ())[n]
        key = object_key(mutation.path, mutation.type)
        return self._ledger.live.entry(key, op.dot(n)) is not None
