"""Messages that went by: which were seen, and which can still be given to a peer.

A message is named by the SHA-256 of its data. Names are kept for ten minutes so that
nothing goes round twice, data for a few heartbeats so that a peer that missed it can
ask; both are bounded. This file knows nothing of topics' members.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from nestmate_protocol.ids import PeerId

HISTORY_BEATS: Final = 5
GOSSIP_BEATS: Final = 3
HISTORY_BYTES_MAX: Final = 8 * 1024 * 1024
SEEN_MAX: Final = 65_536
SEEN_SECONDS: Final = 600.0
SERVED_PER_MESSAGE_MAX: Final = 3


@dataclass(slots=True)
class Message:
    """A message that can still be asked for, and how often each peer got it so."""

    topic: str
    data: bytes
    served: dict[PeerId, int] = field(default_factory=dict)

    def serve(self, peer: PeerId) -> bool:
        """Whether a peer may have it once more."""
        times = self.served.get(peer, 0)
        self.served[peer] = times + 1
        return times < SERVED_PER_MESSAGE_MAX


def message_name(data: bytes) -> bytes:
    """The name of a message: equal data is one message, whoever brings it."""
    return hashlib.sha256(data).digest()


class Messages:
    """What went by lately."""

    def __init__(self) -> None:
        self._seen: dict[bytes, float] = {}
        self._kept: dict[bytes, Message] = {}
        self._kept_bytes = 0
        self._beats: list[list[bytes]] = [[]]

    def __repr__(self) -> str:
        return f"<Messages {len(self._kept)} kept, {len(self._seen)} seen>"

    def __contains__(self, name: bytes) -> bool:
        return name in self._seen

    def is_new(self, name: bytes, now: float) -> bool:
        """Whether a message was never seen; it has been from now on."""
        if name in self._seen:
            return False
        self._seen[name] = now
        if len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        return True

    def get(self, name: bytes) -> Message | None:
        """A message that is still kept."""
        return self._kept.get(name)

    def keep(self, name: bytes, topic: str, data: bytes) -> None:
        """Keep a message for some heartbeats."""
        self._kept[name] = Message(topic, data)
        self._kept_bytes += len(data)
        self._beats[-1].append(name)
        while self._kept_bytes > HISTORY_BYTES_MAX:
            self._drop(next(iter(self._kept)))

    def lately(self, topic: str) -> list[bytes]:
        """Names of the messages of a topic from the last heartbeats."""
        return [
            name
            for beat in self._beats[-GOSSIP_BEATS:]
            for name in beat
            if name in self._kept and self._kept[name].topic == topic
        ]

    def beat(self, now: float) -> None:
        """A heartbeat went by: forget what is old."""
        self._beats.append([])
        while len(self._beats) > HISTORY_BEATS:
            for name in self._beats.pop(0):
                self._drop(name)
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] + SEEN_SECONDS > now:
                break
            del self._seen[oldest]

    def _drop(self, name: bytes) -> None:
        message = self._kept.pop(name, None)
        if message is not None:
            self._kept_bytes -= len(message.data)
