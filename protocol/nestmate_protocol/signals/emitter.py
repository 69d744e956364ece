"""The emitter: says our own open tasks aloud, again and again until they are taken.

First at once, then after max(8 s, 0.4 of the size), then with doubled pauses, but
never with a longer one than the half-life, so that what a living issuer still wants
does not fade. Each time it goes straight to more agents who are able, drawn by trail,
and to the whole topic once that was not enough; whoever votes on a task hears it every
time. Our own pace stays below what others let in: what is due and may not go yet waits,
new tasks before repetitions and urgent ones before slow ones. The emitter knows nothing
of claims.
"""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    SIGNAL_TTL_SECONDS_MAX,
    SIGNALS_PER_AUTHOR_BURST,
    TASK_INLINE_BODY_BYTES_MAX,
)
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.asking import remember
from nestmate_protocol.signals.field import Field
from nestmate_protocol.signals.levels import (
    ALERT,
    COST_BASE_CENTS,
    FLASH,
    cost_cents,
    half_life_ms,
    level_of,
    value_of,
)
from nestmate_protocol.signals.outcomes import SeekAble, ToAgent, ToTopic
from nestmate_protocol.signals.pace import Pace
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.records import Link, Signal
from nestmate_protocol.signals.shelf import OwnTask
from nestmate_protocol.signals.trail import Trail
from nestmate_protocol.signals.upshots import Offered, Step

BURST: Final = SIGNALS_PER_AUTHOR_BURST - 4
"""Own signals leave a little slower than others let in, because links jitter."""

_OPEN_MS_MAX: Final = SIGNAL_TTL_SECONDS_MAX * 1_000


@dataclass(slots=True)
class Audience:
    """Who was told of a task: some agents in this order, or the whole topic.

    ``told`` holds those told of the generation that is open, ``greeted`` those among
    them who heard it when they came by and need not be on its topic; ``said`` counts
    how often it was said.
    """

    told: dict[bytes, Address] = field(default_factory=dict)
    greeted: dict[bytes, Address] = field(default_factory=dict)
    wide: bool = False
    said: int = 0


@dataclass(frozen=True, slots=True)
class Voice:
    """One task being called out; ``repeats`` counts emissions of this generation.

    ``paid`` tells that its urgency is in the spending chain already; ``order`` is its
    place among tasks that wait for their turn.
    """

    own: OwnTask
    opened_ms: int
    order: int
    repeats: int = 0
    paid: bool = False


