"""The guard: what a stranger may cost, and that no stranger's bytes end anything.

Connections are counted before a single byte is read, by IP address and in all; rooms
are kept free for pinned friends. What a peer sends draws on two buckets, messages and
bytes, that outlive its connections. This file knows neither sockets nor protocols.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import trio

from nestmate.network.base import Counters, NetworkOptions
from nestmate.network.libp2p.addresses import is_loopback
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import (
    BULK_BYTES_PER_PEER_BURST,
    BULK_BYTES_PER_PEER_PER_SECOND,
    BULK_FRAMES_PER_PEER_BURST,
    BULK_FRAMES_PER_PEER_PER_SECOND,
    BYTES_PER_PEER_BURST,
    BYTES_PER_PEER_PER_SECOND,
    CONNECTIONS_RESERVED,
    MESSAGES_PER_PEER_BURST,
    MESSAGES_PER_PEER_PER_SECOND,
)

HANDSHAKES_PER_IP_MAX: Final = 4
ARRIVALS_PER_IP_PER_SECOND: Final = 1.0
ARRIVALS_PER_IP_BURST: Final = 8.0
ARRIVALS_PER_PEER_PER_SECOND: Final = 1.0
ARRIVALS_PER_PEER_BURST: Final = 20.0
ARRIVALS_PER_SECOND: Final = 20.0
ARRIVALS_BURST: Final = 40.0
SENT_SHARE: Final = 0.8
"""Of what a peer would take we send so much, so that no honest node is ever over."""
HANDSHAKE_SAFE_SECONDS: Final = 1.0
_IPS_KNOWN_MAX: Final = 4_096
_BUDGETS_KNOWN_MAX: Final = 1_024


@dataclass(slots=True)
class Bucket:
    """A token bucket: ``per_second`` tokens drip in, at most ``burst`` are kept."""

    per_second: float
    burst: float
    tokens: float = 0.0
    at: float = -math.inf  # so that it is full when it is first asked

    def _drip(self) -> None:
        now = trio.current_time()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.per_second)
        self.at = now

    def take(self, count: float = 1.0) -> bool:
        """Take tokens if there are enough."""
        self._drip()
        if self.tokens < count:
            return False
        self.tokens -= count
        return True

    async def pay(self, count: float = 1.0) -> None:
        """Take tokens now, going into debt if need be, and wait the debt off."""
        self._drip()
        self.tokens -= count
        if self.tokens < 0:
            await trio.sleep(-self.tokens / self.per_second)

    @property
    def is_full(self) -> bool:
        """Whether nothing was taken lately."""
        self._drip()
        return self.tokens >= self.burst


class Budget:
    """What may still pass between us and one peer: messages, bytes, connections.

    Bulk channels have buckets of their own, so that neither starves the other.
    """

    __slots__ = ("arrivals", "bulk_frames", "bulk_octets", "messages", "octets")

    def __init__(self, share: float = 1.0) -> None:
        self.bulk_frames = Bucket(
            BULK_FRAMES_PER_PEER_PER_SECOND * share, BULK_FRAMES_PER_PEER_BURST * share
        )
        self.bulk_octets = Bucket(
            BULK_BYTES_PER_PEER_PER_SECOND * share, BULK_BYTES_PER_PEER_BURST * share
        )
        self.messages = Bucket(
            MESSAGES_PER_PEER_PER_SECOND * share, MESSAGES_PER_PEER_BURST * share
        )
        self.octets = Bucket(
            BYTES_PER_PEER_PER_SECOND * share, BYTES_PER_PEER_BURST * share
        )
        self.arrivals = Bucket(ARRIVALS_PER_PEER_PER_SECOND, ARRIVALS_PER_PEER_BURST)

    async def pay(self, octets: int) -> None:
        """Account for one message before it passes; a debt is waited off."""
        await self.messages.pay()
        await self.octets.pay(octets)

    async def pay_bulk(self, octets: int) -> None:
        """The same for a frame of a bulk channel."""
        await self.bulk_frames.pay()
        await self.bulk_octets.pay(octets)

    @property
    def is_full(self) -> bool:
        """Whether nothing was drawn lately."""
        plain = self.messages.is_full and self.octets.is_full
        bulk = self.bulk_frames.is_full and self.bulk_octets.is_full
        return plain and bulk and self.arrivals.is_full


class Budgets:
    """The budget of every peer that was heard of lately, bounded.

    ``share`` is how much of the limits each one gets.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._budgets: dict[PeerId, Budget] = {}

    def __repr__(self) -> str:
        return f"<Budgets of {len(self._budgets)}>"

    def of(self, peer: PeerId) -> Budget:
        """A peer's budget; it is the same one after a reconnect."""
        budget = self._budgets.pop(peer, None) or Budget(self._share)
        self._budgets[peer] = budget
        if len(self._budgets) > _BUDGETS_KNOWN_MAX:
            self._forget()
        return budget

    def _forget(self) -> None:
        idle = [peer for peer, budget in self._budgets.items() if budget.is_full]
        for peer in idle or [next(iter(self._budgets))]:
            del self._budgets[peer]


