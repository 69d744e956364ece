"""Polls: what the delegates of tasks have been heard to say, at any node.

Votes are kept by task, the latest ones only. From them anybody can tell what was
decided, and show it; nobody need be believed but the delegates. This file sends
nothing and knows no disk.
"""

from typing import Final

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.asking import remember
from nestmate_protocol.signals.votes import (
    VOTES_PER_TASK_MAX,
    Decision,
    Vote,
    decided,
)

_Place = tuple[int, int, bytes]
NOTHING: Final[dict[_Place, tuple[Vote, bytes]]] = {}


class Polls:
    """All votes heard, bounded in tasks and in votes per task."""

    def __init__(self) -> None:
        self._votes: dict[bytes, dict[_Place, tuple[Vote, bytes]]] = {}

    def __repr__(self) -> str:
        return f"<Polls on {len(self._votes)} tasks>"

    def note(self, vote: Vote, data: bytes) -> None:
        """A delegate has said something; its record is ``data``."""
        votes = self._votes.get(vote.task.raw, {})
        votes[vote.generation, vote.round, vote.voter.raw] = vote, data
        if len(votes) > VOTES_PER_TASK_MAX:
            del votes[min(votes)]
        remember(self._votes, vote.task.raw, votes)

    def decision(self, task: TaskId) -> Decision | None:
        """What is decided of a task, under the latest generation of which it is."""
        return decided(self._votes.get(task.raw, NOTHING).values())

    def latest(self, task: TaskId, voter: Address) -> Vote | None:
        """The last word of a delegate, its last vote before its last promise."""
        votes = self._votes.get(task.raw, NOTHING)
        said = [each for place, (each, _) in votes.items() if place[2] == voter.raw]
        cast = [each for each in said if each.holder is not None]
        newest = max((each.generation for each in said), default=0)
        return max(
            cast if cast and cast[-1].generation >= newest else said,
            key=lambda each: (each.generation, each.round),
            default=None,
        )
