"""Members: grants made, passed on, taken back and shown, as a local agent asks for it.

What is made here is the mutation and the cap to write it under; whether it holds is for
everybody to tell from the ops alone. Names of keys come from the grants themselves.
This file signs nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import LocalError
from nestmate_protocol.grants import ALL_RIGHTS, Grant, Rights
from nestmate_protocol.identity.log import IdentityLog
from nestmate_protocol.ids import Address, DeviceKey, RecordId
from nestmate_protocol.limits import GRANT_KEYS_MAX, HEADS_PER_REVOCATION_MAX
from nestmate_protocol.spaces.auth import closing, endorsing, granting, revoking
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.engine.rights import Membership
from nestmate_protocol.spaces.invites import SpaceInvite
from nestmate_protocol.spaces.ops import Dot, Mutation, Type, op_of
from nestmate_protocol.spaces.requests import GrantRights, GrantView, InviteToSpace
from nestmate_protocol.spaces.versions import read_version, version_of

TYPE_NAMES: Final[Mapping[int, str]] = {
    Type.REGISTER: "registers",
    Type.SET: "sets",
    Type.COUNTER: "counters",
    Type.LOG: "logs",
    Type.LIST: "lists",
    Type.CLAIM: "claims",
    Type.BUDGET: "budgets",
}
EVERYWHERE: Final = ("",)
_FOUNDING: Final = "founder"


@dataclass(frozen=True, slots=True)
class Deed:
    """A mutation of the auth lane, and the cap it is to be written under.

    ``closed`` are invites that are closed along with it.
    """

    mutation: Mutation
    cap: Dot | None
    closed: tuple[Dot, ...] = ()


def names_in(copy: Copy) -> dict[DeviceKey, Address]:
    """Whose keys are whose, as grants and founders say it."""
    names: dict[DeviceKey, Address] = {}
    for each in copy.engine.rights.members():
        if each.grant.who is not None:
            names.update(dict.fromkeys(each.grant.keys, each.grant.who))
    genesis = copy.engine.rights.genesis
    if genesis is not None:
        names.update({key: address for address, key in genesis.founders})
    return names


def rights_of(copy: Copy, key: DeviceKey, now: Moment) -> Rights:
    """All rights a key has anywhere."""
    rights = Rights(0)
    for right in Rights:
        if copy.engine.rights.is_entitled(key, right, now):
            rights |= right
    return rights


def grant_deed(copy: Copy, body: GrantRights, me: DeviceKey, now: Moment) -> Deed:
    """A grant to an agent."""
    grant = Grant(
        who=body.who,
        keys=tuple(sorted(set(body.keys))),
        rights=body.rights,
        paths=tuple(sorted(set(body.paths))) or EVERYWHERE,
        types=None if body.types is None else frozenset(map(int, body.types)),
        expires_ms=body.expires_ms,
        depth=body.depth,
        label=body.label,
        generation=body.generation,
    )
    return Deed(granting(grant), _cap_for(copy, grant, me, now))


def invite_deed(
    copy: Copy, body: InviteToSpace, key: DeviceKey, me: DeviceKey, now: Moment
) -> tuple[Deed, Grant]:
    """A grant to whoever holds the key of an invite: all it needs to pass on, once."""
    grant = Grant(
        who=None,
        keys=(key,),
        rights=body.rights | Rights.GRANT,
        paths=tuple(sorted(set(body.paths))) or EVERYWHERE,
        types=None if body.types is None else frozenset(map(int, body.types)),
        expires_ms=body.expires_ms,
        depth=1,
        label=body.label or "an invite",
        closes_ms=body.closes_ms,
    )
    return Deed(granting(grant), _cap_for(copy, grant, me, now)), grant


def taking_up(invite: SpaceInvite, log: IdentityLog, key: DeviceKey) -> Mutation:
    """The grant by which the bearer of an invite gives what it carries to itself."""
    carried = invite.grant
    return granting(
        Grant(
            who=log.address,
            keys=(key,),
            rights=carried.rights & ~Rights.GRANT,
            paths=carried.paths,
            types=carried.types,
            expires_ms=carried.expires_ms,
            depth=0,
            log=log.entries,
            label=carried.label,
            generation=len(log.established),
        )
    )


def _cap_for(copy: Copy, grant: Grant, me: DeviceKey, now: Moment) -> Dot | None:
    """The grant of ours that this one may be made from; None as a founder.

    Raises LocalError if none of them gives as much.
    """
    desk = copy.engine.rights
    if desk.is_founder(me):
        return None
    for each in desk.members():
        if me in each.grant.keys and not each.revoked:
            ended = each.grant.expires_ms and each.grant.expires_ms < now.wall_ms
            if not ended and each.grant.lets_issue(grant, me):
                return each.dot
    raise LocalError(
        "this agent has no grant in the space that it could make this one from",
        "ask somebody who may let others in; `nestmate space members` says who",
    )


def revoke_deed(copy: Copy, text: str, me: DeviceKey, *, keep: bool) -> Deed:
    """The end of a grant that keeps everything known to have been written under it.

    Whoever came by an invite may have kept the line, so that is closed as well, unless
    too many have used it; who else came by it stays.
    """
    dot = read_grant_name(text)
    desk = copy.engine.rights
    found = desk.grant(dot)
    if found is None:
        raise LocalError("there is no such grant", "see `nestmate space members`")
    cap = _cap_above(copy, dot, me)
    if keep:
        return Deed(closing(dot, desk.heads_at(dot)), cap)
    above = None if found.parent is None else desk.grant(found.parent)
    came_by = (
        (above.dot,)
        if above is not None
        and above.grant.who is None
        and not above.revoked
        and len(desk.heads_at(above.dot)) <= HEADS_PER_REVOCATION_MAX
        else ()
    )
    return Deed(revoking(dot, desk.heads_under(dot)), cap, came_by)


def closing_of(copy: Copy, invite: Dot) -> Mutation:
    """The end of an invite that keeps all who are known to have come by it."""
    return closing(invite, copy.engine.rights.heads_at(invite))


def open_invites(copy: Copy, now: Moment) -> tuple[Dot, ...]:
    """The invites by which whoever has the line can come in."""
    desk = copy.engine.rights
    dots = (each.dot for each in desk.invites())
    return tuple(dot for dot in dots if not desk.is_over(dot, now))


def successions(
    copy: Copy, log: IdentityLog, me: DeviceKey, now: Moment
) -> Iterator[tuple[Dot, Mutation]]:
    """What earlier keys of this agent were granted, made over to those it has now."""
    desk = copy.engine.rights
    every = desk.members()
    theirs = [each for each in every if each.grant.who == log.address]
    taken = {each.parent for each in theirs if me in each.grant.keys}
    keys = tuple(sorted(log.devices))
    for each in theirs:
        if each.revoked or me in each.grant.keys or each.dot in taken:
            continue
        heir = replace(
            each.grant, keys=keys, log=log.entries, generation=len(log.established)
        )
        falls = len(keys) <= GRANT_KEYS_MAX and each.grant.lets_issue(heir, me)
        if falls and not desk.is_over(each.dot, now):
            yield each.dot, granting(heir)


def left_behind(copy: Copy, me: DeviceKey) -> Iterator[tuple[Dot, Dot | None]]:
    """Grants of our making that newer keys have taken over, and the cap to close under.

    Whoever has an older key, a thief maybe, could go on under them.
    """
    desk = copy.engine.rights
    for each in desk.left_behind():
        above = None if each.parent is None else desk.grant(each.parent)
        # of who came by an invite it is for whoever made that
        by_invite = above is not None and above.grant.who is None
        maker = above if above is not None and by_invite else each
        if maker.issuer == me:
            yield each.dot, maker.parent


def _cap_above(copy: Copy, dot: Dot, me: DeviceKey) -> Dot | None:
    """The grant of ours strictly above one; None as a founder."""
    desk = copy.engine.rights
    if desk.is_founder(me):
        return None
    for each in desk.chain(dot)[1:]:
        if me in each.grant.keys and not each.revoked:
            return each.dot
    raise LocalError(
        "only who granted it, or who stands above them, can take it back",
        "ask its issuer; `nestmate space members` says who that is",
    )


def endorse_deed(copy: Copy, ops: Sequence[RecordId], me: DeviceKey) -> Deed:
    """A founder's word for what other founders did; all that waits if none is named."""
    desk = copy.engine.rights
    if not desk.is_founder(me):
        raise LocalError(
            "only founders endorse", "`nestmate space show` says who they are"
        )
    chosen = tuple(ops) or desk.waiting_for_founders()
    if not chosen:
        raise LocalError("nothing waits for the word of a founder")
    return Deed(endorsing(chosen), None)


