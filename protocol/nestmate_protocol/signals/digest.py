"""Digest: news of tasks that nobody waits for, kept a moment for company.

That a task is held or done is worth knowing for those who heard the call, and not
worth a message of its own. What is said of one task within a second replaces what was
to be said of it before, and all of it goes together: to those who were told of the
task, or to its topic if that was told. Lost in a crash it is not missed: whoever
claims is told the truth. This file knows no record and no rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals.outcomes import ToAgent, ToTopic
from nestmate_protocol.signals.upshots import Step


@dataclass(frozen=True, slots=True)
class _News:
    """One record for some agents, and with ``wide`` for the topic of the skill."""

    skill: str
    data: bytes
    told: tuple[Address, ...]
    since_ms: int
    wide: bool = False


class Digest:
    """At most one piece of news per task, none older than ``pause_ms``."""

    def __init__(self, pause_ms: int) -> None:
        self._pause_ms = pause_ms
        self._news: dict[bytes, _News] = {}
        self._due_ms: int | None = None

    def __repr__(self) -> str:
        return f"<Digest of {len(self._news)}>"

    def tell_topic(
        self,
        task: TaskId,
        skill: str,
        data: bytes,
        others: Iterable[Address],
        now: Moment,
    ) -> None:
        """Say something of a task to its topic, and to others who heard of it, soon."""
        self._put(task, _News(skill, data, tuple(others), now.mono_ms, wide=True))

    def tell(
        self,
        task: TaskId,
        skill: str,
        data: bytes,
        told: Iterable[Address],
        now: Moment,
    ) -> None:
        """Say something of a task to some agents, soon."""
        self._put(task, _News(skill, data, tuple(told), now.mono_ms))

    def drop(self, task: TaskId) -> None:
        """What was to be said of a task is not so any more."""
        self._news.pop(task.raw, None)

    def wake(self, now: Moment) -> list[Step]:
        """Say everything, once the oldest has waited long enough."""
        if self._due_ms is None or self._due_ms > now.mono_ms:
            return []
        waiting, self._news, self._due_ms = self._news, {}, None
        steps: list[Step] = []
        for news in waiting.values():
            age_ms = now.mono_ms - news.since_ms
            if news.wide:
                steps.append(ToTopic(news.skill, news.data, age_ms, urgent=False))
            steps += [ToAgent(agent, news.data, age_ms) for agent in news.told]
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._due_ms

    def _put(self, task: TaskId, news: _News) -> None:
        self._news.pop(task.raw, None)
        self._news[task.raw] = news
        if self._due_ms is None:
            self._due_ms = news.since_ms + self._pause_ms
