"""Contacts: the agents this node's owner has a name for, and what is thought of them.

Names are local, unique and safe to print, and never sent; what an agent calls itself
is only a proposal. No name looks like an address, so that an answer to "who" is never
ambiguous. The list is bounded and survives restarts. This file knows no peers.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.codec import decode, encode, plain
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.friends.requests import Trust
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import CONTACTS_MAX, NAME_CHARS_MAX

PREFIX: Final = b"f/contact/"
SELF: Final = "me"
_VERSION: Final = 1
_RANKS: Final = {
    Trust.BLOCKED: -1,
    Trust.UNKNOWN: 0,
    Trust.KNOWN: 1,
    Trust.TRUSTED: 2,
}


@dataclass(frozen=True, slots=True)
class Contact:
    """One agent we have a name for; ``added_ms`` is Unix ms."""

    address: Address
    name: str
    trust: Trust
    added_ms: int


def checked_name(name: str) -> str:
    """A name as it is kept; raises LocalError with a way out if it cannot be one."""
    name = unicodedata.normalize("NFC", name)
    if not 0 < len(name) <= NAME_CHARS_MAX:
        raise LocalError(
            f"a name has 1 to {NAME_CHARS_MAX} characters",
            "take a shorter or longer one",
        )
    if plain(name) != name:
        raise LocalError(
            "a name is plain printable text",
            "leave out control characters and blanks at its ends",
        )
    if name.casefold() == SELF:
        raise LocalError(f"{SELF!r} is what this node calls itself", "take another one")
    if name.casefold().startswith(Address.prefix + "1"):
        raise LocalError("a name must not look like an address", "take another one")
    return name


class Contacts:
    """Contacts by address and by name."""

    def __init__(self) -> None:
        self._by_address: dict[Address, Contact] = {}
        self._by_name: dict[str, Address] = {}

    def __repr__(self) -> str:
        return f"<Contacts {len(self._by_address)}>"

    def __len__(self) -> int:
        return len(self._by_address)

    def __iter__(self) -> Iterator[Contact]:
        """All contacts, by name."""
        return iter([self._by_address[a] for _, a in sorted(self._by_name.items())])

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what an earlier run saved; raises LocalError if it is damaged."""
        for key, value in pairs:
            self._keep(_unpack(key, value))

    def is_full(self) -> bool:
        """Whether there is no room for one more."""
        return len(self._by_address) >= CONTACTS_MAX

    def get(self, address: Address) -> Contact | None:
        """The contact with this address."""
        return self._by_address.get(address)

    def find(self, who: str) -> Contact | None:
        """The contact with this local name, whatever the case of its letters."""
        address = self.address_of(who)
        return None if address is None else self._by_address[address]

    def put(self, contact: Contact) -> tuple[Contact, Save]:
        """Keep a contact as it is now; its name must be its own or free."""
        self.remove(contact.address)
        self._keep(contact)
        return contact, Save(((PREFIX + contact.address.raw, _pack(contact)),))

    def remove(self, address: Address) -> Save:
        """Forget a contact."""
        contact = self._by_address.pop(address, None)
        if contact is not None:
            del self._by_name[contact.name.casefold()]
        return Save(((PREFIX + address.raw, None),))

    def is_taken(self, name: str) -> bool:
        """Whether a contact has this name, whatever the case of its letters."""
        return _folded(name) in self._by_name

    def free_name(self, proposed: str, address: Address) -> str:
        """A name nobody has yet, as close to the proposed one as may be."""
        try:
            wanted = checked_name(plain(proposed))
        except LocalError:
            wanted = address.short
        name, count = wanted, 1
        while self.is_taken(name):
            count += 1
            tail = f"-{count}"
            name = wanted[: NAME_CHARS_MAX - len(tail)] + tail
        return name

    def name_of(self, address: Address) -> str:
        """What we call an agent; empty for nothing."""
        contact = self._by_address.get(address)
        return contact.name if contact else ""

    def address_of(self, name: str) -> Address | None:
        """The agent with this local name."""
        return self._by_name.get(_folded(name))

    def rank(self, address: Address) -> int:
        """Trusted 2, known 1, anybody else 0, blocked -1."""
        contact = self._by_address.get(address)
        return _RANKS[contact.trust] if contact else 0

    def is_contact(self, address: Address) -> bool:
        """Whether we have a name for this agent."""
        return address in self._by_address

    def is_friend(self, address: Address) -> bool:
        """Whether we keep in touch with this agent for ever."""
        return self.rank(address) > 0

    def is_blocked(self, address: Address) -> bool:
        """Whether we want nothing to do with this agent."""
        return self.rank(address) < 0

    def friends(self) -> list[Address]:
        """Everyone we keep in touch with, in a fixed order."""
        return sorted(a for a in self._by_address if self.is_friend(a))

    def _keep(self, contact: Contact) -> None:
        self._by_address[contact.address] = contact
        self._by_name[contact.name.casefold()] = contact.address


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _pack(contact: Contact) -> bytes:
    return encode([_VERSION, contact.name, str(contact.trust), contact.added_ms])


def _unpack(key: bytes, value: bytes) -> Contact:
    try:
        match decode(value):
            case [_, str(name), str(trust), int(added_ms)]:
                address = Address(key[len(PREFIX) :])
                return Contact(address, name, Trust(trust), added_ms)
    except (RemoteError, ValueError):
        pass
    raise LocalError(
        "the store holds a contact that cannot be read", "run `nestmate doctor`"
    )
