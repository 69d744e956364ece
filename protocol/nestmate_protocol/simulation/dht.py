"""An idealised DHT: hints that take time, may fail, and are as old as they are.

Nobody stores anything for anybody here: what is put in can be found by every node that
is connected to someone and not cut off from who put it in, until it expires. This file
knows nothing of what is announced.
"""

from dataclasses import dataclass
from functools import partial

from nestmate_protocol.ids import Address, PeerId
from nestmate_protocol.inputs import Found, Resolved
from nestmate_protocol.limits import PRESENCE_TTL_MS
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.doors import Doors
from nestmate_protocol.simulation.links import Links
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.timeline import Timeline
from nestmate_protocol.simulation.weather import Ways

PROVIDERS_PER_ANSWER_MAX = 20
DELAY_MS_MIN = 20
DELAY_MS_MAX = 1_500


@dataclass(frozen=True, slots=True)
class _Hint:
    """What one node put in, and where it could be reached at that time."""

    node: Node
    multiaddrs: tuple[str, ...]
    until_ms: int
    record: bytes = b""


_Shelf = dict[PeerId, _Hint]  # everything under one key, by who put it there


class Dht:
    """Providers of keys and presences of addresses."""

    def __init__(
        self, timeline: Timeline, ways: Ways, links: Links, doors: Doors, dice: Dice
    ) -> None:
        self.failures = 0.0
        self._timeline = timeline
        self._ways = ways
        self._links = links
        self._doors = doors
        self._dice = dice
        self._providers: dict[bytes, _Shelf] = {}
        self._presences: dict[Address, _Shelf] = {}

    def provide(self, node: Node, key: bytes) -> None:
        """Remember that a node has something to say under a key."""
        shelf = self._providers.setdefault(key, {})
        self._put(shelf, node, b"")

    def announce(self, node: Node, address: Address, record: bytes) -> None:
        """Remember a presence record."""
        shelf = self._presences.setdefault(address, {})
        self._put(shelf, node, record)

    def find(self, node: Node, key: bytes) -> None:
        """Look providers up; always ends with one ``Found``."""
        node.later(self._delay_ms(), partial(self._find, node, key))

    def resolve(self, node: Node, address: Address) -> None:
        """Look a presence up; always ends with one ``Resolved``."""
        node.later(self._delay_ms(), partial(self._resolve, node, address))

    def _put(self, shelf: _Shelf, node: Node, record: bytes) -> None:
        if not self._links.neighbours(node) or self._fails():
            return
        until_ms = self._timeline.now_ms + PRESENCE_TTL_MS
        hint = _Hint(node, (self._doors.home(node),), until_ms, record)
        shelf[node.peer] = hint

    def _find(self, node: Node, key: bytes) -> None:
        seen = self._visible(node, self._providers.get(key))
        drawn = self._dice.shuffled(seen)[:PROVIDERS_PER_ANSWER_MAX]
        providers = tuple((hint.node.peer, hint.multiaddrs) for hint in drawn)
        node.give(Found(key, providers))

    def _resolve(self, node: Node, address: Address) -> None:
        seen = self._visible(node, self._presences.get(address))
        record = self._dice.pick(seen).record if seen else None
        node.give(Resolved(address, record))

    def _visible(self, node: Node, shelf: _Shelf | None) -> list[_Hint]:
        """What a node can see of a shelf now: nothing if it is alone or unlucky."""
        if shelf is None or not self._links.neighbours(node) or self._fails():
            return []
        now_ms = self._timeline.now_ms
        return [
            hint
            for hint in shelf.values()
            if hint.until_ms > now_ms and not self._ways.apart(node, hint.node)
        ]

    def _fails(self) -> bool:
        return bool(self.failures) and self._dice.chance(self.failures)

    def _delay_ms(self) -> int:
        return self._dice.between(DELAY_MS_MIN, DELAY_MS_MAX)
