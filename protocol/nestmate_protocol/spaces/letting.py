"""Letting: who else may take part in a space, and who may not any more.

Everything here is an op of the auth lane, signed and taken in at once; whether it
counts is for everybody to tell alike. This file knows no documents and no frames.
"""

from collections.abc import Iterator, Sequence

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import LocalError
from nestmate_protocol.ids import Address, PeerId, SpaceId
from nestmate_protocol.keys import SEED_BYTES, SigningKey
from nestmate_protocol.spaces import members
from nestmate_protocol.spaces.copies import Copies, Copy
from nestmate_protocol.spaces.engine.changes import Verdict
from nestmate_protocol.spaces.epochs import Epochs, fitting
from nestmate_protocol.spaces.invites import SpaceInvite
from nestmate_protocol.spaces.members import Deed
from nestmate_protocol.spaces.ops import Dot, Mutation
from nestmate_protocol.spaces.pen import Pen
from nestmate_protocol.spaces.ports import Agents
from nestmate_protocol.spaces.requests import (
    Changed,
    EndorseOps,
    GrantRights,
    GrantViews,
    InviteToSpace,
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

    def revoke(self, copy: Copy, body: RevokeGrant, now: Moment) -> Changed:
        """Take a grant back."""
        deed = members.revoke_deed(copy, body.grant, self._me)
        secret = self._epochs.farewell(copy, members.read_grant_name(body.grant), now)
        return self._act(copy, deed, now, secret)

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
        self, copy: Copy, deed: Deed, now: Moment, secrets: Sequence[Mutation] = ()
    ) -> Changed:
        """Do it, in one op with the secrets that go with it unless they are many."""
        if copy.engine.rights.genesis is None:
            raise LocalError(
                "this space has not been fetched from anybody yet",
                "wait until a member is connected: `nestmate space show`",
            )
        if not copy.engine.readers.may_hand_under(deed.cap):
            secrets = ()
        first, *more = fitting([deed.mutation, *secrets])
        op = self._pen.act(copy, first, deed.cap, now)
        verdict = self._copies.keep_own(copy, op, now).verdict
        if verdict is not Verdict.NEW:
            raise LocalError(f"this would not count: the op is {verdict.value}")
        for part in more:
            self._copies.keep_own(copy, self._pen.act(copy, part, deed.cap, now), now)
        return Changed(copy.listing.space, op.id, version_of([op.dot(0)]))
