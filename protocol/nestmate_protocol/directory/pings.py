"""Pings: round trips under way, each with somebody waiting for its time.

A ping counts only when it comes back from the peer it went to. This file knows the
clock readings it is handed and nothing of how a peer was reached.
"""

from dataclasses import dataclass

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.frames import Ping, pack
from nestmate_protocol.directory.requests import Pong
from nestmate_protocol.effects import Channel, Code, Effect, Refusal, Reply, Send
from nestmate_protocol.ids import Address, PeerId


@dataclass(frozen=True, slots=True)
class Flight:
    """One ping on its way; times are monotonic ms."""

    request: int
    address: Address
    peer: PeerId
    sent_ms: int
    until_ms: int


class Pings:
    """Pings on their way, by number."""

    def __init__(self) -> None:
        self._last = 0
        self._flights: dict[int, Flight] = {}

    def __repr__(self) -> str:
        return f"<Pings {len(self._flights)}>"

    def send(
        self, request: int, address: Address, peer: PeerId, until_ms: int, now: Moment
    ) -> list[Effect]:
        """Ping an agent at the peer where it is."""
        self._last += 1
        flight = Flight(request, address, peer, now.mono_ms, until_ms)
        self._flights[self._last] = flight
        return [Send(peer, Channel.CARDS, pack(Ping(self._last)))]

    def echoed(self, peer: PeerId, number: int, now: Moment) -> list[Effect]:
        """A number came back; one that nobody waits for means nothing."""
        flight = self._flights.get(number)
        if flight is None or flight.peer != peer:
            return []
        del self._flights[number]
        pong = Pong(flight.address, float(now.mono_ms - flight.sent_ms))
        return [Reply(flight.request, pong)]

    def lost(self, peer: PeerId) -> list[Flight]:
        """A connection is gone; returns the pings that went with it."""
        return self._drop([n for n, f in self._flights.items() if f.peer == peer])

    def abandon(self, request: int) -> None:
        """Nobody waits for this one any more."""
        self._drop([n for n, f in self._flights.items() if f.request == request])

    def wake(self, now: Moment) -> list[Effect]:
        """Give up what took too long."""
        late = [n for n, f in self._flights.items() if f.until_ms <= now.mono_ms]
        return [Reply(flight.request, _SILENT) for flight in self._drop(late)]

    def next_wakeup(self) -> int | None:
        """When the first of them takes too long; monotonic ms."""
        return min((f.until_ms for f in self._flights.values()), default=None)

    def _drop(self, numbers: list[int]) -> list[Flight]:
        return [self._flights.pop(number) for number in numbers]


_SILENT = Refusal(
    Code.TIMED_OUT,
    "the agent's node is connected but did not answer in time",
    "it may be busy or its machine asleep; try again",
)
