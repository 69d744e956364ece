"""Giving: ops on their way to one peer, in frames, as far as its credit goes.

The receiver says how many frames it has dealt with; only so many more may be under way.
What is to be given waits here as keys and stretches of keys, never as bytes. This file
knows nothing of why something is given.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import RecordId
from nestmate_protocol.limits import (
    OPS_FRAME_BYTES_MAX,
    OPS_FRAMES_UNDERWAY_MAX,
    OPS_PER_FRAME_MAX,
)
from nestmate_protocol.spaces.reconcile import All, Gift, Keys, Some

Wire = Callable[[RecordId], bytes | None]

_TOLD_EVERY: Final = OPS_FRAMES_UNDERWAY_MAX // 2


class Credit:
    """Frames of ops between us and one peer, both ways."""

    def __init__(self) -> None:
        self.sent = 0
        self._dealt_with = 0
        self._received = 0
        self._told = 0

    def __repr__(self) -> str:
        return f"<Credit {self.left} left>"

    @property
    def left(self) -> int:
        """How many frames of ops we may send now."""
        return self._dealt_with + OPS_FRAMES_UNDERWAY_MAX - self.sent

    def raise_to(self, dealt_with: int) -> None:
        """The peer has dealt with so many; RemoteError if that cannot be."""
        if not self._dealt_with <= dealt_with <= self.sent:
            raise RemoteError(Fault.BAD_FIELD, "credit")
        self._dealt_with = dealt_with

    def receive(self) -> None:
        """A frame of ops has come; RemoteError if the peer had no credit for it."""
        if self._received - self._told >= OPS_FRAMES_UNDERWAY_MAX:
            raise RemoteError(Fault.OVER_LIMIT, "ops beyond credit")
        self._received += 1

    def catch_up(self, sent: int) -> None:
        """The peer says how many it sent: those that did not come are lost."""
        if not self._received <= sent <= self._told + OPS_FRAMES_UNDERWAY_MAX:
            raise RemoteError(Fault.BAD_FIELD, "frames sent")
        self._received = sent

    def to_tell(self) -> int | None:
        """How many to say that we have dealt with, if it is time to."""
        return self.tell() if self.owes >= _TOLD_EVERY else None

    @property
    def owes(self) -> int:
        """How many we have dealt with that the peer was not told of."""
        return self._received - self._told

    def tell(self) -> int:
        """How many to say that we have dealt with, in all."""
        self._told = self._received
        return self._told


class Gifts:
    """What one peer is to be given of one lane of one space, in order."""

    def __init__(self, keys: Keys, wire: Wire) -> None:
        self._keys = keys
        self._wire = wire
        self._waiting: deque[Gift] = deque()
        self._next: deque[bytes] = deque()

    def __repr__(self) -> str:
        return f"<Gifts {len(self._waiting)} stretches, {len(self._next)} keys>"

    def __bool__(self) -> bool:
        return bool(self._waiting or self._next)

    def add(self, gifts: Iterable[Gift]) -> None:
        """More to be given."""
        self._waiting.extend(gifts)

    def frame(self) -> tuple[bytes, ...]:
        """The ops of the next frame; it is empty where nothing is left to give."""
        ops: list[bytes] = []
        room = OPS_FRAME_BYTES_MAX
        while len(ops) < OPS_PER_FRAME_MAX and self._look_ahead():
            wire = self._wire(RecordId(self._next[0][8:]))
            if wire is not None:  # else it is not offered any more
                room -= len(wire)
                if room < 0:
                    break
                ops.append(wire)
            self._next.popleft()
        return tuple(ops)

    def _look_ahead(self) -> bool:
        """Have the next key at hand, if there is one."""
        while not self._next and self._waiting:
            gift = self._waiting.popleft()
            if isinstance(gift, Some):
                self._next.extend(gift.keys)
                continue
            start = self._keys.rank(gift.low)
            stop = min(self._keys.rank(gift.high), start + OPS_PER_FRAME_MAX)
            self._next.extend(self._keys.keys(start, stop))
            if self._next:
                self._waiting.appendleft(All(self._next[-1] + b"\0", gift.high))
        return bool(self._next)
