"""Open invites: those this node has given out, and how often each still works.

Only the issuer's own node decides whether an invite is good; everyone else can merely
read when it ends. What is kept outlives the invite by a little, so that a late bearer
hears "expired" or "used" and not "unknown". This file knows nothing of who bears one.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from nestmate_protocol.codec import decode, encode
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.friends.frames import Reason, Redeem
from nestmate_protocol.friends.invites import Invite
from nestmate_protocol.ids import RecordId
from nestmate_protocol.limits import INVITES_OPEN_MAX, SKEW_MS_MAX

PREFIX: Final = b"f/invite/"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class OpenInvite:
    """One invite of ours; ``expires_ms`` is Unix ms."""

    id: RecordId
    secret: bytes
    uses_left: int
    expires_ms: int

    @property
    def key(self) -> bytes:
        """Where it is kept."""
        return PREFIX + self.id.raw


class OpenInvites:
    """Our own invites by the id of their record."""

    def __init__(self) -> None:
        self._open: dict[RecordId, OpenInvite] = {}

    def __repr__(self) -> str:
        return f"<OpenInvites {len(self._open)}>"

    def __len__(self) -> int:
        return len(self._open)

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what an earlier run saved; raises LocalError if it is damaged."""
        for key, value in pairs:
            invite = _unpack(key, value)
            self._open[invite.id] = invite

    def is_full(self, wall_ms: int) -> bool:
        """Whether there is no room for one more, now that the old ones are gone."""
        return len(self._open) - len(self._spent(wall_ms)) >= INVITES_OPEN_MAX

    def add(self, invite: Invite, wall_ms: int) -> Save:
        """Keep a new invite; spent ones make room."""
        terms = invite.terms
        writes: list[tuple[bytes, bytes | None]] = []
        for spent in self._spent(wall_ms):
            del self._open[spent.id]
            writes.append((spent.key, None))
        new = OpenInvite(invite.id, terms.secret, terms.uses, terms.expires_ms)
        self._open[new.id] = new
        return Save((*writes, (new.key, _pack(new))))

    def judge(self, redeem: Redeem, wall_ms: int) -> Reason | None:
        """Why this redemption must be refused; None if it is good."""
        invite = self._open.get(redeem.invite)
        if invite is None or not _matches(invite, redeem):
            return Reason.UNKNOWN
        if invite.expires_ms <= wall_ms:
            return Reason.EXPIRED
        return None if invite.uses_left else Reason.USED

    def is_guess(self, redeem: Redeem) -> bool:
        """Whether somebody knows an invite's id and not the secret in it."""
        invite = self._open.get(redeem.invite)
        return invite is not None and not _matches(invite, redeem)

    def use(self, invite: RecordId) -> Save:
        """Count one use of an invite that was judged good."""
        left = replace(self._open[invite], uses_left=self._open[invite].uses_left - 1)
        self._open[invite] = left
        return Save(((left.key, _pack(left)),))

    def _spent(self, wall_ms: int) -> list[OpenInvite]:
        """Those that ended a while ago, and used ones if room is short."""
        spent = [i for i in self._open.values() if i.expires_ms + SKEW_MS_MAX < wall_ms]
        if len(self._open) - len(spent) >= INVITES_OPEN_MAX:
            spent = [i for i in self._open.values() if i in spent or not i.uses_left]
        return spent


def _matches(invite: OpenInvite, redeem: Redeem) -> bool:
    return hmac.compare_digest(invite.secret, redeem.secret)


def _pack(invite: OpenInvite) -> bytes:
    return encode([_VERSION, invite.secret, invite.uses_left, invite.expires_ms])


def _unpack(key: bytes, value: bytes) -> OpenInvite:
    try:
        match decode(value):
            case [_, bytes(secret), int(uses_left), int(expires_ms)]:
                record = RecordId(key[len(PREFIX) :])
                return OpenInvite(record, secret, uses_left, expires_ms)
    except RemoteError:
        pass
    raise LocalError(
        "the store holds an invite that cannot be read", "run `nestmate doctor`"
    )
