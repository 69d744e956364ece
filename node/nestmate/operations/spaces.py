"""Operations on spaces: found one, let others in, and see how it stands.

Types only; ``runs/spaces.py`` carries them out.
"""

from typing import Annotated, Literal

from msgspec import Meta

from nestmate.operations.fields import Request, Response, Timeout, Who
from nestmate_protocol.limits import (
    FOUNDERS_MAX,
    GRANT_DEPTH_MAX,
    GRANT_PATHS_MAX,
    GRANT_TYPES_MAX,
    NAME_CHARS_MAX,
    PATH_BYTES_MAX,
    SPACE_INVITE_CHARS_MAX,
)

SPACE_CHARS_MAX = 128

SpaceText = Annotated[
    str,
    Meta(
        description="A space: its id (space1…), or the name it has here.",
        min_length=1,
        max_length=SPACE_CHARS_MAX,
        extra={"kind": "space"},
    ),
]
RightsText = Annotated[
    str,
    Meta(
        description="What they may do, joined by commas: read, write, grant (let "
        "others in), rule (change policies and schemas), relay (hold and pass on what "
        "they cannot read), or all.",
        min_length=1,
        max_length=64,
    ),
]
Paths = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=PATH_BYTES_MAX)], ...],
    Meta(
        description="Only below these paths; {self} stands for the agent's own "
        "address. Empty for everywhere.",
        max_length=GRANT_PATHS_MAX,
        extra={"kind": "texts"},
    ),
]
TypeText = Annotated[
    Literal["reg", "set", "ctr", "log", "list", "claim", "budget"],
    Meta(
        description="What kind of document: reg (one value), set, ctr (a counter), "
        "log, list, claim (held by one), budget."
    ),
]
Types = Annotated[
    tuple[TypeText, ...],
    Meta(
        description="Only documents of these types; empty for all.",
        max_length=GRANT_TYPES_MAX,
        extra={"kind": "texts"},
    ),
]
Expires = Annotated[
    str,
    Meta(
        description="When it ends: a time (RFC 3339) or a duration from now, such as "
        "30d; empty for never.",
        max_length=64,
    ),
]
Label = Annotated[
    str,
    Meta(
        description="A word on it, for the others to read.", max_length=NAME_CHARS_MAX
    ),
]
Closes = Annotated[
    str,
    Meta(
        description="Until when the line can be taken up: a time (RFC 3339) or a "
        "duration from now; `never` for no end. Who came by it stays.",
        min_length=1,
        max_length=64,
    ),
]
GrantText = Annotated[
    str,
    Meta(
        description="A grant, as `space members` names it, or the agent (nest1… or a "
        "contact's name) all of whose grants there are meant.",
        min_length=1,
        max_length=128,
    ),
]


class SpaceCreate(Request, frozen=True):
    """Found a space: shared documents that many write, offline too."""

    name: Annotated[
        str, Meta(description="What it is called.", max_length=NAME_CHARS_MAX)
    ]
    private: Annotated[
        bool, Meta(description="Seal what is written, so that only members read it.")
    ] = False
    founders: Annotated[
        tuple[Who, ...],
        Meta(
            description="Further founders, who may do everything.",
            max_length=FOUNDERS_MAX - 1,
            extra={"kind": "texts"},
        ),
    ] = ()
    threshold: Annotated[
        int,
        Meta(
            description="How many founders must stand behind a grant or a revocation "
            "of theirs.",
            ge=1,
            le=FOUNDERS_MAX,
        ),
    ] = 1
    timeout: Timeout = 10.0


class Space(Response, frozen=True):
    """One space and how this node's copy stands."""

    space: Annotated[str, Meta(description="The id (space1…).")]
    name: Annotated[str, Meta(description="What it is called.")]
    standing: Annotated[
        Literal["member", "joining", "offered", "rebuilding"],
        Meta(description="How this node takes part."),
    ]
    private: Annotated[bool, Meta(description="Whether what is written is sealed.")]
    founders: Annotated[list[str], Meta(description="Addresses of its founders.")]
    threshold: Annotated[int, Meta(description="How many of them must agree.")]
    rights: Annotated[list[str], Meta(description="What this agent may do in it.")]
    members: Annotated[int, Meta(description="Agents with a grant, founders too.")]
    ops: Annotated[int, Meta(description="Writes that count.")]
    void: Annotated[int, Meta(description="Writes that do not; see `space void`.")]
    sealed: Annotated[
        int,
        Meta(
            description="Writes that cannot be read here and are held for others; the "
            "state does not tell of them."
        ),
    ]
    pending: Annotated[int, Meta(description="Writes that wait for what they follow.")]
    conflicts: Annotated[int, Meta(description="Documents in conflict.")]
    bytes: Annotated[int, Meta(description="What it takes up on this disk.")]
    invites: Annotated[
        int,
        Meta(description="Invites that can still be taken up; see `space members`."),
    ]
    peers: Annotated[int, Meta(description="Members connected now.")]
    synced: Annotated[
        str | None,
        Meta(description="When a member was last found to hold the same (RFC 3339)."),
    ]
    state: Annotated[
        str,
        Meta(
            description="Hash of what stands in it, in hex: equal wherever the same "
            "writes are held. Empty in `space ls`, for it takes long to work out."
        ),
    ]


class SpaceList(Request, frozen=True):
    """Which spaces this node takes part in, and which it was offered."""


class Spaces(Response, frozen=True):
    """All of them."""

    spaces: Annotated[list[Space], Meta(description="All of them.")]


