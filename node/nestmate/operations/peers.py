"""Operations on peers: the nodes this one is connected to.

Types only; ``runs/peers.py`` carries them out.
"""

from typing import Annotated

from msgspec import Meta

from nestmate.operations.fields import (
    WHO_CHARS_MAX,
    Multiaddr,
    Request,
    Response,
    Timeout,
)


class PeerList(Request, frozen=True):
    """Which nodes this one is connected to."""


class Peer(Response, frozen=True):
    """One connected node; its agent is null until its card has come."""

    peer_id: Annotated[str, Meta(description="Its libp2p peer id.")]
    address: Annotated[
        str | None, Meta(description="The address of its agent, if known.")
    ]
    name: Annotated[str, Meta(description="What we call its agent.")]
    addr: Annotated[str, Meta(description="Where it is connected, as a multiaddr.")]
    since: Annotated[str, Meta(description="Since when (RFC 3339).")]
    friend: Annotated[bool, Meta(description="Whether its agent is a contact.")]


class Peers(Response, frozen=True):
    """All connected nodes."""

    peers: Annotated[list[Peer], Meta(description="All of them.")]


class PeerConnect(Request, frozen=True):
    """Dial a node."""

    multiaddr: Multiaddr
    timeout: Timeout = 15.0


class PeerDisconnect(Request, frozen=True):
    """Close the connection to a node, and do not redial it until asked."""

    peer: Annotated[
        str,
        Meta(
            description="A peer id (12D3KooW…), or the address or name of its agent.",
            min_length=1,
            max_length=WHO_CHARS_MAX,
            extra={"kind": "who"},
        ),
    ]
