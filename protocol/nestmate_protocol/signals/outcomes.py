"""Outcomes: what the signals subject wants done that it cannot say as an effect.

The subject thinks in addresses and skills; peers, topics and cards are not its
business. Whoever calls it turns each of these values into effects, in list order, and
carries the effects among them out unchanged.
"""

from dataclasses import dataclass

from nestmate_protocol.effects import Effect
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import Address


@dataclass(frozen=True, slots=True)
class ToAgent:
    """Give a signed record straight to an agent's node; if it is away, drop it.

    Nothing is lost by that: what must arrive is said again, with back-off and as soon
    as ``Board.agent_up`` tells that the agent can be reached.
    """

    address: Address
    record: bytes
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class ToTopic:
    """Spread a signed record over the topic of a skill, joining it if need be."""

    skill: str
    record: bytes
    age_ms: int
    urgent: bool


@dataclass(frozen=True, slots=True)
class SeekAble:
    """Fewer agents are known to have a skill than should hear of a task: seek more."""

    skill: str


@dataclass(frozen=True, slots=True)
class Listen:
    """Somebody here waits for tasks of this skill: hear its topic; idempotent."""

    skill: str


@dataclass(frozen=True, slots=True)
class ToNeighbours:
    """Give one frame to connected nodes: so many drawn by chance, or None for all."""

    frame: bytes
    count_max: int | None


@dataclass(frozen=True, slots=True)
class Reject:
    """A foreign record was not taken in; count it.

    ``strike`` says that no honest node makes or passes on such a record; without it
    the fault is the kind that late news, honest races or haste bring about.
    """

    fault: Fault
    strike: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the board holds, for the node's own figures."""

    tasks_own: int
    tasks_sensed: int
    claims: int


Outcome = Effect | ToAgent | ToTopic | ToNeighbours | SeekAble | Listen | Reject
