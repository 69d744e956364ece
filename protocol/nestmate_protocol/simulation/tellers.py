"""The tellers: what delegates were seen to vote, and whether it adds up.

No delegate votes for two in one round of one generation, and nobody begins a task that
is voted on unless two of its delegates voted for it in the same round. They know what
records say, and nothing of how a core decides.
"""

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.records import Signal, task_id
from nestmate_protocol.signals.votes import QUORUM, Vote, voters
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.register import Register

_Place = tuple[int, int]


class Tellers:
    """All votes that left the nodes that cast them."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._delegates: dict[TaskId, tuple[Address, ...]] = {}
        self._votes: dict[TaskId, dict[_Place, dict[int, Address]]] = {}

    def __repr__(self) -> str:
        return f"<Tellers of {len(self._delegates)} tasks>"

    def called(self, signal: Signal) -> None:
        """An issuer calls for a task, and names who votes on it, if anybody does."""
        if delegates := voters(signal):
            self._delegates[task_id(signal.issuer, signal.key)] = delegates

    def votes_on(self, task: TaskId) -> bool:
        """Whether delegates decide who gets a task."""
        return task in self._delegates

    def voted(self, node: Node, vote: Vote) -> str:
        """A delegate's vote is seen; what is wrong with it, if anything is."""
        if vote.holder is None:
            return ""
        places = self._votes.setdefault(vote.task, {})
        at = places.setdefault((vote.generation, vote.round), {})
        if at.setdefault(node.number, vote.holder) != vote.holder:
            return f"{node.name} votes twice on {vote.task.short} in one round"
        return ""

    def begins(self, node: Node, task: TaskId, generation: int) -> str:
        """An agent begins a task that is voted on; what is wrong with that.

        Its node's own vote need never have left it.
        """
        me = self._register.address(node)
        own = {node.number} if me in self._delegates[task] else set()
        for (fence, _), votes in self._votes.get(task, {}).items():
            mine = {number for number, holder in votes.items() if holder == me} | own
            if fence == generation and len(mine) >= QUORUM:
                return ""
        return f"{node.name} begins {task.short} without two votes"
