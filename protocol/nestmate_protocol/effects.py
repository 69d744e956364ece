"""Effects: everything a node can cause, as values carried out in list order.

The shell carries a list out from front to back: durable, then visible, then answered.
Subjects return these and know nothing of who carries them out; this file knows only
identifiers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, unique
from typing import Final

from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import Address, PeerId, TaskId

Scalar = str | int | float | bool | None


@unique
class Channel(StrEnum):
    """The kinds of direct stream between two nodes; one frame is one message."""

    BLOBS = "blobs"
    CARDS = "cards"
    FRIENDS = "friends"
    SIGNALS = "signals"
    SPACES = "spaces"


@unique
class Code(Enum):
    """Why a request was refused; every door translates it in its own manner."""

    FAILED = "failed"
    INVALID = "invalid"
    DENIED = "denied"
    NOT_FOUND = "not-found"
    TIMED_OUT = "timed-out"
    CONFLICT = "conflict"
    BUSY = "busy"
    FULL = "disk-full"


@dataclass(frozen=True, slots=True)
class Save:
    """Write these keys in one atomic batch; ``None`` deletes.

    ``durable`` asks that the batch survives a power cut before anything after it in
    the list is carried out.
    """

    writes: tuple[tuple[bytes, bytes | None], ...]
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Send:
    """Give one frame to a connected peer; a lost connection loses it silently."""

    peer: PeerId
    channel: Channel
    data: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """Spread records over a topic; each with its age in milliseconds.

    The shell batches what is not ``urgent`` for at most BATCH_DELAY_MS_MAX.
    """

    topic: str
    record: bytes
    age_ms: int
    urgent: bool


@dataclass(frozen=True, slots=True)
class Join:
    """Listen to a topic and help to carry it."""

    topic: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Stop listening to a topic."""

    topic: str


@dataclass(frozen=True, slots=True)
class Dial:
    """Try to connect to a peer at all these multiaddrs; answered by ``Dialled``."""

    peer: PeerId
    multiaddrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close every connection with a peer."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Provide:
    """Tell the DHT that this node has something to say under a key of 32 bytes."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Find:
    """Ask the DHT who provides a key; answered by ``Found``, maybe empty."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Announce:
    """Put a signed presence record into the DHT under an address."""

    address: Address
    record: bytes


@dataclass(frozen=True, slots=True)
class Resolve:
    """Ask the DHT for the presence of an address; answered by ``Resolved``."""

    address: Address


@dataclass(frozen=True, slots=True)
class Pin:
    """Keep room for this peer whatever the limits say: it is a friend."""

    peer: PeerId
    pinned: bool


@dataclass(frozen=True, slots=True)
class Strike:
    """A peer sent something wrong; enough strikes close the door to it for a while."""

    peer: PeerId
    fault: Fault


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no, why, and what to do instead."""

    code: Code
    detail: str
    hint: str = ""

    def in_sentences(self) -> "Refusal":
        """The same, with words that begin and end as sentences do."""
        return Refusal(self.code, _sentence(self.detail), _sentence(self.hint))


DISK_FULL: Final = Refusal(
    Code.FULL,
    "the disk takes no more writes, so this node only reads",
    "free some space: the node finds out by itself and goes on",
)
"""What whoever asks for something that has to be kept is told meanwhile."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to ``Ask`` number ``request``: a response value or a refusal."""

    request: int
    response: object


@dataclass(frozen=True, slots=True)
class Notify:
    """Something the local agents may want to know.

    ``kind`` is dotted (``signal.sensed``, ``task.done``, ``peer.up``).
    """

    kind: str
    task: TaskId | None = None
    author: Address | None = None
    details: Mapping[str, Scalar] | None = None


Effect = (
    Save
    | Send
    | Publish
    | Join
    | Leave
    | Dial
    | HangUp
    | Provide
    | Find
    | Announce
    | Resolve
    | Pin
    | Strike
    | Reply
    | Notify
)


def _sentence(text: str) -> str:
    """A period ends it, unless somebody might copy it along with an address."""
    last = text.rpartition(" ")[2]
    whole = not text or text[-1] in ".?!" or "/" in last
    return text[:1].upper() + text[1:] + ("" if whole else ".")
