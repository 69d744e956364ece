"""Carries out the operations on spaces."""

import time

import trio

from nestmate.errors import NotFoundError, UsageError
from nestmate.operations.forms import identifier as parse_id
from nestmate.operations.forms import moment_ms, plain, seconds, time_or_none
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX, answer
from nestmate.operations.runs.events import author_of
from nestmate.operations.spaces import (
    Member,
    Members,
    Space,
    SpaceChanged,
    SpaceCreate,
    SpaceEndorse,
    SpaceGrant,
    SpaceGranted,
    SpaceInvite,
    SpaceInvited,
    SpaceJoin,
    SpaceLeave,
    SpaceLeft,
    SpaceList,
    SpaceMembers,
    SpaceRevoke,
    SpaceRevoked,
    Spaces,
    SpaceShow,
    SpaceSync,
    SpaceSynced,
)
from nestmate_protocol.directory.requests import AgentView, WhoIs
from nestmate_protocol.friends.requests import ContactViews, ListContacts
from nestmate_protocol.grants import ALL_RIGHTS, Rights
from nestmate_protocol.ids import Address, RecordId
from nestmate_protocol.spaces import requests as core
from nestmate_protocol.spaces.ops import Type
from nestmate_protocol.spaces.typenames import type_of, word_of

_RIGHTS = {
    "read": Rights.READ,
    "write": Rights.WRITE,
    "grant": Rights.GRANT,
    "rule": Rights.RULE,
    "relay": Rights.RELAY,
}


async def create(node: Node, request: SpaceCreate, _caller: Caller) -> Space:
    """Found a space."""
    founders = []
    for who in request.founders:
        agent = await _agent(node, who, request.timeout)
        founders += [(agent.address, device) for device in agent.devices[:1]]
    wish = core.CreateSpace(
        name=request.name,
        private=request.private,
        founders=tuple(founders),
        threshold=request.threshold,
    )
    return _show(await answer(node, wish, core.SpaceView))


async def ls(node: Node, _request: SpaceList, _caller: Caller) -> Spaces:
    """All spaces this node takes part in or was offered."""
    views = await answer(node, core.ListSpaces(), core.SpaceViews)
    return Spaces(spaces=[_show(view) for view in views.spaces])


async def show(node: Node, request: SpaceShow, _caller: Caller) -> Space:
    """One space."""
    return _show(await answer(node, core.ShowSpace(request.space), core.SpaceView))


async def join(node: Node, request: SpaceJoin, _caller: Caller) -> Space:
    """Take part, and wait a while until a member has let us in."""
    wait = seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX)
    deadline = trio.current_time() + wait
    seen = node.events.last_seq
    view = await answer(node, core.JoinSpace(request.space), core.SpaceView)
    while view.standing is core.Standing.JOINING:
        left = deadline - trio.current_time()
        if left <= 0:
            break
        await node.events.wait_beyond(seen, left)  # space.joined is among what comes
        seen = node.events.last_seq
        view = await answer(node, core.ShowSpace(view.space.text), core.SpaceView)
    return _show(view)


async def leave(node: Node, request: SpaceLeave, _caller: Caller) -> SpaceLeft:
    """Take part no longer."""
    left = await answer(node, core.LeaveSpace(request.space), core.Left)
    return SpaceLeft(space=left.space.text)


async def members(node: Node, request: SpaceMembers, _caller: Caller) -> Members:
    """Who may do what."""
    views = await answer(node, core.ListMembers(request.space), core.GrantViews)
    contacts = await answer(node, ListContacts(), ContactViews)
    names = {contact.address: contact.name for contact in contacts.contacts}
    return Members(members=[_member(view, names) for view in views.grants])


