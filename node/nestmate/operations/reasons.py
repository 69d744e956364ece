"""Why a task stands where it stands: what its issuer can say, and any other node.

Types only; ``runs/reasons.py`` carries them out.
"""

from typing import Annotated, Literal

from msgspec import Meta

from nestmate.operations.fields import Request, Response, TaskText
from nestmate.operations.signals import DelegateVote, Task

ProspectText = Literal[
    "ripe",
    "held",
    "silent",
    "paused",
    "taken",
    "relaxed",
    "asked",
    "claimed",
    "finished",
    "confirmed",
    "unwanted",
    "busy",
    "full",
    "closed",
    "gone",
    "failed",
    "distrusted",
]
SpeedSourceText = Literal["declared", "learned", "unknown"]
Agent = Annotated[str, Meta(description="An agent (nest1…).")]
Why = Annotated[str, Meta(description="The reason in one sentence, for people.")]


class DepositShown(Response, frozen=True):
    """Who needs a task."""

    agent: Agent
    urgency: Annotated[float, Meta(description="From 0 (whenever) to 1 (now).")]
    age_seconds: Annotated[float, Meta(description="Since its latest word.")]


class StrengthParts(Response, frozen=True):
    """What makes a strength: ``weight * growth * freshness``."""

    weight: Annotated[
        float, Meta(description="The urgency that counts, on the scale of 1 to 245.")
    ]
    growth: Annotated[
        float, Meta(description="1 + age / A, with A five mean service times.")
    ]
    freshness: Annotated[
        float, Meta(description="1, and less once nobody repeats the signal.")
    ]
    intensity: Annotated[
        float, Meta(description="What is left of all deposits, each fading.")
    ]
    half_life_seconds: Annotated[
        float, Meta(description="How long until half of a deposit is left.")
    ]
    deposits: Annotated[
        list[DepositShown], Meta(description="Who needs it: the first 16.")
    ]


class Listener(Response, frozen=True):
    """An agent told of a task, and a guess at it from the receipts known here."""

    agent: Agent
    speed: Annotated[
        float | None,
        Meta(description="As receipts taught, 1 is average; null if none did."),
    ]
    hold_seconds: Annotated[
        float,
        Meta(
            description="The task's age from which on an idle agent of that speed "
            "claims it. A guess: whether it holds back only that agent knows."
        ),
    ]


class Telling(Response, frozen=True):
    """How a task of our own is called out, in the generation that is open."""

    said: Annotated[int, Meta(description="How often.")]
    again_seconds: Annotated[
        float | None, Meta(description="Until the next time; null if none is due.")
    ]
    able: Annotated[int, Meta(description="How many agents are known to be able.")]
    told: Annotated[int, Meta(description="How many of them were told straight.")]
    listeners: Annotated[list[Listener], Meta(description="The first 16 of those.")]
    topic: Annotated[
        bool, Meta(description="Whether everybody who listens for the skill was told.")
    ]


class Attempt(Response, frozen=True):
    """A claim of a task of our own."""

    agent: Agent
    generation: Annotated[int, Meta(description="The fence that was claimed.")]
    granted: Annotated[bool, Meta(description="Whether the claim was granted.")]
    seconds_ago: Annotated[float, Meta(description="When it came.")]


class TaskShown(Task, frozen=True):
    """One task as seen from here, and why it stands where it stands."""

    why: Why
    ready_seconds: Annotated[
        float | None,
        Meta(
            description="Until this node may claim it; null for a task of our own and "
            "where waiting does not help."
        ),
    ]
    strength_parts: Annotated[
        StrengthParts | None,
        Meta(description="What the strength is made of; null if it calls no more."),
    ]
    telling: Annotated[
        Telling | None,
        Meta(description="Whom we told; null for others' tasks and for what is over."),
    ]
    attempts: Annotated[
        list[Attempt],
        Meta(
            description="Who claimed our task since this node started, first to last."
        ),
    ]


