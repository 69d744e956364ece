"""Views: what local agents are shown of what the directory knows.

Everything here is read from the neighbours as they are now; nothing is changed and
nobody is asked. Our own agent goes by the name ``me``.
"""

from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.cards_known import Known
from nestmate_protocol.directory.neighbours import Neighbours
from nestmate_protocol.directory.requests import (
    AgentView,
    PeerView,
    PeerViews,
    SkillOffer,
    SkillResult,
)
from nestmate_protocol.ids import Address, PeerId

SELF: Final = "me"


def self_view(neighbours: Neighbours, now: Moment, *, card: bool = False) -> AgentView:
    """Our own agent; with ``card`` the signed card's bytes too."""
    own = neighbours.own
    me = own.me
    return AgentView(
        address=me.address,
        name=SELF,
        called=me.called,
        devices=tuple(sorted(me.log.devices)),
        peer=me.peer,
        multiaddrs=own.multiaddrs,
        skills=own.skills,
        network=me.network,
        connected=True,
        last_seen_ms=now.wall_ms,
        forked=False,
        card=own.card.data if card and own.card else None,
        generation=len(me.log.established),
    )


def agent_view(
    neighbours: Neighbours, known: Known, now: Moment, *, with_card: bool
) -> AgentView:
    """Another agent, as its newest card says and as we see it."""
    card = known.card
    at = neighbours.peer_of(card.address)
    hosts = {host.peer: host.multiaddrs for host in card.hosts}
    peer = at or next(iter(hosts), None)
    return AgentView(
        address=card.address,
        name=neighbours.people.name_of(card.address),
        called=card.called,
        devices=tuple(sorted(card.log.devices)),
        peer=peer,
        multiaddrs=hosts.get(peer, ()) if peer else (),
        skills=card.skills,
        network=neighbours.own.me.network,
        connected=at is not None,
        last_seen_ms=now.wall_ms if at else known.seen_ms,
        forked=known.forked,
        card=card.data if with_card else None,
        generation=len(card.log.established),
    )


def peer_views(neighbours: Neighbours) -> PeerViews:
    """All connections, oldest first."""
    people = neighbours.people
    return PeerViews(
        tuple(
            PeerView(
                peer=link.peer,
                address=link.address,
                name=people.name_of(link.address) if link.address else "",
                multiaddr=link.multiaddr,
                since_ms=link.since_ms,
                friend=link.address is not None and people.is_friend(link.address),
            )
            for link in neighbours.links.all()
        )
    )


def skill_results(neighbours: Neighbours, name: str, now: Moment) -> list[SkillResult]:
    """Everyone else who offers a skill: by trust, connection and last sign of life.

    Whoever is blocked is left out, and whose log contradicts itself comes last.
    """
    people = neighbours.people
    offering = neighbours.cards.offering(name, now.wall_ms)
    shown = [k for k in offering if not people.is_blocked(k.card.address)]

    def merit(known: Known) -> tuple[bool, int, bool, int, Address]:
        address = known.card.address
        away = neighbours.peer_of(address) is None
        return known.forked, -people.rank(address), away, -known.seen_ms, address

    return [_result(neighbours, known, name) for known in sorted(shown, key=merit)]


def own_result(neighbours: Neighbours, name: str) -> list[SkillResult]:
    """Ourselves as one who offers a skill, if we do."""
    own = neighbours.own
    return [
        SkillResult(
            own.me.address, SELF, skill, True, _full(own.me.peer, own.multiaddrs)
        )
        for skill in own.skills
        if skill.name == name
    ]


def _result(neighbours: Neighbours, known: Known, name: str) -> SkillResult:
    card = known.card
    return SkillResult(
        address=card.address,
        name=neighbours.people.name_of(card.address),
        skill=_offer(card.skills, name),
        connected=neighbours.peer_of(card.address) is not None,
        multiaddrs=tuple(
            full for host in card.hosts for full in _full(host.peer, host.multiaddrs)
        ),
    )


def _offer(skills: tuple[SkillOffer, ...], name: str) -> SkillOffer:
    return next(skill for skill in skills if skill.name == name)


def _full(peer: PeerId, multiaddrs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{multiaddr}/p2p/{peer.text}" for multiaddr in multiaddrs)
