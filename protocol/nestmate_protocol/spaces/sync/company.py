"""Company: who of the members is connected, and how their copies compare with ours.

This file begins runs and reads how they ended; it knows no frame.
"""

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import DeviceKey, PeerId, SpaceId
from nestmate_protocol.spaces.sync.floor import Floor, Outcome
from nestmate_protocol.spaces.sync.runs import Runs


class Company:
    """The members that are connected."""

    def __init__(self, floor: Floor, runs: Runs) -> None:
        self._floor = floor
        self._runs = runs

    def __repr__(self) -> str:
        return f"<Company among {len(self._floor.links)} peers>"

    def members(self, space: SpaceId) -> list[PeerId]:
        """Everybody connected who may have the ops of a space."""
        floor = self._floor
        links = floor.sharing(space)
        return [link.peer for link in links if floor.may_have(link, space)]

    def proved(self, space: SpaceId) -> list[tuple[PeerId, tuple[DeviceKey, ...]]]:
        """Everybody connected who shares a space, with the keys each has shown."""
        links = self._floor.sharing(space)
        return [(link.peer, link.proved.get(space, ())) for link in links]

    def compare(self, space: SpaceId, now: Moment) -> list[Outcome]:
        """Reconcile with every member that is connected, now."""
        return [
            outcome
            for link in self._floor.sharing(space)
            for outcome in self._runs.begin(link, space, now)
        ]

    def compared(self, space: SpaceId, since_ms: int) -> tuple[int, int]:
        """With how many members a run has ended since, and how many hold the same."""
        links = self._floor.links.values()
        ended = [link.ended[space] for link in links if space in link.ended]
        found = [equal for at_ms, equal in ended if at_ms >= since_ms]
        return len(found), sum(found)

    def agreed_ms(self, space: SpaceId) -> int | None:
        """When a member was last found to hold the same, on the monotonic clock."""
        links = self._floor.links.values()
        ended = [link.ended[space] for link in links if space in link.ended]
        return max((at_ms for at_ms, equal in ended if equal), default=None)