def views(copy: Copy) -> tuple[GrantView, ...]:
    """Every founder, and every grant that was not revoked, the oldest first."""
    desk = copy.engine.rights
    names, left = names_in(copy), desk.left()
    genesis = desk.genesis
    founders = () if genesis is None else genesis.founders
    shown = [_founder(address, key) for address, key in founders]
    current = [each for each in desk.members() if not each.revoked]
    current.sort(key=lambda each: _age(copy, each.dot))
    shown += [_view(each, names, left) for each in current]
    return tuple(shown)


def _age(copy: Copy, dot: Dot) -> tuple[int, Dot]:
    """Where in time a grant belongs."""
    standing = copy.engine.ops.standing(op_of(dot))
    return (0 if standing is None else standing.hlc), dot


def read_grant_name(text: str) -> Dot:
    """The dot a grant's name stands for; LocalError if it is none."""
    dots = read_version(text)
    if len(dots) != 1:
        raise LocalError(f"{text[:80]!r} is no grant", "see `nestmate space members`")
    return dots[0]


def _founder(address: Address, key: DeviceKey) -> GrantView:
    return GrantView(
        grant="",
        who=address,
        keys=(key,),
        rights=ALL_RIGHTS,
        paths=(),
        types=None,
        expires_ms=0,
        closes_ms=0,
        issuer=None,
        parent="",
        label=_FOUNDING,
        in_force=True,
        left=False,
        sentence=f"{address.text} founded it and may do everything.",
    )


def _view(
    each: Membership, names: Mapping[DeviceKey, Address], left: frozenset[DeviceKey]
) -> GrantView:
    grant = each.grant
    types = None if grant.types is None else tuple(map(Type, sorted(grant.types)))
    return GrantView(
        grant=version_of([each.dot]),
        who=grant.who,
        keys=grant.keys,
        rights=grant.rights,
        paths=tuple(path for path in grant.paths if path),
        types=types,
        expires_ms=grant.expires_ms,
        closes_ms=grant.closes_ms,
        issuer=names.get(each.issuer),
        parent="" if each.parent is None else version_of([each.parent]),
        label=grant.label,
        in_force=True,
        left=left.issuperset(grant.keys),
        sentence=grant.sentence(TYPE_NAMES),
    )
