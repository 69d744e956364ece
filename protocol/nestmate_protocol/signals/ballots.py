"""Ballots: what a delegate must never forget of one task, and what it may still vote.

Rounds are those of Paxos, with three acceptors and one value per generation. A round
has one chair, so that there is one name in it to vote for; a later round takes up
whatever an earlier one may have decided. A generation ends when its holder gives the
task back, and by nothing else: no lapse of time can tell a dead holder from a slow one.
Ballots lie on disk before a vote is seen by anybody. This file is pure and sends
nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from nestmate_protocol.codec import Fields, decode, encode
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    DELEGATES_MAX,
    LEASE_SECONDS_MAX,
    SKILL_CHARS_MAX,
)
from nestmate_protocol.signals.records import COUNT_MAX, GENERATION_MAX, present
from nestmate_protocol.signals.shelf import damaged
from nestmate_protocol.signals.votes import QUORUM, Vote

BALLOT_PREFIX: Final = b"s/b/"


@dataclass(frozen=True, slots=True)
class Ballot:
    """One delegate's memory of one task.

    It votes in no place, a generation and a round, before (``generation``, ``round``);
    ``voted`` is the round of its last vote in this generation, 0 for none, and
    ``holder`` whom that was for. From ``end_ms`` on, Unix ms, nobody can want the task
    any more; an ``over`` one was done or called off.
    """

    task: TaskId
    issuer: Address
    skill: str
    delegates: tuple[Address, ...]
    lease_seconds: int
    end_ms: int
    generation: int = 1
    round: int = 1
    voted: int = 0
    holder: Address | None = None
    over: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """The place it has promised."""
        return self.generation, self.round

    def chair(self, number: int) -> Address:
        """Who alone may name a holder in a round."""
        return self.delegates[(number - 1) % len(self.delegates)]

    def promised(self, generation: int, number: int) -> "Ballot | None":
        """The ballot once it has promised a later place; None if it is no later one."""
        if self.over or (generation, number) <= self.place:
            return None
        if generation == self.generation:
            return replace(self, round=number)
        return replace(self, generation=generation, round=number, voted=0, holder=None)

    def cast(self, generation: int, number: int, holder: Address) -> "Ballot | None":
        """The ballot once it has voted there; None if it may not.

        One vote per place, and none before the place it has promised.
        """
        at = self
        if (generation, number) != self.place:
            moved = self.promised(generation, number)
            if moved is None:
                return None
            at = moved
        if at.over or at.voted == number:
            return None
        return replace(at, voted=number, holder=holder)

    def word(self, me: Address) -> Vote:
        """What it has to say now: its vote in this place, or its promise."""
        if self.voted == self.round:
            return Vote(self.task, me, self.generation, self.round, self.holder)
        return Vote(
            self.task,
            me,
            self.generation,
            self.round,
            None,
            self.voted,
            self.holder,
        )

    def last_vote(self, me: Address) -> Vote | None:
        """Its last vote in this generation."""
        if not self.voted:
            return None
        return Vote(self.task, me, self.generation, self.voted, self.holder)

    def next_round(self, me: Address, seen: int) -> int:
        """The first round after all that are known of which ``me`` has the chair."""
        number = max(self.round, seen) + 1
        while self.chair(number) != me:
            number += 1
        return number


def nominee(
    ballot: Ballot, promises: Iterable[Vote], first: Address | None
) -> Address | None:
    """Whom the chair of a ballot's place must name, or may, or None if nobody yet.

    In the first round of a generation nothing can have been decided, so it may be the
    ``first`` who asked. Later it takes promises of a quorum, and if any of them voted
    before, the name in the latest of these votes.
    """
    if ballot.over or ballot.voted == ballot.round:
        return None
    latest, holder = ballot.voted, ballot.holder
    count = 1
    for promise in promises:
        count += 1
        if promise.last_round > latest:
            latest, holder = promise.last_round, promise.last_holder
    if ballot.round > 1 and count < QUORUM:
        return None
    return holder or first


def ballot_key(task: TaskId) -> bytes:
    """Where a ballot lies."""
    return BALLOT_PREFIX + task.raw


def write_ballot(ballot: Ballot) -> tuple[bytes, bytes]:
    """A ballot as a key and a value."""
    body = present(
        {
            0: 1,
            1: ballot.task.raw,
            2: ballot.issuer.raw,
            3: ballot.skill,
            4: [each.raw for each in ballot.delegates],
            5: ballot.lease_seconds,
            6: ballot.end_ms,
            7: ballot.generation,
            8: ballot.round,
            9: ballot.voted or None,
            10: ballot.holder.raw if ballot.holder else None,
            11: ballot.over or None,
        }
    )
    return ballot_key(ballot.task), encode(body)


def read_ballot(data: bytes) -> Ballot:
    """The ballot in a value; LocalError if the store is damaged."""
    try:
        fields = Fields(decode(data))
        return Ballot(
            task=fields.identifier(1, TaskId),
            issuer=fields.identifier(2, Address),
            skill=fields.text(3, SKILL_CHARS_MAX),
            delegates=fields.identifiers(4, Address, DELEGATES_MAX),
            lease_seconds=fields.integer(5, 1, LEASE_SECONDS_MAX),
            end_ms=fields.integer(6, 0, COUNT_MAX),
            generation=fields.integer(7, 1, GENERATION_MAX),
            round=fields.integer(8, 1, GENERATION_MAX),
            voted=fields.integer_or(9, 0, 0, GENERATION_MAX),
            holder=fields.identifier_or(10, Address, None),
            over=fields.boolean_or(11, default=False),
        )
    except RemoteError as damage:
        raise damaged("a ballot", damage) from damage
