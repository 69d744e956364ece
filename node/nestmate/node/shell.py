"""The shell around the core: one inbox, one loop, effects carried out in order.

Everything that happens becomes an input, the core answers with effects, and the loop
carries out each round in three steps: durable, then visible, then answered. All saves
of a round share one batch (group commit), unless they are so many that writing them
in one go would hold up the doors. While the disk refuses, the core is told so,
what it still asks to save is kept here, and nothing that must follow a save happens
before that save. This file decides nothing: it knows neither what an input means nor
why an effect was asked for.
"""

import logging
import os
import sys
import traceback
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVarTuple, Unpack, assert_never

import trio

from nestmate.errors import (
    BusyError,
    ConflictError,
    DeniedError,
    DiskFullError,
    NodeError,
    NotFoundError,
    StoreError,
    TimedOutError,
    UsageError,
)
from nestmate.network.base import Clock, Network, NetworkInput
from nestmate.node.backlog import RETRY_MS, Backlog
from nestmate.node.events import EventFeed, Retention
from nestmate.node.outgoing import Mailroom, Press
from nestmate.store.ahead import Ahead
from nestmate.store.base import KeyValue, Write
from nestmate_protocol.core import Core
from nestmate_protocol.effects import (
    Announce,
    Code,
    Dial,
    Effect,
    Find,
    HangUp,
    Join,
    Leave,
    Notify,
    Pin,
    Provide,
    Publish,
    Refusal,
    Reply,
    Resolve,
    Save,
    Send,
    Strike,
)
from nestmate_protocol.inputs import (
    Abandon,
    Ask,
    DiskFull,
    DiskRoom,
    Input,
    PeerDown,
    Request,
    Wakeup,
)
from nestmate_protocol.limits import (
    COMMIT_RECORDS_MAX,
    COMMIT_ROWS_MAX,
    INBOX_ITEMS_MAX,
)

_log = logging.getLogger("nestmate.node")

IDLE_SECONDS_MAX = 3_600.0
LOOKUPS_AT_ONCE_MAX = 16

_Args = TypeVarTuple("_Args")

_ERRORS: dict[Code, type[NodeError]] = {
    Code.FAILED: NodeError,
    Code.INVALID: UsageError,
    Code.DENIED: DeniedError,
    Code.NOT_FOUND: NotFoundError,
    Code.TIMED_OUT: TimedOutError,
    Code.CONFLICT: ConflictError,
    Code.BUSY: BusyError,
    Code.FULL: DiskFullError,
}


@dataclass(slots=True)
class _Answer:
    """Where one open request waits for its reply."""

    ready: trio.Event = field(default_factory=trio.Event)
    value: object = None


