"""Run: one reconciliation of one space with one peer, from the first state to done.

Both sides take turns. A state is answered by the first message of the lowest lane that
differs, a message by the next one, and where there is nothing left to say a state
follows again; equal states end it. What a side finds the other lacks is given before
its turn ends. Whoever is cut off starts anew and finds done what was done. This file
knows neither peers nor members.
"""

from dataclasses import dataclass
from hashlib import sha256

from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import RecordId, SpaceId
from nestmate_protocol.limits import RANGES_STEP_MAX, RUN_PASSES_MAX
from nestmate_protocol.spaces.ops import Lane
from nestmate_protocol.spaces.ranges import FINGERPRINT_BYTES
from nestmate_protocol.spaces.reconcile import Exchange, Short, fingerprint
from nestmate_protocol.spaces.sync.frames import End, Stand
from nestmate_protocol.spaces.sync.giving import Gifts
from nestmate_protocol.spaces.sync.ports import Replica

Stands = tuple[Stand | None, Stand | None, Stand | None]


@dataclass(frozen=True, slots=True)
class SayState:
    """Our turn ends with a state."""


@dataclass(frozen=True, slots=True)
class SayRanges:
    """Our turn ends with a message of reconciling a lane."""

    lane: Lane
    data: bytes


@dataclass(frozen=True, slots=True)
class SayLeaves:
    """Our turn ends with the ends of all chains."""


@dataclass(frozen=True, slots=True)
class SayDone:
    """Our turn ends the run."""

    end: End


Turn = SayState | SayRanges | SayLeaves | SayDone


class Run:
    """Our side of one run; ``begun_here`` says that its first state was ours."""

    def __init__(
        self,
        space: SpaceId,
        number: int,
        replica: Replica,
        short: Short,
        *,
        begun_here: bool,
    ) -> None:
        self.space = space
        self.number = number
        self.begun_here = begun_here
        self.heard_ms = 0
        self.resume_ms = 0
        self.was_heard = False
        self.took = 0
        self.took_in_all = 0
        self.gives = False
        self.auth_only = False
        self.turn: Turn | None = None
        self.is_ours = begun_here
        self._replica = replica
        self._short = short
        self._passes = 0
        self._lane: Lane | None = None
        self._exchange: Exchange | None = None
        self._gifts: Gifts | None = None
        self._said_leaves = False

    def __repr__(self) -> str:
        return f"<Run {self.number} of {self.space.short}, lane {self._lane}>"

    @property
    def is_answering(self) -> bool:
        """Whether part of a message waits for its answer."""
        return self._exchange is not None and self._exchange.is_busy

    @property
    def has_gifts(self) -> bool:
        """Whether something is still to be given before our turn ends."""
        return bool(self._gifts)

    def frame(self) -> tuple[bytes, ...]:
        """The next ops to be given."""
        return self._gifts.frame() if self._gifts is not None else ()

    def begin(self) -> None:
        """Ours is the first turn."""
        self.turn = SayState()

    def hear_state(self, stands: Stands, frontier: bytes, took: int) -> None:
        """What the other side holds; our turn follows."""
        self._take_turn()
        ours = stands_of(self._replica, self.space)
        moved = took or self.took
        self._exchange, self.took = None, 0
        pairs = zip(Lane, ours, stands, strict=True)
        lane = next((lane for lane, one, other in pairs if one != other), None)
        if lane is None:
            same = frontier == frontier_of(self._replica, self.space)
            unequal = SayDone(End.DENIED) if self.auth_only else SayLeaves()
            self.turn = SayDone(End.EQUAL) if same else unequal
        elif self.auth_only and lane is not Lane.AUTH:
            self.turn = SayDone(End.DENIED)
        elif self._passes >= RUN_PASSES_MAX or (lane == self._lane and not moved):
            self.turn = SayDone(End.UNEQUAL)
        else:
            self._passes += 1
            exchange = self._open(lane)
            self.turn = SayRanges(lane, exchange.begin())

    def hear_ranges(self, lane: Lane, data: bytes) -> None:
        """A message of a lane, to be answered by ``step``."""
        self._take_turn()
        exchange = self._exchange
        if self.auth_only and lane is not Lane.AUTH:
            self.turn = SayDone(End.DENIED)
            return
        if exchange is None:
            self._passes += 1
            if self._passes > RUN_PASSES_MAX:
                raise RemoteError(Fault.OVER_LIMIT, "passes")
            exchange = self._open(lane)
        elif lane != self._lane:
            raise RemoteError(Fault.BAD_FIELD, "lane")
        exchange.take(data)
        self._settle(exchange)

    def hear_leaves(self, leaves: tuple[bytes, ...]) -> list[RecordId]:
        """The ends of the other side's chains; gives those that we do not hold."""
        self._take_turn()
        again = self._said_leaves or self.auth_only
        self.turn = SayDone(End.UNEQUAL) if again else SayLeaves()
        ids = [RecordId(leaf[-32:]) for leaf in leaves]
        return [op for op in ids if not self._replica.holds(self.space, op)]

    def step(self) -> int:
        """Answer some more of the last message; what that cost, in ranges."""
        exchange = self._exchange
        if exchange is None:
            return 0
        gifts, cost = exchange.step(RANGES_STEP_MAX)
        if self._gifts is not None and self.gives:
            self._gifts.add(gifts)
        self._settle(exchange)
        return cost

    def ended(self) -> Turn | None:
        """How our turn ends, if all is ready for that; it is the other side's then."""
        if self.turn is None or self.has_gifts or self.is_answering:
            return None
        turn, self.turn = self.turn, None
        self.is_ours = False
        if isinstance(turn, SayState):
            self._exchange = None
        if isinstance(turn, SayLeaves):
            self._said_leaves = True
        return turn

    def _open(self, lane: Lane) -> Exchange:
        keys = self._replica.offered(self.space, lane)
        self._lane = lane
        self._exchange = exchange = Exchange(keys, self._short)
        self._gifts = Gifts(keys, self._wire)
        return exchange

    def _settle(self, exchange: Exchange) -> None:
        if exchange.is_busy or self._lane is None:
            return
        data = exchange.answer
        self.turn = SayRanges(self._lane, data) if data else SayState()

    def _take_turn(self) -> None:
        if self.is_ours:
            raise RemoteError(Fault.OVER_LIMIT, "out of turn")
        self.is_ours = True

    def _wire(self, op: RecordId) -> bytes | None:
        return self._replica.wire(self.space, op)


def stands_of(replica: Replica, space: SpaceId) -> Stands:
    """How many ops each lane offers, and their fingerprints."""
    auth, data, ephemeral = (_stand_of(replica, space, lane) for lane in Lane)
    return auth, data, ephemeral


def _stand_of(replica: Replica, space: SpaceId, lane: Lane) -> Stand | None:
    keys = replica.offered(space, lane)
    count = len(keys)
    return Stand(count, fingerprint(keys, 0, count)) if count else None


def frontier_of(replica: Replica, space: SpaceId) -> bytes:
    """Sixteen bytes that tell the ends of all chains.

    The first 16 bytes of SHA-256 over all leaves in order.
    """
    leaves = replica.leaves(space)
    return sha256(b"".join(leaves)).digest()[:FINGERPRINT_BYTES]
