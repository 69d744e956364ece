"""Operations on agents: who we are, who somebody is, whether they can be reached.

Types only; ``runs/agents.py`` carries them out.
"""

from typing import Annotated

from msgspec import Meta

from nestmate.operations.fields import Request, Response, Timeout, Who
from nestmate.operations.skills import Skill


class IdShow(Request, frozen=True):
    """Who this node is."""

    card: Annotated[
        bool, Meta(description="Return the signed card's bytes as well.")
    ] = False


class Agent(Response, frozen=True):
    """One agent as far as this node knows it."""

    address: Annotated[str, Meta(description="Its address (nest1…).")]
    short: Annotated[str, Meta(description="The address in eight characters.")]
    name: Annotated[str, Meta(description="What we call it; empty for nothing.")]
    called: Annotated[str, Meta(description="What it calls itself; not verified.")]
    peer_id: Annotated[
        str | None, Meta(description="The libp2p peer id of its node, if known.")
    ]
    addrs: Annotated[list[str], Meta(description="Where it is reached, as multiaddrs.")]
    devices: Annotated[list[str], Meta(description="The keys that sign for it.")]
    skills: Annotated[list[Skill], Meta(description="What it offers.")]
    network: Annotated[str, Meta(description="The id of the network (net1…).")]
    connected: Annotated[bool, Meta(description="Whether we are connected now.")]
    last_seen: Annotated[
        str | None, Meta(description="When it was last seen (RFC 3339), or null.")
    ]
    forked: Annotated[
        bool, Meta(description="Whether its identity log contradicts itself.")
    ]
    card: Annotated[
        str | None, Meta(description="Its signed card in base64, if asked for.")
    ] = None


class AgentFind(Request, frozen=True):
    """Find an agent, asking the network if need be."""

    who: Who
    timeout: Timeout = 15.0


class AgentPing(Request, frozen=True):
    """Reach an agent wherever it is now and time one round trip."""

    who: Who
    timeout: Timeout = 15.0


class Pong(Response, frozen=True):
    """The agent answered."""

    address: Annotated[str, Meta(description="The address that answered.")]
    milliseconds: Annotated[float, Meta(description="One round trip.")]
