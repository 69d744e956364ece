"""What a local agent may ask about agents, peers and skills, and what it is answered.

This file knows nothing of how a request is met.
"""

from dataclasses import dataclass

from nestmate_protocol.identity.cards import (
    SkillOffer as SkillOffer,  # noqa: PLC0414 - requests speak of offers
)
from nestmate_protocol.ids import Address, DeviceKey, NetworkId, PeerId


@dataclass(frozen=True, slots=True)
class ShowSelf:
    """Who this node is; ``card`` asks for the signed card's bytes too."""

    card: bool = False


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent as far as this node knows; ``name`` is ours, ``called`` is its own.

    ``card`` is the signed record, ``last_seen_ms`` Unix ms or 0 for never.
    ``generation`` counts the inception and the rotations of its identity log.
    """

    address: Address
    name: str
    called: str
    devices: tuple[DeviceKey, ...]
    peer: PeerId | None
    multiaddrs: tuple[str, ...]
    skills: tuple[SkillOffer, ...]
    network: NetworkId
    connected: bool
    last_seen_ms: int
    forked: bool
    card: bytes | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class WhoIs:
    """Find an agent by address or local name, asking the network if need be.

    ``card`` asks for the signed card's bytes too.
    """

    who: str
    wait_seconds: float = 15.0
    card: bool = False


@dataclass(frozen=True, slots=True)
class PingAgent:
    """Reach an agent wherever it is now and time one round trip."""

    who: str
    wait_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Pong:
    """The agent answered after ``milliseconds``."""

    address: Address
    milliseconds: float


@dataclass(frozen=True, slots=True)
class ListPeers:
    """Which nodes this one is connected to."""


@dataclass(frozen=True, slots=True)
class PeerView:
    """One connected node; its agent is None until its card has come."""

    peer: PeerId
    address: Address | None
    name: str
    multiaddr: str
    since_ms: int
    friend: bool


@dataclass(frozen=True, slots=True)
class PeerViews:
    """All connected nodes."""

    peers: tuple[PeerView, ...]


@dataclass(frozen=True, slots=True)
class ConnectPeer:
    """Dial a full multiaddr that ends in ``/p2p/PEER``."""

    multiaddr: str
    wait_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class DisconnectPeer:
    """Close the connection to a peer, and do not redial it until asked."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Done:
    """It is so."""


@dataclass(frozen=True, slots=True)
class ListSkills:
    """What this node offers."""


@dataclass(frozen=True, slots=True)
class AddSkill:
    """Offer a skill: into the card, into the DHT, and listen for its signals."""

    skill: SkillOffer


@dataclass(frozen=True, slots=True)
class RemoveSkill:
    """Offer a skill no longer."""

    name: str


@dataclass(frozen=True, slots=True)
class SkillViews:
    """Skills this node offers."""

    skills: tuple[SkillOffer, ...]


@dataclass(frozen=True, slots=True)
class FindSkill:
    """Who offers a skill: what is known here, and what the DHT leads to.

    Answers as soon as someone is known and the search ended, or time is up.
    """

    name: str
    limit: int = 20
    wait_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class SkillResult:
    """One agent that offers the skill; ranked by trust, then connection."""

    address: Address
    name: str
    skill: SkillOffer
    connected: bool
    multiaddrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SkillResults:
    """Who offers it, best first."""

    results: tuple[SkillResult, ...]


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """How this node is doing."""


@dataclass(frozen=True, slots=True)
class StatusView:
    """This node's own figures; ``faults`` counts what was refused from peers."""

    address: Address
    peer: PeerId
    network: NetworkId
    multiaddrs: tuple[str, ...]
    peers: int
    contacts: int
    skills: tuple[str, ...]
    tasks_own: int
    tasks_sensed: int
    claims: int
    spaces: int
    up_seconds: float
    faults: tuple[tuple[str, int], ...]


DirectoryRequest = (
    ShowSelf
    | ShowStatus
    | WhoIs
    | PingAgent
    | ListPeers
    | ConnectPeer
    | DisconnectPeer
    | ListSkills
    | AddSkill
    | RemoveSkill
    | FindSkill
)