class Shell:
    """Runs one core on one store and one network.

    ``ahead`` is what the core reads of the store: it sees there what it has asked to
    save, committed or not.
    """

    def __init__(
        self,
        core: Core,
        store: KeyValue,
        network: Network,
        clock: Clock,
        ahead: Ahead,
        *,
        retention: Retention | None = None,
    ) -> None:
        self.network = network
        self.events = EventFeed(store, retention)
        self.crashes = 0
        self._core = core
        self._store = store
        self._ahead = ahead
        self._clock = clock
        self._next_request = 0
        self._answers: dict[int, _Answer] = {}
        self._backlog = Backlog()
        self._keeps_no_code = sys.dont_write_bytecode
        self._turn = trio.Lock()
        self._lookups = trio.CapacityLimiter(LOOKUPS_AT_ONCE_MAX)
        self._inbox_in, self._inbox_out = trio.open_memory_channel[Input](
            INBOX_ITEMS_MAX
        )

    def __repr__(self) -> str:
        return f"<Shell {len(self._answers)} requests open, {self.events!r}>"

    @property
    def store_trouble(self) -> str:
        """Why the disk takes no writes, as a sentence; empty if it does."""
        return self._backlog.trouble

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until left; the network runs only inside."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._mailroom = Mailroom(self.network, nursery)
            self._press = Press(self.network, nursery, self._clock.now)
            inbox: trio.MemorySendChannel[NetworkInput] = self._inbox_in
            async with self.network.running(inbox):
                nursery.start_soon(self._loop)
                try:
                    yield
                finally:
                    nursery.cancel_scope.cancel()

    async def ask(self, request: Request) -> object:
        """Put one request to the core; raises the NodeError its refusal stands for."""
        number = self._next_request = self._next_request + 1
        answer = self._answers[number] = _Answer()
        try:
            await self._inbox_in.send(Ask(number, request))
            await answer.ready.wait()
        finally:
            del self._answers[number]
            if not answer.ready.is_set():
                self._abandon(number)
        if isinstance(answer.value, NodeError):
            raise answer.value
        if isinstance(answer.value, Refusal):
            refusal = answer.value
            raise _ERRORS[refusal.code](refusal.detail, refusal.hint)
        return answer.value

    async def keep(self, make: Callable[[], Sequence[Save | Notify]]) -> None:
        """Write and tell what the node itself has to, in turn with the core's.

        ``make`` is called when it is its turn: what is to be kept may depend on what
        was. Raises what it raises, and DiskFullError if something durable is not on
        disk; that is tried again. Who asked for it may leave, it is done all the same.
        """
        async with self._turn:
            with trio.CancelScope(shield=True):
                await self._carry_out([await self._try_again()])
                step = make()
                trouble = await self._carry_out([step])
        if trouble is not None and _is_durable(step):
            raise trouble

    def _abandon(self, number: int) -> None:
        try:
            self._inbox_in.send_nowait(Abandon(number))
        except trio.WouldBlock:
            return  # the core lets every request time out by itself

    async def _loop(self) -> None:
        while True:
            for_round = await self._gather()
            async with self._turn:
                await self._go_round(for_round)

    async def _go_round(self, inputs: Sequence[Input]) -> None:
        steps: list[Sequence[Effect]] = []
        rows = 0
        asked = any(isinstance(item, Ask) for item in inputs)
        if asked or self._backlog.is_due(self._clock.now().mono_ms):
            steps.append(await self._try_again())
        for item in inputs:
            for step in self._steps(item):
                steps.append(step)
                rows += _hasty_rows(step)
                await trio.lowlevel.checkpoint()  # a full round must not hold up doors
                if rows >= COMMIT_ROWS_MAX:  # nor must writing what it comes to
                    await self._carry_out(steps)
                    await trio.lowlevel.checkpoint()
                    steps, rows = [], 0
        await self._carry_out(steps)

    async def _gather(self) -> list[Input]:
        """Wait for the next input, then take along what has queued up meanwhile."""
        items: list[Input] = []
        with trio.move_on_after(self._seconds_to_wakeup()):
            items.append(await self._inbox_out.receive())
        if not items:
            return [Wakeup()]
        while len(items) < COMMIT_RECORDS_MAX:
            try:
                items.append(self._inbox_out.receive_nowait())
            except trio.WouldBlock:
                break
        return items

    def _seconds_to_wakeup(self) -> float:
        due_ms = self._core.next_wakeup()
        limit = RETRY_MS / 1_000 if self.store_trouble else IDLE_SECONDS_MAX
        if due_ms is None:
            return limit
        return min(limit, max(0.0, (due_ms - self._clock.now().mono_ms) / 1000))

    def _steps(self, item: Input) -> Iterator[list[Effect]]:
        """The core, step by step; a bug in it costs one input, not the node."""
        try:
            for effects in self._core.steps(item, self._clock.now()):
                for effect in effects:
                    if isinstance(effect, Save):
                        self._ahead.promise(effect.writes)
                yield effects
        except Exception as bug:  # noqa: BLE001 - the guarded border of the core
            self.crashes += 1
            _log.error(
                "bug input=%s\n%s", type(item).__name__, traceback.format_exc(limit=-8)
            )
            if isinstance(item, Ask):
                sentence = f"this is a bug in nestmate: {bug!r}"
                hint = "look into the log and report it"
                yield [Reply(item.request, Refusal(Code.FAILED, sentence, hint))]
        finally:
            if isinstance(item, PeerDown):
                self._mailroom.forget(item.peer)

    async def _carry_out(
        self, steps: Sequence[Sequence[Effect]]
    ) -> DiskFullError | None:
        """Durable, then visible, then answered; what kept it from being durable.

        Whoever only reads is answered though somebody else's write is refused. In the
        round that finds the disk full nothing is seen yet: what one step wants done may
        tell of what another has to save. Once the core knows, it may not.
        """
        effects = _flat(steps)
        notices = [effect for effect in effects if isinstance(effect, Notify)]
        saves = [effect for effect in effects if isinstance(effect, Save)]
        writes = [write for save in saves for write in save.writes]
        writes += self.events.record(notices, self._clock.now())
        durable = _is_durable(effects)
        finds_out = durable and not self.store_trouble
        trouble = await self._commit(writes, durable=durable)
        for step in steps:
            if trouble is not None and (finds_out or _is_durable(step)):
                self._backlog.withhold(step)
            else:
                self._show(step)
        if trouble is None:  # else they are told when they are written
            self.events.tell()
        for step in steps:
            self._answer(step, trouble if _is_durable(step) else None)
        return trouble

    async def _commit(
        self, writes: list[Write], *, durable: bool
    ) -> DiskFullError | None:
        """Write one batch; what the disk refuses is kept and tried again."""
        if self.store_trouble:
            self._backlog.hold(writes)
            return _refused(self.store_trouble)
        if not writes:
            return None
        try:
            if durable:
                await _in_thread(self._store, writes)
            else:
                self._store.write(writes, durable=False)
        except StoreError as trouble:
            self._backlog.hold(writes)
            return self._turn_full(str(trouble))
        self._ahead.kept()
        return None

    def _turn_full(self, trouble: str) -> DiskFullError:
        """Tell the core, and show its alarm at once: it cannot be written now."""
        self._backlog.refused(trouble, self._clock.now().mono_ms)
        sys.dont_write_bytecode = True  # half of a cached module breaks its imports
        step, now = _flat(self._steps(DiskFull(trouble))), self._clock.now()
        notices = [each for each in step if isinstance(each, Notify)]
        for alarm in notices[:1]:
            self._backlog.hold(self.events.alarm(alarm, now))
        self._backlog.hold(self.events.record(notices[1:], now))
        for effect in step:
            if isinstance(effect, Save):
                self._backlog.hold(effect.writes)
        if _is_durable(step):
            self._backlog.withhold(step)
        else:
            self._show(step)
        self._answer(step)
        return _refused(trouble)

    async def _try_again(self) -> list[Effect]:
        """Write all that is unsaved, if the disk takes it; what follows from that."""
        if not self.store_trouble:
            return []
        try:
            await _in_thread(self._store, self._backlog.writes)
        except StoreError as trouble:
            self._backlog.refused(str(trouble), self._clock.now().mono_ms)
            return []
        self._ahead.kept()
        sys.dont_write_bytecode = self._keeps_no_code
        self._show(self._backlog.written())
        self.events.tell()
        return _flat(self._steps(DiskRoom(self.events.left_out)))

    def _answer(
        self, step: Iterable[Effect], trouble: DiskFullError | None = None
    ) -> None:
        for reply in step:
            if not isinstance(reply, Reply):
                continue
            answer = self._answers.get(reply.request)
            if answer is not None:
                answer.value = trouble or reply.response
                answer.ready.set()

    def _show(self, step: Iterable[Effect]) -> None:
        network = self.network
        for effect in step:
            match effect:
                case Send():
                    self._mailroom.post(effect)
                case Publish():
                    self._press.print(effect)
                case Dial(peer, multiaddrs):
                    self._nursery.start_soon(network.dial, peer, multiaddrs)
                case HangUp(peer):
                    self._nursery.start_soon(network.hang_up, peer)
                case Join(topic):
                    self._nursery.start_soon(network.join, topic)
                case Leave(topic):
                    self._nursery.start_soon(network.leave, topic)
                case Provide(key):
                    self._look(network.provide, key)
                case Find(key):
                    self._look(network.find, key)
                case Announce(address, record):
                    self._look(network.announce, address, record)
                case Resolve(address):
                    self._look(network.resolve, address)
                case Pin(peer, pinned):
                    network.pin(peer, pinned=pinned)
                case Strike(peer, fault):
                    network.strike(peer, fault)
                case Save() | Reply() | Notify():
                    continue
                case _:
                    assert_never(effect)

    def _look(
        self, verb: Callable[[Unpack[_Args]], Awaitable[None]], *args: *_Args
    ) -> None:
        self._nursery.start_soon(self._look_in_turn, verb, args)

    async def _look_in_turn(
        self, verb: Callable[[Unpack[_Args]], Awaitable[None]], args: tuple[*_Args]
    ) -> None:
        async with self._lookups:
            await verb(*args)


def _flat(steps: Iterable[Sequence[Effect]]) -> list[Effect]:
    return [effect for step in steps for effect in step]


def _hasty_rows(effects: Iterable[Effect]) -> int:
    """How many rows are to be written that nobody waits for."""
    saves = [each for each in effects if isinstance(each, Save) and not each.durable]
    return sum(len(save.writes) for save in saves)


def _is_durable(step: Iterable[Effect]) -> bool:
    return any(isinstance(effect, Save) and effect.durable for effect in step)


async def _in_thread(store: KeyValue, batch: list[Write]) -> None:
    await trio.to_thread.run_sync(partial(store.write, batch, durable=True))


def _refused(trouble: str) -> DiskFullError:
    """What is said of something that was done, but is not safe yet."""
    return DiskFullError(
        f"{trouble} What was asked for is in memory only.",
        "Free some space: it is written then by itself, unless the node is stopped.",
    )


def system_entropy(count: int) -> bytes:
    """Bytes nobody can guess, from the operating system."""
    return os.urandom(count)
