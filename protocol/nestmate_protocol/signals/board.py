"""The board: the signals subject as the core sees it.

Records of others and requests of local agents go in, outcomes come out, in the order
in which they are to be carried out: durable, then visible, then answered. The board
keeps nothing but the parts together: the field of sensed tasks, the issuer of our own
and the worker of others'. It thinks in addresses and skills and knows no peer, no
card and no topic.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Record
from nestmate_protocol.signals.outcomes import Outcome
from nestmate_protocol.signals.requests import SignalsRequest


class Reader(Protocol):
    """What is on disk under the board's prefix, in key order."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All pairs whose key starts with ``prefix``."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the board holds, for the node's own figures."""

    tasks_own: int
    tasks_sensed: int
    claims: int


class Board:
    """Everything one node does about signals and claims."""

    def __init__(
        self,
        me: Address,
        network: NetworkId,
        device: SigningKey,
        incarnation: bytes,
        *,
        entropy: Callable[[int], bytes],
        reader: Reader,
        trust: Callable[[Address], float],
    ) -> None:
        """``incarnation`` is 16 fresh bytes per boot; ``trust`` 0..1, 0 for blocked."""
        raise NotImplementedError

    def start(self, now: Moment) -> list[Outcome]:
        """The first call of all: take up again what the disk holds."""
        raise NotImplementedError

    def ask(self, request: int, body: SignalsRequest, now: Moment) -> list[Outcome]:
        """A local agent's request; its ``Reply`` comes now or later."""
        raise NotImplementedError

    def abandon(self, request: int, now: Moment) -> list[Outcome]:
        """Nobody waits for this request's answer any more."""
        raise NotImplementedError

    def admit(
        self, record: Record, author: Address, age_ms: int, now: Moment
    ) -> list[Outcome]:
        """A verified record of any of the nine kinds, signed by a device of ``author``.

        Never raises; what is wrong with it comes back as ``Reject``.
        """
        raise NotImplementedError

    def agent_up(self, address: Address, now: Moment) -> list[Outcome]:
        """An agent's node can be reached now: say again what it has not answered."""
        raise NotImplementedError

    def greeting(self, now: Moment) -> tuple[tuple[bytes, int], ...]:
        """Records with ages for a newly connected node, at most one frame full."""
        raise NotImplementedError

    def skills_wanted(self) -> tuple[str, ...]:
        """Skills whose topics matter here: of own live tasks and of waiting takers."""
        raise NotImplementedError

    def counts(self) -> Counts:
        """How much there is."""
        raise NotImplementedError

    def wake(self, now: Moment) -> list[Outcome]:
        """Do what is due; calling it early or twice does no harm."""
        raise NotImplementedError

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        raise NotImplementedError
