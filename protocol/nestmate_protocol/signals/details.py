"""Details: what people are shown of one task beyond its state, and the reason in words.

On its issuer's node: who was told, who came, when it is said again. On any other:
whether it would be claimed there. What only another node can know, such as whether it
holds back, is not made up: a guess from receipts is called one. This file changes
nothing.
"""

from dataclasses import dataclass

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import plain
from nestmate_protocol.ids import Address
from nestmate_protocol.signals.cells import Cell, Stage
from nestmate_protocol.signals.emitter import Emitter
from nestmate_protocol.signals.explaining import Explainer, in_words
from nestmate_protocol.signals.judgement import Judge
from nestmate_protocol.signals.levels import half_life_ms, urgency_share
from nestmate_protocol.signals.requests import (
    AttemptView,
    DepositView,
    ListenerView,
    SpeedSource,
    StrengthView,
    TaskDetail,
    TaskStatus,
    TellingView,
)
from nestmate_protocol.signals.response import Speeds
from nestmate_protocol.signals.shelf import OwnTask
from nestmate_protocol.signals.trail import Able
from nestmate_protocol.signals.turnout import Attempt, Turnout

LISTED_MAX = 16


@dataclass(frozen=True, slots=True)
class Archive:
    """Where details are read from."""

    emitter: Emitter
    turnout: Turnout
    explainer: Explainer
    speeds: Speeds
    able: Able

    def sensed(self, cell: Cell, now: Moment) -> TaskDetail:
        """What there is to say of somebody else's task."""
        explained = self.explainer.explain(cell.task, now)
        return TaskDetail(
            strength=self._strength(cell, now),
            telling=None,
            attempts=(),
            ready_seconds=explained.ready_seconds,
            why=explained.sentence,
        )

    def own(self, own: OwnTask, cell: Cell | None, now: Moment) -> TaskDetail:
        """What there is to say of a task of our own."""
        telling = self._telling(own, cell, now)
        attempts = self.turnout.of(own.task)
        return TaskDetail(
            strength=self._strength(cell, now),
            telling=telling,
            attempts=tuple(_attempt(each, now) for each in attempts),
            ready_seconds=None,
            why=_why(own, telling, attempts),
        )

    def _strength(self, cell: Cell | None, now: Moment) -> StrengthView | None:
        """The parts of a strength; None for what calls no more."""
        if cell is None or cell.life.stage != Stage.OPEN:
            return None
        signal = cell.signal
        parts = cell.parts(now.mono_ms, self.speeds.ageing_seconds)
        shares = sorted(cell.shares.items(), key=lambda it: (it[1].birth_ms, it[0]))
        half_life = half_life_ms(signal.urgency_code, signal.half_life_seconds)
        return StrengthView(
            weight=parts.urgency,
            intensity=parts.intensity,
            growth=parts.growth,
            freshness=parts.freshness,
            half_life_seconds=half_life / 1_000,
            deposits=tuple(
                DepositView(
                    Address(raw),
                    urgency_share(share.amount_code),
                    max(0, now.mono_ms - share.birth_ms) / 1_000,
                )
                for raw, share in shares[:LISTED_MAX]
            ),
        )

    def _telling(
        self, own: OwnTask, cell: Cell | None, now: Moment
    ) -> TellingView | None:
        """How a task is called out; None once it is over."""
        if own.status not in {TaskStatus.OPEN, TaskStatus.GRANTED} or cell is None:
            return None
        audience = self.emitter.audience(own.task)
        again_ms = self.emitter.again_ms(own.task)
        told = list(audience.told.values())
        return TellingView(
            said=audience.said,
            again_seconds=(
                None if again_ms is None else max(0, again_ms - now.mono_ms) / 1_000
            ),
            able=len(self.able(own.order.skill, now)),
            told=len(told),
            listeners=tuple(
                _listener(self.explainer.judge, agent, cell)
                for agent in told[:LISTED_MAX]
            ),
            topic=audience.wide,
        )


def _listener(judge: Judge, agent: Address, cell: Cell) -> ListenerView:
    guess = judge.guess(agent, cell)
    known = guess.source is SpeedSource.LEARNED
    return ListenerView(agent, guess.speed if known else None, guess.hold)


def _attempt(attempt: Attempt, now: Moment) -> AttemptView:
    ago = max(0, now.mono_ms - attempt.at_ms) / 1_000
    return AttemptView(attempt.agent, attempt.generation, attempt.granted, ago)


def _why(
    own: OwnTask, telling: TellingView | None, attempts: tuple[Attempt, ...]
) -> str:
    match own.status:
        case TaskStatus.DONE:
            return "Done: its result is here."
        case TaskStatus.CANCELLED:
            return f"Over: {plain(own.reason)}."
        case TaskStatus.GRANTED:
            late = sum(
                not each.granted and each.generation == own.generation
                for each in attempts
            )
            others = f" {late} others came too late." if late > 1 else ""
            others = " 1 other came too late." if late == 1 else others
            waits = f" But {plain(own.reason)}." if own.reason else ""
            if own.order.delegates:
                return f"Given away by two of its delegates.{waits}"
            return f"Given to the first who claimed it.{others}{waits}"
        case TaskStatus.OPEN:
            return _open_why(own, telling)


def _open_why(own: OwnTask, telling: TellingView | None) -> str:
    if own.waits:
        return "Waiting: it takes results that are not there yet."
    if telling is None or (telling.said == 0 and not telling.topic):
        return "Open: not said yet; other signals of yours go first."
    again = (
        ""
        if telling.again_seconds is None
        else f" It is said again in {in_words(telling.again_seconds)}."
    )
    reopened = f" It opened again: {plain(own.reason)}." if own.reason else ""
    if not telling.able and not telling.told:
        return (
            f"Open: no agent is known here to have skill {plain(own.order.skill)!r}."
            f"{reopened}{again}"
        )
    if own.order.delegates and telling.told:
        return (
            "Open: two of its delegates have yet to agree on who gets it."
            f"{reopened}{again}"
        )
    agents = "1 agent" if telling.told == 1 else f"{telling.told} agents"
    whole = " and the whole topic" if telling.topic else ""
    return f"Open: told {agents}{whole}; none has claimed it yet.{reopened}{again}"
