"""Cells: one task as it is sensed here, and what is joined in it.

Deposits are joined per depositor by larger count, then amount, then earlier birth; a
task's life by lexicographic maximum. Strength is computed when it is read, on the local
monotonic clock alone. This file knows one task at a time and nothing of its neighbours.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from math import fsum
from typing import Final, NamedTuple

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import DEPOSITORS_PER_TASK_MAX
from nestmate_protocol.signals.levels import URGENCY_MAX, half_life_ms, value_of
from nestmate_protocol.signals.records import Signal

INTENSITY_MAX: Final = 4 * URGENCY_MAX
EVAPORATED: Final = 1 / 64
_RANK_BYTES: Final = 8


@unique
class Stage(IntEnum):
    """Where one generation of a task stands; later stages win."""

    OPEN = 0
    GRANTED = 1
    CANCELLED = 2
    DONE = 3


class Life(NamedTuple):
    """What the issuer last said of a task; the lexicographically largest is true.

    ``rank`` orders holders within one generation and stage; ``holder`` is 32 bytes,
    or none.
    """

    generation: int
    stage: Stage
    rank: int = 0
    holder: bytes = b""


class Share(NamedTuple):
    """One depositor's latest deposit; ``birth_ms`` is on the local monotonic clock."""

    n: int
    amount_code: int
    birth_ms: int


class Parts(NamedTuple):
    """The factors of a stimulus, and the intensity ``I`` they come from."""

    intensity: float
    urgency: float
    growth: float
    freshness: float


@dataclass(slots=True)
class Cell:
    """One task as sensed here; ``signal`` is the latest one, ``data`` its record.

    ``urgency_code`` is what counts of the urgency its issuer declares.
    ``opened_ms``, ``called_ms`` and ``sent_ms`` are the births of the task, of its
    generation as far as it was heard, and of that record on the local monotonic clock.
    ``wide`` tells that it came over its topic, as its end will.
    """

    task: TaskId
    signal: Signal
    record_id: bytes
    data: bytes
    opened_ms: int
    called_ms: int
    sent_ms: int
    life: Life
    shares: dict[bytes, Share]
    urgency_code: int
    wide: bool = False

    def intensity(self, now_ms: int) -> float:
        """``I = min(S_max, sum of a_d 2^(-age_d / half-life))``."""
        signal = self.signal
        half_life = half_life_ms(signal.urgency_code, signal.half_life_seconds)
        total = fsum(
            [
                value_of(share.amount_code)
                * 2.0 ** (-max(0, now_ms - share.birth_ms) / half_life)
                for share in self.shares.values()
            ]
        )
        return min(INTENSITY_MAX, total)

    def urgency(self, now_ms: int) -> float:
        """``u_eff``: the declared urgency, or what all deposits together make of it."""
        declared = value_of(self.urgency_code)
        return min(URGENCY_MAX, max(declared, self.intensity(now_ms)))

    def age_seconds(self, now_ms: int) -> float:
        """For how long the task has been open, as far as is known here."""
        return max(0, now_ms - self.opened_ms) / 1_000

    def parts(self, now_ms: int, ageing: float) -> Parts:
        """What the stimulus is made of; ``ageing`` is A in seconds."""
        intensity = self.intensity(now_ms)
        declared = value_of(self.urgency_code)
        return Parts(
            intensity=intensity,
            urgency=min(URGENCY_MAX, max(declared, intensity)),
            growth=1 + self.age_seconds(now_ms) / ageing,
            freshness=min(1.0, 2 * intensity / declared),
        )

    def strength(self, now_ms: int, ageing: float) -> float:
        """The stimulus ``S = u_eff (1 + age / A) min(1, I / I_0)``, ``I_0 = u / 2``.

        ``ageing`` is A in seconds.
        """
        parts = self.parts(now_ms, ageing)
        return parts.urgency * parts.growth * parts.freshness

    def is_gone(self, now: Moment) -> bool:
        """Whether the task's time is over, or its issuer has been silent too long."""
        signal = self.signal
        if self.opened_ms + signal.ttl_seconds * 1_000 <= now.mono_ms:
            return True
        if 0 < signal.deadline_ms <= now.wall_ms:
            return True
        floor = EVAPORATED * value_of(self.urgency_code) / 2
        return self.intensity(now.mono_ms) < floor


def rank_of(task: TaskId, generation: int, holder: Address) -> int:
    """A holder's rank in one generation, the same at every node; larger is better."""
    digest = sha256(task.raw + generation.to_bytes(8) + holder.raw).digest()
    return ~int.from_bytes(digest[:_RANK_BYTES]) & (1 << 8 * _RANK_BYTES) - 1


def granted(task: TaskId, generation: int, holder: Address) -> Life:
    """The life a lease speaks of."""
    rank = rank_of(task, generation, holder)
    return Life(generation, Stage.GRANTED, rank, holder.raw)


def done(task: TaskId, generation: int, holder: Address) -> Life:
    """The life a receipt speaks of."""
    rank = rank_of(task, generation, holder)
    return Life(generation, Stage.DONE, rank, holder.raw)


def join_shares(one: Share, other: Share) -> Share:
    """The later of two deposits of one depositor on one task."""
    if (one.n, one.amount_code, -one.birth_ms) >= (
        other.n,
        other.amount_code,
        -other.birth_ms,
    ):
        return one
    return other


def add_share(cell: Cell, depositor: bytes, share: Share) -> bool:
    """Join one share; whether that is news.

    Beyond the bound the issuer stays, and of the others those whose address is
    nearest to the task's id, so that every node keeps the same ones.
    """
    known = cell.shares.get(depositor)
    joined = share if known is None else join_shares(known, share)
    if joined == known:
        return False
    cell.shares[depositor] = joined
    if len(cell.shares) > DEPOSITORS_PER_TASK_MAX:
        goal, issuer = int.from_bytes(cell.task.raw), cell.signal.issuer.raw
        farthest = max(
            (raw for raw in cell.shares if raw != issuer),
            key=lambda raw: int.from_bytes(raw) ^ goal,
        )
        del cell.shares[farthest]
        return farthest != depositor
    return True
