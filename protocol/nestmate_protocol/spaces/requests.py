"""What a local agent may ask of spaces, and what it is answered.

Values only. A ``space`` is given as text: its id, or the name it has here if only one
has it. Paths are text, values are bytes that mean nothing here, versions are the text
of ``versions``. Times are Unix milliseconds, 0 for never. This file knows nothing of
how a request is met.
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import Address, DeviceKey, RecordId, SpaceId
from nestmate_protocol.spaces.ops import Type


@dataclass(frozen=True, slots=True)
class CreateSpace:
    """Found a space; ``founders`` besides this agent, ``threshold`` of all must agree.

    What is written in a ``private`` space can be read by its members alone.
    """

    name: str
    private: bool = False
    founders: tuple[tuple[Address, DeviceKey], ...] = ()
    threshold: int = 1


@dataclass(frozen=True, slots=True)
class ListSpaces:
    """Which spaces this node takes part in, and which it has been offered."""


@dataclass(frozen=True, slots=True)
class ShowSpace:
    """One space: what it is, how large, and how its copies stand."""

    space: str


@unique
class Standing(StrEnum):
    """How this node takes part in a space.

    REBUILDING is any of the first two meanwhile its rows are made anew.
    """

    MEMBER = "member"
    JOINING = "joining"
    OFFERED = "offered"
    REBUILDING = "rebuilding"


@dataclass(frozen=True, slots=True)
class SpaceView:
    """One space. ``ops`` are those that count here, ``void`` those that do not.

    ``state`` is its hash: equal here and elsewhere when both hold the same ops and can
    read the same; in a list of spaces it is empty. ``sealed`` are those that cannot be
    read here.
    ``invites`` are those that are open still, for whoever has the line.
    ``peers`` are members connected now, ``synced_ms`` when one was last found to hold
    the same.
    """

    space: SpaceId
    name: str
    standing: Standing
    private: bool = False
    threshold: int = 1
    founders: tuple[Address, ...] = ()
    members: int = 0
    ops: int = 0
    void: int = 0
    sealed: int = 0
    pending: int = 0
    bytes_kept: int = 0
    conflicts: int = 0
    invites: int = 0
    peers: int = 0
    synced_ms: int = 0
    state: bytes = b""
    rights: Rights | None = None


@dataclass(frozen=True, slots=True)
class SpaceViews:
    """All of them."""

    spaces: tuple[SpaceView, ...]


@dataclass(frozen=True, slots=True)
class JoinSpace:
    """Take part: by an invite's line, or by id where this agent has a grant."""

    space: str


@dataclass(frozen=True, slots=True)
class LeaveSpace:
    """Take part no longer; always possible, and what is here goes."""

    space: str


