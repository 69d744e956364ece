"""Operations on documents in spaces: read, write, list, and ask where they came from.

Types only; ``runs/documents.py`` carries them out.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from nestmate.operations.fields import (
    DURATION_PATTERN,
    Document,
    Request,
    Response,
    Schema,
)
from nestmate.operations.spaces import SpaceText, TypeText
from nestmate_protocol.limits import PATH_BYTES_MAX

LIMIT_MAX = 1_000
VERSION_CHARS_MAX = 4_096

PathText = Annotated[
    str,
    Meta(
        description="Where it stands, such as tasks/7/status.",
        min_length=1,
        max_length=PATH_BYTES_MAX,
    ),
]
Prefix = Annotated[
    str,
    Meta(
        description="Only what stands at or below this path; empty for all.",
        max_length=PATH_BYTES_MAX,
    ),
]
Limit = Annotated[int, Meta(description="How many at most.", ge=1, le=LIMIT_MAX)]
PolicyText = Literal["lww", "max", "min", "union", "owner", "claim", "manual"]
ActText = Literal[
    "auto", "put", "delete", "add", "remove", "append", "increment", "insert", "bid",
    "release", "mint", "transfer", "spend",
]  # fmt: skip


class Get(Request, frozen=True):
    """What stands at a path, with its version, and all values if they conflict."""

    space: SpaceText
    path: PathText
    type: Annotated[
        Literal["", "reg", "set", "ctr", "log", "list", "claim", "budget"],
        Meta(
            description="Which, if documents of several types stand there; empty for "
            "the first."
        ),
    ] = ""
    version: Annotated[
        str,
        Meta(
            description="What was written there as this version, such as an event's "
            "`ref`, even if something else stands there now; empty for what does.",
            max_length=VERSION_CHARS_MAX,
        ),
    ] = ""


class Alternative(Response, frozen=True):
    """One value that is alive, and where it came from."""

    value: Document
    version: Annotated[str, Meta(description="Its own version.")]
    author: Annotated[str, Meta(description="Who wrote it: address, or device key.")]
    at: Annotated[str, Meta(description="When, by its author's clock (RFC 3339).")]
    grant: Annotated[str, Meta(description="By which grant; empty for a founder.")]


class DocumentShown(Response, frozen=True):
    """One document."""

    space: Annotated[str, Meta(description="The id (space1…).")]
    path: Annotated[str, Meta(description="Where it stands.")]
    type: Annotated[str, Meta(description="Of which type.")]
    value: Document
    version: Annotated[
        str, Meta(description="What was read; give it to `put --expect`.")
    ]
    conflict: Annotated[
        bool, Meta(description="Whether several values are alive that differ.")
    ]
    alternatives: Annotated[
        list[Alternative], Meta(description="Everything alive, the winner first.")
    ]
    provenance: Annotated[
        Alternative | None, Meta(description="Where the value came from.")
    ]
    policy: Annotated[str, Meta(description="How a winner is found here.")]
    elements: Annotated[
        list[Alternative],
        Meta(description="What a set, log or list holds, in its order."),
    ]
    holder: Annotated[str | None, Meta(description="Who holds a claim.")]
    flags: Annotated[
        list[str], Meta(description="What is wrong: overdrawn, forked, dropped.")
    ]
    schema_ok: Annotated[
        bool | None,
        Meta(description="Whether it fits the schema there; null without one."),
    ]


class Put(Request, frozen=True):
    """Write a document; what it replaces is what was read, and nothing else."""

    space: SpaceText
    path: PathText
    value: Document = None
    type: TypeText = "reg"
    expect: Annotated[
        str,
        Meta(
            description="The version it replaces, as `get` showed it, or none; refused "
            "if something else stands there now.",
            max_length=VERSION_CHARS_MAX,
        ),
    ] = ""
    act: Annotated[
        ActText,
        Meta(
            description="What to do where the type knows several things: a set adds or "
            "removes, a claim is bid for or released, a budget mints, transfers or "
            "spends; auto takes the first."
        ),
    ] = "auto"
    amount: Annotated[
        int,
        Meta(description="For counters (may be negative), claims and budgets."),
    ] = 0
    to: Annotated[
        str, Meta(description="Who gets a transfer (nest1… or name).", max_length=128)
    ] = ""
    at: Annotated[
        str,
        Meta(
            description="For lists: the version of the element to go after or to "
            "take out; first for the front.",
            max_length=VERSION_CHARS_MAX,
        ),
    ] = ""
    lasts: Annotated[
        float | str,
        Meta(
            description="How long a claim holds, or how long an ephemeral document is "
            "there: seconds, or text such as 90s.",
            extra={"kind": "duration"},
            extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0},
        ),
    ] = 0
    ephemeral: Annotated[
        bool,
        Meta(description="Keep it nowhere: it ends by itself after `lasts`."),
    ] = False


class Written(Response, frozen=True):
    """It is durable here, and on its way to the others."""

    space: Annotated[str, Meta(description="The id (space1…).")]
    version: Annotated[str, Meta(description="The version that stands there now.")]
    op: Annotated[str, Meta(description="The write (record1…).")]


class Remove(Request, frozen=True):
    """Take a document away; what others write meanwhile stays."""

    space: SpaceText
    path: PathText
    expect: Annotated[
        str,
        Meta(
            description="The version it takes away; refused if another stands there.",
            max_length=VERSION_CHARS_MAX,
        ),
    ] = ""


class DocumentList(Request, frozen=True):
    """What there is below a path."""

    space: SpaceText
    prefix: Prefix = ""
    after: Annotated[
        str,
        Meta(description="Go on after this path.", max_length=PATH_BYTES_MAX),
    ] = ""
    limit: Limit = 100


class Documents(Response, frozen=True):
    """Documents in the order of their paths."""

    documents: Annotated[list[DocumentShown], Meta(description="Those asked for.")]
    more: Annotated[bool, Meta(description="Whether there are others after them.")]


class History(Request, frozen=True):
    """Who wrote what to a path, when, and by which right."""

    space: SpaceText
    path: PathText
    limit: Limit = 100


class Write(Response, frozen=True):
    """One write, and what became of it."""

    op: Annotated[str, Meta(description="The write (record1…).")]
    path: Annotated[str, Meta(description="Where.")]
    type: Annotated[str, Meta(description="Of which type.")]
    act: Annotated[int, Meta(description="The action's number in its type.")]
    value: Document
    version: Annotated[str, Meta(description="Its version.")]
    author: Annotated[str, Meta(description="Who: address, or device key.")]
    at: Annotated[str, Meta(description="When, by its author's clock (RFC 3339).")]
    grant: Annotated[str, Meta(description="By which grant; empty for a founder.")]
    fate: Annotated[
        Literal["live", "superseded", "void"], Meta(description="What became of it.")
    ]
    why: Annotated[str, Meta(description="Why it is void.")]


class Writes(Response, frozen=True):
    """Writes, newest first."""

    writes: Annotated[list[Write], Meta(description="Those asked for.")]


class Conflicts(Request, frozen=True):
    """Documents with several values alive that differ."""

    space: SpaceText
    limit: Limit = 100


class VoidList(Request, frozen=True):
    """Writes that do not count, and why."""

    space: SpaceText
    limit: Limit = 100


class Explain(Request, frozen=True):
    """Why a path shows what it shows, and who may change it."""

    space: SpaceText
    path: PathText


class Explained(Response, frozen=True):
    """Sentences."""

    sentences: Annotated[list[str], Meta(description="The most important first.")]


class PolicySet(Request, frozen=True):
    """Say how a winner is found at and below a path."""

    space: SpaceText
    prefix: Prefix
    policy: Annotated[
        PolicyText,
        Meta(
            description="lww (the latest), max or min (of numbers), union (all of "
            "them), owner (whoever's address is in the path), claim (whoever holds "
            "it), manual (somebody must decide: a task is opened)."
        ),
    ]


class SchemaSet(Request, frozen=True):
    """Say what documents at and below a path must look like."""

    space: SpaceText
    prefix: Prefix
    schema: Annotated[
        dict[str, Any] | bool,
        Meta(description="A JSON Schema.", extra={"kind": "json"}),
    ]


class SchemaCheck(Request, frozen=True):
    """Which documents do not look as their schema says."""

    space: SpaceText
    prefix: Prefix = ""


class SchemaFault(Response, frozen=True):
    """One document, and what is wrong with it."""

    path: Annotated[str, Meta(description="Where it stands.")]
    at: Annotated[str, Meta(description="Where in it (a JSON path).")]
    fault: Annotated[str, Meta(description="What is wrong.")]
    schema_id: Annotated[str, Meta(description="SHA-256 of the schema, in hex.")]


class SchemaFaults(Response, frozen=True):
    """All that do not fit, and how many were looked at."""

    checked: Annotated[int, Meta(description="Documents that have a schema.")]
    faults: Annotated[list[SchemaFault], Meta(description="Those that do not fit.")]


class SchemaShow(Request, frozen=True):
    """The schema that counts at a path."""

    space: SpaceText
    path: PathText


class SchemaShown(Response, frozen=True):
    """A schema and its id, which is the hash of its content."""

    prefix: Annotated[str, Meta(description="Where it was set; empty for none.")]
    schema_id: Annotated[str, Meta(description="SHA-256 of it, in hex; empty.")]
    schema: Schema


class LogAppend(Request, frozen=True):
    """Add an entry to a log."""

    space: SpaceText
    path: PathText
    value: Document


class LogRead(Request, frozen=True):
    """The entries of a log, in order."""

    space: SpaceText
    path: PathText
    limit: Limit = 100
