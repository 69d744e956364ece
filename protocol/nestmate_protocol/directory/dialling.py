"""Dialling: which peer is tried when.

Friends are redialled for ever, with a back-off that doubles from one second to five
minutes; others are dialled only while too few connections stand, and wait up to an
hour. Chance spreads the tries, so that two nodes cut apart do not knock in step. When
a friend comes back after a long while, the way is open again and every other friend
gets another try soon. This file decides from the address book alone; it knows no card.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.address_book import AddressBook
from nestmate_protocol.effects import Dial, Effect
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import DIALS_AT_ONCE_MAX

BACKOFF_MS_MIN: Final = 1_000
BACKOFF_FRIEND_MS_MAX: Final = 300_000
BACKOFF_OTHER_MS_MAX: Final = 3_600_000
DIAL_MS_MAX: Final = 60_000
STEADY_MS: Final = 10_000
HURRY_MS_MAX: Final = 1_000
HURRY_AGAIN_MS: Final = 10_000
LONG_GONE_FAILURES: Final = 3
_DOUBLINGS_MAX: Final = 16
_CHANCE_MAX: Final = 0xFFFF


@unique
class State(Enum):
    """What goes on with one peer."""

    IDLE = "idle"
    DIALLING = "dialling"
    UP = "up"


@unique
class Regard(Enum):
    """What this node's owner wants of a peer."""

    FRIEND = "friend"
    OTHER = "other"
    SHUNNED = "shunned"


@dataclass(slots=True)
class Effort:
    """What was tried with one peer in this run.

    ``due_ms`` is monotonic: the next try, or the latest end of a running one.
    """

    failures: int = 0
    due_ms: int = 0
    up_since_ms: int = 0
    regard: Regard = Regard.OTHER
    state: State = State.IDLE

    @property
    def is_friend(self) -> bool:
        """Whether this peer is redialled for ever."""
        return self.regard is Regard.FRIEND


