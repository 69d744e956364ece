"""Levels: urgency and size as codes, and how long each level of urgency lingers.

Protocol fields carry no floats, so that equal values are equal bytes everywhere:
a code ``q`` of 0..127 stands for ``2^(q/16)``, which runs from 1 to 245 in steps of
4.4 %. Urgency, size in seconds and the amount of a deposit all use it. This file
knows the scale and nothing of what is measured with it.
"""

from bisect import bisect_right
from dataclasses import dataclass
from math import floor, log2
from typing import Final

from nestmate_protocol.limits import SIZE_CODE_MAX, URGENCY_CODE_MAX

STEPS_PER_DOUBLING: Final = 16
_SCALE: Final[tuple[float, ...]] = tuple(
    float(2.0 ** (code / STEPS_PER_DOUBLING))
    for code in range(max(URGENCY_CODE_MAX, SIZE_CODE_MAX) + 1)
)
_SHARES: Final = tuple(
    round(code / URGENCY_CODE_MAX, 2) for code in range(URGENCY_CODE_MAX + 1)
)
URGENCY_MAX: Final = _SCALE[URGENCY_CODE_MAX]

COST_BASE_CENTS: Final = 5
"""What any signal costs its author, in hundredths of a credit; see ``cost_cents``."""

_COSTS: Final = tuple(COST_BASE_CENTS + floor(100 * (u - 1) + 0.5) for u in _SCALE)


@dataclass(frozen=True, slots=True)
class Level:
    """One of three speeds: from which urgency on, how it fades, how long it is kept.

    ``ttl_seconds`` is what a task of this level gets when its depositor names none.
    """

    name: str
    code_min: int
    half_life_seconds: int
    ttl_seconds: int


SLOW: Final = Level("slow", 0, 12 * 3_600, 14 * 24 * 3_600)
ALERT: Final = Level("alert", 32, 600, 24 * 3_600)
FLASH: Final = Level("flash", 64, 30, 600)


def value_of(code: int) -> float:
    """What a code of 0..127 stands for: ``2^(code/16)``, 1 up to 245."""
    return _SCALE[code]


def urgency_code(urgency: float) -> int:
    """The code for a user's urgency of 0..1: ``floor(127 urgency + 1/2)``.

    0.25 is the lowest alert and 0.5 the lowest flash; what lies outside 0..1 is
    moved to the nearer end.
    """
    return floor(URGENCY_CODE_MAX * min(1.0, max(0.0, urgency)) + 0.5)


def urgency_share(code: int) -> float:
    """The user's 0..1 that an urgency code stands for, to two places.

    Codes are closer together than hundredths are, so that every urgency written with
    two places comes back as it was written.
    """
    return _SHARES[code]


def size_code(seconds: float) -> int:
    """The nearest code for a size in seconds; beyond 1..245 s the nearer end."""
    steps = floor(STEPS_PER_DOUBLING * log2(max(1.0, seconds)) + 0.5)
    return min(SIZE_CODE_MAX, steps)


def code_of(value: float) -> int:
    """The nearest urgency code for a value of 1..245."""
    return min(
        URGENCY_CODE_MAX, floor(STEPS_PER_DOUBLING * log2(max(1.0, value)) + 0.5)
    )


def level_of(code: int) -> Level:
    """The level an urgency code belongs to."""
    if code >= FLASH.code_min:
        return FLASH
    return ALERT if code >= ALERT.code_min else SLOW


def half_life_ms(code: int, half_life_seconds: int) -> int:
    """How long until a deposit has half its intensity, in ms; 0 takes the level's."""
    return 1_000 * (half_life_seconds or level_of(code).half_life_seconds)


def cost_cents(code: int) -> int:
    """What a task of this urgency costs its author, in hundredths of a credit.

    ``0.05 + (u - 1)`` credits, rounded.
    """
    return _COSTS[code]


def affordable_code(cents: int) -> int:
    """The most urgent code that so many hundredths of a credit pay for, at least 0."""
    return max(0, bisect_right(_COSTS, cents) - 1)
