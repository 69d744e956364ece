"""Naming: what a local agent may do to the list of contacts, and what it is told.

Every request comes to one answer at once, since nothing here is asked of others. An
agent whose identity log contradicts itself gets no new trust, but can be named no
more, renamed and blocked. This file knows no peers and no invites.
"""

from dataclasses import replace
from typing import assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Code, Refusal
from nestmate_protocol.errors import LocalError
from nestmate_protocol.friends.contacts import Contact, Contacts, checked_name
from nestmate_protocol.friends.outcomes import Outcome, Regarded
from nestmate_protocol.friends.ports import Agents
from nestmate_protocol.friends.requests import (
    AddContact,
    ContactView,
    ContactViews,
    Forgotten,
    ListContacts,
    RemoveContact,
    RenameContact,
    ShowContact,
    Trust,
    TrustContact,
)
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import CONTACTS_MAX

NamingRequest = (
    ListContacts
    | ShowContact
    | AddContact
    | RenameContact
    | TrustContact
    | RemoveContact
)
Answer = tuple[list[Outcome], object]

FULL = Refusal(
    Code.BUSY,
    f"there is room for {CONTACTS_MAX} contacts and no more",
    "remove some first: `nestmate contact rm WHO`",
)
FORKED = Refusal(
    Code.DENIED,
    "this agent's identity log contradicts itself, so it gets no new trust",
    "somebody may have stolen its keys: ask its owner, by another way, to rotate them",
)


class Naming:
    """Answers requests about contacts."""

    def __init__(self, me: Address, contacts: Contacts, agents: Agents) -> None:
        self._me = me
        self._contacts = contacts
        self._agents = agents

    def answer(self, body: NamingRequest, now: Moment) -> Answer:
        """What follows and what is answered; raises LocalError for impossible names."""
        match body:
            case ListContacts():
                return [], ContactViews(tuple(map(self._view, self._contacts)))
            case ShowContact(who):
                contact = self._find(who)
                return [], self._view(contact) if contact else _nobody(who)
            case AddContact(address, name):
                return self._add(address, name, now)
            case RenameContact(who, name):
                return self._rename(who, name)
            case TrustContact(who, trust):
                return self._trust(who, trust, now)
            case RemoveContact(who):
                contact = self._find(who)
                if contact is None:
                    return [], _nobody(who)
                saved = self._contacts.remove(contact.address)
                gone = contact.address
                return [saved, Regarded(gone)], Forgotten(gone)
            case _:
                assert_never(body)

    def _add(self, address: Address, name: str, now: Moment) -> Answer:
        known = self._contacts.get(address)
        if address == self._me:
            raise LocalError(
                "this is the address of this very node",
                "give the address of somebody else; `nestmate id` shows your own",
            )
        if known is not None and name in {"", known.name}:
            return [], self._view(known)
        if known is not None:
            hint = f"to rename it: `nestmate contact rename {known.name} NAME`"
            sentence = f"this agent is already a contact, {known.name}"
            return [], Refusal(Code.CONFLICT, sentence, hint)
        if self._agents.is_forked(address):
            return [], FORKED
        if name:
            name = checked_name(name)
            if self._contacts.is_taken(name):
                return [], _taken(name)
        else:
            name = self._contacts.free_name(self._agents.called(address), address)
        return self._keep(Contact(address, name, Trust.KNOWN, now.wall_ms))

    def _rename(self, who: str, name: str) -> Answer:
        contact = self._find(who)
        if contact is None:
            return [], _nobody(who)
        name = checked_name(name)
        if self._contacts.address_of(name) not in {None, contact.address}:
            return [], _taken(name)
        renamed, saved = self._contacts.put(replace(contact, name=name))
        return [saved], self._view(renamed)

    def _trust(self, who: str, trust: Trust, now: Moment) -> Answer:
        contact = self._find(who)
        if contact is None and trust is Trust.BLOCKED:
            contact = self._stranger(who, now)
        if contact is None:
            return [], _nobody(who)
        more = trust in {Trust.KNOWN, Trust.TRUSTED} and trust is not contact.trust
        if more and self._agents.is_forked(contact.address):
            return [], FORKED
        return self._keep(replace(contact, trust=trust))

    def _stranger(self, who: str, now: Moment) -> Contact | None:
        """Somebody without a name yet, for whom an address was given."""
        address = _parsed(who)
        if address is None or address == self._me:
            return None
        name = self._contacts.free_name(self._agents.called(address), address)
        return Contact(address, name, Trust.UNKNOWN, now.wall_ms)

    def _keep(self, contact: Contact) -> Answer:
        if not self._contacts.is_contact(contact.address) and self._contacts.is_full():
            return [], FULL
        kept, saved = self._contacts.put(contact)
        return [saved, Regarded(kept.address)], self._view(kept)

    def _find(self, who: str) -> Contact | None:
        address = _parsed(who)
        if address is not None:
            return self._contacts.get(address)
        return self._contacts.find(who)

    def _view(self, contact: Contact) -> ContactView:
        up = self._agents.peer_of(contact.address) is not None
        return ContactView(
            contact.address,
            contact.name,
            contact.trust,
            contact.added_ms,
            connected=up and contact.trust is not Trust.BLOCKED,
        )


def _parsed(who: str) -> Address | None:
    try:
        return Address.parse(who)
    except LocalError:
        return None


def _nobody(who: str) -> Refusal:
    return Refusal(
        Code.NOT_FOUND,
        f"there is no contact {who[:80]!r}",
        "see who there is: `nestmate contact ls`",
    )


def _taken(name: str) -> Refusal:
    return Refusal(
        Code.CONFLICT,
        f"another contact is called {name!r} already",
        "take another name, or rename that contact first",
    )
