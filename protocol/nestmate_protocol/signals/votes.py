"""Votes: what the three delegates of an exclusive task say of who gets it.

A vote is of one delegate, in one round of one generation; without a holder it only
promises to vote in no earlier round. Two votes that agree in generation, round and
holder are a decision. In the manner of ``signals/claims``; who may vote, and when, is
judged elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from nestmate_protocol.codec import Fields
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import DELEGATES_MAX
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.records import (
    GENERATION_MAX,
    Body,
    Signal,
    TaskClass,
    present,
)

QUORUM: Final = DELEGATES_MAX // 2 + 1
VOTES_PER_TASK_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Vote:
    """A delegate votes for a holder, or promises to vote in no earlier round.

    A promise names the delegate's last vote in the same generation, if there was one:
    ``last_round`` is 0 where there was none.
    """

    kind: ClassVar[Kind] = Kind.VOTE

    task: TaskId
    voter: Address
    generation: int
    round: int
    holder: Address | None
    last_round: int = 0
    last_holder: Address | None = None

    def fields(self) -> Body:
        """The map to be signed."""
        return present(
            {
                1: self.task.raw,
                2: self.voter.raw,
                3: self.generation,
                4: self.round,
                5: self.holder.raw if self.holder else None,
                6: self.last_round or None,
                7: self.last_holder.raw if self.last_holder else None,
            }
        )

    @classmethod
    def read(cls, fields: Fields) -> "Vote":
        """The vote in foreign fields."""
        return cls(
            task=fields.identifier(1, TaskId),
            voter=fields.identifier(2, Address),
            generation=fields.integer(3, 1, GENERATION_MAX),
            round=fields.integer(4, 1, GENERATION_MAX),
            holder=fields.identifier_or(5, Address, None),
            last_round=fields.integer_or(6, 0, 1, GENERATION_MAX),
            last_holder=fields.identifier_or(7, Address, None),
        )


@dataclass(frozen=True, slots=True)
class VoteView:
    """A delegate of a task and its last word on it, as far as that was heard here.

    ``holder`` is whom it voted for; None where it has only promised, or ``generation``
    is 0 because nothing was heard of it.
    """

    delegate: Address
    generation: int = 0
    round: int = 0
    holder: Address | None = None


class Decision(NamedTuple):
    """What a quorum agrees on; ``votes`` are the records that prove it."""

    generation: int
    holder: Address
    votes: tuple[bytes, ...]


def voters(signal: Signal) -> tuple[Address, ...]:
    """The three who decide who gets a task; nobody where its issuer does.

    Only an exclusive task that can be done without a word from its issuer has any.
    """
    delegates = signal.delegates
    alone = not signal.inputs and not signal.apart and signal.body is not None
    three = len(set(delegates)) == len(delegates) == DELEGATES_MAX
    exclusive = signal.task_class is TaskClass.EXCLUSIVE
    return delegates if three and alone and exclusive else ()


def decided(votes: Iterable[tuple[Vote, bytes]]) -> Decision | None:
    """The latest decision in some votes of delegates of one task, if there is any."""
    sides: dict[tuple[int, int, bytes], dict[bytes, bytes]] = {}
    best: Decision | None = None
    for vote, data in votes:
        if vote.holder is None:
            continue
        place = (vote.generation, vote.round, vote.holder.raw)
        side = sides.setdefault(place, {})
        side[vote.voter.raw] = data
        newer = best is None or vote.generation > best.generation
        if newer and len(side) == QUORUM:
            best = Decision(vote.generation, vote.holder, tuple(side.values()))
    return best
