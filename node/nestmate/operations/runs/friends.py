"""Carries out the operations on friends."""

from nestmate.operations.fields import Done
from nestmate.operations.forms import identifier, seconds
from nestmate.operations.friends import (
    Contact,
    ContactAdd,
    ContactBlock,
    ContactList,
    ContactRemove,
    ContactRename,
    Contacts,
    ContactShow,
    ContactTrust,
    Invite,
    InviteCreate,
    InviteJoin,
    Joined,
)
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import WAIT_SECONDS_MAX, answer
from nestmate.texts import format_time
from nestmate_protocol.friends import requests as core
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import INVITE_TTL_SECONDS_MAX


async def invite(node: Node, request: InviteCreate, _caller: Caller) -> Invite:
    """Make one pasteable line that lets its bearer join us."""
    wish = core.CreateInvite(
        uses=request.uses,
        expires_seconds=int(
            seconds(request.expires, "expires", 1, INVITE_TTL_SECONDS_MAX)
        ),
        grants=request.grants,
    )
    made = await answer(node, wish, core.Invited)
    return Invite(
        invite=made.invite, expires=format_time(made.expires_ms), uses=made.uses
    )


async def join(node: Node, request: InviteJoin, _caller: Caller) -> Joined:
    """Take up an invite."""
    wait = seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX)
    line = "".join(request.invite.split())  # a pasted line may have been wrapped
    joined = await answer(node, core.JoinInvite(line, wait), core.Joined)
    return Joined(
        address=joined.address.text, short=joined.address.short, name=joined.name
    )


async def contact_ls(node: Node, _request: ContactList, _caller: Caller) -> Contacts:
    """Everyone we have a name for."""
    views = await answer(node, core.ListContacts(), core.ContactViews)
    return Contacts(contacts=[_show(view) for view in views.contacts])


async def contact_show(node: Node, request: ContactShow, _caller: Caller) -> Contact:
    """One contact."""
    return await _contact(node, request.who)


async def contact_add(node: Node, request: ContactAdd, _caller: Caller) -> Contact:
    """Give an address a local name."""
    address = identifier(Address, request.address, "address")
    await node.ask(core.AddContact(address, request.name))
    return await _contact(node, address.text)


async def contact_rename(
    node: Node, request: ContactRename, _caller: Caller
) -> Contact:
    """Call a contact something else."""
    await node.ask(core.RenameContact(request.who, request.name))
    return await _contact(node, _unless_address(request.who, request.name))


async def contact_trust(node: Node, request: ContactTrust, _caller: Caller) -> Contact:
    """Say what we think of a contact."""
    await node.ask(core.TrustContact(request.who, core.Trust(request.trust)))
    return await _contact(node, request.who)


async def contact_block(node: Node, request: ContactBlock, _caller: Caller) -> Contact:
    """Cut every tie with a contact."""
    await node.ask(core.TrustContact(request.who, core.Trust.BLOCKED))
    return await _contact(node, request.who)


async def contact_rm(node: Node, request: ContactRemove, _caller: Caller) -> Done:
    """Forget a contact."""
    await node.ask(core.RemoveContact(request.who))
    return Done()


def _unless_address(who: str, name: str) -> str:
    """Where to find a contact that has just been renamed."""
    return who if who.startswith(f"{Address.prefix}1") else name


async def _contact(node: Node, who: str) -> Contact:
    return _show(await answer(node, core.ShowContact(who), core.ContactView))


def _show(view: core.ContactView) -> Contact:
    return Contact(
        address=view.address.text,
        short=view.address.short,
        name=view.name,
        trust=view.trust.value,
        added=format_time(view.added_ms),
        connected=view.connected,
    )
