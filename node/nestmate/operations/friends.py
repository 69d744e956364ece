"""Operations on friends: invite, join, and the contacts that come of it.

Types only; ``runs/friends.py`` carries them out.
"""

from typing import Annotated, Literal

from msgspec import Meta

from nestmate.operations.fields import (
    ADDRESS_PATTERN,
    DURATION_PATTERN,
    Request,
    Response,
    Timeout,
    Who,
)
from nestmate_protocol.limits import (
    INVITE_CHARS_MAX,
    INVITE_USES_MAX,
    NAME_CHARS_MAX,
)

TrustText = Annotated[
    Literal["unknown", "known", "trusted", "blocked"],
    Meta(description="What we think of a contact; never sent to anybody."),
]
ContactName = Annotated[
    str,
    Meta(
        description="What we call the contact; seen by this node only.",
        max_length=NAME_CHARS_MAX,
    ),
]


class InviteCreate(Request, frozen=True):
    """Make one pasteable line that lets its bearer join us."""

    uses: Annotated[
        int, Meta(description="How often it works.", ge=1, le=INVITE_USES_MAX)
    ] = 1
    expires: Annotated[
        float | str,
        Meta(
            description="How long it works, 30d at most: seconds, or text such as 24h.",
            extra={"kind": "duration"},
            extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0},
        ),
    ] = "24h"
    grants: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)], ...],
        Meta(description="Names of grants that come with it.", max_length=16),
    ] = ()


class Invite(Response, frozen=True):
    """The line to paste, and until when it works."""

    invite: Annotated[str, Meta(description="One line (nestmate1…).")]
    expires: Annotated[str, Meta(description="Until when it works (RFC 3339).")]
    uses: Annotated[int, Meta(description="How often it works.")]


class InviteJoin(Request, frozen=True):
    """Take up an invite: connect to its issuer and become contacts."""

    invite: Annotated[
        str,
        Meta(
            description="The line a friend sent (nestmate1…).",
            min_length=1,
            max_length=INVITE_CHARS_MAX,
        ),
    ]
    timeout: Timeout = 15.0


class Joined(Response, frozen=True):
    """We are contacts now."""

    address: Annotated[str, Meta(description="The friend's address (nest1…).")]
    short: Annotated[str, Meta(description="The address in eight characters.")]
    name: Annotated[str, Meta(description="What we call the friend.")]


class Contact(Response, frozen=True):
    """One contact as this node knows it."""

    address: Annotated[str, Meta(description="Its address (nest1…).")]
    short: Annotated[str, Meta(description="The address in eight characters.")]
    name: Annotated[str, Meta(description="What we call it.")]
    trust: TrustText
    added: Annotated[str, Meta(description="Since when (RFC 3339).")]
    connected: Annotated[bool, Meta(description="Whether we are connected now.")]


class ContactList(Request, frozen=True):
    """Everyone we have a name for."""


class Contacts(Response, frozen=True):
    """All contacts, by name."""

    contacts: Annotated[list[Contact], Meta(description="By name.")]


class ContactShow(Request, frozen=True):
    """One contact."""

    who: Who


class ContactAdd(Request, frozen=True):
    """Give an address a local name."""

    address: Annotated[
        str,
        Meta(
            description="An address (nest1…).",
            min_length=1,
            max_length=128,
            extra_json_schema={"pattern": ADDRESS_PATTERN},
        ),
    ]
    name: ContactName = ""


class ContactRename(Request, frozen=True):
    """Call a contact something else."""

    who: Who
    name: Annotated[ContactName, Meta(min_length=1)]


class ContactTrust(Request, frozen=True):
    """Say what we think of a contact."""

    who: Who
    trust: TrustText


class ContactBlock(Request, frozen=True):
    """Cut every tie with a contact."""

    who: Who


class ContactRemove(Request, frozen=True):
    """Forget a contact."""

    who: Who
