"""Readers: who is to have the secrets of a private space, and who has which.

A secret is known to whoever handed it out and to all it was handed to. It is exposed
once one of them may not read any more; then nothing is to be sealed with it. All of
this is advice to those who write and hand out secrets: whether an op counts does not
hang on it, so that it may ask for the time. This file opens no box.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nestmate_protocol.clocks import COUNTER_BITS, Moment
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.spaces.engine.authority import Authority
from nestmate_protocol.spaces.engine.deeds import HLC_MAX, Holding
from nestmate_protocol.spaces.ops import Dot


@dataclass(frozen=True, slots=True)
class Epoch:
    """One secret by its name: when it was first handed out, and who knows it."""

    since: tuple[int, bytes]
    name: bytes
    knowers: frozenset[DeviceKey]


class Readers:
    """Who reads in one private space."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._epochs: list[Epoch] = []
        self._counted = -1
        self._entitled: dict[DeviceKey, int] = {}
        self._holds = (-1, 0, 0)

    def __repr__(self) -> str:
        return f"<Readers by {self._authority!r}>"

    @property
    def deeds(self) -> int:
        """How many ops of the auth lane there are; it grows when things may change."""
        return len(self._authority.deeds)

    def epochs(self) -> list[Epoch]:
        """The secrets that were handed out by ops that count, the oldest first."""
        if self._counted != self.deeds:
            self._epochs, self._counted = self._found(), self.deeds
        return self._epochs

    def _found(self) -> list[Epoch]:
        found: list[Epoch] = []
        for name, deeds in self._authority.handed.items():
            valid = [deed for deed in deeds if deed.valid]
            if valid:
                since = min((deed.hlc, deed.id) for deed in valid)
                knowers = {deed.author for deed in valid}
                for deed in valid:
                    knowers.update(
                        *(keys for each, keys in deed.handed if each == name)
                    )
                found.append(Epoch(since, name, frozenset(map(DeviceKey, knowers))))
        return sorted(found, key=lambda epoch: epoch.since)

    def is_waiting_for_founders(self) -> bool:
        """Whether secrets were handed out that not enough founders stand behind."""
        return any(
            deed.passing and not deed.in_force
            for deeds in self._authority.handed.values()
            for deed in deeds
        )

    def entitled(self, now: Moment, gone: Dot | None = None) -> Mapping[DeviceKey, int]:
        """The keys that are to read, each with the Unix ms when it ends, 0 for never.

        ``gone`` is a grant that is about to be taken back.
        """
        if gone is not None:
            return self._readers(now, gone)
        deeds, first_ms, last_ms = self._holds
        if deeds != self.deeds or not first_ms <= now.wall_ms <= last_ms:
            ends = [_end_ms(holding) for holding in self._usable(now)]
            last_ms = min((end for end in ends if end), default=HLC_MAX)
            self._entitled = self._readers(now, None)
            self._holds = self.deeds, now.wall_ms, last_ms
        return self._entitled

    def _readers(self, now: Moment, gone: Dot | None) -> dict[DeviceKey, int]:
        holdings = self._authority.holdings.values()
        genesis = self._authority.genesis
        ended = [each for each in holdings if each.cuts_below or _is_under(each, gone)]
        burnt = {
            id(each.parent)
            for each in ended
            if each.parent is not None and each.parent.grant.who is None
        }
        barred = {key for each in ended for key in each.keys}
        had = {key for epoch in self.epochs() for key in epoch.knowers}
        found: dict[DeviceKey, int] = {}
        for holding in self._usable(now):
            if Rights.READ not in holding.grant.rights or _is_under(holding, gone):
                continue
            is_burnt = any(id(each) in burnt for each in holding.line)
            over = _taken_over(holding)
            for key in holding.grant.keys:
                if key.raw in over:
                    continue
                if is_burnt and (
                    holding.grant.who is None or key not in had or key.raw in barred
                ):
                    continue
                end = _end_ms(holding)
                before = found.get(key, end)
                found[key] = max(before, end) if before and end else 0
        if genesis is not None:
            found.update(dict.fromkeys(genesis.keys, 0))
        return found

    def granters(self, now: Moment) -> list[DeviceKey]:
        """The keys that may hand out secrets, founders first; bearers do not count."""
        genesis = self._authority.genesis
        founders = frozenset() if genesis is None else genesis.keys
        others = {
            key
            for holding in self._usable(now)
            if Rights.GRANT in holding.grant.rights and holding.grant.who is not None
            for key in holding.grant.keys
        }
        return [*sorted(founders), *sorted(others - founders)]

    def cap_to_hand(self, key: DeviceKey, now: Moment) -> Dot | None:
        """The grant under which a key hands out secrets; a founder needs none."""
        return next(
            (
                Dot(holding.dot)
                for holding in self._usable(now)
                if key in holding.grant.keys and Rights.GRANT in holding.grant.rights
            ),
            None,
        )

    def may_hand_under(self, cap: Dot | None) -> bool:
        """Whether secrets may be handed out under a grant, or as a founder."""
        holding = None if cap is None else self._authority.holdings.get(cap)
        return cap is None or (
            holding is not None and Rights.GRANT in holding.grant.rights
        )

    def _usable(self, now: Moment) -> Iterator[Holding]:
        hlc = now.wall_ms << COUNTER_BITS
        for _, holding in sorted(self._authority.holdings.items()):
            if holding.alive and not holding.cuts and hlc <= holding.ends_hlc:
                yield holding


def _is_under(holding: Holding, dot: Dot | None) -> bool:
    return dot is not None and any(each.dot == dot for each in holding.line)


def _taken_over(holding: Holding) -> set[bytes]:
    """The keys from which a rotation has taken a grant over, a thief's maybe."""
    heirs = [
        child
        for child in holding.children
        if child.alive and not child.cuts and child.deed.author in holding.heirs
    ]
    kept = {key for child in heirs for key in child.keys}
    return {key for key in holding.keys if heirs and key not in kept}


def _end_ms(holding: Holding) -> int:
    return 0 if holding.ends_hlc == HLC_MAX else holding.ends_hlc >> COUNTER_BITS
