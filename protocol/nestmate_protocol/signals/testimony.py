"""Testimony: what one agent has measured of others, said to everyone.

A receipt tells its worker; a testimony sums up all receipts its author has signed, so
that everybody can draw whom to call by what many have seen. The latest one of an author
replaces those before, so that loss, doubling and disorder change nothing. It is said
when something was learned, first soon and then ever more seldom. Nobody testifies for
itself, and one author weighs no more than a few tasks. This file knows no task.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Fields, Value
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import (
    SKILL_CHARS_MAX,
    TESTIMONIES_KEPT_MAX,
    TESTIMONY_COUNT_MAX,
    TESTIMONY_LESSONS_MAX,
)
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.outcomes import ToTopic
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.records import COUNT_MAX, Body, is_skill_name, present
from nestmate_protocol.signals.response import Lesson, Speeds
from nestmate_protocol.signals.upshots import Step

STEPS_PER_DOUBLING: Final = 16
DOUBLINGS_MAX: Final = 6


@dataclass(frozen=True, slots=True)
class Testimony:
    """All an author has to say of the speed of others; a larger ``seq`` replaces.

    ``lessons`` are rows of skill, agent, sixteenths of doublings in sum, and tasks.
    """

    kind: ClassVar[Kind] = Kind.TESTIMONY

    author: Address
    seq: int
    lessons: tuple[tuple[str, Address, int, int], ...]

    def fields(self) -> Body:
        """The map to be signed."""
        rows: list[Value] = [
            [skill, agent.raw, steps, count]
            for skill, agent, steps, count in self.lessons
        ]
        return present({1: self.author.raw, 2: self.seq, 3: rows or None})

    @classmethod
    def read(cls, fields: Fields) -> "Testimony":
        """The testimony in foreign fields."""
        rows = fields.rows(3, TESTIMONY_LESSONS_MAX)
        return cls(
            author=fields.identifier(1, Address),
            seq=fields.integer(2, 0, COUNT_MAX),
            lessons=tuple(map(_row, rows)),
        )


class Witness:
    """Says what was learned here, and keeps what others say of it."""

    def __init__(self, pen: Pen, speeds: Speeds, rule: Rule) -> None:
        self._pen = pen
        self._speeds = speeds
        self._rule = rule
        self._heard: dict[bytes, Testimony] = {}
        self._said: bytes | None = None
        self._skill = ""
        self._times = 0
        self._due_ms: int | None = None

    def __repr__(self) -> str:
        return f"<Witness of {len(self._heard)}>"

    def learned(self, skill: str, now: Moment) -> None:
        """Something new is known of an agent's speed at a skill: say it by and by."""
        self._skill = skill
        if self._due_ms is None:
            pause_ms = self._rule.testimony_ms_min << min(self._times, 16)
            self._due_ms = now.mono_ms + min(pause_ms, self._rule.testimony_ms_max)

    def heard(self, testimony: Testimony) -> None:
        """Let what another says count, in place of what it said before."""
        author = testimony.author
        last = self._heard.pop(author.raw, None)
        if last is not None and last.seq >= testimony.seq:
            self._heard[author.raw] = last
            return
        if last is not None:
            self._speeds.unhear(_lessons(last, self._pen.me))
        while len(self._heard) >= TESTIMONIES_KEPT_MAX:
            oldest = self._heard.pop(next(iter(self._heard)))
            self._speeds.unhear(_lessons(oldest, self._pen.me))
        self._heard[author.raw] = testimony
        self._speeds.hear(_lessons(testimony, self._pen.me))

    def greeting(self) -> tuple[bytes, ...]:
        """What a newly met node should know at once."""
        return () if self._said is None else (self._said,)

    def wake(self, now: Moment) -> list[Step]:
        """Say what is due."""
        if self._due_ms is None or self._due_ms > now.mono_ms:
            return []
        self._due_ms = None
        self._times += 1
        body = Testimony(self._pen.me, max(0, now.wall_ms), tuple(self._own()))
        if not body.lessons:
            return []
        self._said = self._pen.sign(body).data
        return [ToTopic(self._skill, self._said, 0, urgent=False)]

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._due_ms

    def _own(self) -> Iterable[tuple[str, Address, int, int]]:
        """The latest lessons; of many tasks with one agent, their mean counts on."""
        lessons = self._speeds.measured(self._pen.me, TESTIMONY_LESSONS_MAX)
        for lesson in lessons:
            count = min(lesson.tasks, TESTIMONY_COUNT_MAX)
            mean = lesson.doublings / lesson.tasks
            mean = max(-DOUBLINGS_MAX, min(DOUBLINGS_MAX, mean))
            steps = round(STEPS_PER_DOUBLING * mean * count)
            yield lesson.skill, lesson.agent, steps, count


def _lessons(testimony: Testimony, me: Address) -> list[Lesson]:
    """What counts of a testimony: nothing of its author, and nothing of us."""
    return [
        Lesson(skill, agent, steps / STEPS_PER_DOUBLING, count)
        for skill, agent, steps, count in testimony.lessons
        if agent.raw not in (testimony.author.raw, me.raw)
    ]


def _row(fields: Fields) -> tuple[str, Address, int, int]:
    skill = fields.text(0, SKILL_CHARS_MAX)
    if not is_skill_name(skill):
        raise RemoteError(Fault.BAD_FIELD, "not a skill's name")
    agent = fields.identifier(1, Address)
    count = fields.integer(3, 1, TESTIMONY_COUNT_MAX)
    most = STEPS_PER_DOUBLING * DOUBLINGS_MAX * count
    return skill, agent, fields.integer(2, -most, most), count
