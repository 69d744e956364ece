"""Carries out the operations on agents."""

import base64

from nestmate.operations.agents import (
    Agent,
    AgentFind,
    AgentPing,
    IdShow,
    Pong,
)
from nestmate.operations.forms import full_addrs, plain, seconds, time_or_none
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX, answer, show_skill
from nestmate_protocol.directory import requests as core


async def show_self(node: Node, request: IdShow, _caller: Caller) -> Agent:
    """Who this node is."""
    view = await answer(node, core.ShowSelf(card=request.card), core.AgentView)
    return _show(view)


async def whois(node: Node, request: AgentFind, _caller: Caller) -> Agent:
    """Find an agent, asking the network if need be."""
    wait = seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX)
    view = await answer(node, core.WhoIs(request.who, wait), core.AgentView)
    return _show(view)


async def ping(node: Node, request: AgentPing, _caller: Caller) -> Pong:
    """Reach an agent wherever it is now and time one round trip."""
    wait = seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX)
    pong = await answer(node, core.PingAgent(request.who, wait), core.Pong)
    return Pong(address=pong.address.text, milliseconds=round(pong.milliseconds, 3))


def _show(view: core.AgentView) -> Agent:
    card = None if view.card is None else base64.b64encode(view.card).decode()
    return Agent(
        address=view.address.text,
        short=view.address.short,
        name=view.name,
        called=plain(view.called),
        peer_id=view.peer.text if view.peer else None,
        addrs=full_addrs(view.multiaddrs, view.peer),
        devices=[device.text for device in view.devices],
        skills=[show_skill(skill) for skill in view.skills],
        network=view.network.text,
        connected=view.connected,
        last_seen=time_or_none(view.last_seen_ms),
        forked=view.forked,
        card=card,
    )
