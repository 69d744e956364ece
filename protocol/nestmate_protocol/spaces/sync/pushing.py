"""Pushing: a new op goes at once to a few members that do not have it.

That is the fast path and no more: what is lost on it, or finds too many waiting, the
next run brings. A lone op leaves at once; those that follow it closely go together.
Pushes spend the same credit as everything else. This file knows nothing of runs.
"""

from collections.abc import Sequence
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import PeerId, RecordId, SpaceId
from nestmate_protocol.limits import (
    OPS_FRAME_BYTES_MAX,
    OPS_PER_FRAME_MAX,
    PUSHED_TO_MAX,
    PUSHES_WAITING_MAX,
)
from nestmate_protocol.spaces.sync.floor import Floor, Outcome, send
from nestmate_protocol.spaces.sync.frames import Ops
from nestmate_protocol.spaces.sync.link import Link

GATHER_MS: Final = 20
INSTEAD_MS: Final = 1_000


class Pushing:
    """What is to be told at once."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def __repr__(self) -> str:
        return f"<Pushing over {len(self._floor.links)} links>"

    def tell(
        self, space: SpaceId, ops: Sequence[RecordId], now: Moment
    ) -> list[Outcome]:
        """Push ops that are new here to members not known to have them."""
        members = [
            link
            for link in self._floor.sharing(space)
            if self._floor.may_have(link, space)
        ]
        if len(ops) > PUSHES_WAITING_MAX:
            for link in members:
                self._instead(space, link, now)
            return []
        chosen: dict[PeerId, Link] = {}
        for op in ops:
            for link in self._few(members, op):
                chosen[link.peer] = link
                if not link.push(space, op):
                    self._instead(space, link, now)
        return [each for link in chosen.values() for each in self.flush(link, now)]

    def introduce(self, link: Link, space: SpaceId, now: Moment) -> list[Outcome]:
        """Show a peer that does not know our key by what right we have it, once."""
        ops = self._floor.replica.credentials(space)
        if not ops or space in link.introduced:
            return []
        link.introduced.add(space)
        for op in ops:
            link.push(space, op)
        self._instead(space, link, now)
        return self.flush(link, now)

    def flush(self, link: Link, now: Moment) -> list[Outcome]:
        """Send what waits, if it is time and there is credit."""
        if now.mono_ms < link.pushed_ms + GATHER_MS or self._floor.rests:
            return []
        outcomes: list[Outcome] = []
        while link.loose and link.credit.left > 0:
            space = link.loose[0][0]
            ops = self._frame(link, space)
            number = link.our_numbers.get(space)
            if ops and number is not None:
                outcomes.append(send(link, Ops(number, 0, ops)))
                link.credit.sent += 1
                link.pushed_ms = now.mono_ms
        return outcomes

    def next_wakeup(self) -> int | None:
        """When ``flush`` is due on the monotonic clock in ms; None for never."""
        times = [
            link.pushed_ms + GATHER_MS
            for link in self._floor.links.values()
            if link.loose and link.credit.left > 0
        ]
        return min(times, default=None)

    def _few(self, members: list[Link], op: RecordId) -> list[Link]:
        """A few of those who may not have it yet, by chance."""
        lacking = [link for link in members if op.raw not in link.known_ops]
        few: list[Link] = []
        while lacking and len(few) < PUSHED_TO_MAX:
            few.append(lacking.pop(self._floor.timetable.chance(len(lacking))))
        return few

    def _instead(self, space: SpaceId, link: Link, now: Moment) -> None:
        self._floor.timetable.soon(space, link.peer, now, INSTEAD_MS)

    def _frame(self, link: Link, space: SpaceId) -> tuple[bytes, ...]:
        """As many of the next ops, all of one space, as fit one frame."""
        ops: list[bytes] = []
        room = OPS_FRAME_BYTES_MAX
        while link.loose and link.loose[0][0] == space and len(ops) < OPS_PER_FRAME_MAX:
            wire = self._floor.replica.wire(space, link.loose[0][1])
            room -= len(wire or b"")
            if room < 0:
                break
            link.loose.popleft()
            if wire is not None:
                ops.append(wire)
        return tuple(ops)