class SpaceShow(Request, frozen=True):
    """One space."""

    space: SpaceText


class SpaceJoin(Request, frozen=True):
    """Take part: by an invite's line, or by id where this agent has a grant.

    If no member lets us in in time, the answer's `standing` is `joining`, and the node
    goes on trying.
    """

    space: Annotated[
        str,
        Meta(
            description="An invite (nestspace1…), or the id of a space that this agent "
            "was given a grant in.",
            min_length=1,
            max_length=SPACE_INVITE_CHARS_MAX,
        ),
    ]
    timeout: Timeout = 10.0


class SpaceLeave(Request, frozen=True):
    """Take part no longer: always possible, and this node's copy goes."""

    space: SpaceText


class SpaceLeft(Response, frozen=True):
    """This node takes part no longer."""

    space: Annotated[str, Meta(description="The id (space1…).")]


class SpaceMembers(Request, frozen=True):
    """Who may do what in a space, and by whose grant."""

    space: SpaceText


class Member(Response, frozen=True):
    """One grant, and who has it."""

    grant: Annotated[str, Meta(description="Its name; empty for a founder's right.")]
    address: Annotated[
        str | None, Meta(description="Whose; null for whoever holds an invite.")
    ]
    name: Annotated[str, Meta(description="What we call them; empty if nothing.")]
    devices: Annotated[list[str], Meta(description="The device keys it names.")]
    rights: Annotated[list[str], Meta(description="What they may do.")]
    paths: Annotated[list[str], Meta(description="Where; empty for everywhere.")]
    types: Annotated[list[str], Meta(description="Types; empty for all.")]
    expires: Annotated[str | None, Meta(description="Until when (RFC 3339).")]
    closes: Annotated[
        str | None,
        Meta(description="Until when an invite can be taken up (RFC 3339)."),
    ]
    issuer: Annotated[str | None, Meta(description="Who granted it.")]
    parent: Annotated[str, Meta(description="The grant it was made from.")]
    label: Annotated[str, Meta(description="The word on it.")]
    in_force: Annotated[
        bool, Meta(description="Whether it counts, or waits for other founders.")
    ]
    left: Annotated[bool, Meta(description="Whether they have left.")]
    sentence: Annotated[str, Meta(description="All of it, for people.")]


class Members(Response, frozen=True):
    """Every grant that was not revoked, founders first."""

    members: Annotated[list[Member], Meta(description="All of them.")]


class SpaceGrant(Request, frozen=True):
    """Let an agent do something in a space."""

    space: SpaceText
    who: Who
    rights: RightsText
    paths: Paths = ()
    types: Types = ()
    expires: Expires = ""
    depth: Annotated[
        int,
        Meta(
            description="Through how many more hands it may go.",
            ge=0,
            le=GRANT_DEPTH_MAX,
        ),
    ] = 0
    label: Label = ""
    timeout: Timeout = 10.0


class SpaceGranted(Response, frozen=True):
    """The grant is written down."""

    space: Annotated[str, Meta(description="The id (space1…).")]
    grant: Annotated[str, Meta(description="Its name, for `space revoke`.")]
    op: Annotated[str, Meta(description="The write that holds it.")]


class SpaceInvite(Request, frozen=True):
    """Make one pasteable line that lets whoever holds it into a space."""

    space: SpaceText
    rights: RightsText
    paths: Paths = ()
    types: Types = ()
    expires: Expires = ""
    label: Label = ""
    closes: Closes = "7d"


class SpaceInvited(Response, frozen=True):
    """The line to paste, and the grant behind it."""

    invite: Annotated[str, Meta(description="One line (nestspace1…).")]
    grant: Annotated[str, Meta(description="Its name, for `space revoke`.")]


class SpaceRevoke(Request, frozen=True):
    """Take a grant back: what was written under it and is known here stays.

    The invite its holder came by is closed as well; others who came by it stay.
    """

    space: SpaceText
    grant: GrantText
    keep: Annotated[
        bool,
        Meta(
            description="Whom its holder let in may stay; so an invite is closed, and "
            "those who came by it stay."
        ),
    ] = False


class SpaceRevoked(Response, frozen=True):
    """It is taken back; what is still open may be in anybody's hands."""

    space: Annotated[str, Meta(description="The id (space1…).")]
    op: Annotated[str, Meta(description="The write (record1…), the last one of them.")]
    closed: Annotated[list[str], Meta(description="Invites that were closed with it.")]
    open: Annotated[
        list[str],
        Meta(
            description="Invites by which whoever has the line can still come in; if "
            "they may have one, take it back too, and keep who came by it."
        ),
    ]


class SpaceEndorse(Request, frozen=True):
    """As a founder, stand behind grants and revocations of other founders."""

    space: SpaceText
    ops: Annotated[
        tuple[str, ...],
        Meta(
            description="Which writes (record1…); empty for all that wait.",
            max_length=64,
            extra={"kind": "texts"},
        ),
    ] = ()


class SpaceChanged(Response, frozen=True):
    """It is written down."""

    space: Annotated[str, Meta(description="The id (space1…).")]
    op: Annotated[str, Meta(description="The write (record1…).")]


class SpaceSync(Request, frozen=True):
    """Compare with the members that are connected, now."""

    space: SpaceText
    timeout: Timeout = 10.0


class SpaceSynced(Response, frozen=True):
    """How it went."""

    peers: Annotated[int, Meta(description="Members compared with.")]
    equal: Annotated[int, Meta(description="Those that hold the same now.")]