class Dialling:
    """The efforts to reach peers, and the policy that spends them."""

    def __init__(
        self, own: PeerId, peers_wanted: int, entropy: Callable[[int], bytes]
    ) -> None:
        self.book = AddressBook(own, self._is_needed)
        self._peers_wanted = peers_wanted
        self._entropy = entropy
        self._efforts: dict[PeerId, Effort] = {}
        self._up = 0
        self._dialling = 0
        self._hurried_ms: int | None = None
        self._next_ms: int | None = None
        self._stale = True
        self._changes_seen = 0

    def __repr__(self) -> str:
        return f"<Dialling {self._up} up, {self._dialling} under way>"

    def regard(self, peer: PeerId, regard: Regard) -> bool:
        """Treat a peer so from now on; True if that changes whether it is a friend."""
        before = self._efforts.get(peer, Effort()).regard
        if before is regard:
            return False
        effort = self._effort(peer)
        effort.regard = regard
        if effort.state is State.IDLE:
            effort.due_ms = 0
        return Regard.FRIEND in {before, regard}

    def dial(self, peer: PeerId, now: Moment) -> list[Effect]:
        """Dial now because somebody needs this peer; nothing if that cannot be."""
        entry = self.book.get(peer)
        if entry is None or entry.held or not entry.multiaddrs:
            return []
        if self._state(peer) is not State.IDLE:
            return []
        effort = self._effort(peer)
        if effort.regard is Regard.SHUNNED:
            return []
        effort.state = State.DIALLING
        effort.due_ms = now.mono_ms + DIAL_MS_MAX
        self._dialling += 1
        return [Dial(peer, entry.multiaddrs)]

    def is_dialling(self, peer: PeerId) -> bool:
        """Whether a dial of this peer has not ended yet."""
        return self._state(peer) is State.DIALLING

    def up(self, peer: PeerId, now: Moment) -> None:
        """A connection stands."""
        effort = self._effort(peer)
        if effort.state is State.UP:
            return
        long_gone = effort.is_friend and effort.failures >= LONG_GONE_FAILURES
        if self._up == 0 or long_gone:
            self._hurry(now)
        self._rest(effort)
        effort.state = State.UP
        effort.up_since_ms = now.mono_ms
        self._up += 1

    def down(self, peer: PeerId, now: Moment) -> None:
        """The connection is gone; one that did not last counts as a failure."""
        effort = self._effort(peer)
        if effort.state is State.UP:
            if now.mono_ms - effort.up_since_ms >= STEADY_MS:
                effort.failures = 0
            self._rest(effort)
            self._back_off(effort, now)

    def failed(self, peer: PeerId, now: Moment) -> None:
        """A dial ended without a connection."""
        if self.is_dialling(peer):
            effort = self._effort(peer)
            self._rest(effort)
            self._back_off(effort, now)

    def wake(self, now: Moment) -> list[Effect]:
        """Dial whoever is due: friends first, others while connections are few."""
        for peer in [p for p in self._efforts if self.is_dialling(p)]:
            if self._efforts[peer].due_ms <= now.mono_ms:
                self.failed(peer, now)
        due = [(at, p) for at, p in self._tries() if at <= now.mono_ms]
        friends = sorted((at, p) for at, p in due if self.is_friend(p))
        room = max(0, DIALS_AT_ONCE_MAX - self._dialling)
        chosen = [peer for _, peer in friends[:room]]
        missing = self._peers_wanted - self._up - self._dialling - len(chosen)
        room = min(room - len(chosen), missing)
        if room > 0:
            others = [peer for _, peer in due if not self.is_friend(peer)]
            chosen += sorted(others, key=self._promise)[:room]
        self._stale = True
        return [effect for peer in chosen for effect in self.dial(peer, now)]

    def next_wakeup(self) -> int | None:
        """When somebody is due, or a running dial must have ended; monotonic ms."""
        if self._stale or self._changes_seen != self.book.changes:
            self._stale, self._changes_seen = False, self.book.changes
            ends = [e.due_ms for e in self._efforts.values() if _is_running(e)]
            free = self._dialling < DIALS_AT_ONCE_MAX
            few = self._up + self._dialling < self._peers_wanted
            for at, peer in self._tries() if free else ():
                if few or self.is_friend(peer):
                    ends.append(at)
            self._next_ms = min(ends, default=None)
        return self._next_ms

    def _tries(self) -> Iterable[tuple[int, PeerId]]:
        """Everyone who may be dialled by and by, and from when on."""
        for peer in self.book:
            entry = self.book.get(peer)
            if entry is None or entry.held or not entry.multiaddrs:
                continue
            effort = self._efforts.get(peer)
            if effort is None:
                yield 0, peer
            elif effort.state is State.IDLE and effort.regard is not Regard.SHUNNED:
                yield effort.due_ms, peer

    def _promise(self, peer: PeerId) -> tuple[int, int, PeerId]:
        effort, entry = self._efforts.get(peer), self.book.get(peer)
        failures = effort.failures if effort else 0
        return failures, -entry.ok_ms if entry else 0, peer

    def _state(self, peer: PeerId) -> State:
        effort = self._efforts.get(peer)
        return effort.state if effort else State.IDLE

    def is_friend(self, peer: PeerId) -> bool:
        """Whether this peer is redialled for ever."""
        effort = self._efforts.get(peer)
        return effort is not None and effort.is_friend

    def _is_needed(self, peer: PeerId) -> bool:
        return self.is_friend(peer) or self._state(peer) is not State.IDLE

    def _effort(self, peer: PeerId) -> Effort:
        """The effort for a peer, to be changed; strangers forgotten leave none."""
        self._stale = True
        if peer not in self._efforts:
            for other in list(self._efforts):
                if self.book.get(other) is None and not self._is_needed(other):
                    del self._efforts[other]
            self._efforts[peer] = Effort()
        return self._efforts[peer]

    def _rest(self, effort: Effort) -> None:
        self._up -= effort.state is State.UP
        self._dialling -= effort.state is State.DIALLING
        effort.state = State.IDLE

    def _back_off(self, effort: Effort, now: Moment) -> None:
        """Twice as long as last time, between 75 and 125 per cent by chance."""
        longest = BACKOFF_FRIEND_MS_MAX if effort.is_friend else BACKOFF_OTHER_MS_MAX
        delay = min(BACKOFF_MS_MIN << min(effort.failures, _DOUBLINGS_MAX), longest)
        chance = int.from_bytes(self._entropy(2))
        delay = delay * (3 * _CHANCE_MAX + 2 * chance) // (4 * _CHANCE_MAX)
        effort.failures += 1
        effort.due_ms = now.mono_ms + delay

    def _hurry(self, now: Moment) -> None:
        """Give every friend that failed another try within a second, now and then."""
        last = self._hurried_ms
        if last is not None and now.mono_ms - last < HURRY_AGAIN_MS:
            return
        self._hurried_ms = now.mono_ms
        for effort in self._efforts.values():
            if effort.is_friend and effort.state is State.IDLE and effort.failures:
                chance = int.from_bytes(self._entropy(2)) % HURRY_MS_MAX
                effort.due_ms = min(effort.due_ms, now.mono_ms + chance)


def _is_running(effort: Effort) -> bool:
    return effort.state is State.DIALLING
