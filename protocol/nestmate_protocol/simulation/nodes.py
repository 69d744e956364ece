"""One node of the simulated world: a core on a machine, and the loop around it.

It keeps the rule of the real shell: one input at a time, effects in list order, and
nothing after a durable save before that save is on the disk. A node can be crashed
between any two effects, paused, and started again from its disk. This file knows the
core only by its two methods, and nothing of who its peers are.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Effect, Notify, Publish, Reply, Save, Send
from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import (
    Ask,
    DiskFull,
    DiskRoom,
    Input,
    Request,
    Wakeup,
)
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.machine import Disk, SkewedClock
from nestmate_protocol.simulation.timeline import Action, Timeline
from nestmate_protocol.simulation.words import Names, describe_effects, describe_input

RESTLESS_WAKEUPS_MAX = 200

Answer = Callable[[object], None]


class Brain(Protocol):
    """What the world runs in a node: the real core, or a twin of it in a test."""

    def steps(self, item: Input, now: Moment, /) -> Iterator[list[Effect]]:
        """Take one input and say bit by bit what it causes."""
        ...

    def next_wakeup(self) -> int | None:
        """When to wake it, in monotonic ms."""
        ...


class Reading(Protocol):
    """What a core may read of its disk."""

    def get(self, key: bytes) -> bytes | None:
        """The value under a key."""
        ...

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """All pairs under a prefix in key order."""
        ...

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """The keys from ``low`` up to, not with, ``high``, in order, without values."""
        ...


@dataclass(frozen=True, slots=True)
class Life:
    """What a core is started with: its number, disk, entropy and incarnation."""

    number: int
    reader: Reading
    entropy: Callable[[int], bytes]
    incarnation: bytes
    now: Moment


Boot = Callable[[Life], Brain]


@dataclass(frozen=True, slots=True)
class Habitat:
    """What all nodes of a world share.

    ``carry`` makes every effect but a save happen, ``watch`` sees every effect at the
    moment it happens, ``crash`` ends a node whose fuse is burnt, and ``complain`` is
    told of a broken promise.
    """

    timeline: Timeline
    names: Names
    carry: Callable[["Node", Effect], None]
    watch: Callable[["Node", Effect], None]
    crash: Callable[["Node"], None]
    complain: Callable[[str], None]


@dataclass(slots=True)
class Fuse:
    """How many more effects happen before the crash, or how many durable saves."""

    count: int
    saves_only: bool = False

    def burnt(self, effect: Effect) -> bool:
        """Whether the crash comes before this effect."""
        if self.saves_only and not _is_durable(effect):
            return False
        self.count -= 1
        return self.count < 0


@dataclass(slots=True)
class Question:
    """A request that waits for its answer."""

    body: Request
    asked_ms: int
    answer: Answer


class Node:
    """One core, its machine, and the requests its agents wait for.

    ``withheld`` is what waits for room on a full disk, None while there is room.
    """

    def __init__(
        self, number: int, peer: PeerId, boot: Boot, habitat: Habitat, dice: Dice
    ) -> None:
        self.number = number
        self.name = f"n{number}"
        self.peer = peer
        self.disk = Disk()
        self.clock = SkewedClock()
        self.core: Brain | None = None
        self.paused = False
        self.lives = 0
        self.pauses = 0
        self.sync_ms_max = 2
        self.fuse: Fuse | None = None
        self.questions: dict[int, Question] = {}
        self._boot = boot
        self._habitat = habitat
        self._timeline = habitat.timeline
        self._dice = dice
        self._inbox: deque[Input] = deque()
        self._held: list[Action] = []
        self._committing: list[Effect] | None = None
        self._underway: tuple[Input, Iterator[list[Effect]]] | None = None
        self._wake_ms: int | None = None
        self._due_mono_ms: int | None = None
        self._restless = 0
        self._requests = 0
        self.withheld: list[Effect] | None = None

    def __repr__(self) -> str:
        return f"<Node {self.name} life {self.lives}>"

    @property
    def now(self) -> Moment:
        """What this machine's clocks say."""
        return self.clock.moment(self._timeline.now_ms)

    @property
    def awake(self) -> bool:
        """Running and not paused."""
        return self.core is not None and not self.paused

    def start(self) -> None:
        """Boot a core from the disk, with an incarnation of its own."""
        self.lives += 1
        self.clock.boot(self._timeline.now_ms, self._dice)
        incarnation = self._dice.octets(16)
        entropy = self._dice.fork(f"entropy {self.lives}").octets
        life = Life(self.number, self.disk, entropy, incarnation, self.now)
        self._timeline.note(self.name, "boot", partial("life {}".format, self.lives))
        self.core = self._boot(life)
        self._due_mono_ms = self.core.next_wakeup()
        self._plan_wakeup()

    def crash(self) -> None:
        """Lose everything but what the disk keeps."""
        if self.core is None:
            return
        self._timeline.note(self.name, "crash", str)
        self.disk.crash(self._dice)
        self.core = None
        self.paused = False
        self.fuse = self._committing = self._wake_ms = self._due_mono_ms = None
        self.withheld = self._underway = None
        self._inbox.clear()
        self._held.clear()
        self.questions.clear()

    def pause(self) -> None:
        """Stop working, with nothing lost; the clocks go on."""
        if self.awake:
            self._timeline.note(self.name, "pause", str)
            self.paused = True
            self.pauses += 1

    def resume(self) -> None:
        """Go on, with everything that happened meanwhile."""
        if not self.paused:
            return
        self._timeline.note(self.name, "resume", str)
        self.paused = False
        held, self._held = self._held, []
        for action in held:
            self.later(0, action)
        self._wake_ms = None
        self._plan_wakeup()

    def later(self, delay_ms: int, action: Action) -> None:
        """Plan something that happens only in this life, and not while paused."""
        life = self.lives

        def happen() -> None:
            if self.lives != life or self.core is None:
                return
            if self.paused:
                self._held.append(happen)
            else:
                action()

        self._timeline.at(delay_ms, happen)

    def ask(self, body: Request, answer: Answer) -> int:
        """Put an agent's request; whatever comes back goes to ``answer``."""
        self._requests += 1
        self.questions[self._requests] = Question(body, self._timeline.now_ms, answer)
        self.give(Ask(self._requests, body))
        return self._requests

    def answered(self, reply: Reply) -> None:
        """Hand a reply to whoever asked; a question has one answer."""
        question = self.questions.pop(reply.request, None)
        if question is None:
            self._habitat.complain(f"{self.name} answers {reply.request} unasked")
        else:
            response, answer = reply.response, question.answer
            self.later(0, lambda: answer(response))

    def give(self, item: Input) -> None:
        """Let something happen to this node, in its turn."""
        if self.core is None:
            return
        self._inbox.append(item)
        if self._committing is None and not self.paused:
            self._work()

    def give_later(self, delay_ms: int, item: Input) -> None:
        """Let something happen to this node, should it still live then."""
        self.later(delay_ms, partial(self.give, item))

    def _work(self) -> None:
        while self.core is not None and self._committing is None:
            if self._underway is None:
                if not self._inbox:
                    return
                item = self._inbox.popleft()
                self._underway = item, self.core.steps(item, self.now)
            item, steps = self._underway
            effects = next(steps, None)
            if effects is None:
                self._underway = None
                continue
            self._due_mono_ms = self.core.next_wakeup()
            tell = partial(self._tell, item, effects)
            self._timeline.note(self.name, type(item).__name__, tell)
            if self.withheld is not None:
                self.carry_out(_held_back(effects, self.withheld))
            elif any(map(_is_durable, effects)):
                self._committing = effects
                self.later(self._dice.between(0, self.sync_ms_max), self._commit)
            else:
                self.carry_out(effects)
            self._plan_wakeup()

    def _tell(self, item: Input, effects: list[Effect]) -> str:
        names = self._habitat.names
        return f"{describe_input(item, names)} -> {describe_effects(effects, names)}"

    def _commit(self) -> None:
        effects = self._committing
        self._committing = None
        if effects is not None:
            self.carry_out(effects)
            self._work()

    def carry_out(self, effects: list[Effect]) -> None:
        """Make effects happen in order, unless the node dies between two of them."""
        timeline, habitat = self._timeline, self._habitat
        for effect in effects:
            if self.fuse is not None and self.fuse.burnt(effect):
                habitat.crash(self)
                return
            _mark(timeline, effect)
            if type(effect) is Save:
                self.disk.write(effect.writes, durable=effect.durable)
            else:
                habitat.watch(self, effect)
                habitat.carry(self, effect)

    def _plan_wakeup(self) -> None:
        if self._due_mono_ms is None:
            return
        now_ms = self._timeline.now_ms
        due_ms = max(self.clock.world_ms(self._due_mono_ms), now_ms + 1)
        if self._wake_ms is None or due_ms < self._wake_ms:
            self._wake_ms = due_ms
            self.later(due_ms - now_ms, self._wake)

    def _wake(self) -> None:
        """Wake a core that is due; one that is always due keeps a machine busy."""
        if self._wake_ms != self._timeline.now_ms:
            return
        self._wake_ms = None
        if self._is_overdue() and self._committing is None:
            self.give(Wakeup())
            self._restless = self._restless + 1 if self._is_overdue() else 0
            if self._restless == RESTLESS_WAKEUPS_MAX:
                self._habitat.complain(f"{self.name} never rests")
        self._plan_wakeup()

    def _is_overdue(self) -> bool:
        due_mono_ms = self._due_mono_ms
        return due_mono_ms is not None and due_mono_ms <= self.now.mono_ms


