"""Friends: invites given and taken up, and the contacts that come of them.

Both sides of an invite end as contacts of each other, known by a local name. What an
owner thinks of a contact stays here; that it changed is told as an outcome, because
pins, dials and cuts are the business of others. Peers and cards are asked for through
the port ``Agents``; this subject knows no wire but its own channel.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, assert_never

from nestmate_protocol.clocks import Moment, patience_ms
from nestmate_protocol.effects import (
    Channel,
    Code,
    Notify,
    Refusal,
    Reply,
    Send,
    Strike,
)
from nestmate_protocol.errors import Fault, LocalError
from nestmate_protocol.friends import contacts as contacts_kept
from nestmate_protocol.friends import open_invites as invites_kept
from nestmate_protocol.friends.contacts import Contact, Contacts
from nestmate_protocol.friends.frames import (
    FriendsFrame,
    Reason,
    Redeem,
    Refused,
    Welcome,
    pack,
    unpack,
)
from nestmate_protocol.friends.invites import (
    GRANTS_MAX,
    SECRET_BYTES,
    Invite,
    Terms,
    make_invite,
    open_invite,
)
from nestmate_protocol.friends.joining import Joins, answers, expired, refused
from nestmate_protocol.friends.naming import FORKED, FULL, Naming
from nestmate_protocol.friends.open_invites import OpenInvites
from nestmate_protocol.friends.outcomes import Meet, Outcome, Regarded
from nestmate_protocol.friends.ports import Agents
from nestmate_protocol.friends.requests import (
    CreateInvite,
    FriendsRequest,
    Invited,
    Joined,
    JoinInvite,
    Trust,
)
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import (
    CONNECTIONS_MAX,
    INVITE_TTL_SECONDS_MAX,
    INVITE_USES_MAX,
    INVITES_OPEN_MAX,
    NAME_CHARS_MAX,
)

PREFIX: Final = b"f/"
_BACKGROUND_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Issuer:
    """What an invite says of whoever issues it, and the key that signs it."""

    key: SigningKey
    address: Address
    peer: PeerId
    network: NetworkId
    called: str
    log: tuple[bytes, ...]


class Friends:
    """Everything one node does about invites and contacts."""

    def __init__(
        self,
        me: Issuer,
        contacts: Contacts,
        agents: Agents,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._me = me
        self._contacts = contacts
        self._agents = agents
        self._entropy = entropy
        self._naming = Naming(me.address, contacts, agents)
        self._given = OpenInvites()
        self._joins = Joins()
        self._early: dict[PeerId, Redeem] = {}

    def __repr__(self) -> str:
        return f"<Friends {self._contacts!r} {self._given!r}>"

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what an earlier run saved under PREFIX."""
        rows = list(pairs)
        for kept, prefix in (
            (self._contacts, contacts_kept.PREFIX),
            (self._given, invites_kept.PREFIX),
        ):
            kept.restore(row for row in rows if row[0].startswith(prefix))

    def ask(self, request: int, body: FriendsRequest, now: Moment) -> list[Outcome]:
        """A local agent's request; LocalError if it makes no sense as it stands."""
        match body:
            case CreateInvite():
                return self._create(request, body, now)
            case JoinInvite():
                return self._join(request, body, now)
            case _:
                outcomes, response = self._naming.answer(body, now)
                return [*outcomes, Reply(request, response)]

    def abandon(self, request: int) -> None:
        """Nobody waits for this request's answer any more."""
        self._joins.abandon(request)

    def agent_up(self, address: Address, peer: PeerId, now: Moment) -> list[Outcome]:
        """An agent's node can be reached now, and proved to be that."""
        outcomes: list[Outcome] = [*self._joins.say(address, peer)]
        early = self._early.pop(peer, None)
        if early is not None:
            outcomes += self._redeemed(peer, address, early, now)
        return outcomes

    def peer_down(self, peer: PeerId) -> None:
        """A connection is gone, and what it had not proved with it."""
        self._early.pop(peer, None)

    def arrived(self, peer: PeerId, data: bytes, now: Moment) -> list[Outcome]:
        """One frame of the FRIENDS channel; RemoteError if it is none."""
        frame = unpack(data)
        address = self._agents.agent_at(peer)
        if address is not None:
            return self._told(peer, address, frame, now)
        if isinstance(frame, Redeem):
            if len(self._early) < CONNECTIONS_MAX:
                self._early[peer] = frame  # its card is on another stream
            return []
        return [Strike(peer, Fault.NOT_ENTITLED)]

    def wake(self, now: Moment) -> list[Outcome]:
        """Give up what took too long."""
        return [*self._joins.wake(now)]

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        return self._joins.next_wakeup()

    def _create(self, request: int, body: CreateInvite, now: Moment) -> list[Outcome]:
        _check_terms(body)
        if self._given.is_full(now.wall_ms):
            return [Reply(request, _TOO_MANY_INVITES)]
        me, multiaddrs = self._me, self._agents.own_multiaddrs()
        if not multiaddrs:
            raise LocalError(
                "nobody could reach this node, because it listens nowhere",
                "let it listen: `nestmate config set listen MULTIADDR`",
            )
        terms = Terms(
            issuer=me.address,
            peer=me.peer,
            multiaddrs=multiaddrs,
            secret=self._entropy(SECRET_BYTES),
            uses=body.uses,
            expires_ms=now.wall_ms + body.expires_seconds * 1_000,
            network=me.network,
            grants=body.grants,
            called=me.called,
            log=me.log,
        )
        invite = make_invite(me.key, terms)
        saved = self._given.add(invite, now.wall_ms)
        response = Invited(invite.text, terms.expires_ms, terms.uses)
        return [saved, Reply(request, response)]

    def _join(self, request: int, body: JoinInvite, now: Moment) -> list[Outcome]:
        until_ms = now.mono_ms + patience_ms(body.wait_seconds)
        invite = open_invite(body.invite, self._me.network)
        issuer = invite.terms.issuer
        if issuer == self._me.address:
            raise LocalError(
                "this is an invite of your own",
                "send it to a friend; `nestmate join INVITE` is for their node",
            )
        if self._contacts.is_friend(issuer):
            again = Reply(request, Joined(issuer, self._contacts.name_of(issuer)))
            if invite.terms.expires_ms <= now.wall_ms or self._joins.is_full():
                return [again]
            return [*self._meet(invite, None, now.mono_ms + _BACKGROUND_MS), again]
        refusal = self._refusal(invite, now)
        if refusal is not None:
            return [Reply(request, refusal)]
        return self._meet(invite, request, until_ms)

    def _refusal(self, invite: Invite, now: Moment) -> Refusal | None:
        """Why this invite cannot be taken up; None if it may be tried."""
        issuer = invite.terms.issuer
        if self._contacts.is_blocked(issuer):
            name = self._contacts.name_of(issuer)
            hint = f"to let them in again: `nestmate contact trust {name} known`"
            return Refusal(Code.DENIED, f"you have blocked {name}", hint)
        if self._agents.is_forked(issuer):
            return FORKED
        if invite.terms.expires_ms <= now.wall_ms:
            return expired(invite.terms.expires_ms)
        if self._contacts.is_full():
            return FULL
        return _TOO_MANY_JOINS if self._joins.is_full() else None

    def _meet(
        self, invite: Invite, request: int | None, until_ms: int
    ) -> list[Outcome]:
        terms = invite.terms
        self._joins.start(invite, request, until_ms)
        peer = self._agents.peer_of(terms.issuer)
        if peer is not None:
            return [*self._joins.say(terms.issuer, peer)]
        return [Meet(terms.issuer, terms.peer, terms.multiaddrs, until_ms)]

    def _told(
        self, peer: PeerId, address: Address, frame: FriendsFrame, now: Moment
    ) -> list[Outcome]:
        match frame:
            case Redeem():
                return self._redeemed(peer, address, frame, now)
            case Welcome(invite):
                join = self._joins.end(address, invite)
                if join is None:
                    return []
                called = join.invite.terms.called
                outcomes, contact = self._befriend(address, called, now)
                response = Joined(address, contact.name)
                return [*outcomes, *answers(join, response)]
            case Refused(invite, reason):
                join = self._joins.end(address, invite)
                return [*answers(join, refused(reason))] if join else []
            case _:
                assert_never(frame)

    def _redeemed(
        self, peer: PeerId, address: Address, redeem: Redeem, now: Moment
    ) -> list[Outcome]:
        """Somebody bears an invite of ours; a contact bears it again for free."""
        reason = self._given.judge(redeem, now.wall_ms)
        strikes: list[Outcome] = []
        if self._given.is_guess(redeem):
            strikes = [Strike(peer, Fault.NOT_ENTITLED)]
        friend = self._contacts.is_friend(address)
        if friend and reason in {Reason.USED, Reason.EXPIRED}:
            reason = None
        if not friend and self._is_unwelcome(address):
            reason = Reason.DENIED
        if reason is not None:
            answer = pack(Refused(redeem.invite, reason))
            return [*strikes, Send(peer, Channel.FRIENDS, answer)]
        welcome = Send(peer, Channel.FRIENDS, pack(Welcome(redeem.invite)))
        if friend:
            return [welcome]
        outcomes, _ = self._befriend(address, self._agents.called(address), now)
        return [self._given.use(redeem.invite), *outcomes, welcome]

    def _is_unwelcome(self, address: Address) -> bool:
        if self._contacts.is_contact(address):
            return self._contacts.is_blocked(address)
        return self._agents.is_forked(address) or self._contacts.is_full()

    def _befriend(
        self, address: Address, called: str, now: Moment
    ) -> tuple[list[Outcome], Contact]:
        """Keep somebody as a contact, under a name of their proposing."""
        known = self._contacts.get(address)
        if known is not None and self._contacts.is_friend(address):
            return [], known
        if known is None:
            name = self._contacts.free_name(called, address)
            known = Contact(address, name, Trust.KNOWN, now.wall_ms)
        contact, saved = self._contacts.put(replace(known, trust=Trust.KNOWN))
        notice = Notify("contact.added", None, address, {"name": contact.name})
        return [saved, Regarded(address), notice], contact


_TOO_MANY_INVITES: Final = Refusal(
    Code.BUSY,
    f"{INVITES_OPEN_MAX} invites are open already",
    "wait until some of them have been used or have expired",
)
_TOO_MANY_JOINS: Final = Refusal(
    Code.BUSY, "too many invites are being taken up", "try again in a minute"
)


def _check_terms(body: CreateInvite) -> None:
    if not 1 <= body.uses <= INVITE_USES_MAX:
        raise LocalError(
            f"an invite works 1 to {INVITE_USES_MAX} times",
            "give a number of uses within that",
        )
    if not 1 <= body.expires_seconds <= INVITE_TTL_SECONDS_MAX:
        days = INVITE_TTL_SECONDS_MAX // 86_400
        raise LocalError(
            f"an invite works for 1 second to {days} days",
            "give a time such as 24h or 7d",
        )
    if len(body.grants) > GRANTS_MAX or any(
        not 0 < len(name) <= NAME_CHARS_MAX for name in body.grants
    ):
        raise LocalError(
            f"an invite names at most {GRANTS_MAX} grants,"
            f" each of 1 to {NAME_CHARS_MAX} characters",
            "name fewer of them, or make a second invite",
        )
