"""The shell: whatever the core asks for happens, in order, and no bug ends the loop.

Two whole nodes on memory twins. Behaviour itself is proved in the simulation; here
only outcomes are looked at.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from nestmate.errors import NodeError, NotFoundError, StoreError
from nestmate.network.base import NetworkOptions
from nestmate.network.memory import MemoryNetwork, Switchboard
from nestmate.node.assembly import SystemClock
from nestmate.node.shell import Shell
from nestmate.store.ahead import Ahead
from nestmate.store.memory import MemoryDisk
from nestmate_protocol.core import Core, Identity, Settings
from nestmate_protocol.directory.requests import AddSkill
from nestmate_protocol.effects import Channel, Notify, Save
from nestmate_protocol.friends.requests import CreateInvite, Invited, Joined, JoinInvite
from nestmate_protocol.identity.cards import SkillOffer
from nestmate_protocol.identity.log import begin_log
from nestmate_protocol.ids import NetworkId, TaskId
from nestmate_protocol.inputs import Arrived
from nestmate_protocol.keys import (
    SigningKey,
    host_peer,
    host_seed,
    recovery_key,
    rotation_key,
)
from nestmate_protocol.signals.requests import (
    ClaimView,
    Deposited,
    DepositTask,
    FinishClaim,
    ShowTask,
    TakeTask,
    TaskStatus,
    TaskView,
)

NETWORK = NetworkId(b"\7" * 32)
numbers = itertools.count(1)


@asynccontextmanager
async def open_shell(board: Switchboard, disk: MemoryDisk) -> AsyncIterator[Shell]:
    seed = next(numbers).to_bytes(32)
    device = SigningKey(seed)
    log = begin_log(
        device, rotation_key(seed, 0).public, recovery_key(seed).public, seed[:16]
    )
    network = MemoryNetwork(
        NetworkOptions(host_seed(seed), NETWORK, ("/ip4/127.0.0.1/tcp/0",)), board
    )
    store = disk.open()
    ahead = Ahead(store)
    core = Core(
        Identity(device, log, host_peer(seed), "", NETWORK),
        Settings(),
        lambda count: next(numbers).to_bytes(count),
        store.report.incarnation,
        ahead,
    )
    shell = Shell(core, store, network, SystemClock(), ahead)
    with trio.fail_after(60):
        async with shell.running():
            yield shell
    store.close()


@asynccontextmanager
async def open_friends() -> AsyncIterator[tuple[Shell, Shell]]:
    board = Switchboard()
    async with (
        open_shell(board, MemoryDisk()) as ada,
        open_shell(board, MemoryDisk()) as ben,
    ):
        invited = await ada.ask(CreateInvite())
        assert isinstance(invited, Invited)
        joined = await ben.ask(JoinInvite(invited.invite))
        assert isinstance(joined, Joined)
        yield ada, ben


async def test_a_task_asked_for_at_one_node_is_done_at_another() -> None:
    async with open_friends() as (ada, ben):
        await ben.ask(AddSkill(SkillOffer("echo")))
        deposited = await ada.ask(DepositTask("echo", 0.9, b"hello"))
        assert isinstance(deposited, Deposited)
        claim = await ben.ask(TakeTask(skill="echo"))
        assert isinstance(claim, ClaimView)
        await ben.ask(FinishClaim(claim.task, b"olleh", wait_seconds=30))
        view = await ada.ask(ShowTask(deposited.task))
        assert isinstance(view, TaskView)
        assert (view.status, view.result) == (TaskStatus.DONE, b"olleh")


async def test_what_happened_is_told_in_order_and_once() -> None:
    async with open_friends() as (ada, ben):
        await ben.ask(AddSkill(SkillOffer("echo")))
        await ada.ask(DepositTask("echo", 0.9, b"hello"))
        claim = await ben.ask(TakeTask(skill="echo"))
        assert isinstance(claim, ClaimView)
        await ben.ask(FinishClaim(claim.task, b"olleh", wait_seconds=30))
        kinds = [event.kind for event in ada.events.after(0).events]
        mine = [kind for kind in kinds if kind.startswith("task.")]
        assert mine == ["task.granted", "task.done"]


async def test_a_refusal_is_raised_as_the_error_it_stands_for() -> None:
    async with open_shell(Switchboard(), MemoryDisk()) as shell:
        with pytest.raises(NotFoundError):
            await shell.ask(ShowTask(TaskId(b"\0" * 32)))


async def test_a_bug_in_the_core_costs_one_request_and_not_the_node(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_shell(Switchboard(), MemoryDisk()) as shell:
        await shell.ask(CreateInvite())  # by now it listens, and knows it
        with monkeypatch.context() as broken:
            broken.setattr(shell._core, "handle", lambda *_: 1 / 0)
            with pytest.raises(NodeError, match="a bug in nestmate"):
                await shell.ask(CreateInvite())
        assert isinstance(await shell.ask(CreateInvite()), Invited)
        assert shell.crashes >= 1


async def test_nothing_is_promised_while_the_disk_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    async with open_shell(Switchboard(), MemoryDisk()) as shell:
        with monkeypatch.context() as full:
            full.setattr(shell._store, "write", refuse)
            with pytest.raises(StoreError):
                await shell.ask(CreateInvite())
            assert shell.store_trouble
        assert isinstance(await shell.ask(CreateInvite()), Invited)
        assert not shell.store_trouble


async def test_what_the_disk_refused_is_written_when_it_takes_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    disk, board = MemoryDisk(), Switchboard()
    async with open_shell(board, disk) as shell:
        with monkeypatch.context() as full:
            full.setattr(shell._store, "write", refuse)
            with pytest.raises(StoreError):
                await shell.ask(AddSkill(SkillOffer("kept")))
        await shell.ask(CreateInvite())
        assert any(b"kept" in value for _, value in shell._store.scan(b"d/"))


async def test_no_chunks_are_taken_in_while_the_disk_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    peer, seen = host_peer(b"\1" * 32), []
    async with open_shell(Switchboard(), MemoryDisk()) as shell:
        handle = shell._core.handle
        shell._core.handle = lambda item, now: seen.append(item) or handle(item, now)
        with monkeypatch.context() as full:
            full.setattr(shell._store, "write", refuse)
            with pytest.raises(StoreError):
                await shell.ask(CreateInvite())
            for channel in (Channel.BLOBS, Channel.CARDS):
                await shell._inbox_in.send(Arrived(peer, channel, b""))
            with pytest.raises(StoreError):
                await shell.ask(CreateInvite())
    assert [i.channel for i in seen if isinstance(i, Arrived)] == [Channel.CARDS]


async def test_events_a_full_disk_refused_are_told_in_order_once_it_has_taken_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    disk, board = MemoryDisk(), Switchboard()
    async with open_shell(board, disk) as shell:
        before = shell.events.last_seq
        with monkeypatch.context() as full:
            full.setattr(shell._store, "write", refuse)
            await shell.keep(lambda: [Notify("first")])
            assert not shell.events.after(before).events
        await shell.keep(lambda: [Notify("second")])
        told = [event.kind for event in shell.events.after(before).events]
        assert told == ["first", "second"]


async def test_what_the_node_keeps_itself_is_refused_while_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    async with open_shell(Switchboard(), MemoryDisk()) as shell:
        with monkeypatch.context() as full:
            full.setattr(shell._store, "write", refuse)
            with pytest.raises(StoreError):
                await shell.keep(lambda: [Save(((b"x", b"kept"),)), Notify("kept")])
        await shell.keep(list)
        assert shell._store.get(b"x") == b"kept"
        assert shell.events.after(0).events[-1].kind == "kept"


async def test_what_the_node_keeps_is_kept_though_who_asked_for_it_leaves() -> None:
    async with open_shell(Switchboard(), MemoryDisk()) as shell:
        with trio.CancelScope() as asking:

            def make() -> list[Save | Notify]:
                asking.cancel()
                return [Save(((b"x", b"kept"),)), Notify("kept")]

            await shell.keep(make)
        await shell.keep(lambda: [Notify("next")])
        assert [e.kind for e in shell.events.after(0).events] == ["kept", "next"]
        assert shell._store.get(b"x") == b"kept"
