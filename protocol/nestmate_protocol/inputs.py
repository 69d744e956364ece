"""Inputs: everything that can happen to a node, as values.

The shell and the simulation make them, the core consumes them; this file knows
nothing of either.
"""

from dataclasses import dataclass

from nestmate_protocol.blobs.requests import BlobsRequest
from nestmate_protocol.directory.requests import DirectoryRequest
from nestmate_protocol.effects import Channel
from nestmate_protocol.friends.requests import FriendsRequest
from nestmate_protocol.ids import Address, PeerId
from nestmate_protocol.records import Carried
from nestmate_protocol.signals.requests import SignalsRequest
from nestmate_protocol.spaces.requests import SpacesRequest

Request = (
    BlobsRequest | DirectoryRequest | FriendsRequest | SignalsRequest | SpacesRequest
)


@dataclass(frozen=True, slots=True)
class Listening:
    """The network is up and can be reached at these multiaddrs, without ``/p2p``."""

    multiaddrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A local agent asks for something; answered by ``Reply`` with the same number."""

    request: int
    body: Request


@dataclass(frozen=True, slots=True)
class Abandon:
    """Whoever asked is gone; nobody waits for the answer any more."""

    request: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """One frame came over a direct stream; its bytes are still foreign."""

    peer: PeerId
    channel: Channel
    data: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """Records came over a topic, already opened by ``records.open_frame``.

    ``peer`` is who passed them on, not who made them.
    """

    peer: PeerId
    topic: str
    records: tuple[Carried, ...]


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A connection stands; ``multiaddr`` is where, without ``/p2p``."""

    peer: PeerId
    multiaddr: str
    inbound: bool


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The last connection with a peer is gone."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Dialled:
    """A ``Dial`` ended; with ``connected`` a ``PeerUp`` came before it."""

    peer: PeerId
    connected: bool


@dataclass(frozen=True, slots=True)
class Sighted:
    """Somebody on the local network claims to be a node of ours; nothing is proved."""

    peer: PeerId
    multiaddrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the DHT said about a key: peers and where they claim to be."""

    key: bytes
    providers: tuple[tuple[PeerId, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the DHT said about an address: a presence record, or None."""

    address: Address
    record: bytes | None


@dataclass(frozen=True, slots=True)
class DiskFull:
    """The disk takes no more writes, and ``reason`` says why, as a sentence.

    What was to be saved is kept by the shell and still readable; more should not come.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """The disk takes writes again, and all that was to be saved is saved.

    ``untold`` counts the events that there was no room for.
    """

    untold: int = 0


@dataclass(frozen=True, slots=True)
class Wakeup:
    """The time asked for by ``Core.next_wakeup`` has come."""


Input = (
    Listening
    | Ask
    | Abandon
    | Arrived
    | Heard
    | PeerUp
    | PeerDown
    | Dialled
    | Sighted
    | Found
    | Resolved
    | DiskFull
    | DiskRoom
    | Wakeup
)
