"""What a local agent may ask about friends, and what it is answered.

Contacts are local: names and trust given here are never sent. This file knows
nothing of how a request is met.
"""

from dataclasses import dataclass
from enum import StrEnum, unique

from nestmate_protocol.ids import Address


@unique
class Trust(StrEnum):
    """What this node's owner thinks of a contact."""

    UNKNOWN = "unknown"
    KNOWN = "known"
    TRUSTED = "trusted"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class CreateInvite:
    """Make one pasteable line that lets its bearer join us."""

    uses: int = 1
    expires_seconds: int = 86_400
    grants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Invited:
    """The line to paste, and until when it works (Unix ms)."""

    invite: str
    expires_ms: int
    uses: int


@dataclass(frozen=True, slots=True)
class JoinInvite:
    """Take up an invite: connect to its issuer and become contacts."""

    invite: str
    wait_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Joined:
    """We are contacts now."""

    address: Address
    name: str


@dataclass(frozen=True, slots=True)
class ListContacts:
    """Everyone we have a name for."""


@dataclass(frozen=True, slots=True)
class ShowContact:
    """One contact, by address or local name."""

    who: str


@dataclass(frozen=True, slots=True)
class AddContact:
    """Give an address a local name."""

    address: Address
    name: str = ""


@dataclass(frozen=True, slots=True)
class RenameContact:
    """Call a contact something else."""

    who: str
    name: str


@dataclass(frozen=True, slots=True)
class TrustContact:
    """Say what we think of a contact; BLOCKED cuts every tie."""

    who: str
    trust: Trust


@dataclass(frozen=True, slots=True)
class RemoveContact:
    """Forget a contact."""

    who: str


@dataclass(frozen=True, slots=True)
class ContactView:
    """One contact as this node knows it; ``added_ms`` is Unix ms."""

    address: Address
    name: str
    trust: Trust
    added_ms: int
    connected: bool


@dataclass(frozen=True, slots=True)
class ContactViews:
    """Several contacts, by name."""

    contacts: tuple[ContactView, ...]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """We have no name for this address any more."""

    address: Address


FriendsRequest = (
    CreateInvite
    | JoinInvite
    | ListContacts
    | ShowContact
    | AddContact
    | RenameContact
    | TrustContact
    | RemoveContact
)