def fill(node: Node) -> None:
    """Let a disk take no more writes; what it was to take a crash may lose."""
    if node.awake and node.withheld is None:
        node.withheld = []
        node.give(DiskFull("The disk is full."))


def drain(node: Node) -> None:
    """Let there be room, and everything happen that waited for it."""
    if node.withheld is None:
        return
    withheld, node.withheld = node.withheld, None
    node.disk.write((), durable=True)
    node.carry_out(withheld)
    node.give(DiskRoom())


def _held_back(effects: list[Effect], withheld: list[Effect]) -> list[Effect]:
    """What happens on a full disk: nothing that must follow a durable save."""
    if not any(map(_is_durable, effects)):
        return effects
    withheld += [each for each in effects if not isinstance(each, Save)]
    saves = [each for each in effects if isinstance(each, Save)]
    return [Save(save.writes, durable=False) for save in saves]


def _is_durable(effect: Effect) -> bool:
    return type(effect) is Save and effect.durable


def _mark(timeline: Timeline, effect: Effect) -> None:
    """Take what an effect carries into the trace hash."""
    match effect:
        case Save(writes):
            for key, value in writes:
                timeline.mark(key)
                timeline.mark(value or b"")
        case Send(peer, _, data):
            timeline.mark(peer.raw)
            timeline.mark(data)
        case Publish(_, record):
            timeline.mark(record)
        case Notify(kind, task):
            timeline.mark(kind.encode())
            timeline.mark(b"" if task is None else task.raw)
        case Reply(_, response):
            timeline.mark(type(response).__name__.encode())
        case _:
            timeline.mark(type(effect).__name__.encode())
