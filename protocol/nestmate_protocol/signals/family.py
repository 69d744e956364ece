"""Family: a task held here whose parts are asked of others.

Whoever holds a claim may deposit tasks as parts of it, in its own name. While a part
is open the node beats for the whole, so that nothing is lost if the one who split it
goes away. Once told to gather, it finishes the whole with what the parts came to: the
references of their results, or the result of the one part that took all the others.
Does a part end without a result, so does the claim. The keys of parts follow from the
whole, so that splitting it again makes the same parts. This file knows no record.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Encodable, encode
from nestmate_protocol.effects import Save
from nestmate_protocol.ids import TaskId
from nestmate_protocol.limits import (
    IDEMPOTENCY_KEY_BYTES_MAX,
    REASON_CHARS_MAX,
    TASK_CHILDREN_MAX,
    TASKS_OWN_MAX,
)
from nestmate_protocol.signals.alarms import Alarms
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.requests import DepositTask, TaskStatus
from nestmate_protocol.signals.shelf import OwnTask, Phase, Source, write_claim
from nestmate_protocol.signals.stock import LIVE
from nestmate_protocol.signals.upshots import Missed, Step, busy, conflict
from nestmate_protocol.signals.worker import Worker

_PART_DOMAIN: Final = b"nestmate/part"
_BEATS_PER_TERM: Final = 3


class Family:
    """Which own tasks are parts of which claims."""

    def __init__(self, pen: Pen, issuer: Issuer, worker: Worker) -> None:
        self._pen = pen
        self._issuer = issuer
        self._worker = worker
        self._parts: dict[bytes, dict[bytes, None]] = {}
        self._alarms: Alarms[bytes] = Alarms()

    def __repr__(self) -> str:
        return f"<Family of {len(self._parts)}>"

    def start(self, now: Moment) -> list[Step]:
        """Take up what is split."""
        for own in self._issuer.tasks.values():
            if own.order.parent is not None:
                self._adopt(own.order.parent.task, own.task, now)
        steps: list[Step] = []
        for claim in list(self._worker.claims.values()):
            steps += self._look(claim.task, now)
        return steps

    def parent(self, body: DepositTask) -> Source | None:
        """What a new task is to be a part of; DeclinedError if it is not held here."""
        task = body.parent
        if task is None:
            return None
        claim = self._worker.claims.get(task.raw)
        if claim is None or claim.phase != Phase.HELD:
            raise conflict(
                "This node does not hold the task that this is to be a part of.",
                "Claim it first; see `nestmate claim ls`.",
            )
        if claim.gathering:
            raise conflict("Its parts are being gathered already.")
        if len(self._parts.get(task.raw, ())) >= TASK_CHILDREN_MAX:
            raise busy(f"A task has at most {TASK_CHILDREN_MAX} parts.")
        return Source(task, claim.issuer)

    def adopted(self, own: OwnTask, now: Moment) -> None:
        """A part was deposited."""
        if own.order.parent is not None:
            self._adopt(own.order.parent.task, own.task, now)

    def gather(self, task: TaskId, now: Moment) -> list[Step] | None:
        """Finish a held task with its parts, once they are done; None without any."""
        claim = self._worker.claims.get(task.raw)
        if claim is None or claim.phase != Phase.HELD or not self._children(task):
            return None
        claim = self._worker.claims[task.raw] = replace(claim, gathering=True)
        return [Save((write_claim(claim),)), *self._look(task, now)]

    def over(self, child: TaskId, now: Moment) -> list[Step]:
        """An own task is over: if it is a part, the whole may be complete."""
        parent = self._issuer.tasks[child.raw].order.parent
        return [] if parent is None else self._look(parent.task, now)

    def lost(self, task: TaskId) -> list[Step]:
        """A task is over and not by us: its parts are of no use any more."""
        children = self._children(task)
        return [
            step
            for own in children
            if own.status in LIVE
            for step in self._issuer.cancel(own, "what it is a part of is over")
        ]

    def wake(self, now: Moment) -> list[Step]:
        """Beat for what is split."""
        steps: list[Step] = []
        for raw in self._alarms.ring(now.mono_ms):
            task = TaskId(raw)
            if raw in self._worker.tenures and self._is_alive(task):
                steps += self._worker.renew(task, now)[1]
                self._beat_later(task, now)
        return steps

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._alarms.next()

    def _adopt(self, parent: TaskId, child: TaskId, now: Moment) -> None:
        if len(self._parts) >= TASKS_OWN_MAX:
            claims = self._worker.claims
            self._parts = {raw: of for raw, of in self._parts.items() if raw in claims}
        self._parts.setdefault(parent.raw, {})[child.raw] = None
        if parent.raw in self._worker.tenures:
            self._beat_later(parent, now)

    def _beat_later(self, task: TaskId, now: Moment) -> None:
        lease_ms = 1_000 * self._worker.claims[task.raw].lease_seconds
        self._alarms.sooner(task.raw, now.mono_ms + lease_ms // _BEATS_PER_TERM)

    def _is_alive(self, task: TaskId) -> bool:
        return any(own.status in LIVE for own in self._children(task))

    def _children(self, task: TaskId) -> list[OwnTask]:
        """The parts of a task in the order of their deposit, those still known."""
        known = self._parts.get(task.raw, {})
        children = [self._issuer.tasks.get(raw) for raw in known]
        return [own for own in children if own is not None]

    def _look(self, task: TaskId, now: Moment) -> list[Step]:
        """Finish or give back a claim that is being gathered, if it is time."""
        claim = self._worker.claims.get(task.raw)
        if claim is None or not claim.gathering or task.raw not in self._worker.tenures:
            return []
        children = self._children(task)
        failed = [own for own in children if own.status == TaskStatus.CANCELLED]
        if failed or len(children) < len(self._parts[task.raw]):
            why = "one of its parts was forgotten"
            if failed:
                why = f"its part {failed[0].task.short} ended: {failed[0].reason}"
            why = why[:REASON_CHARS_MAX]
            gone = self._worker.release(task, why, b"", now, failed=True)
            return [*gone[1], Missed(task, why)]
        if any(own.status in LIVE for own in children):
            return []
        return self._worker.finish(task, self._sum(children), now)[1]

    def _sum(self, children: list[OwnTask]) -> bytes:
        """What the parts came to: of those that no other part has taken."""
        taken = {source.task for own in children for source in own.order.inputs}
        left = [own for own in children if own.task not in taken]
        if len(left) == 1 and left[0].order.inputs:
            return left[0].result or b""
        results = list(map(_reference, left))
        return json.dumps({"issuer": self._pen.me.text, "results": results}).encode()


def part_key(parent: TaskId, body: DepositTask) -> bytes:
    """The key of a part: from the whole, and its own key or else what it asks for."""
    inputs: list[Encodable] = [task.raw for task in body.inputs]
    own = body.key or encode([body.skill, body.body, inputs])
    return sha256(_PART_DOMAIN + parent.raw + own).digest()[:IDEMPOTENCY_KEY_BYTES_MAX]


def _reference(own: OwnTask) -> Mapping[str, str | int]:
    result = own.result or b""
    digest = sha256(result).hexdigest()
    return {"task": own.task.text, "sha256": digest, "bytes": len(result)}
