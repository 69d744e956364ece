"""A seat: one agent's machine in the world, with the shipping code of signals on it.

Each has a disk that survives a crash, clocks of its own that stand wrong by up to an
hour and run wrong by up to 100 millionths, and a board that is told nothing but what a
node would tell it. A seat does not know the world around it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import floor
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.keys import SEED_BYTES, SigningKey
from nestmate_protocol.signals.board import Board
from nestmate_protocol.signals.outcomes import Outcome
from nestmate_protocol.signals.outside import Outside
from nestmate_protocol.signals.parameters import RULE, Rule
from nestmate_protocol.signals.requests import SignalsRequest
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.machine import Disk, SkewedClock

NETWORK: Final = NetworkId(sha256(b"nestmate/bench/allocation").digest())
OFFSET_MS_MAX: Final = 3_600_000
DRIFT_PPM_MAX: Final = 100
_INCARNATION_BYTES: Final = 16
_SECOND_MS: Final = 1_000
_ROUNDING_MS: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Person:
    """Who sits in a seat; the keys follow from the seed and are worth nothing."""

    key: SigningKey
    address: Address


def make_person(dice: Dice) -> Person:
    """An agent with one device."""
    key = SigningKey(dice.octets(SEED_BYTES))
    return Person(key, Address(sha256(b"agent" + key.public.raw).digest()))


def make_clock(dice: Dice, offset_ms_max: int = OFFSET_MS_MAX) -> SkewedClock:
    """A machine's clocks, off by up to an hour and running a little wrong."""
    clock = SkewedClock(dice.between(-DRIFT_PPM_MAX, DRIFT_PPM_MAX))
    clock.set_off(dice.between(-offset_ms_max, offset_ms_max))
    return clock


def whole_ms(seconds: float) -> int:
    """The milliseconds that are over, forgiving what floats do to whole ones."""
    return floor(seconds * _SECOND_MS + _ROUNDING_MS)


Able = Callable[[int, str], Sequence[Address]]


class Seat:
    """One agent's board, and everything it stands on.

    ``able`` says whom a seat knows to have a skill and to be up.
    """

    def __init__(self, number: int, dice: Dice, able: Able, rule: Rule = RULE) -> None:
        self.number = number
        self._able = able
        self._rule = rule
        self.person = make_person(dice.fork("keys"))
        self.disk = Disk()
        self._dice = dice
        self._clock = make_clock(dice)
        self._board: Board | None = None
        self._lives = 0

    def __repr__(self) -> str:
        return f"<Seat {self.number} life {self._lives}>"

    @property
    def address(self) -> Address:
        """Under which name its agent is known."""
        return self.person.address

    @property
    def board(self) -> Board:
        """The board of this life; only while the seat is up."""
        if self._board is None:
            raise RuntimeError(f"{self!r} is down")
        return self._board

    def moment(self, now: float) -> Moment:
        """What its clocks say at a time of the world."""
        return self._clock.moment(whole_ms(now))

    def boot(self, now: float) -> list[Outcome]:
        """Begin a life from what the disk holds."""
        self._lives += 1
        self._clock.boot(whole_ms(now), self._dice)
        self._board = Board(
            self.person.address,
            NETWORK,
            self.person.key,
            self._dice.octets(_INCARNATION_BYTES),
            Outside(
                entropy=self._dice.fork(f"entropy {self._lives}").octets,
                reader=self.disk,
                trust=_trust,
                able=self._knows,
                rule=self._rule,
            ),
        )
        return self._board.start(self.moment(now))

    def crash(self) -> None:
        """End this life; the disk keeps what it was promised to keep."""
        self.disk.crash(self._dice)
        self._board = None

    def ask(self, request: int, body: SignalsRequest, now: float) -> list[Outcome]:
        """A request of the local agent."""
        return self.board.ask(request, body, self.moment(now))

    def next_wakeup(self) -> float | None:
        """When the board wants to be woken, in seconds of the world."""
        due_ms = self.board.next_wakeup()
        return None if due_ms is None else self._clock.world_ms(due_ms) / _SECOND_MS

    def _knows(self, skill: str, _: Moment) -> Sequence[Address]:
        return self._able(self.number, skill)


def _trust(_: Address) -> float:
    """Everybody is well known to everybody here."""
    return 1.0
