"""Copies: the ops of each space this node takes part in.

A copy is one space's engine with a summary for each lane beside it. What has changed,
what is new and what is to be written waits here until it is collected, so that
everything one input causes is one batch. This file knows neither peers nor requests.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from nestmate_protocol.clocks import HybridClock, Moment
from nestmate_protocol.effects import Save
from nestmate_protocol.ids import NetworkId, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces import sweeping as sweep_kept
from nestmate_protocol.spaces.catalogue import Listing, Write
from nestmate_protocol.spaces.engine.changes import (
    Admission,
    Change,
    Verdict,
)
from nestmate_protocol.spaces.engine.rows import Reader
from nestmate_protocol.spaces.engine.whole import Engine
from nestmate_protocol.spaces.ops import Lane, Op
from nestmate_protocol.spaces.remaking import Remaking
from nestmate_protocol.spaces.requests import Standing
from nestmate_protocol.spaces.summary import Leaves, Summary
from nestmate_protocol.spaces.sweeping import Sweep

_KEPT: Final = (Verdict.NEW, Verdict.QUARANTINED)


class _Offered:
    """The offered keys of one lane, as a summary reads them."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self._engine = engine
        self._lane = lane

    def scan(self, start: bytes, stop: bytes) -> Iterator[bytes]:
        """Every key from ``start`` on and below ``stop``, in order."""
        return self._engine.ops.offered_rows(self._lane, start, stop)


class Copy:
    """One space as it is held here; ``bearers`` are keys of the invite it came by."""

    bearers: tuple[SigningKey, ...]

    def __init__(
        self, listing: Listing, reader: Reader, leaves: Leaves, key: SigningKey
    ) -> None:
        self.listing = listing
        own = frozenset((key.public,))
        space, prefix = listing.space, listing.prefix
        self.engine = Engine(space, reader, prefix, own, keys=(key,))
        self.bearers = ()
        self._leaves = leaves
        self._summaries: dict[Lane, Summary] = {}

    def __repr__(self) -> str:
        return f"<Copy of {self.listing.space.short}>"

    def summary(self, lane: Lane) -> Summary:
        """The summary of a lane, made when it is first asked for."""
        summary = self._summaries.get(lane)
        if summary is None:
            summary = Summary(_Offered(self.engine, lane), self._leaves)
            self._summaries[lane] = summary
        return summary

    def admit(self, op: Op, now: Moment) -> tuple[Admission, tuple[Change, ...]]:
        """Give the engine an op; what has changed comes back."""
        admission = self.engine.admit(op, now)
        return admission, self.settle()

    def wake(self, now: Moment) -> tuple[Change, ...]:
        """Let the engine do what is due; what has changed comes back."""
        self.engine.wake(now)
        return self.settle()

    def settle(self) -> tuple[Change, ...]:
        """Bring the summaries up to date with what the engine offers."""
        news = self.engine.news()
        for offer in news.offers:
            summary = self._summaries.get(offer.lane)
            if summary is not None and offer.entered:
                summary.insert(offer.key)
            elif summary is not None:
                summary.remove(offer.key)
        return news.changes


