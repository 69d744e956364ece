"""What a local agent may ask of signals and claims, and what it is answered.

Values only: urgency here is the user's 0..1, sizes are seconds at speed one, times
are milliseconds. This file knows nothing of how a request is met.
"""

from dataclasses import dataclass
from enum import StrEnum, unique

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    LEASE_SECONDS_DEFAULT,
    SIGNAL_TTL_SECONDS_DEFAULT,
)


@unique
class TaskStatus(StrEnum):
    """Where a task stands, as its issuer says."""

    OPEN = "open"
    GRANTED = "granted"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class DepositTask:
    """Ask for help. ``key`` makes a repeat the same task; empty means a new one.

    ``urgency`` 0..1; ``size_seconds`` is the expected work at speed one; ``body`` is
    the task's input; ``exclusive`` tasks are never run twice; ``half_life_seconds``
    0 takes the level's own. ``deadline_ms`` is Unix ms, 0 for none.
    """

    skill: str
    urgency: float
    body: bytes = b""
    size_seconds: float = 1.0
    ttl_seconds: int = SIGNAL_TTL_SECONDS_DEFAULT
    lease_seconds: int = LEASE_SECONDS_DEFAULT
    half_life_seconds: int = 0
    deadline_ms: int = 0
    exclusive: bool = False
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Deposited:
    """The task now exists, here for sure and elsewhere as soon as it is heard."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class ListSignals:
    """Which open tasks are sensed here, strongest first."""

    skill: str = ""
    min_strength: float = 0.0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class ShowTask:
    """Everything this node knows of one task."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task as seen from here; what is not known here is None or empty.

    ``strength`` is the stimulus S of the signals rule; ``generation`` is the fence.
    """

    task: TaskId
    skill: str
    issuer: Address
    own: bool
    status: TaskStatus
    urgency: float
    strength: float
    age_seconds: float
    generation: int
    holder: Address | None
    body: bytes | None
    result: bytes | None
    reason: str
    deposits: int


@dataclass(frozen=True, slots=True)
class TaskViews:
    """Several tasks."""

    tasks: tuple[TaskView, ...]


@dataclass(frozen=True, slots=True)
class ReinforceTask:
    """We need this too: add our own deposit to somebody's task, or renew ours."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class WithdrawTask:
    """Cancel a task of our own; a holder is told to stop."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Ability:
    """A skill somebody has, and how fast: 0 means as fast as receipts taught."""

    skill: str
    speed: float = 0.0


@dataclass(frozen=True, slots=True)
class TakeTask:
    """Claim one named task, or, with ``skill``, the best one as it comes along.

    Waits up to ``wait_seconds`` for the issuer to grant a lease. ``speed`` is the
    agent's own at the skill, where 1 is average and 0 means as receipts taught;
    ``also`` are further skills of which any will do. ``setup_seconds`` is what it takes
    to change to a skill other than ``context``, which is what this slot is set up for:
    empty for nothing, None for the skill of the last task taken on this node.
    ``min_urgency`` 0..1 leaves out what is less urgent; who asks for that has its hands
    full, and lets idle agents go first for a moment.
    """

    task: TaskId | None = None
    skill: str = ""
    wait_seconds: float = 10.0
    speed: float = 0.0
    setup_seconds: float = 0.0
    also: tuple[Ability, ...] = ()
    context: str | None = None
    min_urgency: float = 0.0


@dataclass(frozen=True, slots=True)
class ClaimView:
    """One lease held by this node; ``generation`` is the fence that goes with it.

    ``partial`` is what an earlier holder had achieved when it gave the task back.
    An ``exclusive`` task has effects that must not happen twice.
    """

    task: TaskId
    skill: str
    issuer: Address
    generation: int
    lease_seconds: int
    seconds_left: float
    urgency: float
    body: bytes
    partial: bytes = b""
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class ClaimViews:
    """All leases held by this node."""

    claims: tuple[ClaimView, ...]


@dataclass(frozen=True, slots=True)
class ListClaims:
    """Which leases this node holds."""


@dataclass(frozen=True, slots=True)
class RenewClaim:
    """Still working: ask the issuer for another lease term."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class ReleaseClaim:
    """Give a task back, with the reason and whatever was achieved so far."""

    task: TaskId
    reason: str = ""
    partial: bytes = b""


@dataclass(frozen=True, slots=True)
class FinishClaim:
    """The work is done; the result goes to the issuer until it confirms.

    Waits for the issuer's receipt up to ``wait_seconds``, 0 for not at all.
    """

    task: TaskId
    result: bytes = b""
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FailClaim:
    """The work cannot be done here; the task opens again for others."""

    task: TaskId
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """It is so; ``generation`` is the fence in force, 0 where there is none."""

    task: TaskId
    generation: int = 0


SignalsRequest = (
    DepositTask
    | ListSignals
    | ShowTask
    | ReinforceTask
    | WithdrawTask
    | TakeTask
    | ListClaims
    | RenewClaim
    | ReleaseClaim
    | FinishClaim
    | FailClaim
)
