"""The doctor: looks at a home and at a running node, and says how to mend a fault.

It changes nothing. Each finding has a stable code, a severity, a sentence and a hint;
a check that has nothing to say says that all is well. This file decides nothing about
how a node works.
"""

import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from nestmate.errors import BusyError, NodeError
from nestmate.home import Home
from nestmate.keyfile import is_sealed, load_identity, load_log
from nestmate.operations.forms import plain
from nestmate.operations.status import Finding
from nestmate.store.lock import FolderLock
from nestmate_protocol.directory.requests import (
    ListPeers,
    PeerViews,
    ShowStatus,
    StatusView,
)
from nestmate_protocol.friends.requests import ContactViews, ListContacts, Trust
from nestmate_protocol.ids import Address
from nestmate_protocol.spaces.requests import (
    ListSpaces,
    ListVoid,
    SpaceView,
    SpaceViews,
    Standing,
    WriteViews,
)

if TYPE_CHECKING:
    from nestmate.node.assembly import Node

DISK_SHARE_FOREIGN: Final = 0.90
DISK_SHARE_FULL: Final = 0.95
EPOCH_FLOOR: Final = 1_750_000_000  # mid 2025: no honest clock is older than this code
KNOCK_SECONDS_MAX: Final = 1.0
NAMES_SHOWN_MAX: Final = 5
VOID_SHOWN_MAX: Final = 1_000
SEVERITIES: Final = ("error", "warning", "note", "ok")


def examine_home(home: Home) -> list[Finding]:
    """What can be said of a home while no node runs on it."""
    findings = [*_home(home)]
    if not any(finding.severity == "error" for finding in findings):
        findings += [*_disk(home), *_clock(), *_holder(home)]
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))


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
        *await _knock(status),
        *_friends(contacts, peers),
        *_border(node),
        *_readers(node),
        *await _spaces(node, status.address),
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
    share = usage.used / (usage.used + usage.free)  # what is left for root is not ours
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


def _holder(home: Home) -> Iterator[Finding]:
    """Whether the home, and where its node would listen, are free."""
    try:
        FolderLock(home.store).release()
    except BusyError as error:
        yield Finding(
            code="silent",
            severity="error",
            text=f"{error} But it does not answer.",
            hint="It may be starting or stuck: look into its log, or end the process.",
        )
        return
    for multiaddr in home.read_config().listen:
        if not _is_free(multiaddr):
            yield Finding(
                code="port-taken",
                severity="error",
                text=f"Somebody else listens on {multiaddr}, where this node would.",
                hint="Stop that program, or choose another port: `nestmate config set "
                "listen MULTIADDR`.",
            )
    yield Finding(
        code="not-running",
        severity="note",
        text="No node runs on this home.",
        hint="Start it with `nestmate up`.",
    )


def _is_free(multiaddr: str) -> bool:
    family, host, port = _place(multiaddr)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _place(multiaddr: str) -> tuple[socket.AddressFamily, str, int]:
    """Family, host and port of a multiaddr that says where a node listens."""
    _, family, host, _, port, *_ = multiaddr.split("/")
    return (
        socket.AF_INET6 if family == "ip6" else socket.AF_INET,
        host,
        int(port),
    )


def _store(node: "Node") -> Iterator[Finding]:
    if node.store_trouble:
        yield Finding(
            code="disk-full",
            severity="error",
            text=f"{node.store_trouble} This node only reads meanwhile.",
            hint="Free some space: it finds out within seconds, writes what it still "
            "has in memory, and catches up. Do not stop it before.",
        )
    elif node.boot.repaired:
        yield Finding(
            code="repaired",
            severity="warning",
            text="The store was damaged and has been rebuilt from what was whole; at "
            f"least {_count(node.boot.lost_batches, 'write')} missing.",
            hint="What others hold comes back by itself; look at the disk and at "
            "docs/explanation/durability.md.",
        )
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
    elif all(map(_is_loopback, status.multiaddrs)):
        yield Finding(
            code="loopback",
            severity="note",
            text="Only nodes on this machine can reach this one.",
            hint="For others, listen on an address of the LAN: `nestmate config set "
            "listen /ip4/0.0.0.0/tcp/4001`.",
        )


def _is_loopback(multiaddr: str) -> bool:
    return "/127." in multiaddr or "/::1/" in multiaddr


async def _knock(status: StatusView) -> list[Finding]:
    """Whether this node's own addresses can be reached from this machine."""
    import trio  # noqa: PLC0415 - a home is examined without it

    closed: list[str] = []

    async def knock(multiaddr: str) -> None:
        with trio.move_on_after(KNOCK_SECONDS_MAX) as patience:
            try:
                _, host, port = _place(multiaddr)
                await (await trio.open_tcp_stream(host, port)).aclose()
            except (OSError, ValueError):
                closed.append(multiaddr)
        if patience.cancelled_caught:
            closed.append(multiaddr)

    async with trio.open_nursery() as nursery:
        for multiaddr in status.multiaddrs:
            nursery.start_soon(knock, multiaddr)
    if closed:
        return [
            Finding(
                code="unreachable",
                severity="warning",
                text=f"This node cannot be reached at {', '.join(sorted(closed))}.",
                hint="See that no firewall is in the way, and that `nestmate config "
                "get announce` names addresses that lead here.",
            )
        ]
    count = len(status.multiaddrs)
    return [_well("listen", f"This node is reached at {_count(count, 'address')}.")]


