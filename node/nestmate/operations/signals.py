"""Operations on signals: ask for help, see who needs it, watch it happen.

Types only; ``runs/signals.py`` carries them out.
"""

from typing import Annotated, Literal

from msgspec import Meta

from nestmate.operations.events import Since
from nestmate.operations.fields import (
    DURATION_PATTERN,
    WHO_CHARS_MAX,
    Document,
    Request,
    Response,
    SkillName,
    TaskText,
    Timeout,
)
from nestmate_protocol.limits import (
    APART_BYTES_MAX,
    CARDS_KNOWN_MAX,
    DELEGATES_MAX,
    LEASE_SECONDS_DEFAULT,
    SIGNAL_TTL_SECONDS_DEFAULT,
    SKILL_CHARS_MAX,
    TASK_INPUTS_MAX,
    TASKS_KNOWN_MAX,
)

KEY_CHARS_MAX = 1_024
StatusText = Literal["open", "granted", "done", "cancelled"]


class SignalDeposit(Request, frozen=True):
    """Ask whoever has a skill for help with one task."""

    skill: SkillName
    urgency: Annotated[
        float,
        Meta(description="How urgent it is, from 0 (whenever) to 1 (now).", ge=0, le=1),
    ] = 0.5
    body: Document = None
    size: Annotated[
        float | str,
        Meta(
            description="How much work it is at ordinary speed: seconds, or text such "
            "as 90s.",
            extra={"kind": "duration"},
            extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0},
        ),
    ] = 1.0
    ttl: Annotated[
        float | str,
        Meta(
            description="How long it stays open, 14d at most: seconds, or text such "
            "as 1h.",
            extra={"kind": "duration"},
            extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0},
        ),
    ] = SIGNAL_TTL_SECONDS_DEFAULT
    lease: Annotated[
        float | str,
        Meta(
            description="How long a worker may be silent before the task is given "
            "away, 1s to 1h: seconds, or text.",
            extra={"kind": "duration"},
            extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0},
        ),
    ] = LEASE_SECONDS_DEFAULT
    half_life: Annotated[
        float | str,
        Meta(
            description="How fast the signal fades: seconds, or text such as 60s; 0 "
            "takes what the urgency suggests.",
            extra={"kind": "duration"},
            extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0},
        ),
    ] = 0
    deadline: Annotated[
        str,
        Meta(
            description="Until when the result is of use: RFC 3339, or a duration from "
            "now such as 15m; empty for no deadline.",
            max_length=64,
        ),
    ] = ""
    exclusive: Annotated[
        bool,
        Meta(description="It has side effects: never let two workers run it."),
    ] = False
    key: Annotated[
        str,
        Meta(
            description="Makes a repeat of this deposit the same task, such as the "
            "version of the document it is about; empty for a new task each time.",
            max_length=KEY_CHARS_MAX,
        ),
    ] = ""
    inputs: Annotated[
        tuple[TaskText, ...],
        Meta(
            description="A task (task1…) whose result it takes: one of your own, or "
            "one sensed here and shared. It waits until all inputs exist.",
            max_length=TASK_INPUTS_MAX,
        ),
    ] = ()
    share: Annotated[
        bool, Meta(description="Give its result to any agent that asks for it.")
    ] = False
    parent: Annotated[
        str,
        Meta(
            description="A task held here (task1…) that this is to be a part of; "
            "without a key of its own, the same part asked for again is the same task.",
            max_length=128,
            extra={"kind": "task"},
        ),
    ] = ""
    apart: Annotated[
        str,
        Meta(
            description="Tasks with the same text here go to different agents, such as "
            "votes; empty for none.",
            max_length=APART_BYTES_MAX,
        ),
    ] = ""
    delegates: Annotated[
        tuple[str, ...],
        Meta(
            description="An agent that votes on who gets an exclusive task, an address "
            "or a contact's name: two others, with you as the third, or three. Two of "
            "the three decide, with or without you.",
            max_length=DELEGATES_MAX,
            extra={"kind": "texts"},
        ),
    ] = ()


class Deposited(Response, frozen=True):
    """The task now exists."""

    task: Annotated[str, Meta(description="The task id (task1…).")]


class SignalList(Request, frozen=True):
    """Which tasks are sensed here."""

    skill: Annotated[
        str,
        Meta(
            description="Only this skill; empty for all.",
            max_length=SKILL_CHARS_MAX,
            extra={"kind": "skill"},
        ),
    ] = ""
    min_strength: Annotated[
        float, Meta(description="Only signals at least this strong.", ge=0)
    ] = 0.0
    limit: Annotated[
        int, Meta(description="How many at most.", ge=1, le=TASKS_KNOWN_MAX)
    ] = 100


class TaskInput(Response, frozen=True):
    """A task whose result another one takes."""

    task: Annotated[str, Meta(description="The task id (task1…).")]
    here: Annotated[
        bool | None,
        Meta(description="Whether its result is here; null for others' tasks."),
    ]


class DelegateVote(Response, frozen=True):
    """A delegate of a task and its last word, as far as it was heard here."""

    delegate: Annotated[str, Meta(description="Who votes (nest1…).")]
    generation: Annotated[
        int, Meta(description="Under which fence; 0 if nothing was heard of it.")
    ]
    round: Annotated[int, Meta(description="In which round of that.")]
    holder: Annotated[
        str | None, Meta(description="For whom (nest1…); null for nobody yet.")
    ]


