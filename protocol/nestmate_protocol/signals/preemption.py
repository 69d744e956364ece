"""Preemption: which task an agent with its hands full puts down for a flash one.

A pure function of values, for whatever program works beside a node; nodes never stop
work by themselves. Only slow tasks make way, the least urgent first and among equals
the one with least progress. Exclusive ones never do, because half of an effect cannot
be taken back. Every time a task is put down its fence rises, and a task with a high
fence has been put down often enough: so the bound holds on the whole network without
a word being said about it.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from nestmate_protocol.signals.levels import FLASH, SLOW, level_of, urgency_code

GENERATION_MAX: Final = 2
"""The highest fence under which a task is put down: it happens twice at most."""

RESERVE_URGENCY: Final = 0.5
"""The lowest urgency of a flash task, as users write it."""

assert level_of(urgency_code(RESERVE_URGENCY)) is FLASH  # noqa: S101 - levels may move


class Work(NamedTuple):
    """One task at work in a slot; ``urgency`` is the user's 0..1."""

    slot: int
    urgency: float
    generation: int
    exclusive: bool
    busy_seconds: float


def makes_way(work: Work) -> bool:
    """Whether a task may be put down for a flash one at all."""
    return (
        level_of(urgency_code(work.urgency)) is SLOW
        and work.generation <= GENERATION_MAX
        and not work.exclusive
    )


def choose(works: Iterable[Work]) -> Work | None:
    """The task to put down; None if all must go on."""
    able = [work for work in works if makes_way(work)]
    return min(able, key=lambda w: (w.urgency, w.busy_seconds, w.slot), default=None)
