"""Flow: tasks that take the results of others, held back until those exist.

The issuer of a task sees to its inputs as it sees to everything else of it. A task
whose inputs are not all here is not called out; it waits within its time to live. Our
own results are here when they are, others' are asked of their issuers. Is an input
over without a result, so is the task. Whoever holds a lease may fetch its inputs here;
any other result is given out only if its depositor said so, or to the issuer of the
task it is a part of. This file knows neither claims nor the field's strength.
"""

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import REASON_CHARS_MAX, SIGNAL_TTL_SECONDS_MAX
from nestmate_protocol.signals.errands import Errands
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.outcomes import ToAgent
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.requests import TaskStatus
from nestmate_protocol.signals.results import Fetch, Result, Standing
from nestmate_protocol.signals.shelf import OwnTask, Source
from nestmate_protocol.signals.stock import LIVE
from nestmate_protocol.signals.upshots import Fetched, Step

_WAIT_MS = SIGNAL_TTL_SECONDS_MAX * 1_000


class Flow:
    """Which own tasks wait for which results, and who may have ours."""

    def __init__(self, pen: Pen, issuer: Issuer, errands: Errands) -> None:
        self._pen = pen
        self._issuer = issuer
        self._errands = errands
        self._waiting: dict[bytes, dict[bytes, None]] = {}

    def __repr__(self) -> str:
        return f"<Flow waiting for {len(self._waiting)}>"

    def start(self, now: Moment) -> list[Step]:
        """Take up the tasks that wait."""
        waiting = [own.task for own in self._issuer.tasks.values() if own.waits]
        return [step for task in waiting for step in self.begin(task, now)]

    def begin(self, task: TaskId, now: Moment) -> list[Step]:
        """See to a task's inputs: call it out once all are here."""
        own = self._issuer.tasks[task.raw]
        if not own.waits:
            return []
        steps: list[Step] = []
        for source in self._issuer.stock.missing(own):
            self._waiting.setdefault(source.task.raw, {})[task.raw] = None
            if source.issuer != self._pen.me:
                until_ms = now.mono_ms + _WAIT_MS
                steps += self._errands.run(source.task, source.issuer, until_ms, now)
        return steps + self._look(own, now)

    def over(self, task: TaskId, now: Moment) -> list[Step]:
        """An own task is over: whatever waits for it goes on, or is over as well."""
        own, steps = self._issuer.tasks[task.raw], self._forget(task)
        for raw in self._waiting.pop(task.raw, {}):
            steps += self._look(self._issuer.tasks[raw], now)
        gone = self._issuer.stock.release(own)
        return steps if gone is None else [*steps, gone]

    def fetched(self, news: Fetched, now: Moment) -> list[Step]:
        """An answer about somebody else's task: learn it, or give up."""
        source = Source(news.task, news.giver)
        takers = [
            own
            for raw in self._waiting.get(news.task.raw, {})
            if source in (own := self._issuer.tasks[raw]).order.inputs
        ]
        if not takers:
            return []
        del self._waiting[news.task.raw]
        if news.result is None:
            why = f"its input {news.task.short} cannot be had: {news.reason}"
            return [step for own in takers for step in self._give_up(own, why)]
        steps: list[Step] = [self._issuer.stock.put(source, news.result)]
        return steps + [step for own in takers for step in self._look(own, now)]

    def heard(self, task: TaskId, issuer: Address, now: Moment) -> list[Step]:
        """Somebody else's task is over: ask at once, if we wait for it."""
        if task.raw not in self._waiting:
            return []
        until_ms = now.mono_ms + _WAIT_MS
        return self._errands.run(task, issuer, until_ms, now)

    def asked(self, wish: Fetch) -> list[Step]:
        """Somebody asks for a result: give it, or say why not."""
        result = self._answer(wish)
        return [ToAgent(wish.asker, self._pen.sign(result).data)]

    def _answer(self, wish: Fetch) -> Result:
        task, me = wish.task, self._pen.me
        own = self._issuer.tasks.get(task.raw)
        held = self._held(wish)
        if held is not None:
            return Result(task, me, Standing.GIVEN, held)
        if own is None:
            return Result(task, me, Standing.NEVER, reason="no such task is known here")
        if not self._may_have(own, wish.asker):
            return Result(task, me, Standing.WITHHELD, reason="it is not for you")
        if own.status == TaskStatus.DONE:
            return Result(task, me, Standing.GIVEN, own.result or b"")
        if own.status in LIVE:
            return Result(task, me, Standing.LATER)
        reason = f"it was cancelled: {own.reason}"[:REASON_CHARS_MAX]
        return Result(task, me, Standing.NEVER, reason=reason)

    def _held(self, wish: Fetch) -> bytes | None:
        """The result, if the asker holds a lease on a task of ours that takes it."""
        for own in self._issuer.tasks.values():
            if own.status == TaskStatus.GRANTED and own.holder == wish.asker:
                for source in own.order.inputs:
                    if source.task == wish.task:
                        return self._issuer.stock.get(source)
        return None

    def _may_have(self, own: OwnTask, asker: Address) -> bool:
        parent = own.order.parent
        return own.order.shared or (parent is not None and parent.issuer == asker)

    def _look(self, own: OwnTask, now: Moment) -> list[Step]:
        """Call a waiting task out if its inputs are here; end it if one never comes."""
        own = self._issuer.tasks[own.task.raw]
        if not own.waits:
            return []
        missing = self._issuer.stock.missing(own)
        for source in missing:
            theirs = self._issuer.tasks.get(source.task.raw)
            ours = source.issuer == self._pen.me
            if ours and (theirs is None or theirs.status not in LIVE):
                why = theirs.reason if theirs else "it was forgotten"
                why = f"its input {source.task.short} was cancelled: {why}"
                return self._give_up(own, why)
        return [] if missing else self._issuer.call(own.task, now)

    def _give_up(self, own: OwnTask, why: str) -> list[Step]:
        if not self._issuer.tasks[own.task.raw].waits:
            return []
        return self._issuer.cancel(own, why[:REASON_CHARS_MAX])

    def _forget(self, task: TaskId) -> list[Step]:
        """A task that is over waits for nothing more."""
        own = self._issuer.tasks[task.raw]
        for source in own.order.inputs:
            waiting = self._waiting.get(source.task.raw)
            if waiting is not None and waiting.pop(task.raw, 0) is None and not waiting:
                del self._waiting[source.task.raw]
                self._errands.drop(source.task, source.issuer)
        return []