class Task(Response, frozen=True):
    """One task as seen from here; what is not known here is null or empty."""

    task: Annotated[str, Meta(description="The task id (task1…).")]
    skill: Annotated[str, Meta(description="The skill it asks for.")]
    issuer: Annotated[str, Meta(description="Who asks (nest1…).")]
    own: Annotated[bool, Meta(description="Whether we ask.")]
    status: Annotated[StatusText, Meta(description="Where it stands.")]
    urgency: Annotated[float, Meta(description="From 0 (whenever) to 1 (now).")]
    strength: Annotated[
        float, Meta(description="How strongly the signal is sensed here and now.")
    ]
    age_seconds: Annotated[float, Meta(description="Since its deposit.")]
    generation: Annotated[int, Meta(description="The fence: how often it was opened.")]
    holder: Annotated[
        str | None, Meta(description="Who works on it (nest1…), if known.")
    ]
    body: Document
    result: Document
    reason: Annotated[
        str,
        Meta(description="What it waits for, why it ended, or why it was given back."),
    ]
    deposits: Annotated[int, Meta(description="How many agents need it.")]
    urgency_paid: Annotated[
        float,
        Meta(description="What counts of the urgency here, by credit or rank."),
    ]
    credit: Annotated[
        float | None,
        Meta(
            description="What its issuer has left here, in mean signals; null for our "
            "own tasks, and where urgency is ranked."
        ),
    ]
    inputs: Annotated[
        list[TaskInput], Meta(description="The tasks whose results it takes.")
    ]
    parent: Annotated[
        str | None, Meta(description="The task it is a part of, if it is ours.")
    ]
    called_seconds: Annotated[
        float,
        Meta(
            description="Since its issuer's latest call that was heard here; an open "
            "task of others is known to have been open then."
        ),
    ]
    delegates: Annotated[
        list[DelegateVote], Meta(description="Who votes on it, and how they have.")
    ]


class Signals(Response, frozen=True):
    """Tasks sensed here, strongest first."""

    signals: Annotated[list[Task], Meta(description="Strongest first.")]


class SignalAuthors(Request, frozen=True):
    """Whose calls were heard of late, and what credit they have left here."""

    limit: Annotated[
        int, Meta(description="How many at most.", ge=1, le=CARDS_KNOWN_MAX)
    ] = 100


class Author(Response, frozen=True):
    """One agent that asks for help, as its credit stands at this node."""

    address: Annotated[str, Meta(description="Who (nest1…).")]
    credit: Annotated[float, Meta(description="What is left, in mean signals.")]
    credit_max: Annotated[
        float,
        Meta(description="What a full bucket holds; 0 where urgency is ranked."),
    ]
    asked: Annotated[
        float, Meta(description="The urgency it asks for on average, from 0 to 1.")
    ]
    counted: Annotated[float, Meta(description="What counted of that, on average.")]
    usual: Annotated[float, Meta(description="What the others ask for on average.")]
    tasks: Annotated[int, Meta(description="How many tasks of it are sensed here.")]
    known: Annotated[
        bool, Meta(description="Whether it is a contact and has a bucket to itself.")
    ]
    equivocated: Annotated[
        bool,
        Meta(description="Whether it signed a contradiction and is heard no more."),
    ]


class Authors(Response, frozen=True):
    """Agents that ask for help, those with the least credit first."""

    authors: Annotated[list[Author], Meta(description="Least credit first.")]


class SignalShow(Request, frozen=True):
    """Everything this node knows of one task."""

    task: TaskText


class SignalResult(Request, frozen=True):
    """The result of a task: our own, or of an agent that gives it to us."""

    task: TaskText
    issuer: Annotated[
        str,
        Meta(
            description="Whose task it is, an address (nest1…); empty for our own and "
            "for those sensed here.",
            max_length=WHO_CHARS_MAX,
        ),
    ] = ""
    timeout: Timeout = 10.0


class TaskResult(Response, frozen=True):
    """What a task came to."""

    task: Annotated[str, Meta(description="The task id (task1…).")]
    issuer: Annotated[str, Meta(description="Who gave it (nest1…).")]
    result: Document
    sha256: Annotated[str, Meta(description="SHA-256 of its bytes, as hex.")]
    bytes: Annotated[int, Meta(description="How many bytes it has.")]


class SignalReinforce(Request, frozen=True):
    """We need this too: add to somebody's task, or renew our own."""

    task: TaskText


class SignalWithdraw(Request, frozen=True):
    """Cancel a task of our own; whoever works on it is told to stop."""

    task: TaskText


class SignalTail(Request, frozen=True):
    """What happens to signals and tasks, as it happens."""

    skill: Annotated[
        str,
        Meta(
            description="Only this skill; empty for all.",
            max_length=SKILL_CHARS_MAX,
            extra={"kind": "skill"},
        ),
    ] = ""
    since: Since = None
    timeout: Timeout = 30.0


class Acknowledged(Response, frozen=True):
    """It is so."""

    task: Annotated[str, Meta(description="The task id (task1…).")]
    generation: Annotated[
        int, Meta(description="The fence in force; 0 where there is none.")
    ]
