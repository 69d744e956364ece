"""Belonging: founding, joining and leaving spaces, and how each stands here.

A space is joined by an invite's line, or by id where this agent was granted something;
either way its ops come from whoever is a member, and until the first of them is here
the space is being joined. This file knows no documents and no frames.
"""

from collections.abc import Callable
from dataclasses import replace

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import LocalError
from nestmate_protocol.grants import Rights
from nestmate_protocol.identity.log import IdentityLog
from nestmate_protocol.ids import SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces import members
from nestmate_protocol.spaces.catalogue import Catalogue, Listing
from nestmate_protocol.spaces.copies import Copies, Copy
from nestmate_protocol.spaces.epochs import Epochs
from nestmate_protocol.spaces.founding import SALT_BYTES, Genesis, found_space
from nestmate_protocol.spaces.invites import SpaceInvite, is_invite, read_invite
from nestmate_protocol.spaces.ops import Lane
from nestmate_protocol.spaces.outcomes import Reach
from nestmate_protocol.spaces.pen import Pen
from nestmate_protocol.spaces.refusals import MissingError
from nestmate_protocol.spaces.requests import (
    CreateSpace,
    JoinSpace,
    LeaveSpace,
    Left,
    SpaceView,
    SpaceViews,
    Standing,
)

_TAKING_PART = (Rights.READ, Rights.RELAY)