def _count(number: int, noun: str) -> str:
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{plural}"


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
            text=f"Not connected: {len(away)} of {_count(len(friends), 'friend')}, "
            f"such as {', '.join(away[:NAMES_SHOWN_MAX])}.",
            hint="They are tried again for ever; ask whether they run, or for a new "
            "invite.",
        )
    else:
        yield _well("friends", f"Connected to every friend, {len(friends)} in all.")


def _border(node: "Node") -> Iterator[Finding]:
    if node.shell.crashes:
        yield Finding(
            code="bugs",
            severity="warning",
            text=f"{_count(node.shell.crashes, 'input')} met a bug in nestmate.",
            hint=f"Report what {node.home.log_file} says.",
        )
    bans = node.network.counters.bans
    if bans:
        yield Finding(
            code="bans",
            severity="note",
            text=f"{_count(bans, 'peer')} shut out for sending what is wrong.",
            hint="Nothing to do; they may come back later.",
        )


def _readers(node: "Node") -> Iterator[Finding]:
    late = [each.name for each in node.cursors if each.seq + 1 < node.events.first_seq]
    dead = {
        each.name: count
        for each in node.cursors
        if (count := sum(1 for _ in node.cursors.letters(each.name)))
    }
    if late:
        yield Finding(
            code="readers-late",
            severity="warning",
            text=f"Events have gone before {_count(len(late), 'cursor')} came to them: "
            f"{', '.join(late[:NAMES_SHOWN_MAX])}.",
            hint="Start what reads with them, or `nestmate event cursor rm` them.",
        )
    if dead:
        yield Finding(
            code="dead-letters",
            severity="note",
            text=f"{_count(sum(dead.values()), 'dead letter')}, given up by the "
            f"readers of {', '.join(list(dead)[:NAMES_SHOWN_MAX])}.",
            hint="See `nestmate event dead ls`; retry or remove them.",
        )


async def _spaces(node: "Node", me: Address) -> list[Finding]:
    """How this node's copies of spaces stand, and what waits for somebody in them."""
    views = await node.ask(ListSpaces())
    assert isinstance(views, SpaceViews)  # noqa: S101 - the core's word
    joined = [each for each in views.spaces if each.standing is Standing.MEMBER]
    lost: dict[str, int] = {}
    for each in joined:
        if each.void:
            void = await node.ask(ListVoid(each.space.text, VOID_SHOWN_MAX))
            assert isinstance(void, WriteViews)  # noqa: S101 - the core's word
            lost[each.name] = sum(1 for write in void.writes if write.who == me)
    findings = [*_standing(views.spaces), *_lost(lost)]
    if joined and not findings:
        text = f"Nothing waits for anybody in {_count(len(joined), 'space')}."
        findings.append(_well("spaces", text))
    return findings


def _standing(spaces: Sequence[SpaceView]) -> Iterator[Finding]:
    joining = [each for each in spaces if each.standing is Standing.JOINING]
    offered = [each for each in spaces if each.standing is Standing.OFFERED]
    rebuilding = [each for each in spaces if each.standing is Standing.REBUILDING]
    alone = [each for each in spaces if each.members > 1 and not each.peers]
    torn = [each for each in spaces if each.conflicts]
    if joining:
        yield Finding(
            code="spaces-joining",
            severity="warning",
            text=f"No member has let this node in yet: {_called(joining)}.",
            hint="It goes on trying. See that whoever invited you runs, and ask for a "
            "new invite if that one has expired.",
        )
    if rebuilding:
        yield Finding(
            code="spaces-rebuilding",
            severity="note",
            text="An earlier version wrote this, and it is being made anew: "
            f"{_called(rebuilding)}.",
            hint="The event `space.rebuilt` says when a space is open again.",
        )
    if offered:
        yield Finding(
            code="spaces-offered",
            severity="note",
            text=f"Somebody lets this agent in: {_called(offered)}.",
            hint="Join with `nestmate space join SPACE`.",
        )
    if alone:
        yield Finding(
            code="spaces-alone",
            severity="note",
            text=f"No other member is connected: {_called(alone)}.",
            hint="What is written stays here until one is; ask whether they run.",
        )
    if torn:
        count = sum(each.conflicts for each in torn)
        yield Finding(
            code="conflicts",
            severity="note",
            text=f"{_count(count, 'document')} in conflict: {_called(torn)}.",
            hint="See `nestmate conflicts SPACE`; a `put --expect` settles one.",
        )


def _lost(lost: dict[str, int]) -> Iterator[Finding]:
    if count := sum(lost.values()):
        names = ", ".join(plain(name) for name in lost if lost[name])
        yield Finding(
            code="void-writes",
            severity="warning",
            text=f"{_count(count, 'write')} of this agent without effect: {names}.",
            hint="`nestmate space void SPACE` says why; write again what matters.",
        )


def _called(spaces: Sequence[SpaceView]) -> str:
    names = [plain(each.name) or each.space.text for each in spaces]
    return ", ".join(names[:NAMES_SHOWN_MAX])