@dataclass(frozen=True, slots=True)
class Left:
    """This node has left."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class ListMembers:
    """Who may do what in a space, and by whose grant."""

    space: str


@dataclass(frozen=True, slots=True)
class GrantView:
    """One grant; ``grant`` is its name as text, empty for a founder's own right.

    ``who`` is None for whoever holds an invite, which can be taken up until
    ``closes_ms``. ``sentence`` says it for people.
    """

    grant: str
    who: Address | None
    keys: tuple[DeviceKey, ...]
    rights: Rights
    paths: tuple[str, ...]
    types: tuple[Type, ...] | None
    expires_ms: int
    closes_ms: int
    issuer: Address | None
    parent: str
    label: str
    in_force: bool
    left: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class GrantViews:
    """All grants that were not revoked, founders first."""

    grants: tuple[GrantView, ...]


@dataclass(frozen=True, slots=True)
class GrantRights:
    """Let an agent do something in a space; ``keys`` are its device keys.

    ``depth`` is how often the grant may be passed on. ``generation`` is that of the
    agent's identity log: keys of later rotations take the grant over; 0 for none.
    """

    space: str
    who: Address
    keys: tuple[DeviceKey, ...]
    rights: Rights
    paths: tuple[str, ...] = ()
    types: tuple[Type, ...] | None = None
    expires_ms: int = 0
    depth: int = 0
    label: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class InviteToSpace:
    """Make one pasteable line that lets whoever holds it take part.

    It can be taken up until ``closes_ms``; what it gives lasts until ``expires_ms``.
    """

    space: str
    rights: Rights
    paths: tuple[str, ...] = ()
    types: tuple[Type, ...] | None = None
    expires_ms: int = 0
    label: str = ""
    closes_ms: int = 0


@dataclass(frozen=True, slots=True)
class SpaceInvited:
    """The line, and the grant behind it, which can be revoked."""

    invite: str
    grant: str


@dataclass(frozen=True, slots=True)
class RevokeGrant:
    """Take grants back; what their holders wrote that is known here stays.

    The invites by which their holders came are closed with it. If it is to ``keep``,
    the grants end for their holders alone, and those they let in stay.
    """

    space: str
    grants: tuple[str, ...]
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Revoked:
    """It is durable here; ``op`` is the last one it took.

    ``closed`` are invites that were closed with it, ``open`` those by which whoever has
    the line can still come in, whoever that is.
    """

    space: SpaceId
    op: RecordId
    closed: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndorseOps:
    """As a founder, stand behind what others did; all of it if none is named."""

    space: str
    ops: tuple[RecordId, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """What was done is durable here; ``op`` names it."""

    space: SpaceId
    op: RecordId
    version: str = ""


@dataclass(frozen=True, slots=True)
class ReadPath:
    """What stands at a path; with no ``type``, whatever type does.

    With a ``version`` it is what was written there as that version, replaced or not.
    """

    space: str
    path: str
    type: Type | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class ReadNearest:
    """The first register of several paths at which something stands."""

    space: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nearest:
    """Where it stands, and its value; None if nothing does."""

    path: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Alternative:
    """One live value and who wrote it, when and by which grant.

    ``value`` is None for a deletion, and where the value was dropped.
    """

    value: bytes | None
    version: str
    author: DeviceKey
    who: Address | None
    at_ms: int
    grant: str


@dataclass(frozen=True, slots=True)
class DocumentView:
    """What stands at a path.

    ``value`` is the winner's under the path's ``policy``; ``values`` are the elements
    of a set, log or list in their order; ``number`` is what a counter or budget comes
    to; ``holder`` has a claim. ``version`` goes into ``expect`` of a later write.
    """

    space: SpaceId
    path: str
    type: Type
    value: bytes | None
    version: str
    conflict: bool
    policy: str
    alternatives: tuple[Alternative, ...] = ()
    values: tuple[Alternative, ...] = ()
    number: int | None = None
    holder: Address | None = None
    flags: tuple[str, ...] = ()
    is_there: bool = True


@unique
class Act(StrEnum):
    """What a write does; which of them a type knows, the reference says."""

    PUT = "put"
    DELETE = "delete"
    ADD = "add"
    REMOVE = "remove"
    APPEND = "append"
    INCREMENT = "increment"
    INSERT = "insert"
    BID = "bid"
    RELEASE = "release"
    MINT = "mint"
    TRANSFER = "transfer"
    SPEND = "spend"


@dataclass(frozen=True, slots=True)
class Change:
    """One write to one path.

    ``expect`` is the version it replaces: None for whatever stands there now, and the
    write is refused if something else does. ``amount`` is for counters, claims and
    budgets, ``to`` for a transfer, ``until_ms`` for a claim. ``at`` is the version of
    an element of a list: an insert goes after it (empty: to the end; ``first``: to the
    front), a removal takes it.
    """

    path: str
    type: Type = Type.REGISTER
    act: Act = Act.PUT
    value: bytes | None = None
    expect: str | None = None
    amount: int = 0
    to: DeviceKey | None = None
    until_ms: int = 0
    at: str = ""


@dataclass(frozen=True, slots=True)
class WriteChanges:
    """Write to one or several paths in one op: all of it is there, or nothing.

    With ``ephemeral_seconds`` it is seen by those who are there and ends by itself.
    """

    space: str
    changes: tuple[Change, ...]
    ephemeral_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ListPaths:
    """What there is below a prefix, in order, from after a path on."""

    space: str
    prefix: str = ""
    after: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class DocumentViews:
    """Documents; ``more`` says that there are others after the last one."""

    documents: tuple[DocumentView, ...]
    more: bool = False


@dataclass(frozen=True, slots=True)
class ShowHistory:
    """Who wrote what to a path, when and by which right, newest first."""

    space: str
    path: str
    limit: int = 100


@unique
class Fate(StrEnum):
    """What became of a write."""

    LIVE = "live"
    SUPERSEDED = "superseded"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class WriteView:
    """One write; ``why`` says why it is void."""

    op: RecordId
    path: str
    type: Type
    action: int
    value: bytes | None
    version: str
    author: DeviceKey
    who: Address | None
    at_ms: int
    grant: str
    fate: Fate
    why: str = ""


@dataclass(frozen=True, slots=True)
class WriteViews:
    """Writes, newest first."""

    writes: tuple[WriteView, ...]


@dataclass(frozen=True, slots=True)
class ListConflicts:
    """Documents with more than one value alive, oldest conflict first."""

    space: str
    limit: int = 100


@dataclass(frozen=True, slots=True)
class ListVoid:
    """Writes that do not count, and why."""

    space: str
    limit: int = 100


@dataclass(frozen=True, slots=True)
class ExplainPath:
    """Why a path shows what it shows, and who may change it."""

    space: str
    path: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Sentences, the most important first."""

    sentences: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class SyncSpace:
    """Compare with the members that are connected, now; answered when done."""

    space: str
    wait_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Synced:
    """With how many members this node has compared, and found to hold the same."""

    peers: int
    equal: int


SpacesRequest = (
    CreateSpace
    | ListSpaces
    | ShowSpace
    | JoinSpace
    | LeaveSpace
    | ListMembers
    | GrantRights
    | InviteToSpace
    | RevokeGrant
    | EndorseOps
    | ReadPath
    | ReadNearest
    | WriteChanges
    | ListPaths
    | ShowHistory
    | ListConflicts
    | ListVoid
    | ExplainPath
    | SyncSpace
)
