"""What a local agent may ask of signals and claims, and what it is answered.

Values only: urgency here is the user's 0..1, sizes are seconds at speed one, times
are milliseconds. How a request is met is not its affair.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import NamedTuple

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    LEASE_SECONDS_DEFAULT,
    SIGNAL_TTL_SECONDS_DEFAULT,
)
from nestmate_protocol.signals.votes import VoteView
from nestmate_protocol.signals.yields import AwaitResult, InputResult, InputView


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
    0 takes the level's own. ``deadline_ms`` is Unix ms, 0 for none. ``inputs`` are
    tasks, our own or sensed here, whose results it takes and waits for. The result of a
    ``shared`` task is given to any agent that asks for it. ``parent`` is a task held
    here that this is to be a part of. Tasks of one ``apart`` go to different agents;
    ``delegates`` vote on an exclusive one.
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
    inputs: tuple[TaskId, ...] = ()
    shared: bool = False
    parent: TaskId | None = None
    apart: bytes = b""
    delegates: tuple[Address, ...] = ()


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
class DepositView:
    """Who needs a task, how urgently, and since when its latest word is out."""

    agent: Address
    urgency: float
    age_seconds: float


@dataclass(frozen=True, slots=True)
class StrengthView:
    """What makes the strength of a signal: ``weight * growth * freshness``.

    ``weight`` is the effective urgency on the scale from 1 to 245, ``intensity`` what
    is left of all deposits; ``growth`` is ``1 + age / A``, ``freshness`` falls below 1
    once nobody repeats the signal. ``deposits`` are the first few.
    """

    weight: float
    intensity: float
    growth: float
    freshness: float
    half_life_seconds: float
    deposits: tuple[DepositView, ...]


@dataclass(frozen=True, slots=True)
class ListenerView:
    """An agent told of a task; the rest is a guess from receipts known here.

    ``speed`` is None where no receipt taught it; ``hold_seconds`` is the age from which
    on an idle agent of that speed would claim. Whether it holds back only it knows.
    """

    agent: Address
    speed: float | None
    hold_seconds: float


@dataclass(frozen=True, slots=True)
class TellingView:
    """How one of our own tasks is called out, in the generation that is open.

    ``said`` counts how often; ``again_seconds`` is until the next time, None if none
    is due; ``able`` is how many agents are known to have the skill; ``told`` counts
    those told straight, ``listeners`` are the first few; ``topic`` tells whether
    everybody who listens for the skill was told as well.
    """

    said: int
    again_seconds: float | None
    able: int
    told: int
    listeners: tuple[ListenerView, ...]
    topic: bool


@dataclass(frozen=True, slots=True)
class AttemptView:
    """Who claimed one of our own tasks, and whether it got it."""

    agent: Address
    generation: int
    granted: bool
    seconds_ago: float


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """Why a task stands where it stands, as far as this node can know.

    ``telling`` and ``attempts`` are of our own tasks only. ``ready_seconds`` is until
    this node may claim it, None where waiting does not help; ``why`` is a sentence.
    """

    strength: StrengthView | None
    telling: TellingView | None
    attempts: tuple[AttemptView, ...]
    ready_seconds: float | None
    why: str


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task as seen from here; what is not known here is None or empty.

    ``strength`` is the stimulus S of the signals rule; ``generation`` is the fence.
    ``detail`` is there where one task was asked for.
    ``urgency_paid`` is what counts of ``urgency`` here, as far as the issuer's credit
    goes; ``credit`` is what it has left, in mean signals, None for our own tasks.
    ``called_seconds`` is how old the latest call of its issuer is that was heard here.
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
    detail: TaskDetail | None = None
    urgency_paid: float = 0.0
    credit: float | None = None
    inputs: tuple[InputView, ...] = ()
    parent: TaskId | None = None
    called_seconds: float = 0.0
    delegates: tuple[VoteView, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskViews:
    """Several tasks."""

    tasks: tuple[TaskView, ...]


@dataclass(frozen=True, slots=True)
class ListAuthors:
    """Whose calls were heard of late, and what they may still call urgent."""

    limit: int = 100


@dataclass(frozen=True, slots=True)
class AuthorView:
    """One author as its credit stands here.

    ``credit`` of ``credit_max`` mean signals are left; ``asked`` is the urgency 0..1 it
    asks for on average, ``counted`` what counted of it, ``usual`` what others ask for;
    ``tasks`` are open here. ``known`` authors have a bucket to themselves;
    ``equivocated`` ones are heard no more.
    """

    address: Address
    credit: float
    credit_max: float
    asked: float
    counted: float
    usual: float
    tasks: int
    known: bool
    equivocated: bool


@dataclass(frozen=True, slots=True)
class AuthorViews:
    """Authors, those with the least credit first."""

    authors: tuple[AuthorView, ...]


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
    An ``exclusive`` task has effects that must not happen twice; a ``settled``
    claim was agreed on among workers, because its issuer is silent. ``inputs`` are the
    results the task takes.
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
    settled: bool = False
    inputs: tuple[InputResult, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimViews:
    """All leases held by this node."""

    claims: tuple[ClaimView, ...]


@dataclass(frozen=True, slots=True)
class ListClaims:
    """Which leases this node holds."""


@unique
class Prospect(StrEnum):
    """What comes, or came, of a task at this node.

    ``HELD``, ``SILENT``, ``PAUSED`` and ``TAKEN`` may still be claimed once
    ``ready_seconds`` are over, ``RIPE`` at any moment; ``ASKED`` waits for the issuer's
    word. ``TAKEN`` is what others are at, unless they fall silent.
    """

    RIPE = "ripe"
    HELD = "held"
    SILENT = "silent"
    PAUSED = "paused"
    TAKEN = "taken"
    RELAXED = "relaxed"
    ASKED = "asked"
    CLAIMED = "claimed"
    FINISHED = "finished"
    CONFIRMED = "confirmed"
    UNWANTED = "unwanted"
    BUSY = "busy"
    FULL = "full"
    CLOSED = "closed"
    GONE = "gone"
    FAILED = "failed"
    DISTRUSTED = "distrusted"


@unique
class SpeedSource(StrEnum):
    """Where the speed came from that a taker was counted with."""

    DECLARED = "declared"
    LEARNED = "learned"
    UNKNOWN = "unknown"


class Estimate(NamedTuple):
    """What a task takes one taker, and what it loses by going there; all in seconds.

    ``speed`` and ``reference`` are against an average of 1; ``good`` is what an agent
    of the reference speed would need, ``loss`` what is over that and beyond the margin,
    ``hold`` the age from which on the task may be claimed. ``price`` is part of it,
    where ``context`` would be given up that a ``share`` of all tasks ask for and
    ``holders`` agents are set up for.
    """

    size: float
    speed: float
    source: SpeedSource
    setup: float
    transfer: float
    service: float
    reference: float
    percentile: int
    good: float
    margin: float
    loss: float
    hold: float
    price: float = 0.0
    context: str = ""
    share: float = 0.0
    holders: int = 0


@dataclass(frozen=True, slots=True)
class ExplainClaim:
    """Why this node claims a task, or why it does not."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Rival:
    """The task a taker would rather have than the one asked about."""

    task: TaskId
    preference: float
    ready_seconds: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why this node claims a task, or why it does not; ``sentence`` says it in words.

    ``ready_seconds`` is until it may be claimed here, None where waiting does not help;
    ``urgency_counted`` differs from ``urgency`` where others need the task as well or
    its issuer cannot pay; ``waiting`` counts who waits for the skill here, ``idle``
    those without a claim on its way; ``lease_seconds`` are left of our lease, and
    ``shunned_seconds`` until a task is tried again whose issuer did not answer.
    ``estimate`` is of the taker that would claim first, or of one that says nothing of
    itself.
    """

    task: TaskId
    skill: str
    issuer: Address
    prospect: Prospect
    sentence: str
    age_seconds: float = 0.0
    ready_seconds: float | None = None
    urgency: float = 0.0
    urgency_counted: float = 0.0
    estimate: Estimate | None = None
    preference: float = 0.0
    rival: Rival | None = None
    trust: float = 0.0
    shunned_seconds: float | None = None
    waiting: int = 0
    idle: int = 0
    room: bool = True
    lease_seconds: float | None = None
    delegates: tuple[VoteView, ...] = ()


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

    With ``parts``, the parts that were made of the task are the work: once all of them
    are done their results count instead, if there are any parts. Waits for the issuer's
    receipt up to ``wait_seconds``, 0 for not at all.
    """

    task: TaskId
    result: bytes = b""
    wait_seconds: float = 0.0
    parts: bool = False


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
    | AwaitResult
    | ListSignals
    | ShowTask
    | ListAuthors
    | ReinforceTask
    | WithdrawTask
    | TakeTask
    | ListClaims
    | ExplainClaim
    | RenewClaim
    | ReleaseClaim
    | FinishClaim
    | FailClaim
)
