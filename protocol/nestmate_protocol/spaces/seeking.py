"""Seeking: how members of a space find each other without anybody who lists them.

The DHT holds who has something to say under a hash that only those can make who know
the space. A member says so now and then, and looks for others while it is alone. This
file knows nothing of what members say to each other.
"""

from collections.abc import Callable, Iterable
from hashlib import sha256

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Effect, Find, Provide
from nestmate_protocol.ids import NetworkId, PeerId, SpaceId
from nestmate_protocol.limits import PROVIDE_AGAIN_MS, SPACE_SEEK_MS
from nestmate_protocol.spaces.outcomes import Reach

Places = Iterable[tuple[PeerId, tuple[str, ...]]]


class Seeking:
    """When to say that we are a member, and when to look for others.

    ``alone`` says whether nobody who shares a space is connected.
    """

    def __init__(
        self, me: PeerId, network: NetworkId, alone: Callable[[SpaceId], bool]
    ) -> None:
        self._me = me
        self._network = network
        self._alone = alone
        self._provide: dict[SpaceId, int] = {}
        self._seek: dict[SpaceId, int] = {}

    def __repr__(self) -> str:
        return f"<Seeking members of {len(self._seek)} spaces>"

    def key_of(self, space: SpaceId) -> bytes:
        """The key under which the DHT lists members of a space."""
        return sha256(b"nestmate/space" + self._network.raw + space.raw).digest()

    def add(self, space: SpaceId, now: Moment) -> None:
        """Begin with a space, at once."""
        self._provide.setdefault(space, now.mono_ms)
        self._seek.setdefault(space, now.mono_ms)

    def drop(self, space: SpaceId) -> None:
        """End it."""
        self._provide.pop(space, None)
        self._seek.pop(space, None)

    def wake(self, now: Moment) -> list[Effect]:
        """Say and ask what is due."""
        effects: list[Effect] = []
        for space, due_ms in self._provide.items():
            if due_ms <= now.mono_ms:
                self._provide[space] = now.mono_ms + PROVIDE_AGAIN_MS
                effects.append(Provide(self.key_of(space)))
        for space, due_ms in self._seek.items():
            if due_ms <= now.mono_ms:
                self._seek[space] = now.mono_ms + SPACE_SEEK_MS
                if self._alone(space):
                    effects.append(Find(self.key_of(space)))
        return effects

    def found(self, key: bytes, places: Places) -> list[Reach]:
        """What the DHT said about a key; nothing if it is none of a space of ours."""
        if all(self.key_of(space) != key for space in self._seek):
            return []
        return [Reach(peer, where) for peer, where in places if peer != self._me]

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        return min((*self._provide.values(), *self._seek.values()), default=None)
