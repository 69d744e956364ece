"""Joining: taking up invites of others, from the pasted line to the welcome.

A redemption is said again each time the issuer's node comes up, until it answers or
whoever waits gives up; saying it twice does no harm. This file knows neither
contacts nor where nodes are.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Channel, Code, Effect, Refusal, Reply, Send
from nestmate_protocol.friends.frames import Reason, Redeem, pack
from nestmate_protocol.friends.invites import Invite
from nestmate_protocol.ids import Address, PeerId, RecordId

JOINS_MAX: Final = 64
_ASK_AGAIN: Final = "ask its issuer for a new one: `nestmate invite`"

_SENTENCES: Final = {
    Reason.EXPIRED: ("this invite has expired", _ASK_AGAIN),
    Reason.USED: ("this invite has been used up", _ASK_AGAIN),
    Reason.UNKNOWN: ("its issuer's node does not know this invite", _ASK_AGAIN),
    Reason.DENIED: (
        "its issuer's node refuses you",
        "ask the issuer in person whether this node's address is blocked there",
    ),
}


@dataclass(slots=True)
class Join:
    """One invite being taken up; ``until_ms`` is monotonic."""

    invite: Invite
    until_ms: int
    requests: list[int] = field(default_factory=list)
    said: bool = False


class Joins:
    """Invites being taken up, by the address of their issuer."""

    def __init__(self) -> None:
        self._joins: dict[Address, Join] = {}

    def __repr__(self) -> str:
        return f"<Joins {len(self._joins)}>"

    def is_full(self) -> bool:
        """Whether one more would be too many at once."""
        return len(self._joins) >= JOINS_MAX

    def start(self, invite: Invite, request: int | None, until_ms: int) -> Join:
        """Take an invite up; a later invite of the same issuer takes over."""
        issuer = invite.terms.issuer
        before = self._joins.pop(issuer, None)
        join = Join(invite, until_ms)
        if before is not None:
            join.until_ms = max(until_ms, before.until_ms)
            join.requests = before.requests
        if request is not None:
            join.requests.append(request)
        self._joins[issuer] = join
        return join

    def say(self, issuer: Address, peer: PeerId) -> list[Effect]:
        """The issuer's node is up: redeem."""
        join = self._joins.get(issuer)
        if join is None:
            return []
        join.said = True
        redeem = Redeem(join.invite.id, join.invite.terms.secret)
        return [Send(peer, Channel.FRIENDS, pack(redeem))]

    def end(self, issuer: Address, invite: RecordId) -> Join | None:
        """The issuer has answered about an invite; None if that is not under way."""
        join = self._joins.get(issuer)
        if join is None or join.invite.id != invite:
            return None
        return self._joins.pop(issuer)

    def abandon(self, request: int) -> None:
        """Nobody waits any more; what is under way goes on."""
        for join in self._joins.values():
            if request in join.requests:
                join.requests.remove(request)

    def wake(self, now: Moment) -> list[Effect]:
        """Give up what took too long, and say why."""
        effects: list[Effect] = []
        for issuer, join in list(self._joins.items()):
            if join.until_ms <= now.mono_ms:
                del self._joins[issuer]
                effects += answers(join, _timed_out(join))
        return effects

    def next_wakeup(self) -> int | None:
        """When the first of them takes too long; monotonic ms."""
        return min((join.until_ms for join in self._joins.values()), default=None)


def answers(join: Join, response: object) -> list[Effect]:
    """The same answer to everyone who waits."""
    return [Reply(request, response) for request in join.requests]


def refused(reason: Reason) -> Refusal:
    """What the issuer's refusal means for whoever pasted the line."""
    sentence, hint = _SENTENCES[reason]
    return Refusal(Code.DENIED, sentence, hint)


def expired(expires_ms: int) -> Refusal:
    """The invite itself says that it is over."""
    ended = datetime.fromtimestamp(expires_ms / 1000, UTC)
    sentence = f"this invite expired at {ended:%Y-%m-%d %H:%M} UTC"
    return Refusal(Code.DENIED, sentence, _ASK_AGAIN)


def _timed_out(join: Join) -> Refusal:
    terms = join.invite.terms
    who = terms.called or terms.issuer.short
    if join.said:
        return Refusal(
            Code.TIMED_OUT,
            f"the node of {who} took the invite but did not answer in time",
            "try again; an invite is not used up by trying",
        )
    places = ", ".join(terms.multiaddrs) or "no address"
    return Refusal(
        Code.TIMED_OUT,
        f"the node of {who} could not be reached at {places}",
        "is it up, and on a network that this machine can reach? then try again",
    )
