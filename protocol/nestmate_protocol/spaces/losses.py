"""Losses: a claim this agent held is another's now, a budget was overdrawn.

Both follow from what is live, the time, and who wrote before whom, so that nobody is
told of them by an op: they are seen by looking when something has changed. What was
told once is remembered until this node stops; after that it may be told again.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify
from nestmate_protocol.ids import DeviceKey, SpaceId
from nestmate_protocol.limits import LOSSES_REMEMBERED_MAX
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.engine.changes import Change, Changed
from nestmate_protocol.spaces.ops import Type
from nestmate_protocol.spaces.telling import Names, notice
from nestmate_protocol.spaces.types import budget, claim

Place = tuple[SpaceId, str]
_Kept = TypeVar("_Kept")


class Losses:
    """What this agent has had, and what it was told that others have overdrawn."""

    def __init__(self, me: DeviceKey) -> None:
        self._me = me
        self._held: dict[Place, None] = {}
        self._overdrawn: dict[tuple[Place, DeviceKey], None] = {}

    def __repr__(self) -> str:
        return f"<Losses: {len(self._held)} claims held>"

    def notices(
        self, copy: Copy, changes: Iterable[Change], names: Names, now: Moment
    ) -> Iterator[Notify]:
        """The events these changes are worth."""
        seen = dict.fromkeys(
            (each.path, each.type) for each in changes if isinstance(each, Changed)
        )
        for path, kind in seen:
            if kind is Type.CLAIM:
                yield from self._claim(copy, path, names, now)
            elif kind is Type.BUDGET:
                yield from self._budget(copy, path, names)

    def _claim(
        self, copy: Copy, path: str, names: Names, now: Moment
    ) -> Iterator[Notify]:
        place = (copy.listing.space, path)
        live = copy.engine.views.live(path, Type.CLAIM)
        seen = claim.view(live, path, now.wall_ms)
        if seen.holder is not None and seen.holder.author == self._me:
            _remember(self._held, place)
            return
        bids = any(bid.author == self._me for bid in seen.standing)
        if place in self._held and bids:
            winner = None if seen.holder is None else seen.holder.author
            yield notice(copy, "claim.lost", winner, names, path=path)
        self._held.pop(place, None)

    def _budget(self, copy: Copy, path: str, names: Names) -> Iterator[Notify]:
        live = copy.engine.views.live(path, Type.BUDGET)
        for key in budget.view(live, copy.engine.ops.is_ancestor).overdrawn:
            told = ((copy.listing.space, path), key)
            if told not in self._overdrawn:
                _remember(self._overdrawn, told)
                yield notice(copy, "budget.overdrawn", key, names, path=path)


def _remember(kept: dict[_Kept, None], what: _Kept) -> None:
    kept.pop(what, None)
    kept[what] = None
    if len(kept) > LOSSES_REMEMBERED_MAX:
        del kept[next(iter(kept))]