class Copies:
    """All copies, and what they wait to tell; ``key`` opens what is sealed to us."""

    def __init__(self, reader: Reader, key: SigningKey, network: NetworkId) -> None:
        self._key = key
        self.clock = HybridClock()
        self.now: Moment | None = None
        self._changes: dict[Copy, list[Change]] = {}
        self._written: dict[SpaceId, list[RecordId]] = {}
        self._rows: list[Write] = []
        self._sweep = Sweep(reader)
        self._sweep.restore(reader.scan(sweep_kept.PREFIX))
        self._remaking = Remaking(reader, network, key)
        self._reopened: list[Copy] = []
        self._reader = reader
        self._leaves = Leaves()
        self._copies: dict[SpaceId, Copy] = {}
        self._touched: dict[Copy, bool] = {}

    def __repr__(self) -> str:
        return f"<Copies of {len(self._copies)} spaces>"

    def __iter__(self) -> Iterator[Copy]:
        return iter(self._copies.values())

    def __getitem__(self, space: SpaceId) -> Copy:
        return self._copies[space]

    def get(self, space: SpaceId) -> Copy | None:
        """The copy of a space, None if this node takes no part in it."""
        return self._copies.get(space)

    def open(self, listing: Listing) -> Copy:
        """Take part in a space: its copy is read from disk as it is asked for."""
        copy = Copy(listing, self._reader, self._leaves, self._key)
        self._copies[listing.space] = copy
        return copy

    def restore(self, listing: Listing) -> None:
        """Take part as an earlier run did, at once or when its rows are made anew."""
        copy = self.open(listing)
        if not copy.engine.is_readable:
            del self._copies[listing.space]
            self._remaking.begin(listing)

    def close(self, space: SpaceId) -> None:
        """Take part no longer; what is on disk goes, a little at a time."""
        remade = self._remaking.drop(space)
        if remade is not None:
            self.put(self._sweep.begin(remade.number))
        copy = self._copies.pop(space, None)
        if copy is not None:
            self._touched.pop(copy, None)
            self._changes.pop(copy, None)
            self._written.pop(space, None)
            self.put(self._sweep.begin(copy.listing.number))

    def put(self, row: Write) -> None:
        """Keep a row that belongs to no copy, such as a listing."""
        self._rows.append(row)

    def keep_own(self, copy: Copy, op: Op, now: Moment) -> Admission:
        """Take in an op of our own: it will be on disk before anybody hears of it."""
        admission, changes = copy.admit(op, now)
        self.note(copy, changes, own=True)
        if admission.verdict in _KEPT:
            self._written.setdefault(copy.listing.space, []).append(op.id)
        return admission

    def wake(self, now: Moment) -> None:
        """Let every copy do what is due, and go on with what is to go."""
        for copy in self:
            due_ms = copy.engine.next_wakeup_ms()
            if due_ms is not None and due_ms <= now.wall_ms:
                self.note(copy, copy.wake(now), own=False)
        self._rows += self._sweep.step()
        batch, whole = self._remaking.step(now)
        self._rows += batch
        if whole is not None:
            self._reopened.append(self.open(whole))

    @property
    def remaking(self) -> Remaking:
        """The spaces that are not open, because their rows are being made anew."""
        return self._remaking

    def reopened(self) -> list[Copy]:
        """The copies whose rows are made anew since the last time."""
        found, self._reopened = self._reopened, []
        return found

    @property
    def sweep(self) -> Sweep:
        """What is still to go of spaces that were left."""
        return self._sweep

    def changed(self) -> list[tuple[Copy, tuple[Change, ...]]]:
        """What has changed in each copy since the last time."""
        found = [(copy, tuple(told)) for copy, told in self._changes.items()]
        self._changes.clear()
        return found

    def written(self) -> list[tuple[SpaceId, tuple[RecordId, ...]]]:
        """Our own new ops since the last time, for others to be told."""
        found = [(space, tuple(ops)) for space, ops in self._written.items()]
        self._written.clear()
        return found

    def collect(self) -> list[Save]:
        """The writes of everything that was taken in since the last time."""
        saves = [
            Save(writes, durable=own)
            for copy, own in self._touched.items()
            if (writes := copy.engine.drain())
        ]
        if self._rows:
            saves.append(Save(tuple(self._rows), durable=True))
        self._touched.clear()
        self._rows = []
        return saves

    def note(self, copy: Copy, changes: Sequence[Change], *, own: bool) -> None:
        """A copy has taken something in; ``own`` must be on disk before it is told."""
        self._touched[copy] = own or self._touched.get(copy, False)
        if changes or copy.listing.standing is Standing.JOINING:
            self._changes.setdefault(copy, []).extend(changes)
