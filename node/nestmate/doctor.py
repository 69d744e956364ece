"""The doctor: looks at a home and at a running node, and says how to mend a fault.

It changes nothing. Each finding has a stable code, a severity, a sentence and a hint;
a check that has nothing to say says that all is well. This file decides nothing about
how a node works.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from nestmate.errors import NodeError
from nestmate.home import Home
from nestmate.keyfile import is_sealed, load_identity, load_log
from nestmate.operations.status import Finding
from nestmate_protocol.directory.requests import (
    ListPeers,
    PeerViews,
    ShowStatus,
    StatusView,
)
from nestmate_protocol.friends.requests import ContactViews, ListContacts, Trust

if TYPE_CHECKING:
    from nestmate.node.assembly import Node

DISK_SHARE_FOREIGN: Final = 0.90
DISK_SHARE_FULL: Final = 0.95
EPOCH_FLOOR: Final = 1_750_000_000  # mid 2025: no honest clock is older than this code


def examine_home(home: Home) -> list[Finding]:
    """What can be said of a home while no node runs on it."""
    findings = [*_home(home)]
    if not any(finding.severity == "error" for finding in findings):
        findings += [*_disk(home), *_clock()]
    findings.append(
        Finding(
            code="not-running",
            severity="note",
            text="No node runs on this home.",
            hint="Start it with `nestmate up`.",
        )
    )
    return findings


async def checks(node: "Node") -> list[Finding]:
    """What can be said of a running node and its home."""
    status = await node.ask(ShowStatus())
    contacts = await node.ask(ListContacts())
    peers = await node.ask(ListPeers())
    assert isinstance(status, StatusView)  # noqa: S101 - the core's word
    assert isinstance(contacts, ContactViews)  # noqa: S101 - the core's word
    assert isinstance(peers, PeerViews)  # noqa: S101 - the core's word
    return [
        *_home(node.home),
        *_disk(node.home),
        *_clock(),
        *_store(node),
        *_reach(status),
        *_friends(contacts, peers),
        *_border(node),
    ]


def _well(code: str, text: str) -> Finding:
    return Finding(code=code, severity="ok", text=text, hint="")


def _home(home: Home) -> Iterator[Finding]:
    def key() -> None:
        if is_sealed(home.identity):
            load_log(home.identity)
        else:
            load_identity(home.identity)

    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("home", home.check),
        ("config", home.read_config),
        ("identity", key),
    )
    for code, step in steps:
        try:
            step()
        except NodeError as error:
            yield Finding(code=code, severity="error", text=str(error), hint=error.hint)
            return
    yield _well("home", "The home, its settings and its identity are sound.")


def _disk(home: Home) -> Iterator[Finding]:
    usage = shutil.disk_usage(home.root)
    share = 1 - usage.free / usage.total
    text = f"The disk is {share:.0%} full."
    if share >= DISK_SHARE_FULL:
        hint = "Free some space: writing may fail at any moment."
        yield Finding(code="disk", severity="error", text=text, hint=hint)
    elif share >= DISK_SHARE_FOREIGN:
        hint = "Free some space soon."
        yield Finding(code="disk", severity="warning", text=text, hint=hint)
    else:
        yield _well("disk", text)


def _clock() -> Iterator[Finding]:
    if time.time() < EPOCH_FLOOR:
        yield Finding(
            code="clock",
            severity="error",
            text="The clock of this machine is far in the past.",
            hint="Set it: cards and invites carry dates that others check.",
        )


def _store(node: "Node") -> Iterator[Finding]:
    trouble = node.shell.store_trouble
    if trouble:
        hint = "Free some space; the node goes on by itself."
        yield Finding(code="store", severity="error", text=trouble, hint=hint)
    elif node.boot.lost_batches:
        yield Finding(
            code="lost-tail",
            severity="warning",
            text=f"The disk lost the last {node.boot.lost_batches} writes before this "
            "start.",
            hint="What others hold comes back by itself; look at the disk and at "
            "docs/explanation/durability.md.",
        )
    else:
        yield _well("store", "The store is whole.")


def _reach(status: StatusView) -> Iterator[Finding]:
    if not status.multiaddrs:
        yield Finding(
            code="listen",
            severity="error",
            text="This node does not listen anywhere.",
            hint="See `nestmate config get listen`.",
        )
    elif all("/127.0.0.1/" in addr or "/::1/" in addr for addr in status.multiaddrs):
        yield Finding(
            code="loopback",
            severity="note",
            text="Only nodes on this machine can reach this one.",
            hint="For others, listen on an address of the LAN: `nestmate config set "
            "listen /ip4/0.0.0.0/tcp/4001`.",
        )
    else:
        yield _well("listen", f"Listening on {len(status.multiaddrs)} addresses.")


def _friends(contacts: ContactViews, peers: PeerViews) -> Iterator[Finding]:
    friends = [each for each in contacts.contacts if each.trust is not Trust.BLOCKED]
    away = [each.name or each.address.short for each in friends if not each.connected]
    if not friends:
        yield Finding(
            code="no-friends",
            severity="note",
            text="This node has no contacts yet.",
            hint="Make an invite with `nestmate invite`, or take one up with "
            "`nestmate join INVITE`.",
        )
    elif away:
        yield Finding(
            code="friends-away",
            severity="note" if peers.peers else "warning",
            text=f"{len(away)} of {len(friends)} friends' nodes do not answer: "
            f"{', '.join(away[:5])}.",
            hint="They are tried again for ever; ask whether they run, or for a new "
            "invite.",
        )
    else:
        yield _well("friends", f"All {len(friends)} friends are connected.")


def _border(node: "Node") -> Iterator[Finding]:
    if node.shell.crashes:
        yield Finding(
            code="bugs",
            severity="warning",
            text=f"{node.shell.crashes} inputs met a bug in nestmate and were dropped.",
            hint=f"Report what {node.home.log_file} says.",
        )
    bans = node.network.counters.bans
    if bans:
        yield Finding(
            code="bans",
            severity="note",
            text=f"{bans} peers were shut out for sending what is wrong.",
            hint="Nothing to do; they may come back later.",
        )
