"""Letting: who else may take part in a space, and who may not any more.

Everything here is an op of the auth lane, signed and taken in at once; whether it
counts is for everybody to tell alike. This file knows no documents and no frames.
"""

from collections.abc import Iterator, Sequence

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import LocalError
from nestmate_protocol.ids import Address, PeerId, SpaceId
from nestmate_protocol.keys import SEED_BYTES, SigningKey
from nestmate_protocol.limits import (
    HEADS_PER_REVOCATION_MAX,
    INVITE_CLOSED_AFTER_MS,
)
from nestmate_protocol.spaces import members
from nestmate_protocol.spaces.copies import Copies, Copy
from nestmate_protocol.spaces.engine.changes import Verdict
from nestmate_protocol.spaces.epochs import Epochs, fitting
from nestmate_protocol.spaces.invites import SpaceInvite
from nestmate_protocol.spaces.members import Deed
from nestmate_protocol.spaces.ops import Dot, Mutation, Type
from nestmate_protocol.spaces.pen import Pen
from nestmate_protocol.spaces.ports import Agents
from nestmate_protocol.spaces.requests import (
    Changed,
    EndorseOps,
    GrantRights,
    GrantViews,
    InviteToSpace,
    Revoked,
    RevokeGrant,
    SpaceInvited,
)
from nestmate_protocol.spaces.versions import version_of


class Letting:
    """Grants, invites, revocations and endorsements of this agent."""

    def __init__(
        self, pen: Pen, copies: Copies, epochs: Epochs, agents: Agents, peer: PeerId
    ) -> None:
        self._pen = pen
        self._epochs = epochs
        self._copies = copies
        self._agents = agents
        self._peer = peer
        self._me = pen.key.public
        self._due: dict[SpaceId, int] = {}
        self._closed: set[Dot] = set()

    def __repr__(self) -> str:
        return f"<Letting others into {self._copies!r}>"

    def members(self, copy: Copy) -> GrantViews:
        """Who may do what."""
        return GrantViews(members.views(copy))

    def grant(self, copy: Copy, body: GrantRights, now: Moment) -> Changed:
        """Let an agent do something."""
        deed = members.grant_deed(copy, body, self._me, now)
        secrets = self._epochs.welcome(copy, body.keys, body.rights)
        return self._act(copy, deed, now, secrets)

    def invite(self, copy: Copy, body: InviteToSpace, now: Moment) -> SpaceInvited:
        """Make a line that lets whoever holds it in."""
        seed = self._pen.entropy(SEED_BYTES)
        key = SigningKey(seed).public
        deed, grant = members.invite_deed(copy, body, key, self._me, now)
        secrets = self._epochs.welcome(copy, [key], body.rights)
        changed = self._act(copy, deed, now, secrets)
        listing = copy.listing
        invite = SpaceInvite(
            space=listing.space,
            name=listing.name,
            private=listing.private,
            dot=Dot(changed.op.raw + b"\0"),
            grant=grant,
            seed=seed,
            peer=self._peer,
            multiaddrs=self._agents.own_multiaddrs(),
        )
        return SpaceInvited(invite.text, changed.version)

    def revoke(self, copy: Copy, body: RevokeGrant, now: Moment) -> Revoked:
        """Take grants back, each in an op with what has to go with it."""
        deeds = [
            members.revoke_deed(copy, grant, self._me, keep=body.keep)
            for grant in body.grants
        ]
        closed: list[Dot] = []
        for grant, deed in zip(body.grants, deeds, strict=True):
            due = [each for each in deed.closed if each not in closed]
            along = [members.closing_of(copy, each) for each in due]
            if not body.keep:
                dot = members.read_grant_name(grant)
                along += self._epochs.farewell(copy, dot, now)
            changed = self._act(copy, deed, now, along)
            closed += due
        still = members.open_invites(copy, now)
        return Revoked(
            space=changed.space,
            op=changed.op,
            closed=tuple(version_of([dot]) for dot in closed),
            open=tuple(version_of([dot]) for dot in still),
        )

    # --- what is over

    def tend(self, copy: Copy, now: Moment) -> None:
        """Close what older keys could go on under, and our invites after their end.

        Their end is judged by the date that their users put on what they do, so that
        all agree; a closing is what a false date does not get round. Where other
        founders would have to agree, it is left to them.
        """
        desk, due = copy.engine.rights, self._due
        due.pop(copy.listing.space, None)
        for dot, cap in tuple(members.left_behind(copy, self._me)):
            self._close(copy, dot, cap, now)
        for each in desk.invites():
            closes_ms = each.grant.closes_ms
            if each.issuer != self._me or not closes_ms or each.dot in self._closed:
                continue
            left_ms = closes_ms + INVITE_CLOSED_AFTER_MS - now.wall_ms
            if left_ms > 0:
                at = now.mono_ms + left_ms
                due[copy.listing.space] = min(due.get(copy.listing.space, at), at)
                continue
            self._close(copy, each.dot, each.parent, now)

    def _close(self, copy: Copy, dot: Dot, cap: Dot | None, now: Moment) -> None:
        """Close a grant once, if that needs nobody else's word."""
        desk = copy.engine.rights
        alone = desk.genesis is not None and desk.genesis.threshold == 1
        few = len(desk.heads_at(dot)) <= HEADS_PER_REVOCATION_MAX
        if dot in self._closed or not few or (cap is None and not alone):
            return
        self._closed.add(dot)
        op = self._pen.act(copy, [members.closing_of(copy, dot)], cap, now)
        self._copies.keep_own(copy, op, now)

    def wake(self, now: Moment) -> None:
        """Do what is due."""
        for space, due in tuple(self._due.items()):
            copy = self._copies.get(space)
            if copy is None:
                del self._due[space]
            elif due <= now.mono_ms:
                self.tend(copy, now)

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        return min(self._due.values(), default=None)

    def endorse(self, copy: Copy, body: EndorseOps, now: Moment) -> Changed:
        """Stand behind what other founders did."""
        return self._act(copy, members.endorse_deed(copy, body.ops, self._me), now)

    def offers_for(self, address: Address) -> Iterator[tuple[SpaceId, str, Dot]]:
        """The spaces in which an agent was granted something."""
        for copy in self._copies:
            for each in copy.engine.rights.members():
                if each.grant.who == address and not each.revoked:
                    yield copy.listing.space, copy.listing.name, each.dot
                    break

    def _act(
        self, copy: Copy, deed: Deed, now: Moment, along: Sequence[Mutation] = ()
    ) -> Changed:
        """Do it, in one op with what goes with it unless that is much."""
        if copy.engine.rights.genesis is None:
            raise LocalError(
                "this space has not been fetched from anybody yet",
                "wait until a member is connected: `nestmate space show`",
            )
        if not copy.engine.readers.may_hand_under(deed.cap):
            along = [each for each in along if each.type is not Type.KEYS]
        first, *more = fitting([deed.mutation, *along])
        op = self._pen.act(copy, first, deed.cap, now)
        verdict = self._copies.keep_own(copy, op, now).verdict
        if verdict is not Verdict.NEW:
            raise LocalError(f"this would not count: the op is {verdict.value}")
        for part in more:
            self._copies.keep_own(copy, self._pen.act(copy, part, deed.cap, now), now)
        return Changed(copy.listing.space, op.id, version_of([op.dot(0)]))
