"""Supplying: a worker's side of inputs that did not fit into the lease.

The lease names each input by its task, hash and size. What it does not carry is
fetched from the task's issuer, which has them all, and is taken only if it is what the
hash says. A claim is shown to whoever works once it is whole. This file knows nothing
of who waits for it.
"""

from dataclasses import replace
from hashlib import sha256

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Save
from nestmate_protocol.ids import TaskId
from nestmate_protocol.limits import REASON_CHARS_MAX
from nestmate_protocol.signals.claims import Supply
from nestmate_protocol.signals.errands import Errands
from nestmate_protocol.signals.shelf import HeldClaim, write_claim
from nestmate_protocol.signals.upshots import Fetched, Missed, Step, Won
from nestmate_protocol.signals.worker import SILENT_TERMS_MAX, Worker


def lacking(worker: Worker, errands: Errands, task: TaskId, now: Moment) -> list[Step]:
    """Ask the issuer of a task just leased for the inputs it named."""
    claim, steps = worker.claims[task.raw], list[Step]()
    until_ms = now.mono_ms + SILENT_TERMS_MAX * 1_000 * claim.lease_seconds
    for supply in claim.inputs:
        if supply.data is None:
            steps += errands.run(supply.task, claim.issuer, until_ms, now)
    return steps


def supplied(worker: Worker, news: Fetched, now: Moment) -> list[Step]:
    """An input has come, or never will: the work can begin, or not at all."""
    steps: list[Step] = []
    claims = [each for each in worker.claims.values() if not each.is_whole]
    for claim in [each for each in claims if _lacks(each, news)]:
        if news.result is None:
            why = f"its input {news.task.short} cannot be had: {news.reason}"
            why = why[:REASON_CHARS_MAX]
            gone = worker.release(claim.task, why, b"", now, failed=True)
            steps += [*gone[1], Missed(claim.task, why)]
        else:
            steps += _take_in(worker, claim, news.task, news.result)
    return steps


def _lacks(claim: HeldClaim, news: Fetched) -> bool:
    return claim.issuer == news.giver and any(
        supply.task == news.task and supply.data is None for supply in claim.inputs
    )


def _take_in(worker: Worker, claim: HeldClaim, task: TaskId, data: bytes) -> list[Step]:
    def filled(supply: Supply) -> Supply:
        fits = supply.task == task and sha256(data).digest() == supply.digest
        return supply._replace(data=data) if fits else supply

    claim = replace(claim, inputs=tuple(map(filled, claim.inputs)))
    worker.claims[claim.task.raw] = claim
    return [Save((write_claim(claim),)), *([Won(claim.task)] if claim.is_whole else [])]
