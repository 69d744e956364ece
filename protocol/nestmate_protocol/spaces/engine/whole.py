"""Whole: one space as this node holds it, op by op.

``admit`` takes ops that were opened and verified, in any order and any number of times;
``drain`` hands out all rows that follow, for one atomic batch; ``news`` tells what has
changed. Nothing here reads a clock or a disk: moments and the reader come from outside.
"""

import sys
from collections.abc import Iterable
from typing import Final

from nestmate_protocol.clocks import COUNTER_BITS, Moment
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES, DeviceKey, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import (
    AUTHOR_BYTES_MAX,
    PARKED_BYTES_MAX,
    PENDING_BYTES_MAX,
    SKEW_MS_MAX,
)
from nestmate_protocol.spaces.engine import stored
from nestmate_protocol.spaces.engine.attic import Attic
from nestmate_protocol.spaces.engine.chains import Branch, Chain
from nestmate_protocol.spaces.engine.changes import Admission, News, Telling, Verdict
from nestmate_protocol.spaces.engine.ledger import Ledger
from nestmate_protocol.spaces.engine.opbook import Opbook
from nestmate_protocol.spaces.engine.readers import Readers
from nestmate_protocol.spaces.engine.rights import RightsDesk
from nestmate_protocol.spaces.engine.rows import Reader, Rows, Write
from nestmate_protocol.spaces.engine.unsealing import Unsealing
from nestmate_protocol.spaces.engine.views import Views
from nestmate_protocol.spaces.engine.waiting import Parked, Pending
from nestmate_protocol.spaces.founding import read_genesis
from nestmate_protocol.spaces.ops import Lane, Op

_SKEW: Final = SKEW_MS_MAX << COUNTER_BITS
_NEW: Final = Admission(Verdict.NEW)
_KNOWN: Final = Admission(Verdict.KNOWN)
_PARKED: Final = Admission(Verdict.PARKED)
_QUARANTINED: Final = Admission(Verdict.QUARANTINED)
_NOT_ENTITLED: Final = Admission(Verdict.REFUSED, fault=Fault.NOT_ENTITLED)
_BROKEN: Final = Admission(Verdict.REFUSED, fault=Fault.BROKEN_CHAIN)
_FULL: Final = Admission(Verdict.REFUSED, fault=Fault.OVER_LIMIT)
_FOR_GOOD: Final = (Fault.NOT_ENTITLED, Fault.BROKEN_CHAIN)
_HELD: Final = (Verdict.NEW, Verdict.QUARANTINED)


