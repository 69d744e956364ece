"""Link: what is known of one connected peer, and what it may still cost us.

It lasts as long as the connection. Numbers for spaces are each side's own. This file
knows no frame and no rule of a run.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import DeviceKey, PeerId, RecordId, SpaceId
from nestmate_protocol.limits import (
    GREET_AGAIN_MS,
    HELLOS_MAX,
    OFFERS_PER_PEER_BURST,
    OPS_KNOWN_PER_PEER_MAX,
    PUSHES_WAITING_MAX,
    RANGES_PER_PEER_BURST,
    RANGES_PER_PEER_PER_SECOND,
    SPACES_MAX,
)
from nestmate_protocol.ration import Ration
from nestmate_protocol.spaces.sync.giving import Credit
from nestmate_protocol.spaces.sync.greeting import Salted, tag_of
from nestmate_protocol.spaces.sync.run import Run

REPEAT_MS: Final = 1_000
_GREETINGS_BURST: Final = 4 * SPACES_MAX
_RUNS_BURST: Final = 2 * SPACES_MAX
_RUNS_PER_SECOND: Final = 8.0


@dataclass(slots=True)
class Link:
    """One connected peer.

    ``us`` and ``them`` are the two ends once each has said hello. ``tags`` is what the
    peer named, ``known_tags`` how it would name our spaces. ``proved`` are the keys it
    has shown, by space; in those ``introduced`` it was shown our right to our key.
    ``loose`` are ops to be pushed outside a run. ``ended`` says of
    each space when a run last ended, on the monotonic clock, and whether both sides
    held the same then.
    """

    peer: PeerId
    us: Salted | None = None
    them: Salted | None = None
    tags: set[bytes] = field(default_factory=set)
    known_tags: dict[bytes, SpaceId] = field(default_factory=dict)
    our_numbers: dict[SpaceId, int] = field(default_factory=dict)
    their_numbers: dict[int, SpaceId] = field(default_factory=dict)
    proved: dict[SpaceId, tuple[DeviceKey, ...]] = field(default_factory=dict)
    runs: dict[SpaceId, Run] = field(default_factory=dict)
    ended: dict[SpaceId, tuple[int, bool]] = field(default_factory=dict)
    introduced: set[SpaceId] = field(default_factory=set)
    hellos: int = 0
    repeated_ms: int = -1_000_000
    hello_ms: int = 0
    last_run: int = 0
    last_number: int = 0
    credit: Credit = field(default_factory=Credit)
    loose: deque[tuple[SpaceId, RecordId]] = field(default_factory=deque)
    pushed_ms: int = -1_000_000
    known_ops: dict[bytes, None] = field(default_factory=dict)
    work: Ration = field(
        default_factory=lambda: Ration(
            RANGES_PER_PEER_PER_SECOND, RANGES_PER_PEER_BURST
        )
    )
    greetings: Ration = field(default_factory=lambda: Ration(1.0, _GREETINGS_BURST))
    begun: Ration = field(default_factory=lambda: Ration(_RUNS_PER_SECOND, _RUNS_BURST))
    offers: Ration = field(default_factory=lambda: Ration(0.1, OFFERS_PER_PEER_BURST))

    def greeted(self, now: Moment) -> None:
        """We have said hello; if it seems lost, it is said again, ever more seldom."""
        self.hello_ms = now.mono_ms + (GREET_AGAIN_MS << self.hellos)
        self.hellos += 1

    def may_repeat(self, now: Moment) -> bool:
        """Whether to say again what the peer seems to have missed; not too often.

        Two who both missed something would else go on for ever.
        """
        if self.repeated_ms + REPEAT_MS > now.mono_ms:
            return False
        self.repeated_ms = now.mono_ms
        return True

    @property
    def greeting_due(self) -> int | None:
        """When to greet again, because an answer is missing; None for never."""
        met = self.them is not None and all(s in self.proved for s in self.our_numbers)
        waits = self.us is not None and not met and self.hellos < HELLOS_MAX
        return self.hello_ms if waits else None

    def anew(self) -> "Link":
        """The same peer with all to be said again: it has a new connection.

        What it may cost us goes on, and so does our own salt, so that two who begin
        anew at once do not do so for ever.
        """
        fresh = Link(self.peer, us=self.us)
        fresh.work, fresh.greetings = self.work, self.greetings
        fresh.begun, fresh.offers = self.begun, self.offers
        fresh.repeated_ms = self.repeated_ms
        return fresh

    def meet(self, spaces: Iterable[SpaceId]) -> list[SpaceId]:
        """Which of these the peer named too and has no proof of ours for yet."""
        if self.them is None:
            return []
        found: list[SpaceId] = []
        for space in spaces:
            tag = tag_of(space, self.them.salt)
            self.known_tags[tag] = space
            if tag in self.tags and space not in self.our_numbers:
                found.append(space)
        return found

    def shares(self, space: SpaceId) -> bool:
        """Whether both ends have shown that they know this space."""
        return space in self.proved and space in self.our_numbers

    def space_called(self, number: int) -> SpaceId | None:
        """The space the peer calls so; None if we have left it meanwhile.

        None as well for a number whose proof was lost on its way.
        """
        space = self.their_numbers.get(number)
        return space if space is not None and self.shares(space) else None

    def run_called(self, number: int, run: int) -> Run | None:
        """The run a frame is about; None if it has ended meanwhile."""
        space = self.space_called(number)
        found = None if space is None else self.runs.get(space)
        return found if found is not None and found.number == run else None

    def leave(self, space: SpaceId) -> None:
        """We take no part in this space any more."""
        self.proved.pop(space, None)
        self.our_numbers.pop(space, None)
        self.runs.pop(space, None)

    def note_known(self, op: RecordId) -> None:
        """The peer holds this op, or it is on its way there."""
        self.known_ops.pop(op.raw, None)
        self.known_ops[op.raw] = None
        if len(self.known_ops) > OPS_KNOWN_PER_PEER_MAX:
            del self.known_ops[next(iter(self.known_ops))]

    def push(self, space: SpaceId, op: RecordId) -> bool:
        """Have an op pushed; False if too many wait, so that a run has to do it."""
        self.note_known(op)
        if len(self.loose) >= PUSHES_WAITING_MAX:
            return False
        self.loose.append((space, op))
        return True

    def next_run(self, *, even: bool) -> int:
        """A number that no run of this connection had."""
        self.last_run += 1
        return 2 * self.last_run + (0 if even else 1)