class Belonging:
    """Which spaces this node takes part in.

    ``company`` says how many members are connected, and when (Unix ms, 0 for never) one
    of them was last found to hold the same.
    """

    def __init__(
        self,
        log: IdentityLog,
        pen: Pen,
        catalogue: Catalogue,
        copies: Copies,
        epochs: Epochs,
        *,
        company: Callable[[SpaceId, Moment], tuple[int, int]],
    ) -> None:
        self._log = log
        self._pen = pen
        self._catalogue = catalogue
        self._copies = copies
        self._epochs = epochs
        self._company = company
        self._me = pen.key.public

    def __repr__(self) -> str:
        return f"<Belonging to {self._catalogue!r}>"

    # --- taking part

    def create(self, body: CreateSpace, now: Moment) -> SpaceId:
        """Found a space; its first op is here and counts at once."""
        if not body.name.strip():
            raise LocalError("a space has a name", "give one")
        founders = ((self._log.address, self._me), *body.founders)
        if not 1 <= body.threshold <= len(founders):
            raise LocalError(
                f"{body.threshold} of {len(founders)} founders cannot agree",
                "name more founders, or ask for fewer of them",
            )
        salt = self._pen.entropy(SALT_BYTES)
        genesis = Genesis(body.name, founders, body.threshold, body.private, salt)
        hlc = self._pen.clock.tick(now).to_int()
        op = found_space(
            self._pen.key, self._pen.network, genesis, hlc, self._pen.incarnation
        )
        listing = Listing(op.space, 0, Standing.MEMBER, body.name, body.private)
        copy = self._open(listing)
        self._copies.keep_own(copy, op, now)
        if body.private:
            self._epochs.begin(copy, now)
        return op.space

    def join(self, body: JoinSpace, now: Moment) -> tuple[SpaceId, list[Reach]]:
        """Take part; where to ask for the ops, if an invite says so."""
        if not is_invite(body.space):
            return self._join_by_id(body.space), []
        invite = read_invite(body.space)
        self._refuse_half_made(invite.space)
        _refuse_late(invite, now)
        reach = [Reach(invite.peer, invite.multiaddrs)]
        known = self._copies.get(invite.space)
        if known is not None and known.engine.rights.is_entitled(
            self._me, Rights.READ, now
        ):
            return invite.space, reach
        listing = Listing(
            *(invite.space, 0, Standing.JOINING, invite.name, invite.private),
            invite="".join(body.space.split()),
        )
        copy = known or self._open(listing)
        if known is not None:
            self._list(copy, listing)
        self.take_up(copy, now)
        return invite.space, reach

    def take_up(self, copy: Copy, now: Moment) -> None:
        """Use the invite a space is being joined by: grant ourselves what it carries.

        The op waits in memory until the invite's own grant is here, and is made anew
        after a restart, because the line is kept until then.
        """
        invite = read_invite(copy.listing.invite)
        bearer = SigningKey(invite.seed)
        copy.bearers = (bearer,)
        copy.engine.use_keys(copy.bearers)
        mutation = members.taking_up(invite, self._log, self._me)
        op = self._pen.act(copy, [mutation], invite.dot, now, bearer)
        self._copies.keep_own(copy, op, now)

    def go_on(self, copy: Copy, now: Moment) -> None:
        """Go on with a space where an earlier run has left off."""
        if copy.listing.invite:
            self.take_up(copy, now)
        self.succeed(copy, now)
        self._epochs.tend(copy, now)

    def succeed(self, copy: Copy, now: Moment) -> None:
        """Take over, with this agent's new keys, what its older ones were granted."""
        due = members.successions(copy, self._log, self._me, now)
        for dot, mutation in tuple(due):
            op = self._pen.act(copy, [mutation], dot, now)
            self._copies.keep_own(copy, op, now)

    def arrived(self, copy: Copy, now: Moment) -> bool:
        """Whether a space that was being joined has just been reached."""
        desk = copy.engine.rights
        if copy.listing.standing is not Standing.JOINING or desk.genesis is None:
            return False
        if not any(desk.is_entitled(self._me, right, now) for right in _TAKING_PART):
            return False
        self._epochs.take_home(copy, now)
        genesis = desk.genesis
        listing = replace(
            copy.listing,
            standing=Standing.MEMBER,
            invite="",
            name=copy.listing.name or genesis.name,
            private=genesis.private,
        )
        copy.bearers = ()
        self._list(copy, listing)
        return True

    def leave(self, body: LeaveSpace) -> Left:
        """Take part no longer: nobody is asked, and what was here goes."""
        listing = self._catalogue.find(body.space)
        self._copies.close(listing.space)
        self._epochs.forget(listing.space)
        self._copies.put(self._catalogue.remove(listing.space))
        return Left(listing.space)

    def copy_of(self, text: str) -> Copy:
        """The copy of the space a text names."""
        listing = self._catalogue.find(text)
        copy = self._copies.get(listing.space)
        self._refuse_half_made(listing.space)
        if copy is None:
            raise LocalError(
                f"this agent was offered {listing.name!r} and has not joined",
                f"join it: `nestmate space join {listing.space.text}`",
            )
        return copy

    def list_offer(self, listing: Listing) -> bool:
        """Keep an offer in mind; whether there was room for it."""
        try:
            self._copies.put(self._catalogue.add(listing))
        except LocalError:
            return False
        return True

    # --- looking

    def listed(self, now: Moment) -> SpaceViews:
        """All spaces this node takes part in or was offered."""
        found = sorted(self._catalogue, key=lambda each: (each.name, each.space))
        return SpaceViews(tuple(self._view(each, now, b"") for each in found))

    def shown_by(self, text: str, now: Moment) -> SpaceView:
        """One space, by its name or id."""
        return self._view(self._catalogue.find(text), now)

    def shown(self, space: SpaceId, now: Moment) -> SpaceView:
        """One space."""
        listing = self._catalogue.get(space)
        if listing is None:
            raise MissingError("there is no such space here")
        return self._view(listing, now)

    def _view(
        self, listing: Listing, now: Moment, state: bytes | None = None
    ) -> SpaceView:
        """How one stands; its ``state`` is worked out, which is dear, if not given."""
        view = SpaceView(
            space=listing.space,
            name=listing.name,
            standing=Standing.REBUILDING
            if listing.space in self._copies.remaking
            else listing.standing,
            private=listing.private,
        )
        copy = self._copies.get(listing.space)
        if copy is None or copy.engine.rights.genesis is None:
            return view
        engine, genesis = copy.engine, copy.engine.rights.genesis
        current = [each for each in engine.rights.members() if not each.revoked]
        peers, synced_ms = self._company(listing.space, now)
        named = {each.grant.who for each in current} - {None}
        return replace(
            view,
            threshold=genesis.threshold,
            founders=tuple(address for address, _ in genesis.founders),
            members=len(named | {address for address, _ in genesis.founders}),
            ops=sum(len(copy.summary(lane)) for lane in Lane),
            void=sum(1 for _ in engine.ops.quarantined()),
            sealed=engine.views.sizes().sealed,
            pending=len(engine.missing()),
            bytes_kept=engine.ops.bytes_held(),
            conflicts=len(engine.views.conflicts()),
            invites=len(members.open_invites(copy, now)),
            peers=peers,
            synced_ms=synced_ms,
            state=engine.views.state_hash() if state is None else state,
            rights=members.rights_of(copy, self._me, now),
        )

    def _join_by_id(self, text: str) -> SpaceId:
        """Join where this agent was granted something, as somebody has said or may."""
        known = next((e for e in self._catalogue if e.name == text), None)
        space = known.space if known is not None else SpaceId.parse(text)
        self._refuse_half_made(space)
        if self._copies.get(space) is None:
            listed = self._catalogue.get(space)
            name = "" if listed is None else listed.name
            self._open(Listing(space, 0, Standing.JOINING, name))
        return space

    def _refuse_half_made(self, space: SpaceId) -> None:
        """Raise LocalError while the rows of a space are being made anew."""
        if space in self._copies.remaking:
            raise LocalError(
                "this space is being made anew, as an earlier version wrote it",
                "wait for the event `space.rebuilt`; `nestmate doctor` tells as well",
            )

    def _open(self, listing: Listing) -> Copy:
        self._copies.put(self._catalogue.add(listing))
        kept = self._catalogue.get(listing.space)
        return self._copies.open(kept or listing)

    def _list(self, copy: Copy, listing: Listing) -> None:
        self._copies.put(self._catalogue.add(listing))
        copy.listing = self._catalogue.get(listing.space) or listing


def _refuse_late(invite: SpaceInvite, now: Moment) -> None:
    """Raise LocalError for an invite whose time is over, by what it says itself."""
    ends = (invite.grant.closes_ms, invite.grant.expires_ms)
    if any(0 < end < now.wall_ms for end in ends):
        raise LocalError(
            "this invite is over: its time to be taken up has passed",
            "ask whoever sent it for another one",
        )
