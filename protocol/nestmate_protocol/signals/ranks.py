"""Ranks: an author's calls are compared with its own, and with those of nobody else.

Of the last calls of an author some are more urgent than others. Which place one takes
among them is all that counts: it is worth what the same place is worth in the usual mix
of slow, alert and flash. Calls of one urgency share their places, so that whoever calls
everything a flash is worth the average, and so is whoever never does. Nothing is used
up, and a thousand new keys are a thousand authors: this is for teams whose members are
known. Source: Jackson and Sonnenschein, Overcoming Incentive Constraints by Linking
Decisions, 2007. This file knows no signal and no field.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import fsum
from typing import Final, NamedTuple

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import CARDS_KNOWN_MAX
from nestmate_protocol.signals.levels import (
    ALERT,
    FLASH,
    SLOW,
    code_of,
    cost_cents,
    value_of,
)
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.reckoning import Standing
from nestmate_protocol.signals.records import Link

USUAL_MIX: Final = ((SLOW.code_min, 0.6), (ALERT.code_min, 0.3), (FLASH.code_min, 0.1))
"""Of a hundred calls 60 are slow, 30 are alerts and 10 are flashes."""


class _Call(NamedTuple):
    """What was asked for on one task, and what counted of it."""

    code: int
    counted: int


@dataclass(slots=True)
class _Author:
    """The last calls of one author by task, oldest first."""

    address: Address
    calls: dict[bytes, _Call] = field(default_factory=dict)


class Ranks:
    """The last calls of each author, bounded; who was silent for longest is forgotten.

    An author that called less often has calls of the usual mix beside its own, so that
    the first flash of an honest one is a flash.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._authors: dict[bytes, _Author] = {}
        self._usual = fsum(share * cost_cents(code) for code, share in USUAL_MIX)

    def __repr__(self) -> str:
        return f"<Ranks of {len(self._authors)}>"

    def counts(
        self,
        author: Address,
        task: TaskId,
        _: Link,
        code: int,
        *,
        already: int,
        now_ms: int,  # noqa: ARG002 - ranks do not fade
    ) -> int:
        """The code that counts of one that a call asks for.

        A repetition is no call of its own; asking for more is, in the place of the
        one before.
        """
        known = self._heard(author).calls
        last = known.pop(task.raw, None)
        if last is not None and last.code == code and already >= 0:
            known[task.raw] = last
            return already
        known[task.raw] = _Call(code, 0)
        while len(known) > self._rule.rank_tasks:
            del known[next(iter(known))]
        counted = code_of(_worth(*self._places(known, code)))
        known[task.raw] = _Call(code, counted)
        return counted

    def left(self, author: Address, now_ms: int) -> None:
        """No credit is kept."""

    def standings(self, now_ms: int) -> Iterator[Standing]:  # noqa: ARG002 - as above
        """Everybody who called of late."""
        for each in self._authors.values():
            calls = each.calls.values()
            asks = fsum(cost_cents(call.code) for call in calls) / len(calls)
            paid = fsum(cost_cents(call.counted) for call in calls) / len(calls)
            blank = self.blank(each.address)
            yield blank._replace(asks_cents=asks, paid_cents=paid)

    def blank(self, author: Address) -> Standing:
        """Somebody who has not called; nobody is better known than another."""
        usual = self._usual
        return Standing(author, 0.0, 0.0, usual, usual, usual, is_known=True)

    def _heard(self, author: Address) -> _Author:
        found = self._authors.pop(author.raw, None) or _Author(author)
        while len(self._authors) >= CARDS_KNOWN_MAX:
            del self._authors[next(iter(self._authors))]
        self._authors[author.raw] = found
        return found

    def _places(self, calls: dict[bytes, _Call], code: int) -> tuple[float, float]:
        """Which share of an author's calls is less urgent, and which is not more."""
        rule = self._rule
        others = max(0, min(rule.rank_usual_tasks, rule.rank_tasks - len(calls)))
        below, equal = 0.0, 0.0
        for call in calls.values():
            below += call.code < code
            equal += call.code == code
        for usual, share in USUAL_MIX:
            below += others * share * (usual < code)
            equal += others * share * (usual == code)
        count = len(calls) + others
        return below / count, (below + equal) / count


def _worth(low: float, high: float) -> float:
    """The mean urgency of the usual mix from one of its places to another."""
    total, begin = 0.0, 0.0
    for code, share in USUAL_MIX:
        width = min(high, begin + share) - max(low, begin)
        total += max(0.0, width) * value_of(code)
        begin += share
    return total / (high - low)