class Engine:
    """The state of one space, kept up op by op and restored from its rows.

    ``views`` answers what is in it, ``ops`` which ops are held and how they stand,
    ``rights`` who may do what. In a private space ``readers`` says who is to have its
    secrets and ``keyring`` has those that are known here.
    """

    def __init__(
        self,
        space: SpaceId,
        reader: Reader,
        prefix: bytes,
        own: frozenset[DeviceKey] = frozenset(),
        *,
        keys: Iterable[SigningKey] = (),
        patient: bool = False,
    ) -> None:
        """``prefix`` begins every key of this space; ``own`` ops are never dropped.

        ``keys`` open what is sealed to them. A ``patient`` one lets any number of ops
        wait for others.
        """
        self.space = space
        self._raw = space.raw
        self._rows = rows = Rows(reader, prefix)
        self._telling = Telling()
        self._ledger = Ledger(space, rows, self._telling, keys)
        kept = frozenset(key.raw for key in own)
        self._attic = Attic(rows, self._ledger, self._telling, kept)
        self._pending = Pending(sys.maxsize if patient else PENDING_BYTES_MAX)
        self._parked = Parked(PARKED_BYTES_MAX)
        self.views = Views(rows, self._ledger)
        self.ops = Opbook(rows, self._ledger)
        self.rights = RightsDesk(self._ledger, self.ops)
        self.readers = Readers(self._ledger.authority)
        self.keyring = self._ledger.vault.keyring
        self._unsealing = Unsealing(self._ledger)
        self._unsealing.go_on()

    def __repr__(self) -> str:
        return f"<Engine {self.space.short} {self._ledger!r}>"

    @property
    def is_readable(self) -> bool:
        """Whether the rows on disk can be read; if not, they must be made anew."""
        return self._ledger.is_readable

    @property
    def is_private(self) -> bool:
        """Whether what is written is sealed."""
        return self._ledger.vault.is_private

    def use_keys(self, keys: Iterable[SigningKey]) -> None:
        """Open what is sealed to these keys as well."""
        self._unsealing.use_keys(keys)

    # --- what comes in

    def admit(self, op: Op, now: Moment) -> Admission:
        """Take in one verified op of this space, and whatever waited for it."""
        admission = self._admit(op, now)
        if not len(self._pending) or admission.verdict not in _HELD:
            if admission.fault in _FOR_GOOD:
                self._pending.discard(op.id.raw)
            return admission
        released: list[RecordId] = []
        arrived = [op.id.raw]
        while arrived:
            for waiting in self._pending.take(arrived.pop()):
                if self._admit(waiting, now).verdict in _HELD:
                    released.append(waiting.id)
                    arrived.append(waiting.id.raw)
        if not released:
            return admission
        return Admission(admission.verdict, released=tuple(released))

    def drain(self) -> tuple[Write, ...]:
        """All rows since the last time, for one batch."""
        self._ledger.flush()
        return self._rows.drain()

    def news(self) -> News:
        """All that has changed since the last time."""
        return self._telling.take()

    def wake(self, now: Moment) -> None:
        """Do what is due."""
        for op in list(self._parked.take(now.wall_ms)):
            self.admit(op, now)
        self._ledger.ephemeral.wake(now.wall_ms)
        self._attic.wake(now.wall_ms)
        self._unsealing.go_on()

    def next_wakeup_ms(self) -> int | None:
        """When something is due, Unix ms; None for never."""
        if self._unsealing.is_due:
            return 0
        ephemeral_ms = self._ledger.ephemeral.next_ms
        times = (self._parked.next_ms, ephemeral_ms, self._attic.next_ms())
        return min((time for time in times if time is not None), default=None)

    def missing(self) -> list[RecordId]:
        """The ops that others wait for here."""
        return [RecordId(raw) for raw in self._pending.missing()]

    # --- what is here

    def has(self, op: RecordId) -> bool:
        """Whether an op is held, offered or not."""
        return self._rows.get(stored.AT + op.raw) is not None

    def wire(self, op: RecordId) -> bytes | None:
        """The bytes of a held op, as they are sent."""
        found = self._ledger.find(op.raw)
        return None if found is None else found.wire

    # --- admission

    def _admit(self, op: Op, now: Moment) -> Admission:
        raw, place = op.id.raw, op.place
        if place.hlc > (now.wall_ms << COUNTER_BITS) + _SKEW:
            self._parked.put(op)
            return _PARKED
        authority = self._ledger.authority
        if authority.genesis is None:
            if raw != self.space.raw:
                return self._wait(op, self.space.raw)
            try:
                authority.begin(raw, read_genesis(op))
            except RemoteError as error:
                return Admission(Verdict.REFUSED, fault=error.fault)
        elif self._raw not in {place.space.raw, raw}:
            return Admission(Verdict.REFUSED, fault=Fault.BAD_FIELD)
        if not self._ledger.vault.is_of_kind(op):
            return Admission(Verdict.REFUSED, fault=Fault.BAD_FIELD)
        cap, author = place.cap or b"", op.author.raw
        if not authority.admits(op):
            if cap in authority.holdings or not cap or self._holds(cap[:ID_BYTES]):
                return _NOT_ENTITLED
            return self._wait(op, cap[:ID_BYTES])
        if place.lane is Lane.EPHEMERAL:
            if self._holds(raw):
                return _KNOWN
            return self._ledger.keep_word(op, now.wall_ms)
        chain = self._ledger.chains.chain(place.lane, author)
        found = self._branch_for(op, chain)
        if isinstance(found, Admission):
            return found
        secrets = len(self.keyring)
        offered = self._ledger.keep(op, chain, found, now.wall_ms)
        if len(self.keyring) > secrets:
            self._unsealing.begin()
        return _NEW if offered else _QUARANTINED

    def _holds(self, op: bytes) -> bool:
        return self._rows.get(stored.AT + op) is not None

    def _wait(self, op: Op, missing: bytes) -> Admission:
        self._pending.put(op, missing)
        return Admission(Verdict.PENDING, missing=RecordId(missing))

    def _branch_for(self, op: Op, chain: Chain) -> Branch | Admission:
        """The branch an op goes on, maybe a new one.

        What comes after the last op of a branch was never here, without a look.
        """
        prev, seq = op.place.prev, op.place.seq
        branch = None if prev is None else chain.tips.get(prev.raw)
        full = chain.bytes + len(op.data) > AUTHOR_BYTES_MAX
        if branch is not None:
            if branch.next != seq:
                return _BROKEN
            return _FULL if full else branch
        if self._holds(op.id.raw):
            self._attic.fill(op)
            return _KNOWN
        if full:
            return _FULL
        if prev is None:
            return chain.fork(-1, 0)
        spot = self._ledger.locate(prev.raw)
        if spot is None:
            return self._wait(op, prev.raw)
        if (spot.lane, spot.author, spot.seq + 1) != (chain.lane, chain.author, seq):
            return _BROKEN
        return chain.fork(spot.branch, seq)
