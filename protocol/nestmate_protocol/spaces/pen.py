"""The pen: signs ops of our own, each after the last one of its chain.

An op goes on from the tip with the highest number, so that one incarnation writes one
line; the timestamp is later than that of everything it goes on from. What is written to
a private space is sealed with the secret that comes along. This file knows neither what
is written nor whether it may be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nestmate_protocol.clocks import HybridClock, Moment, Timestamp
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.keyring import Secret, sealed
from nestmate_protocol.spaces.ops import (
    Dot,
    Lane,
    Mutation,
    Op,
    Place,
    sign_op,
    sign_sealed_op,
)
from nestmate_protocol.spaces.types import Entry


@dataclass(frozen=True, slots=True)
class Written:
    """What an op is to say: mutations with their values, under which cap.

    ``secret`` is what to seal it with, None in a space that is not private.
    """

    content: Sequence[tuple[Mutation, bytes | None]]
    cap: Dot | None
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Pen:
    """What signs here: the device key, and the boot in which it does."""

    key: SigningKey
    network: NetworkId
    incarnation: bytes
    clock: HybridClock
    entropy: Callable[[int], bytes]

    def act(
        self,
        copy: Copy,
        mutations: Sequence[Mutation],
        cap: Dot | None,
        now: Moment,
        key: SigningKey | None = None,
    ) -> Op:
        """An op of the auth lane; ``key`` signs it instead of the device's if given."""
        key = key or self.key
        place = self._place(copy, key, Lane.AUTH, cap, now)
        return sign_op(key, self.network, place, mutations, [None] * len(mutations))

    def write(
        self, copy: Copy, written: Written, now: Moment, read: Sequence[Entry] = ()
    ) -> Op:
        """An op of the data lane, later than all entries that were ``read``."""
        for entry in read:
            self.clock.follow(Timestamp.from_int(entry.hlc))
        place = self._place(copy, self.key, Lane.DATA, written.cap, now)
        return self._sign(place, written)

    def say(self, copy: Copy, written: Written, now: Moment, expires_ms: int) -> Op:
        """An op of the ephemeral lane, which is in no chain and ends by itself."""
        hlc = self.clock.tick(now).to_int()
        bare = [
            (replace(each, superseded=()), value) for each, value in written.content
        ]
        place = Place(
            *(copy.listing.space, Lane.EPHEMERAL, 0, None, hlc, written.cap),
            *(self.incarnation, expires_ms),
        )
        return self._sign(place, replace(written, content=bare))

    def _sign(self, place: Place, written: Written) -> Op:
        mutations = [mutation for mutation, _ in written.content]
        values = [value for _, value in written.content]
        if written.secret is None:
            return sign_op(self.key, self.network, place, mutations, values)
        author, content = self.key.public, (mutations, values)
        box, closed = sealed(written.secret, place, author, content, self.entropy)
        return sign_sealed_op(self.key, self.network, place, box, closed)

    def _place(
        self, copy: Copy, key: SigningKey, lane: Lane, cap: Dot | None, now: Moment
    ) -> Place:
        tips = copy.engine.ops.tips(key.public, lane)
        seq, prev = 0, None
        if tips:
            seq, prev = tips[-1].seq + 1, tips[-1].id
            self.clock.follow(Timestamp.from_int(tips[-1].hlc))
        hlc = self.clock.tick(now).to_int()
        return Place(copy.listing.space, lane, seq, prev, hlc, cap, self.incarnation)
