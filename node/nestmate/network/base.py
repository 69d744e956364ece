"""The network port: what the house asks of a network, in plain values.

Nothing here knows libp2p, and nothing above here may. A network delivers what
happens as protocol inputs into the channel it was given and obeys protocol effects;
it never calls upward. Both twins pass the suite in ``tests/node/network_contract.py``.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import trio

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Channel
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.inputs import (
    Arrived,
    Dialled,
    Found,
    Heard,
    Listening,
    PeerDown,
    PeerUp,
    Resolved,
    Sighted,
)
from nestmate_protocol.limits import (
    CONNECTIONS_IN_MAX,
    CONNECTIONS_MAX,
    CONNECTIONS_PER_IP_MAX,
)

NetworkInput = (
    Listening
    | Arrived
    | Heard
    | PeerUp
    | PeerDown
    | Dialled
    | Sighted
    | Found
    | Resolved
)


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """How a network starts: host key seed, network id, and where to listen.

    ``announce`` replaces what is told to others; ``loopback_is_one_ip`` makes the
    per-IP limits count 127.0.0.1 too. ``mdns`` looks for nodes on the LAN. A peer
    that misses two pings in a row, ``ping_seconds`` apart, is hung up. ``kept`` is
    what ``Network.keep`` returned in an earlier life.
    """

    host_seed: bytes
    network: NetworkId
    listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)
    announce: tuple[str, ...] = ()
    loopback_is_one_ip: bool = False
    mdns: bool = False
    connections_max: int = CONNECTIONS_MAX
    connections_in_max: int = CONNECTIONS_IN_MAX
    connections_per_ip_max: int = CONNECTIONS_PER_IP_MAX
    ping_seconds: float = 10.0
    kept: bytes = b""


@dataclass(slots=True)
class Counters:
    """What the border refused since start, by fault and by cause; read by status."""

    faults: dict[Fault, int] = field(default_factory=dict)
    bans: int = 0
    dropped: int = 0


class Network(Protocol):
    """Eight verbs and what they may be told; every call is bounded in time."""

    counters: Counters

    @property
    def peer(self) -> PeerId:
        """Our own peer id."""
        ...

    @property
    def multiaddrs(self) -> tuple[str, ...]:
        """Where we can be reached, without ``/p2p``."""
        ...

    def running(
        self, inbox: trio.MemorySendChannel[NetworkInput]
    ) -> AbstractAsyncContextManager[None]:
        """Listen and work until left; ``Listening`` is the first input sent."""
        ...

    async def dial(self, peer: PeerId, multiaddrs: Sequence[str]) -> None:
        """Try all addresses; sends ``PeerUp`` on success, then always ``Dialled``."""
        ...

    async def hang_up(self, peer: PeerId) -> None:
        """Close every connection with a peer."""
        ...

    async def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Write one frame, in order per peer and channel; False if it was lost."""
        ...

    async def publish(self, topic: str, frame: bytes) -> None:
        """Hand one frame of records (``records.make_frame``) to gossip."""
        ...

    async def join(self, topic: str) -> None:
        """Listen to a topic and carry it."""
        ...

    async def leave(self, topic: str) -> None:
        """Stop listening."""
        ...

    async def provide(self, key: bytes) -> None:
        """Announce a key in the DHT now; throttled inside, repeated by the caller."""
        ...

    async def find(self, key: bytes) -> None:
        """Look a key up in the DHT; always ends with one ``Found``."""
        ...

    async def announce(self, address: Address, record: bytes) -> None:
        """Put a presence record under an address."""
        ...

    async def resolve(self, address: Address) -> None:
        """Look a presence record up; always ends with one ``Resolved``."""
        ...

    def pin(self, peer: PeerId, *, pinned: bool) -> None:
        """Reserve room for a friend, or no longer."""
        ...

    def strike(self, peer: PeerId, fault: Fault) -> None:
        """Count a fault against a peer; too many and it is banned."""
        ...

    def keep(self) -> bytes:
        """What is worth remembering across restarts (bans), for ``kept``."""
        ...


class Clock(Protocol):
    """Where the shell's moments come from."""

    def now(self) -> Moment:
        """Both clocks of this machine."""
        ...
