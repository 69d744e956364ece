"""Searches: questions to the network that are still open, and how far they are.

One search serves everyone who waits for the same agent or the same skill. It dials
what is known, and asks the DHT and connected peers when that does not help within a
second, again every few seconds until nobody waits any more. This file keeps count; it
neither judges what is found nor answers anybody.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, PeerId

SEARCHES_MAX: Final = 512
WIDEN_AFTER_MS: Final = 1_000
WIDEN_AGAIN_MS: Final = 3_000
PEERS_ASKED_MAX: Final = 8
PEERS_TRIED_MAX: Final = 8


@dataclass(slots=True)
class Search:
    """One open question; ``about`` is an address, or the DHT key of ``skill``.

    Times are monotonic ms: it ends at ``until_ms``, or as soon as nobody waits once
    ``kept_ms`` has passed; it asks more widely at ``widen_ms``, then again after
    ``again_ms``. ``looking`` while the DHT has not
    answered, ``asked`` and ``dialling`` are peers that have not yet; ``heard`` once
    anybody had an answer, were it "I do not know". ``places`` are peers to
    try besides those a card names.
    """

    about: bytes
    skill: str
    until_ms: int
    widen_ms: int
    kept_ms: int = 0
    again_ms: int = WIDEN_AGAIN_MS
    looking: bool = False
    heard: bool = False
    places: tuple[PeerId, ...] = ()
    widened: bool = False
    asked: set[PeerId] = field(default_factory=set)
    dialling: set[PeerId] = field(default_factory=set)

    @property
    def address(self) -> Address | None:
        """Whom this search is for, if not for a skill."""
        return None if self.skill else Address(self.about)

    def is_settled(self, now: Moment) -> bool:
        """Whether all that was tried has ended, or has had its time."""
        busy = self.looking or self.asked or self.dialling
        return self.widened and (not busy or self.widen_ms <= now.mono_ms)

    def next_ms(self) -> int:
        """When something is due."""
        return min(self.until_ms, self.widen_ms)


class Searches:
    """Open searches by what they are about."""

    def __init__(self) -> None:
        self._open: dict[bytes, Search] = {}

    def __repr__(self) -> str:
        return f"<Searches {len(self._open)}>"

    def __len__(self) -> int:
        return len(self._open)

    def get(self, about: bytes) -> Search | None:
        """The search about this, if one is open."""
        return self._open.get(about)

    def all(self) -> list[Search]:
        """Every open search, oldest first."""
        return list(self._open.values())

    def start(
        self, about: bytes, skill: str, until_ms: int, now: Moment
    ) -> tuple[Search, bool] | None:
        """The search about this and whether it is new; None if there are too many.

        One that has settled already looks around again at once.
        """
        search = self._open.get(about)
        if search is not None:
            search.until_ms = max(search.until_ms, until_ms)
            if search.is_settled(now):
                search.widen_ms, search.again_ms = now.mono_ms, WIDEN_AGAIN_MS
            return search, False
        if len(self._open) >= SEARCHES_MAX:
            return None
        widen_ms = now.mono_ms + WIDEN_AFTER_MS
        search = self._open[about] = Search(about, skill, until_ms, widen_ms)
        return search, True

    def end(self, search: Search) -> None:
        """Nobody waits for it any more."""
        self._open.pop(search.about, None)

    def forget_peer(self, peer: PeerId) -> list[Search]:
        """Nothing more is to be had from a peer; returns the searches it was in."""
        touched: list[Search] = []
        for search in self._open.values():
            if peer in search.dialling or peer in search.asked:
                search.dialling.discard(peer)
                search.asked.discard(peer)
                touched.append(search)
        return touched

    def reached(self, peer: PeerId) -> list[Search]:
        """A dialled peer has said who it is; returns the searches it was in."""
        touched = [s for s in self._open.values() if peer in s.dialling]
        for search in touched:
            search.dialling.discard(peer)
        return touched

    def due(self, now: Moment) -> Iterable[Search]:
        """Every search with something to do now, oldest first."""
        return [s for s in self._open.values() if s.next_ms() <= now.mono_ms]

    def next_wakeup(self) -> int | None:
        """When the first search has something to do; monotonic ms."""
        return min((s.next_ms() for s in self._open.values()), default=None)
