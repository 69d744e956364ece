# ruff: noqa: PYI021 - editors show these docstrings
"""The methods rendered from the table of operations; written by a test from it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nestmate.operations.agents import Agent, Pong
from nestmate.operations.blobs import Blob, BlobPart, BlobRemoved, Blobs, BlobStored
from nestmate.operations.claims import Claim, Claims
from nestmate.operations.cursors import Cursor, Cursors, DeadLetters, Moved, Retrying
from nestmate.operations.documents import (
    Documents,
    DocumentShown,
    Explained,
    SchemaFaults,
    SchemaShown,
    Writes,
    Written,
)
from nestmate.operations.events import EventPage, FoundEvents
from nestmate.operations.fields import Done
from nestmate.operations.friends import Contact, Contacts, Invite, Joined
from nestmate.operations.peers import Peers
from nestmate.operations.reasons import Reasons, TaskShown
from nestmate.operations.signals import (
    Acknowledged,
    Authors,
    Deposited,
    Signals,
    TaskResult,
)
from nestmate.operations.skills import SkillResults, Skills
from nestmate.operations.spaces import (
    Members,
    Space,
    SpaceChanged,
    SpaceGranted,
    SpaceInvited,
    SpaceLeft,
    SpaceRevoked,
    Spaces,
    SpaceSynced,
)
from nestmate.operations.status import Findings, Status, Stopping, Version

class EventCursorMethods:
    """What is done to event cursors."""

    def ls(self) -> Cursors:
        """How far each reader of the events has come."""

    def set(
        self,
        cursor: str,
        *,
        seq: int | None = None,
        start: int | None = None,
        kinds: Sequence[str] = (),
        space: str = "",
        path: str = "",
        author: str = "",
    ) -> Cursor:
        """Make a named place in the feed, move it, or give it other filters."""

    def rm(self, cursor: str) -> Done:
        """Forget a cursor and its dead letters."""

class EventDeadMethods:
    """What is done to event deads."""

    def ls(self, cursor: str = "") -> DeadLetters:
        """The events that readers gave up, and why."""

    def retry(self, cursor: str, seq: int | None = None) -> Retrying:
        """Hand dead letters out once more."""

    def rm(self, cursor: str, seq: int) -> Done:
        """Forget a dead letter."""

class ContactMethods:
    """What is done to contacts."""

    def ls(self) -> Contacts:
        """Everyone this node has a name for."""

    def show(self, who: str) -> Contact:
        """One contact."""

    def add(self, address: str, name: str = "") -> Contact:
        """Give an address a local name."""

    def rename(self, who: str, name: str) -> Contact:
        """Call a contact something else."""

    def trust(
        self, who: str, trust: Literal["unknown", "known", "trusted", "blocked"]
    ) -> Contact:
        """Say what you think of a contact: unknown, known, trusted or blocked."""

    def block(self, who: str) -> Contact:
        """Cut every tie with a contact."""

    def rm(self, who: str) -> Done:
        """Forget a contact."""

class PeerMethods:
    """What is done to peers."""

    def ls(self) -> Peers:
        """The nodes this one is connected to."""

    def connect(self, multiaddr: str, *, timeout: float | str = 15.0) -> Done:
        """Dial a node by its multiaddr."""

    def disconnect(self, peer: str) -> Done:
        """Close the connection to a node, and do not redial it until asked."""

class SkillMethods:
    """What is done to skills."""

    def ls(self) -> Skills:
        """What this agent offers."""

    def add(
        self,
        name: str,
        *,
        description: str = "",
        input_schema: dict[str, Any] | bool | None = None,
        output_schema: dict[str, Any] | bool | None = None,
        price: str = "",
    ) -> Done:
        """Offer a skill, so that others find you and signals for it reach you."""

    def rm(self, name: str) -> Done:
        """Offer a skill no longer."""

    def find(
        self, name: str, *, limit: int = 20, timeout: float | str = 5.0
    ) -> SkillResults:
        """Who offers a skill: what is known here, and what the network leads to."""

class SignalMethods:
    """What is done to signals."""

    def deposit(
        self,
        skill: str,
        *,
        urgency: float = 0.5,
        body: Any = None,
        size: float | str = 1.0,
        ttl: float | str = 3600,
        lease: float | str = 15,
        half_life: float | str = 0,
        deadline: str = "",
        exclusive: bool = False,
        key: str = "",
        inputs: Sequence[str] = (),
        share: bool = False,
        parent: str = "",
        apart: str = "",
        delegates: Sequence[str] = (),
    ) -> Deposited:
        """Ask whoever has a skill for help with one task."""

    def ls(
        self, *, skill: str = "", min_strength: float = 0.0, limit: int = 100
    ) -> Signals:
        """The tasks sensed here, strongest first."""

    def authors(self, *, limit: int = 100) -> Authors:
        """Who asks for help, and what credit they have left here."""

    def show(self, task: str) -> TaskShown:
        """Everything this node knows of one task: its result, and why."""

    def result(
        self, task: str, *, issuer: str = "", timeout: float | str = 10.0
    ) -> TaskResult:
        """The result of a task, once it is there: yours, or one given to you."""

    def reinforce(self, task: str) -> Acknowledged:
        """Say that you need a task done as well, or still."""

    def withdraw(self, task: str) -> Acknowledged:
        """Cancel a task of your own; whoever works on it is told to stop."""

    def tail(
        self, *, skill: str = "", since: int | None = None, timeout: float | str = 30.0
    ) -> EventPage:
        """What happens to signals and tasks, as it happens."""

class ClaimMethods:
    """What is done to claims."""

    def take(
        self,
        task: str = "",
        *,
        skill: str = "",
        also: Sequence[str] = (),
        speed: float = 0.0,
        setup: float | str = 0.0,
        context: str | None = None,
        min_urgency: float = 0.0,
        timeout: float | str = 10.0,
    ) -> Claim:
        """Claim one named task, or the best one of a skill as it comes along."""

    def done(
        self,
        task: str,
        *,
        result: Any = None,
        parts: bool = False,
        timeout: float | str = 0.0,
    ) -> Acknowledged:
        """Hand in the result of a task you hold."""

    def renew(self, task: str) -> Acknowledged:
        """Still working: ask the issuer for another term of the lease."""

    def release(
        self, task: str, *, reason: str = "", partial: Any = None
    ) -> Acknowledged:
        """Give a task back for others, with whatever was achieved so far."""

    def fail(self, task: str, *, reason: str) -> Acknowledged:
        """Say that a task cannot be done here; it opens again for others."""

    def ls(self) -> Claims:
        """The leases this node holds."""

    def explain(self, task: str) -> Reasons:
        """Why this node claims a task, or why it does not, in figures and words."""

class SpaceMethods:
    """What is done to spaces."""

    def create(
        self,
        name: str,
        *,
        private: bool = False,
        founders: Sequence[str] = (),
        threshold: int = 1,
        timeout: float | str = 10.0,
    ) -> Space:
        """Found a space: documents that many write, offline too."""

    def ls(self) -> Spaces:
        """The spaces this node takes part in, and those it was offered."""

    def show(self, space: str) -> Space:
        """One space: what it is, how large, and how its copies stand."""

    def join(self, space: str, *, timeout: float | str = 10.0) -> Space:
        """Take part in a space, by an invite or by a grant."""

    def leave(self, space: str) -> SpaceLeft:
        """Take part in a space no longer; what is here of it goes."""

    def members(self, space: str) -> Members:
        """Who may do what in a space, and by whose grant."""

    def grant(
        self,
        space: str,
        who: str,
        rights: str,
        *,
        paths: Sequence[str] = (),
        types: tuple[
            Literal["reg", "set", "ctr", "log", "list", "claim", "budget"], ...
        ] = (),
        expires: str = "",
        depth: int = 0,
        label: str = "",
        timeout: float | str = 10.0,
    ) -> SpaceGranted:
        """Let an agent do something in a space."""

    def invite(
        self,
        space: str,
        rights: str,
        *,
        paths: Sequence[str] = (),
        types: tuple[
            Literal["reg", "set", "ctr", "log", "list", "claim", "budget"], ...
        ] = (),
        expires: str = "",
        label: str = "",
        closes: str = "7d",
    ) -> SpaceInvited:
        """Make one pasteable line that lets whoever holds it into a space."""

    def revoke(self, space: str, grant: str, *, keep: bool = False) -> SpaceRevoked:
        """Take a grant back; what was written under it before stays."""

    def endorse(self, space: str, *, ops: Sequence[str] = ()) -> SpaceChanged:
        """Stand behind what other founders did."""

    def sync(self, space: str, *, timeout: float | str = 10.0) -> SpaceSynced:
        """Compare with the members that are connected, now."""

    def void(self, space: str, *, limit: int = 100) -> Writes:
        """Writes that do not count, and why."""

    def policy(
        self,
        space: str,
        prefix: str,
        policy: Literal["lww", "max", "min", "union", "owner", "claim", "manual"],
    ) -> Written:
        """Say how a winner is found at and below a path."""

class LogMethods:
    """What is done to logs."""

    def append(self, space: str, path: str, value: Any) -> Written:
        """Add an entry to a log in a space."""

    def read(self, space: str, path: str, *, limit: int = 100) -> Documents:
        """The latest entries of a log, in order."""

class SchemaMethods:
    """What is done to schemas."""

    def set(self, space: str, prefix: str, schema: dict[str, Any] | bool) -> Written:
        """Say what documents at and below a path must look like."""

    def show(self, space: str, path: str) -> SchemaShown:
        """The schema that counts at a path."""

    def check(self, space: str, prefix: str = "") -> SchemaFaults:
        """Which documents do not look as their schema says."""

class BlobMethods:
    """What is done to blobs."""

    def put(
        self,
        data: Any = None,
        *,
        upload: int = 0,
        offset: int = 0,
        more: bool = False,
        media: str = "",
        spaces: Sequence[str] = (),
        agents: Sequence[str] = (),
        public: bool = False,
        sealed: bool = False,
    ) -> BlobStored:
        """Keep bytes under their hash, 64 KiB at a time."""

    def get(
        self,
        blob: str,
        *,
        offset: int = 0,
        spaces: Sequence[str] = (),
        agents: Sequence[str] = (),
        timeout: float | str = 10.0,
        key: str = "",
    ) -> BlobPart:
        """Bytes of a blob, up to 64 KiB, fetched from others if need be."""

    def ls(self) -> Blobs:
        """The blobs that are here, whole or in part."""

    def show(self, blob: str) -> Blob:
        """One blob: how much of it is here, and who may have it."""

    def share(
        self,
        blob: str,
        *,
        spaces: Sequence[str] = (),
        agents: Sequence[str] = (),
        public: bool = False,
    ) -> Blob:
        """Let more agents, or the members of more spaces, have a blob."""

    def pin(self, blob: str, *, off: bool = False) -> Blob:
        """Keep a blob whatever room others need, or no longer."""

    def rm(self, blob: str) -> BlobRemoved:
        """Have a blob here no longer."""

class EventMethods:
    """What is done to events."""

    cursor: EventCursorMethods

    dead: EventDeadMethods

    def wait(
        self,
        *,
        since: int | None = None,
        timeout: float | str = 30.0,
        kinds: Sequence[str] = (),
        limit: int = 256,
        cursor: str = "",
        space: str = "",
        path: str = "",
        author: str = "",
    ) -> EventPage:
        """Wait for events, or read those that were missed."""

    def find(
        self,
        query: str = "",
        *,
        kinds: Sequence[str] = (),
        space: str = "",
        path: str = "",
        author: str = "",
        after: str = "",
        before: str = "",
        limit: int = 100,
    ) -> FoundEvents:
        """What happened, when, and which readers have seen it."""

    def ack(self, cursor: str, seq: int) -> Moved:
        """Say that everything up to an event is done; a cursor goes on from there."""

    def reject(
        self, cursor: str, seq: int, *, reason: str = "", tries: int = 1
    ) -> Done:
        """Give an event up: it becomes a dead letter of the cursor."""

class Methods:
    """Every operation as a method, by noun."""

    contact: ContactMethods

    peer: PeerMethods

    skill: SkillMethods

    signal: SignalMethods

    claim: ClaimMethods

    space: SpaceMethods

    log: LogMethods

    schema: SchemaMethods

    blob: BlobMethods

    event: EventMethods

    def __init__(self) -> None: ...
    def status(self) -> Status:
        """How this node is doing, and what to do next."""

    def version(self) -> Version:
        """Which release runs here."""

    def doctor(self) -> Findings:
        """What is wrong with this node, and how to mend it."""

    def down(self) -> Stopping:
        """Stop this node."""

    def id(self, *, card: bool = False) -> Agent:
        """Who this node is: address, peer id and where it is reached."""

    def whois(self, who: str, *, timeout: float | str = 15.0) -> Agent:
        """Find an agent by address or local name, anywhere in the network."""

    def ping(self, who: str, *, timeout: float | str = 15.0) -> Pong:
        """Reach an agent wherever it is now and time one round trip."""

    def invite(
        self, *, uses: int = 1, expires: float | str = "24h", grants: Sequence[str] = ()
    ) -> Invite:
        """Make one pasteable line that lets a friend's node join yours."""

    def join(self, invite: str, *, timeout: float | str = 15.0) -> Joined:
        """Take up an invite: connect to its issuer and become contacts."""

    def get(
        self,
        space: str,
        path: str,
        *,
        type: Literal["", "reg", "set", "ctr", "log", "list", "claim", "budget"] = "",
        version: str = "",
    ) -> DocumentShown:
        """What stands at a path of a space, with its version."""

    def put(
        self,
        space: str,
        path: str,
        value: Any = None,
        *,
        type: Literal["reg", "set", "ctr", "log", "list", "claim", "budget"] = "reg",
        expect: str = "",
        act: Literal[
            "auto",
            "put",
            "delete",
            "add",
            "remove",
            "append",
            "increment",
            "insert",
            "bid",
            "release",
            "mint",
            "transfer",
            "spend",
        ] = "auto",
        amount: int = 0,
        to: str = "",
        at: str = "",
        lasts: float | str = 0,
        ephemeral: bool = False,
    ) -> Written:
        """Write a document in a space."""

    def rm(self, space: str, path: str, *, expect: str = "") -> Written:
        """Take a document away."""

    def ls(
        self, space: str, prefix: str = "", *, after: str = "", limit: int = 100
    ) -> Documents:
        """The documents of a space, below a path."""

    def history(self, space: str, path: str, *, limit: int = 100) -> Writes:
        """Who wrote what to a path, when, and by which right."""

    def conflicts(self, space: str, *, limit: int = 100) -> Documents:
        """Documents with several values that differ."""

    def explain(self, space: str, path: str) -> Explained:
        """Why a path shows what it shows, and who may change it."""

    def call(self, name: str, fields: Mapping[str, object] | None = None) -> Any: ...
