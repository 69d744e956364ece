"""The shell: whatever the core asks for happens, in order, and no bug ends the loop.

Two whole nodes on memory twins. Behaviour itself is proved in the simulation; here
only outcomes are looked at.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from nestmate.errors import DiskFullError, NodeError, NotFoundError, StoreError
from nestmate.network.base import NetworkOptions
from nestmate.network.memory import MemoryNetwork, Switchboard
from nestmate.node.assembly import SystemClock
from nestmate.node.shell import Shell
from nestmate.store.ahead import Ahead
from nestmate.store.base import Write
from nestmate.store.memory import MemoryDisk
from nestmate_protocol.core import Core, Identity, Settings
from nestmate_protocol.directory.requests import AddSkill, ShowStatus, StatusView
from nestmate_protocol.effects import Join, Notify, Save
from nestmate_protocol.friends.requests import CreateInvite, Invited, Joined, JoinInvite
from nestmate_protocol.identity.cards import SkillOffer
from nestmate_protocol.identity.log import begin_log
from nestmate_protocol.ids import NetworkId, TaskId
from nestmate_protocol.inputs import Wakeup
from nestmate_protocol.keys import (
    SigningKey,
    host_peer,
    host_seed,
    recovery_key,
    rotation_key,
)
from nestmate_protocol.limits import EVENTS_UNTOLD_MAX
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


async def test_nothing_is_promised_while_the_disk_refuses() -> None:
    disk = MemoryDisk()
    async with open_shell(Switchboard(), disk) as shell:
        with disk.full():
            with pytest.raises(DiskFullError, match="in memory only"):
                await shell.ask(CreateInvite())
            assert shell.store_trouble
            with pytest.raises(DiskFullError, match="only reads"):
                await shell.ask(CreateInvite())
        assert isinstance(await shell.ask(CreateInvite()), Invited)
        assert not shell.store_trouble


async def test_what_the_disk_refused_is_written_when_it_takes_it_again() -> None:
    disk = MemoryDisk()
    async with open_shell(Switchboard(), disk) as shell:
        with disk.full(), pytest.raises(StoreError):
            await shell.ask(AddSkill(SkillOffer("kept")))
        await shell.ask(CreateInvite())
        assert any(b"kept" in value for _, value in shell._store.scan(b"d/"))


async def test_what_much_comes_to_is_written_bit_by_bit_within_a_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = [[Save(((b"x/%d" % n, b""),) * 200, durable=False)] for n in range(5)]
    written: list[int] = []
    async with open_shell(Switchboard(), MemoryDisk()) as shell:
        await shell.ask(CreateInvite())
        write = shell._store.write

        def note(batch: list[Write], *, durable: bool) -> None:
            written.append(len(batch))
            write(batch, durable=durable)

        monkeypatch.setattr(shell._store, "write", note)
        monkeypatch.setattr(shell._core, "steps", lambda *_: iter(steps))
        await shell._go_round([Wakeup()])
        monkeypatch.undo()
    assert written == [400, 400, 200]


async def test_whoever_only_reads_is_answered_though_the_round_is_refused() -> None:
    disk = MemoryDisk()
    async with open_shell(Switchboard(), disk) as shell, trio.open_nursery() as nursery:
        await shell.ask(ShowStatus())

        async def write() -> None:
            with pytest.raises(DiskFullError):
                await shell.ask(CreateInvite())

        with disk.full():
            async with shell._turn:  # both find themselves in one round
                nursery.start_soon(write)
                nursery.start_soon(shell.ask, ShowStatus())
                await trio.testing.wait_all_tasks_blocked()
            assert isinstance(await shell.ask(ShowStatus()), StatusView)


async def test_the_alarm_is_shown_at_once_and_before_what_waits_for_room() -> None:
    disk = MemoryDisk()
    async with open_shell(Switchboard(), disk) as shell:
        await shell.keep(lambda: [Notify("before")])
        seen = shell.events.last_seq
        with disk.full():
            await shell.keep(lambda: [Notify("first")])
            await shell.keep(lambda: [Notify("second")])
            told = shell.events.after(seen).events
            assert [event.kind for event in told] == ["disk.full"]
            assert next(shell.events.backwards(seen + 1)) == told[0]
            assert shell.events.get(seen + 1) == told[0]
        await shell.keep(lambda: [Notify("third")])
        told = shell.events.after(seen).events
        kinds = ["disk.full", "first", "second", "disk.room", "third"]
        assert [event.kind for event in told] == kinds
        assert [event.seq for event in told] == list(range(seen + 1, seen + 6))
    async with open_shell(Switchboard(), disk) as shell:
        assert shell.events.after(seen).events[:5] == told


async def test_events_beyond_what_can_wait_are_counted_and_left_out() -> None:
    disk = MemoryDisk()
    async with open_shell(Switchboard(), disk) as shell:
        with disk.full():
            await shell.keep(lambda: [Notify("x")])
            await shell.keep(lambda: [Notify("x")] * (EVENTS_UNTOLD_MAX + 6))
            assert len(shell.events._untold) == EVENTS_UNTOLD_MAX
        await shell.keep(list)
        told = shell.events.after(shell.events.last_seq - 1).events
        assert [(e.kind, e.details) for e in told] == [("disk.room", {"untold": 7})]


async def test_what_is_unsaved_takes_no_more_room_however_often_it_changes() -> None:
    disk = MemoryDisk()
    async with open_shell(Switchboard(), disk) as shell:
        with disk.full():
            for n in range(50):
                value = bytes([n])
                await shell.keep(lambda v=value: [Save(((b"x", v),), durable=False)])
            assert len(shell._backlog) < 10  # the alarm and the node's card included
        await shell.keep(list)
        assert shell._store.get(b"x") == bytes([49])


async def test_what_the_node_keeps_itself_is_refused_while_the_disk_is_full() -> None:
    disk = MemoryDisk()
    async with open_shell(Switchboard(), disk) as shell:
        with disk.full(), pytest.raises(StoreError):
            await shell.keep(lambda: [Save(((b"x", b"kept"),)), Notify("kept")])
        await shell.keep(list)
        assert shell._store.get(b"x") == b"kept"
        kinds = [event.kind for event in shell.events.after(0).events]
        assert kinds[-3:] == ["disk.full", "kept", "disk.room"]


async def test_what_must_follow_a_save_waits_for_it_and_then_happens() -> None:
    disk, topics = MemoryDisk(), []
    async with open_shell(Switchboard(), disk) as shell:
        join = shell.network.join

        async def listen(topic: str) -> None:
            topics.append(topic)
            await join(topic)

        shell.network.join = listen
        with disk.full():
            await shell._carry_out([[Save(((b"x", b"y"),))], [Join("skill")]])
            await trio.testing.wait_all_tasks_blocked()
            assert topics == []
        await shell.keep(list)
        await trio.testing.wait_all_tasks_blocked()
        assert topics == ["skill"]


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