class InboundLimiter:
    """Counts connections that come in, before they may say anything.

    Loopback is exempt from the limits per IP unless the options say otherwise, since
    all nodes of a test network share it.
    """

    def __init__(self, options: NetworkOptions, counters: Counters) -> None:
        self._in_max = options.connections_in_max
        self._per_ip_max = options.connections_per_ip_max
        self._loopback_counts = options.loopback_is_one_ip
        self._counters = counters
        self._open: dict[str, int] = {}
        self._shaking: dict[str, int] = {}
        self._strangers: dict[trio.CancelScope, float] = {}
        self._arrivals: dict[str, Bucket] = {}
        self._all_arrivals = Bucket(ARRIVALS_PER_SECOND, ARRIVALS_BURST)

    def __repr__(self) -> str:
        return f"<InboundLimiter {self.total} open>"

    @property
    def total(self) -> int:
        """How many inbound connections there are, shaking hands or established."""
        return sum(self._open.values())

    def counts(self, group: str) -> bool:
        """Whether the limits per IP hold for this address."""
        return self._loopback_counts or not is_loopback(group)

    @contextmanager
    def room(self, group: str) -> Iterator[bool]:
        """Hold one place for a connection from ``group``; False if there is none."""
        if not self._admits(group):
            self._counters.dropped += 1
            yield False
            return
        _add(self._open, group, 1)
        try:
            yield True
        finally:
            _add(self._open, group, -1)

    @contextmanager
    def handshake(self, group: str) -> Iterator[None]:
        """Hold one of the places for handshakes of one address.

        Whoever takes longer than a second over it may have to make room for others.
        """
        _add(self._shaking, group, 1)
        try:
            with trio.CancelScope() as scope:
                self._strangers[scope] = trio.current_time()
                yield
        finally:
            _add(self._shaking, group, -1)
            del self._strangers[scope]

    def has_room_for(self, *, pinned: bool) -> bool:
        """Whether one that has shown who it is may stay; friends have rooms kept."""
        return self.total <= self._in_max + (CONNECTIONS_RESERVED if pinned else 0)

    def _admits(self, group: str) -> bool:
        if self.total >= self._in_max + CONNECTIONS_RESERVED and not self._oust():
            return False
        if not self.counts(group):
            return True
        return (
            self._open.get(group, 0) < self._per_ip_max
            and self._shaking.get(group, 0) < HANDSHAKES_PER_IP_MAX
            and self._arrival_bucket(group).take()
            and self._all_arrivals.take()
        )

    def _oust(self) -> bool:
        """End the handshake that has taken longest, if that is too long."""
        late = trio.current_time() - HANDSHAKE_SAFE_SECONDS
        for scope, since in self._strangers.items():
            if since < late and not scope.cancel_called:
                scope.cancel()
                return True
        return False

    def _arrival_bucket(self, group: str) -> Bucket:
        bucket = self._arrivals.pop(group, None)
        if bucket is None:
            bucket = Bucket(ARRIVALS_PER_IP_PER_SECOND, ARRIVALS_PER_IP_BURST)
        self._arrivals[group] = bucket
        if len(self._arrivals) > _IPS_KNOWN_MAX:
            del self._arrivals[next(iter(self._arrivals))]
        return bucket


def _add(counts: dict[str, int], key: str, count: int) -> None:
    counts[key] = counts.get(key, 0) + count
    if not counts[key]:
        del counts[key]


def count_fault(counters: Counters, fault: Fault) -> None:
    """Count something refused."""
    counters.faults[fault] = counters.faults.get(fault, 0) + 1
