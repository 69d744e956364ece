"""Papers: what an issuer writes of a task of its own, and the times it goes by.

Pure functions from what the issuer knows to the bodies of leases and receipts. This
file signs nothing and decides nothing.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import LEASE_SECONDS_MIN
from nestmate_protocol.signals.claims import Lease, Receipt, Verdict
from nestmate_protocol.signals.shelf import OwnTask

BELIEVED_DOUBLINGS: Final = 1
"""How much faster than seen here a worker may say it has worked."""


@dataclass(frozen=True, slots=True)
class Run:
    """What of an own task need not outlive a restart; times are monotonic ms."""

    opened_ms: int
    end_ms: int
    lease_ms: int = 0
    until_ms: int = 0
    renewal: int = 0
    estimate_ms: int = 0


def run_of(own: OwnTask, now: Moment) -> Run:
    """The times of a task as they follow from what is saved of it."""
    order = own.order
    created_ms = now.mono_ms - max(0, now.wall_ms - order.created_ms)
    end_ms = created_ms + order.ttl_seconds * 1_000
    if order.deadline_ms:
        end_ms = min(end_ms, now.mono_ms + order.deadline_ms - now.wall_ms)
    return Run(min(now.mono_ms, created_ms + own.waited_ms), end_ms)


def bare_lease(own: OwnTask, holder: Address, run: Run, now: Moment) -> Lease:
    """A lease as anybody may see it, with the seconds that are left of it."""
    left = -(-(run.until_ms - now.mono_ms) // 1_000)
    return Lease(
        task=own.task,
        generation=own.generation,
        holder=holder,
        lease_seconds=max(LEASE_SECONDS_MIN, left),
        estimate_ms=run.estimate_ms,
        body=None,
        renewal=run.renewal,
    )


def measured_ms(own: OwnTask, declared_ms: int, now: Moment) -> int:
    """How long the work itself took.

    Only its worker knows what of the time went into set-up or waiting; that is
    believed of up to half of the time that was seen to pass.
    """
    seen_ms = max(1, now.wall_ms - own.granted_ms)
    return min(seen_ms, max(declared_ms, seen_ms >> BELIEVED_DOUBLINGS, 1))


def receipt(own: OwnTask, holder: Address) -> Receipt:
    """What confirms the result of a task."""
    return Receipt(
        task=own.task,
        generation=own.generation,
        holder=holder,
        result_hash=sha256(own.result or b"").digest(),
        measured_ms=own.measured_ms,
        size_code=own.order.size_code,
        verdict=Verdict.ACCEPTED,
    )
