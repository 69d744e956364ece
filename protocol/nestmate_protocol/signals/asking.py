"""Asking: claims on their way to issuers, until they are answered or given up.

A claim is said again after a second, and after two its issuer counts as silent: then
others may settle who works, or the task is left alone for a while. A lease that comes
late is still taken. This file knows no lease and nothing of who waits for work.
"""

from dataclasses import dataclass, replace
from typing import Final, TypeVar, assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import LEASE_SECONDS_MAX
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.cells import Cell, Life, Stage
from nestmate_protocol.signals.claims import Claim
from nestmate_protocol.signals.courier import pause_ms
from nestmate_protocol.signals.outcomes import ToAgent
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.records import Signal
from nestmate_protocol.signals.upshots import Missed, Step, Unanswered
from nestmate_protocol.signals.votes import voters

REMEMBERED_MAX: Final = 1_024
_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a task would take here in all, and how much of that is set-up."""

    seconds: float
    setup_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Want:
    """A claim on its way; ``patient`` ones are repeated until they are answered.

    ``estimate_ms`` is how long the work is thought to take here. Where ``delegates``
    decide they are asked, and get the ``call`` along, born at ``called_ms``.
    """

    task: TaskId
    signal: Signal
    generation: int
    asked_ms: int
    patient: bool
    estimate_ms: int
    data: bytes
    setup_ms: int = 0
    repeated: bool = False
    rounds: int = 0
    delegates: tuple[Address, ...] = ()
    call: bytes = b""
    called_ms: int = 0

    def said(self, now: Moment) -> list[Step]:
        """The claim to whom it is for."""
        if not self.delegates:
            return [ToAgent(self.signal.issuer, self.data)]
        age_ms = now.mono_ms - self.called_ms
        steps: list[Step] = []
        for agent in self.delegates:
            steps += [ToAgent(agent, self.call, age_ms), ToAgent(agent, self.data)]
        return steps


class Asking:
    """All claims of this node that no issuer has answered.

    ``attempts`` are those whose issuer is silent, while workers settle who is first.
    """

    def __init__(self, pen: Pen, rule: Rule) -> None:
        self.attempts: dict[bytes, Want] = {}
        self._pen = pen
        self._silent_ms = rule.silent_ms
        self._wants: dict[bytes, Want] = {}
        self._late: dict[bytes, Want] = {}
        self._alarms: Alarms[bytes] = Alarms()

    def __repr__(self) -> str:
        return f"<Asking for {len(self)}>"

    def __len__(self) -> int:
        return len(self._wants) + len(self.attempts)

    def __contains__(self, task: TaskId) -> bool:
        return task.raw in self._wants or task.raw in self.attempts

    def get(self, task: TaskId) -> Want | None:
        """What was asked for, whether it is still waited for or not."""
        raw = task.raw
        return self._wants.get(raw) or self.attempts.get(raw) or self._late.get(raw)

    def claim(
        self, cell: Cell, generation: int, plan: Plan, now: Moment, *, patient: bool
    ) -> list[Step]:
        """Ask the issuer for a task that would take so long here.

        Won, Missed or Unanswered follows.
        """
        signal, me = cell.signal, self._pen.me
        estimate_ms = round(1_000 * plan.seconds)
        claim = Claim(cell.task, me, generation, estimate_ms, LEASE_SECONDS_MAX)
        data = self._pen.sign(claim).data
        want = Want(
            task=cell.task,
            signal=signal,
            generation=generation,
            asked_ms=now.mono_ms,
            patient=patient,
            estimate_ms=estimate_ms,
            data=data,
            setup_ms=round(1_000 * plan.setup_seconds),
            delegates=voters(signal),
            call=cell.data,
            called_ms=cell.sent_ms,
        )
        self._late.pop(cell.task.raw, None)
        self._wants[cell.task.raw] = want
        self._alarms.set(cell.task.raw, now.mono_ms + self._silent_ms // 2)
        return want.said(now)

    def forget(self, task: TaskId) -> None:
        """Wait for an answer no longer; should a lease come all the same, take it."""
        want = self._wants.get(task.raw) or self.attempts.get(task.raw)
        self.drop(task)
        if want is not None:
            remember(self._late, task.raw, want)

    def drop(self, task: TaskId) -> bool:
        """It is answered; whether somebody waited for that."""
        self._alarms.clear(task.raw)
        self._late.pop(task.raw, None)
        wanted = self._wants.pop(task.raw, None)
        return (self.attempts.pop(task.raw, None) or wanted) is not None

    def persist(self, task: TaskId, now: Moment) -> list[Step] | None:
        """The issuer is silent and that cannot be helped: ask it again, or give up."""
        want = self.attempts.get(task.raw)
        if want is None:
            return []
        self.forget(task)
        if not want.patient:
            return None
        want = replace(want, rounds=want.rounds + 1)
        del self._late[task.raw]
        self._wants[task.raw] = want
        self._alarms.set(task.raw, now.mono_ms + pause_ms(want.rounds))
        return want.said(now)

    def told(self, issuer: Address, task: TaskId, life: Life) -> list[Step]:
        """The issuer says how the task stands: it may be another's."""
        want = self.get(task)
        if want is None or want.signal.issuer != issuer:
            return []
        if not is_over(life, want.generation, self._pen.me.raw):
            return []
        return self.denied(task, why_over(life))

    def denied(self, task: TaskId, why: str) -> list[Step]:
        """Another has it: nothing is waited for any more."""
        return [Missed(task, why)] if self.drop(task) else []

    def agent_up(self, address: Address, now: Moment) -> list[Step]:
        """An issuer can be reached: say at once what it has not answered."""
        steps: list[Step] = []
        for raw, want in self._wants.items():
            asked = want.delegates or (want.signal.issuer,)
            if address in asked and want.asked_ms < now.mono_ms:
                steps += [each for each in want.said(now) if _is_to(each, address)]
                self._alarms.set(raw, now.mono_ms + self._silent_ms)
        return steps

    def wake(self, now: Moment) -> list[Step]:
        """Say again what was not answered, and then that its issuer is silent."""
        steps: list[Step] = []
        for raw in self._alarms.ring(now.mono_ms):
            want = self._wants[raw]
            if want.repeated:
                self.attempts[raw] = self._wants.pop(raw)
                silent = None if want.delegates else want.signal.issuer
                steps.append(Unanswered(want.task, silent))
            else:
                self._wants[raw] = replace(want, repeated=True)
                self._alarms.set(raw, want.asked_ms + self._silent_ms)
                steps += want.said(now)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._alarms.next()


def _is_to(step: Step, agent: Address) -> bool:
    return isinstance(step, ToAgent) and step.address == agent


def is_over(life: Life, generation: int, me: bytes) -> bool:
    """Whether this life ends a claim of ``me`` under a generation.

    A task that is done is done, whatever workers settled on later.
    """
    if life.generation != generation:
        return life.generation > generation or life.stage == Stage.DONE
    if life.stage == Stage.GRANTED:
        return life.holder != me
    return life.stage != Stage.OPEN


def why_over(life: Life) -> str:
    """The end of a sentence that says why a claim is over."""
    match life.stage:
        case Stage.DONE:
            return "another agent has done it"
        case Stage.GRANTED:
            return "another agent holds it"
        case Stage.OPEN:
            return "it was opened again for others"
        case Stage.CANCELLED:
            return "its issuer called it off"
        case _:
            assert_never(life.stage)


def remember(memory: dict[bytes, _Kept], raw: bytes, what: _Kept) -> None:
    """Keep something under a key, and of all such things only the latest."""
    memory.pop(raw, None)
    memory[raw] = what
    while len(memory) > REMEMBERED_MAX:
        del memory[next(iter(memory))]
