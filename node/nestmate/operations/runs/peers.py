"""Carries out the operations on peers."""

from nestmate.errors import NotFoundError
from nestmate.operations.fields import Done
from nestmate.operations.forms import identifier, plain, seconds
from nestmate.operations.peers import (
    Peer,
    PeerConnect,
    PeerDisconnect,
    PeerList,
    Peers,
)
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX, answer
from nestmate.texts import format_time
from nestmate_protocol.directory import requests as core
from nestmate_protocol.ids import PeerId


async def ls(node: Node, _request: PeerList, _caller: Caller) -> Peers:
    """Which nodes this one is connected to."""
    views = await answer(node, core.ListPeers(), core.PeerViews)
    return Peers(peers=[_show(view) for view in views.peers])


async def connect(node: Node, request: PeerConnect, _caller: Caller) -> Done:
    """Dial a node."""
    wait = seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX)
    await node.ask(core.ConnectPeer(request.multiaddr, wait))
    return Done()


async def disconnect(node: Node, request: PeerDisconnect, _caller: Caller) -> Done:
    """Close the connection to a node, and do not redial it until asked."""
    await node.ask(core.DisconnectPeer(await _peer(node, request.peer)))
    return Done()


async def _peer(node: Node, text: str) -> PeerId:
    if text.startswith(PeerId.prefix):
        return identifier(PeerId, text, "peer")
    agent = await answer(node, core.WhoIs(text, wait_seconds=0), core.AgentView)
    if agent.peer is None:
        raise NotFoundError(
            f"Nobody knows at which node {plain(text)} is.",
            "See `nestmate peer ls`.",
        )
    return agent.peer


def _show(view: core.PeerView) -> Peer:
    return Peer(
        peer_id=view.peer.text,
        address=view.address.text if view.address else None,
        name=view.name,
        addr=plain(view.multiaddr),
        since=format_time(view.since_ms),
        friend=view.friend,
    )
