"""Epochs: which secret a private space is written under, and who is given it.

Whoever grants the right to read hands out the secrets in the same op; whoever takes it
back begins a new epoch in the same op: a new secret, for all that are left. What slips
through, because two acted apart or a grant came to its end, is made good by those who
may grant, each in its turn so that not all do it at once. This file knows no documents
and no frames.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import encode
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import DeviceKey, SpaceId
from nestmate_protocol.keys import SECRET_BYTES
from nestmate_protocol.limits import (
    KEYS_TURN_MS,
    MUTATIONS_PER_OP_MAX,
    OP_BYTES_MAX,
)
from nestmate_protocol.spaces.copies import Copies, Copy
from nestmate_protocol.spaces.engine.readers import Epoch
from nestmate_protocol.spaces.invites import read_invite
from nestmate_protocol.spaces.keyring import Secret, handing, secret_of
from nestmate_protocol.spaces.ops import Dot, Mutation
from nestmate_protocol.spaces.pen import Pen
from nestmate_protocol.spaces.refusals import ForbiddenError

_HEAD_BYTES: Final = 1_024
_ROW_BYTES: Final = 16


class Epochs:
    """The secrets of all private spaces, as this node makes and hands them out."""

    def __init__(self, pen: Pen, copies: Copies) -> None:
        self._pen = pen
        self._copies = copies
        self._me = pen.key.public
        self._tended: dict[SpaceId, int] = {}
        self._since: dict[SpaceId, int] = {}
        self._due: dict[SpaceId, int] = {}

    def __repr__(self) -> str:
        return f"<Epochs of {self._copies!r}>"

    # --- what goes with a request

    def begin(self, copy: Copy, now: Moment) -> None:
        """The first epoch of a space that was founded just now."""
        self._write(copy, self._renewed(copy, copy.engine.readers.entitled(now)), now)

    def secret_for(self, copy: Copy, now: Moment) -> Secret | None:
        """What to seal with: the latest secret here that nobody has who may not read.

        None if there is none; ``renew`` may make one.
        """
        entitled = copy.engine.readers.entitled(now).keys()
        for epoch in reversed(copy.engine.readers.epochs()):
            secret = copy.engine.keyring.get(epoch.name)
            if secret is not None and epoch.knowers <= entitled:
                return secret
        return None

    def renew(self, copy: Copy, now: Moment) -> Secret:
        """Begin an epoch in order to write; ForbiddenError if that is not for us."""
        readers = copy.engine.readers
        if not self._may_hand(copy, now):
            raise ForbiddenError(
                "what is written here would not be sealed to the members alone: this "
                "node was not given the space's latest secret yet",
                "wait until a member who may let others in is connected; "
                "`nestmate space members` says who",
            )
        if not readers.is_waiting_for_founders():
            self._write(copy, self._renewed(copy, readers.entitled(now)), now)
        secret = self.secret_for(copy, now)
        if secret is None:
            raise ForbiddenError(
                "the space's secret is handed out, but other founders do not stand "
                "behind that yet",
                "ask another founder to `nestmate space endorse`",
            )
        return secret

    def welcome(
        self, copy: Copy, keys: Iterable[DeviceKey], rights: Rights
    ) -> list[Mutation]:
        """What goes with a grant to keys: every secret there was, if they may read."""
        if not copy.engine.is_private or Rights.READ not in rights:
            return []
        known = self._known(copy, copy.engine.readers.epochs())
        return [
            each
            for secret in known
            for each in handing(secret, keys, self._pen.entropy)
        ]

    def farewell(self, copy: Copy, grant: Dot, now: Moment) -> list[Mutation]:
        """What goes with a revocation: a new secret, if somebody has to go without."""
        readers = copy.engine.readers
        if not copy.engine.is_private:
            return []
        before, after = readers.entitled(now), readers.entitled(now, grant)
        if before.keys() <= after.keys() or self._me not in after:
            return []
        return self._renewed(copy, after)

    # --- what has to be made good

    def tend(self, copy: Copy, now: Moment) -> None:
        """Hand out what is lacking, and renew what is exposed, when it is our turn."""
        space, readers = copy.listing.space, copy.engine.readers
        due = self._due.get(space)
        if self._tended.get(space) == readers.deeds and (
            due is None or now.mono_ms < due
        ):
            return
        self._tended[space] = readers.deeds
        self._due.pop(space, None)
        if not copy.engine.is_private or not self._may_hand(copy, now):
            return
        entitled = readers.entitled(now)
        renew = self.secret_for(copy, now) is None
        lacking = self._lacking(copy, entitled)
        if readers.is_waiting_for_founders() or not (renew or lacking):
            self._since.pop(space, None)
            ends = [end for end in entitled.values() if end]
            if ends:
                self._due[space] = now.mono_ms + max(0, min(ends) + 1 - now.wall_ms)
            return
        turn = readers.granters(now).index(self._me)
        due = self._since.setdefault(space, now.mono_ms) + turn * KEYS_TURN_MS
        if now.mono_ms < due:
            self._due[space] = due
            return
        self._since.pop(space, None)
        written = self._renewed(copy, entitled) if renew else []
        for secret, keys in lacking:
            written += handing(secret, keys, self._pen.entropy)
        self._write(copy, written, now)

    def take_home(self, copy: Copy, now: Moment) -> None:
        """Hand to ourselves what an invite's key was handed, by that key's right."""
        if not copy.bearers or not copy.engine.is_private:
            return
        written = [
            each
            for secret, keys in self._lacking(copy, (self._me,))
            for each in handing(secret, keys, self._pen.entropy)
        ]
        cap = read_invite(copy.listing.invite).dot
        for part in fitting(written):
            op = self._pen.act(copy, part, cap, now, copy.bearers[0])
            self._copies.keep_own(copy, op, now)

    def forget(self, space: SpaceId) -> None:
        """A space this node takes part in no longer."""
        for kept in (self._tended, self._since, self._due):
            kept.pop(space, None)

    def wake(self, now: Moment) -> None:
        """Do what is due."""
        for space, due in tuple(self._due.items()):
            copy = self._copies.get(space)
            if copy is not None and due <= now.mono_ms:
                self.tend(copy, now)

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        return min(self._due.values(), default=None)

    # --- parts

    def _may_hand(self, copy: Copy, now: Moment) -> bool:
        readers = copy.engine.readers
        entitled = self._me in readers.entitled(now)
        return entitled and self._me in readers.granters(now)

    def _renewed(self, copy: Copy, keys: Iterable[DeviceKey]) -> list[Mutation]:
        """The mutations that hand a new secret to keys."""
        secret = secret_of(copy.listing.space, self._pen.entropy(SECRET_BYTES))
        return handing(secret, keys, self._pen.entropy)

    def _known(self, copy: Copy, epochs: Iterable[Epoch]) -> list[Secret]:
        found = (copy.engine.keyring.get(epoch.name) for epoch in epochs)
        return [secret for secret in found if secret is not None]

    def _lacking(
        self, copy: Copy, keys: Iterable[DeviceKey]
    ) -> list[tuple[Secret, list[DeviceKey]]]:
        """The secrets known here, each with those of the keys that do not have it."""
        found: list[tuple[Secret, list[DeviceKey]]] = []
        for epoch in copy.engine.readers.epochs():
            without = [key for key in keys if key not in epoch.knowers]
            secret = copy.engine.keyring.get(epoch.name)
            if secret is not None and without:
                found.append((secret, without))
        return found

    def _write(self, copy: Copy, mutations: Sequence[Mutation], now: Moment) -> None:
        readers = copy.engine.readers
        founder = copy.engine.rights.is_founder(self._me)
        cap = None if founder else readers.cap_to_hand(self._me, now)
        for part in fitting(mutations):
            op = self._pen.act(copy, part, cap, now)
            self._copies.keep_own(copy, op, now)


def fitting(mutations: Sequence[Mutation]) -> list[list[Mutation]]:
    """Mutations of the auth lane, in as many ops as it takes to carry them."""
    parts: list[list[Mutation]] = []
    room = 0
    for each in mutations:
        size = len(encode(each.arg)) + _ROW_BYTES
        if size > room or len(parts[-1]) == MUTATIONS_PER_OP_MAX:
            parts.append([])
            room = OP_BYTES_MAX - _HEAD_BYTES
        parts[-1].append(each)
        room -= size
    return parts