class Emitter:
    """Everything this agent is calling for at the moment."""

    def __init__(self, pen: Pen, cells: Field, trail: Trail) -> None:
        self._pen = pen
        self._field = cells
        self._trail = trail
        self._audiences: dict[bytes, Audience] = {}
        self._pace = Pace(BURST)
        self._voices: dict[bytes, Voice] = {}
        self._due: set[bytes] = set()
        self._alarms: Alarms[bytes] = Alarms()
        self._again_ms: int | None = None
        self._count = 0

    def __repr__(self) -> str:
        return f"<Emitter of {len(self._voices)}, {len(self._due)} due>"

    def call(
        self, own: OwnTask, opened_ms: int, now: Moment, *, paid: bool
    ) -> list[Step]:
        """Begin to call out a generation of a task; a later one to the whole topic."""
        self._count += 1
        self._audiences[own.task.raw] = Audience(wide=own.generation > 1)
        self._voices[own.task.raw] = Voice(own, opened_ms, self._count, paid=paid)
        self._due.add(own.task.raw)
        return self.wake(now)

    def again(self, task: TaskId, now: Moment) -> list[Step] | None:
        """Call out a task once more now; None if it is too soon for that."""
        if self._due or self._pace.ready_at(now.mono_ms) > now.mono_ms:
            return None
        self._due.add(task.raw)
        return self.wake(now)

    def hush(self, task: TaskId) -> None:
        """Say no more of a task, for now."""
        self._voices.pop(task.raw, None)
        self._due.discard(task.raw)
        self._alarms.clear(task.raw)

    def forget(self, task: TaskId) -> None:
        """Say no more of a task, ever."""
        self.hush(task)
        self._audiences.pop(task.raw, None)

    def resume(self, own: OwnTask, opened_ms: int, now: Moment) -> None:
        """Call out again what was called out before a restart, in a moment.

        Whoever went on alone meanwhile is met first, and can say so.
        """
        self._count += 1
        self.forgot(own.task)
        self._voices[own.task.raw] = Voice(own, opened_ms, self._count, paid=True)
        due_ms = now.mono_ms + self._trail.rule.silent_ms
        self._alarms.set(own.task.raw, due_ms)

    def forgot(self, task: TaskId) -> None:
        """Whom a task was told before a restart is not known: its topic, then."""
        self._audiences[task.raw] = Audience(wide=True)

    def greeted(self, task: TaskId, agent: Address) -> None:
        """One more agent was told of a task, if it is one we call for."""
        if task.raw in self._voices:
            audience = self._audiences[task.raw]
            audience.told[agent.raw] = agent
            remember(audience.greeted, agent.raw, agent)

    def calls(self, task: TaskId) -> bool:
        """Whether this agent calls for a task."""
        return task.raw in self._voices

    def audience(self, task: TaskId) -> Audience:
        """Who was told of a task so far; nobody, if it is not called out."""
        return self._audiences.get(task.raw, Audience())

    def again_ms(self, task: TaskId) -> int | None:
        """When a task is called out the next time; None for not at all."""
        return self._alarms.due(task.raw)

    def may_spend(self, now: Moment) -> bool:
        """Whether a record of the spending chain may go now; if so it is counted."""
        return not self._due and self._pace.take(now.mono_ms)

    def wake(self, now: Moment) -> list[Step]:
        """Emit what is due, as fast as the pace allows."""
        self._due.update(self._alarms.ring(now.mono_ms))
        steps: list[Step] = []
        while self._due and self._pace.take(now.mono_ms):
            raw = min(self._due, key=self._turn)
            self._due.discard(raw)
            steps += self._emit(self._voices[raw], now)
        self._again_ms = self._pace.ready_at(now.mono_ms) if self._due else None
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        times = [t for t in (self._alarms.next(), self._again_ms) if t is not None]
        return min(times, default=None)

    def _turn(self, raw: bytes) -> tuple[bool, int, int]:
        voice = self._voices[raw]
        urgency = voice.own.order.urgency_code
        return (voice.repeats > 0, -urgency, voice.order)

    def _emit(self, voice: Voice, now: Moment) -> list[Step]:
        order = voice.own.order
        open_ms = min(_OPEN_MS_MAX, now.mono_ms - voice.opened_ms)
        cents = COST_BASE_CENTS if voice.paid else cost_cents(order.urgency_code)
        signal, record, save = self._pen.spend(
            cents, lambda link: _signal(self._pen, voice.own, open_ms, now, link)
        )
        self._count += 1
        self._voices[voice.own.task.raw] = replace(
            voice, repeats=voice.repeats + 1, paid=True, order=self._count
        )
        self._field.sense(signal, record, 0, now)
        pause_ms = _pause_ms(voice, self._trail.rule)
        self._alarms.set(voice.own.task.raw, now.mono_ms + pause_ms)
        return [save, *self._spread(voice, record.data, now), Offered(voice.own.task)]

    def _spread(self, voice: Voice, data: bytes, now: Moment) -> list[Step]:
        """Straight to more of the able, and to the topic where none of them is left.

        Where the first saying reaches them all they are few, and so is the topic.
        """
        order, rule = voice.own.order, self._trail.rule
        audience = self._audiences[voice.own.task.raw]
        audience.said += 1
        delegates = [each for each in order.delegates if each != self._pen.me]
        audience.told.update((agent.raw, agent) for agent in delegates)
        able = self._trail.able(order.skill, now)
        count = rule.reach(len(able), voice.repeats)
        if order.urgency_code >= FLASH.code_min:
            count *= rule.flash_reach
        fresh = [each for each in able if each.raw not in audience.told]
        chosen = self._trail.draw(fresh, count, order.skill)
        audience.told.update((agent.raw, agent) for agent in chosen)
        few = len(fresh) <= count and voice.repeats == 0
        enough = few or not fresh or len(audience.told) > rule.reach_told_max
        if enough or voice.repeats >= _topic_repeat(order.urgency_code, rule):
            audience.wide = True
        urgent = order.urgency_code >= FLASH.code_min
        steps: list[Step] = [ToAgent(agent, data) for agent in (*delegates, *chosen)]
        if audience.wide:
            steps.append(ToTopic(order.skill, data, 0, urgent))
        return [*steps, SeekAble(order.skill)] if len(able) < count else steps


def _topic_repeat(code: int, rule: Rule) -> int:
    """With which repetition the whole topic hears of it in any case."""
    level = level_of(code)
    if level is FLASH:
        return rule.topic_repeat_flash
    return rule.topic_repeat_alert if level is ALERT else rule.topic_repeat_slow


def _pause_ms(voice: Voice, rule: Rule) -> int:
    """How long after emission ``repeats`` the next one follows."""
    order = voice.own.order
    size_ms = 1_000 * value_of(order.size_code)
    first = max(rule.reinforce_ms_min, round(rule.reinforce_size_share * size_ms))
    half_life = half_life_ms(order.urgency_code, order.half_life_seconds)
    return min(first << min(voice.repeats, 32), max(first, half_life))


def _signal(pen: Pen, own: OwnTask, open_ms: int, now: Moment, link: Link) -> Signal:
    order = own.order
    inline = len(order.body) <= TASK_INLINE_BODY_BYTES_MAX
    return Signal(
        issuer=pen.me,
        key=order.key,
        skill=order.skill,
        urgency_code=order.urgency_code,
        size_code=order.size_code,
        ttl_seconds=max(1, order.ttl_seconds - own.waited_ms // 1_000),
        task_class=order.task_class,
        lease_seconds=order.lease_seconds,
        link=link,
        body=order.body if inline else None,
        body_hash=sha256(order.body).digest(),
        body_bytes=len(order.body),
        created_ms=max(0, now.wall_ms - open_ms),  # by the clock as it stands now
        generation=own.generation,
        open_ms=open_ms,
        half_life_seconds=order.half_life_seconds,
        deadline_ms=order.deadline_ms,
        delegates=order.delegates,
        inputs=tuple(source.task for source in order.inputs),
        apart=order.apart,
    )
