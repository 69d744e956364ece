"""Upshots: what one part of the board has to tell another, and how it says no.

The issuer, the worker and the takers do not know each other. What one of them finds
out that another must act on stands in its list of steps, at the place where the other
should act, and the board hands it over.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Code
from nestmate_protocol.errors import LocalError
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Offered:
    """A task can be claimed that could not be before, as far as is known."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Won:
    """The lease asked for was given and saved."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Missed:
    """The lease asked for will not come; the reason is a sentence."""

    task: TaskId
    reason: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The issuer has not answered a claim in time; it may yet.

    None where the delegates of the task were asked, who have not decided.
    """

    task: TaskId
    issuer: Address | None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The issuer's receipt for a result of ours has come."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Lacking:
    """A lease was given and saved, and inputs of its task have yet to be fetched."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Over:
    """A task of our own is done or cancelled."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Fetched:
    """A result came from whom it was asked, or never will, for the reason given."""

    task: TaskId
    giver: Address
    result: bytes | None
    reason: str


Upshot = Offered | Won | Missed | Unanswered | Confirmed | Lacking | Over | Fetched
UPSHOTS: Final = (
    *(Offered, Won, Missed, Unanswered, Confirmed),
    *(Lacking, Over, Fetched),
)
Step = Outcome | Upshot


class Waking(Protocol):
    """A part that wants to be woken."""

    def wake(self, now: Moment) -> list[Step]:
        """Do what is due."""
        ...

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        ...


class DeclinedError(LocalError):
    """A local agent's request cannot be met; the code says in which way."""

    def __init__(self, code: Code, sentence: str, hint: str = "") -> None:
        super().__init__(sentence, hint)
        self.code = code


def invalid(sentence: str, hint: str = "") -> DeclinedError:
    """The request itself is wrong."""
    return DeclinedError(Code.INVALID, sentence, hint)


def unknown(sentence: str, hint: str = "") -> DeclinedError:
    """There is no such thing here."""
    return DeclinedError(Code.NOT_FOUND, sentence, hint)


def conflict(sentence: str, hint: str = "") -> DeclinedError:
    """It cannot be as things stand."""
    return DeclinedError(Code.CONFLICT, sentence, hint)


def busy(sentence: str, hint: str = "") -> DeclinedError:
    """There is no room now."""
    return DeclinedError(Code.BUSY, sentence, hint)
