"""Rights: who may do what in a space now, and under which grant.

Whether an op counts is for everybody to tell alike and asks no clock; whom to serve,
and what to write under, is asked here, with the time at hand. This file changes
nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nestmate_protocol.clocks import COUNTER_BITS, Moment
from nestmate_protocol.grants import Grant, Rights
from nestmate_protocol.ids import DeviceKey, RecordId
from nestmate_protocol.spaces.engine.deeds import Holding
from nestmate_protocol.spaces.engine.ledger import Ledger
from nestmate_protocol.spaces.engine.opbook import Opbook
from nestmate_protocol.spaces.founding import Genesis
from nestmate_protocol.spaces.ops import Dot, Lane, Type


@dataclass(frozen=True, slots=True)
class Membership:
    """A grant whose carriers count: from whom, out of which, and whether it is over.

    ``parent`` is the grant it was made out of, None for one that a founder made.
    ``revoked`` says that nothing more is done under it: it was closed, or it or one
    above it was revoked.
    """

    dot: Dot
    grant: Grant
    issuer: DeviceKey
    parent: Dot | None
    revoked: bool


class RightsDesk:
    """Answers about the grants of one space."""

    def __init__(self, ledger: Ledger, ops: Opbook) -> None:
        self._authority = ledger.authority
        self._ops = ops

    def __repr__(self) -> str:
        return f"<RightsDesk {self._authority!r}>"

    def members(self) -> list[Membership]:
        """Every sound grant whose carriers count, revoked or not, by dots."""
        holdings = self._authority.holdings
        return [_membership(holdings[d]) for d in sorted(holdings) if holdings[d].alive]

    def grant(self, dot: Dot) -> Membership | None:
        """One sound grant, None if there is none or its carriers do not count."""
        holding = self._authority.holdings.get(dot)
        return _membership(holding) if holding and holding.alive else None

    def chain(self, dot: Dot) -> list[Membership]:
        """A sound grant and all above it, up to a founder's."""
        holding = self._authority.holdings.get(dot)
        return [_membership(each) for each in holding.line] if holding else []

    @property
    def genesis(self) -> Genesis | None:
        """What the first op says, None while it is not here."""
        return self._authority.genesis

    def holding(self, dot: Dot) -> Grant | None:
        """What a grant gives, in force or not; None if there is no such grant."""
        found = self._authority.holdings.get(dot)
        return None if found is None else found.grant

    def waiting_for_founders(self) -> list[RecordId]:
        """The deeds of founders that not enough of them stand behind yet."""
        return sorted(
            RecordId(deed.id)
            for deed in self._authority.deeds.values()
            if deed.passing and not deed.in_force
        )

    def left(self) -> frozenset[DeviceKey]:
        """The authors who said that they go."""
        deeds = self._authority.deeds.values()
        return frozenset(DeviceKey(d.author) for d in deeds if d.leaves and d.valid)

    def is_founder(self, key: DeviceKey) -> bool:
        """Whether a key is one of the founders'."""
        return self._authority.is_founder(key.raw)

    def is_known(self, key: DeviceKey, now: Moment) -> bool:
        """Whether a key was ever granted anything, in force or not.

        The key of an invite that is over is nobody's, for anybody may have found it.
        """
        hlc = now.wall_ms << COUNTER_BITS
        return self.is_founder(key) or any(
            holding.grant.who is not None
            or (not holding.cuts and hlc <= holding.ends_hlc)
            for holding in self._authority.held_by(key.raw)
        )

    def taken_over_by(self, key: DeviceKey) -> list[Dot]:
        """The grants that a key has made out of ones that do not name it."""
        return [
            Dot(holding.dot)
            for holding in self._authority.held_by(key.raw)
            if holding.deed.author == key.raw
            and holding.parent is not None
            and key.raw in holding.parent.heirs
        ]

    def left_behind(self) -> list[Membership]:
        """The grants that newer keys have taken over, and that are not over."""
        return [
            _membership(holding)
            for _, holding in sorted(self._authority.holdings.items())
            if holding.heirs and holding.alive and not holding.cuts
            if any(
                child.alive and not child.cuts and child.deed.author in holding.heirs
                for child in holding.children
            )
        ]

    def invites(self) -> list[Membership]:
        """The grants to whoever bears a key that were neither closed nor revoked."""
        return [
            _membership(holding)
            for _, holding in sorted(self._authority.holdings.items())
            if holding.grant.who is None and holding.alive and not holding.cuts
        ]

    def is_over(self, dot: Dot, now: Moment) -> bool:
        """Whether it is too late, by the clock, to do anything under a grant."""
        holding = self._authority.holdings.get(dot)
        hlc = now.wall_ms << COUNTER_BITS
        return holding is None or hlc > holding.ends_hlc

    def is_entitled(self, key: DeviceKey, right: Rights, now: Moment) -> bool:
        """Whether a key has a right anywhere: as founder, or by a grant in force."""
        return self.is_founder(key) or any(
            right in holding.grant.rights for holding in self._usable(key, now)
        )

    def best_cap(
        self, key: DeviceKey, path: str, kind: Type, right: Rights, now: Moment
    ) -> Dot | None:
        """The grant a key would act under: the nearest to the root that lets it.

        None if there is none; a founder needs none.
        """
        found = [
            holding
            for holding in self._usable(key, now)
            if holding.grant.covers(right, path, kind)
        ]
        best = min(found, key=lambda h: (len(h.line), -h.ends_hlc, h.dot), default=None)
        return None if best is None else Dot(best.dot)

    def heads_under(self, dot: Dot) -> list[RecordId]:
        """The cut a revoker names to keep all that is known.

        It is the last ops of everybody who may have acted under a grant.
        """
        holding = self._authority.holdings.get(dot)
        under = () if holding is None else self._authority.below([holding])
        return _heads(self._ops, under)

    def heads_at(self, dot: Dot) -> list[RecordId]:
        """The cut that keeps what was done under a very grant, for one that closes."""
        holding = self._authority.holdings.get(dot)
        return _heads(self._ops, () if holding is None else (holding,))

    def _usable(self, key: DeviceKey, now: Moment) -> Iterator[Holding]:
        """The grants a key can act under now."""
        hlc = now.wall_ms << COUNTER_BITS
        for holding in self._authority.held_by(key.raw):
            if holding.alive and not holding.cuts and hlc <= holding.ends_hlc:
                yield holding


def _heads(ops: Opbook, holdings: Iterable[Holding]) -> list[RecordId]:
    """The last ops of all who may have acted under some grants."""
    keys = {key for each in holdings for key in each.writers}
    return sorted(
        RecordId(op)
        for key in keys
        for lane in (Lane.AUTH, Lane.DATA)
        for _, op in ops.leaves(lane, key)
    )


def _membership(holding: Holding) -> Membership:
    parent = holding.parent
    return Membership(
        dot=Dot(holding.dot),
        grant=holding.grant,
        issuer=DeviceKey(holding.deed.author),
        parent=None if parent is None else Dot(parent.dot),
        revoked=bool(holding.cuts),
    )
