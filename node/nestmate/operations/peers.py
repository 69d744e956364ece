"""Operations on peers: the nodes this one is connected to.

Types and rows only; ``runs/peers.py`` carries them out.
"""

from typing import Annotated

from msgspec import Meta

from nestmate.errors import NotFoundError, TimedOutError
from nestmate.operations.row import (
    WHO_CHARS_MAX,
    Done,
    Multiaddr,
    Operation,
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

    peers: list[Peer]


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


ROWS = (
    Operation(
        name="peer.ls",
        request=PeerList,
        response=Peers,
        run="peers:ls",
        help="The nodes this one is connected to.",
        path="/v1/peers",
        scope="read",
        tool="peer",
        action="ls",
    ),
    Operation(
        name="peer.connect",
        request=PeerConnect,
        response=Done,
        run="peers:connect",
        help="Dial a node by its multiaddr.",
        path="/v1/peers/connect",
        scope="own",
        tool="peer",
        action="connect",
        arguments=("multiaddr",),
        errors=(TimedOutError,),
    ),
    Operation(
        name="peer.disconnect",
        request=PeerDisconnect,
        response=Done,
        run="peers:disconnect",
        help="Close the connection to a node, and do not redial it until asked.",
        path="/v1/peers/disconnect",
        scope="own",
        tool="peer",
        action="disconnect",
        arguments=("peer",),
        errors=(NotFoundError,),
    ),
)