async def grant(node: Node, request: SpaceGrant, _caller: Caller) -> SpaceGranted:
    """Let an agent do something; its keys are asked for if they are not known."""
    rights = read_rights(request.rights)
    agent = await _agent(node, request.who, request.timeout)
    wish = core.GrantRights(
        space=request.space,
        who=agent.address,
        keys=agent.devices[:4],
        generation=agent.generation,
        rights=rights,
        paths=request.paths,
        types=_types(request.types),
        expires_ms=moment_ms(request.expires, "expires", time.time_ns() // 1_000_000),
        depth=request.depth,
        label=request.label,
    )
    changed = await answer(node, wish, core.Changed)
    return SpaceGranted(
        space=changed.space.text, grant=changed.version, op=changed.op.text
    )


async def invite(node: Node, request: SpaceInvite, _caller: Caller) -> SpaceInvited:
    """Make a line that lets whoever holds it in."""
    now_ms = time.time_ns() // 1_000_000
    is_open = request.closes == "never"
    wish = core.InviteToSpace(
        space=request.space,
        rights=read_rights(request.rights),
        paths=request.paths,
        types=_types(request.types),
        expires_ms=moment_ms(request.expires, "expires", now_ms),
        label=request.label,
        closes_ms=0 if is_open else moment_ms(request.closes, "closes", now_ms),
    )
    made = await answer(node, wish, core.SpaceInvited)
    return SpaceInvited(invite=made.invite, grant=made.grant)


async def revoke(node: Node, request: SpaceRevoke, _caller: Caller) -> SpaceRevoked:
    """Take a grant back, named by itself or by whose it is."""
    grants = await _grants_of(node, request.space, request.grant)
    wish = core.RevokeGrant(request.space, grants, request.keep)
    revoked = await answer(node, wish, core.Revoked)
    return SpaceRevoked(
        space=revoked.space.text,
        op=revoked.op.text,
        closed=list(revoked.closed),
        open=list(revoked.open),
    )


async def endorse(node: Node, request: SpaceEndorse, _caller: Caller) -> SpaceChanged:
    """Stand behind what other founders did."""
    ops = tuple(parse_id(RecordId, text, "ops") for text in request.ops)
    wish = core.EndorseOps(request.space, ops)
    return _changed(await answer(node, wish, core.Changed))


async def sync(node: Node, request: SpaceSync, _caller: Caller) -> SpaceSynced:
    """Compare with the members that are connected."""
    wait = seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX)
    done = await answer(node, core.SyncSpace(request.space, wait), core.Synced)
    return SpaceSynced(peers=done.peers, equal=done.equal)


def read_rights(text: str) -> Rights:
    """The rights that words joined by commas stand for; UsageError for other words."""
    rights = Rights(0)
    for word in text.replace("+", ",").split(","):
        if word.strip() == "all":
            rights |= ALL_RIGHTS
        elif word.strip() in _RIGHTS:
            rights |= _RIGHTS[word.strip()]
        else:
            raise UsageError(
                f"{plain(word)[:40]!r} is no right.",
                f"Rights are {', '.join(_RIGHTS)}, or all; join them by commas.",
            )
    return rights


def words_of(rights: Rights | None) -> list[str]:
    """The words for rights."""
    return [word for word, right in _RIGHTS.items() if rights and right in rights]


async def _agent(node: Node, who: str, timeout: float | str) -> AgentView:
    """An agent with its keys, asked for in the network if need be."""
    wait = seconds(timeout, "timeout", 0, WAIT_SECONDS_MAX)
    agent = await answer(node, WhoIs(who, wait), AgentView)
    if not agent.devices:
        raise UsageError(
            f"No key of {plain(who)[:64]} is known.",
            "Connect to it first: `nestmate whois WHO`.",
        )
    return agent


async def _grants_of(node: Node, space: str, text: str) -> tuple[str, ...]:
    """The names of the grants a text means: one, or all those an agent has."""
    views = await answer(node, core.ListMembers(space), core.GrantViews)
    grants = [view for view in views.grants if view.grant]
    if any(view.grant == text for view in grants):
        return (text,)
    try:
        who = await author_of(node, text)
    except NotFoundError:
        return (text,)  # the space itself says what is wrong with it
    theirs = [view for view in grants if view.who is not None and view.who.text == who]
    if not theirs:
        raise UsageError(
            f"{plain(text)[:64]} has no grant in this space.",
            "See `nestmate space members`; a founder's right is no grant.",
        )
    return tuple(view.grant for view in theirs)


def _types(words: tuple[str, ...]) -> tuple[Type, ...] | None:
    return tuple(type_of(word) for word in words) or None


def _changed(changed: core.Changed) -> SpaceChanged:
    return SpaceChanged(space=changed.space.text, op=changed.op.text)


def _show(view: core.SpaceView) -> Space:
    return Space(
        space=view.space.text,
        name=plain(view.name),
        standing=view.standing.value,
        private=view.private,
        founders=[address.text for address in view.founders],
        threshold=view.threshold,
        rights=words_of(view.rights),
        members=view.members,
        ops=view.ops,
        void=view.void,
        sealed=view.sealed,
        pending=view.pending,
        conflicts=view.conflicts,
        bytes=view.bytes_kept,
        invites=view.invites,
        peers=view.peers,
        synced=time_or_none(view.synced_ms),
        state=view.state.hex(),
    )


def _member(view: core.GrantView, names: dict[Address, str]) -> Member:
    return Member(
        grant=view.grant,
        address=None if view.who is None else view.who.text,
        name="" if view.who is None else plain(names.get(view.who, "")),
        devices=[key.text for key in view.keys],
        rights=words_of(view.rights),
        paths=[plain(path) for path in view.paths],
        types=[word_of(kind) for kind in view.types or ()],
        expires=time_or_none(view.expires_ms),
        closes=time_or_none(view.closes_ms),
        issuer=None if view.issuer is None else view.issuer.text,
        parent=view.parent,
        label=plain(view.label),
        in_force=view.in_force,
        left=view.left,
        sentence=plain(view.sentence),
    )