class ClaimExplain(Request, frozen=True):
    """Why this node claims a task, or why it does not."""

    task: TaskText


class Rival(Response, frozen=True):
    """The task that would rather be claimed."""

    task: Annotated[str, Meta(description="The task id (task1…).")]
    preference: Annotated[float, Meta(description="Its preference.")]
    ready_seconds: Annotated[float, Meta(description="Until it may be claimed.")]


class Estimate(Response, frozen=True):
    """What the task takes here and what it loses by that; times in seconds."""

    size: Annotated[float, Meta(description="The work at speed one, as declared.")]
    speed: Annotated[float, Meta(description="The speed counted with; 1 is average.")]
    speed_source: Annotated[
        SpeedSourceText,
        Meta(description="Declared by the taker, learned from receipts, or unknown."),
    ]
    setup: Annotated[float, Meta(description="Changing to the skill.")]
    transfer: Annotated[float, Meta(description="Bringing the input here.")]
    service: Annotated[
        float, Meta(description="size / speed + setup + transfer: p of the rule.")
    ]
    reference_speed: Annotated[
        float, Meta(description="The speed of a good agent, as receipts taught.")
    ]
    reference_percentile: Annotated[
        int, Meta(description="Which percentile of known speeds that is.")
    ]
    good: Annotated[float, Meta(description="What such an agent would need.")]
    margin: Annotated[
        float, Meta(description="Smaller losses count as none, as guesses are rough.")
    ]
    loss: Annotated[float, Meta(description="service - good, 0 below the margin.")]
    gives_up: Annotated[
        str, Meta(description="The skill it is set up for and would give up, if any.")
    ]
    gives_up_share: Annotated[
        float, Meta(description="Of tasks heard of, how much asks for that; 0 to 1.")
    ]
    gives_up_holders: Annotated[
        int, Meta(description="How many are set up for that, as far as is known here.")
    ]
    price: Annotated[
        float, Meta(description="What giving that up costs others; part of hold.")
    ]
    hold: Annotated[
        float, Meta(description="The age from which on the task may be claimed here.")
    ]


class Reasons(Response, frozen=True):
    """Why this node claims a task, or why it does not; null where nothing is known."""

    task: Annotated[str, Meta(description="The task id (task1…).")]
    skill: Annotated[str, Meta(description="The skill it asks for.")]
    issuer: Annotated[str, Meta(description="Who asks (nest1…).")]
    prospect: Annotated[ProspectText, Meta(description="What comes of it here.")]
    why: Why
    age_seconds: Annotated[float, Meta(description="For how long it has been open.")]
    ready_seconds: Annotated[
        float | None,
        Meta(description="Until it may be claimed here; null if waiting is in vain."),
    ]
    urgency: Annotated[float, Meta(description="As asked, from 0 to 1.")]
    urgency_counted: Annotated[
        float,
        Meta(
            description="As it counts here: more if others need it too, less if its "
            "issuer cannot pay."
        ),
    ]
    estimate: Annotated[
        Estimate | None,
        Meta(description="For the taker that would claim first, or for any."),
    ]
    preference: Annotated[
        float, Meta(description="Of tasks that may be claimed the largest comes first.")
    ]
    rival: Annotated[
        Rival | None, Meta(description="The best other task for the same taker.")
    ]
    trust: Annotated[float, Meta(description="In its issuer, from 0 to 1.")]
    shunned_seconds: Annotated[
        float | None,
        Meta(
            description="Until it is tried again: its issuer was silent, or it failed."
        ),
    ]
    waiting: Annotated[int, Meta(description="How many wait for the skill here.")]
    idle: Annotated[int, Meta(description="How many of them have no claim on its way.")]
    room: Annotated[bool, Meta(description="Whether this node may hold one more.")]
    lease_seconds_left: Annotated[
        float | None, Meta(description="What is left of our lease, if we hold it.")
    ]
    delegates: Annotated[
        list[DelegateVote], Meta(description="Who votes on it, and how they have.")
    ]
