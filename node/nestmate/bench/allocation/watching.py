"""Watching: what must never happen, looked for in every run.

As the checkers of the simulation, the watcher reads no board's own state: it sees the
records that arrive, the leases under which work begins, and what agents are told. What
is broken is kept in words, and a run with anything in it is worth nothing.
"""

from typing import Final

from nestmate.bench.allocation.tally import Tally
from nestmate_protocol.effects import Notify
from nestmate_protocol.ids import Address
from nestmate_protocol.records import Kind, Record
from nestmate_protocol.signals.claims import Claim, Lease
from nestmate_protocol.signals.requests import ClaimView

BROKEN_MAX: Final = 20
Fence = tuple[bytes, int]


class Watcher:
    """One run's promises; what it counts are leases, settled claims and results."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.granted = 0
        self.settled = 0
        self.confirmed = 0
        self._generations: dict[bytes, int] = {}
        self._holders: dict[Fence, str] = {}
        self._named: dict[Fence, Address] = {}
        self._closed: set[bytes] = set()
        self._exclusive: set[bytes] = set()
        self._begun: set[bytes] = set()
        self._seen: set[bytes] = set()
        self._claimed: set[tuple[Fence, str]] = set()
        self._settlers: list[tuple[Fence, str]] = []
        self._starts: list[tuple[Fence, str]] = []

    def __repr__(self) -> str:
        return f"<Watcher of {self.granted} leases, {len(self.broken)} broken>"

    def is_exclusive(self, task: bytes) -> None:
        """A task was deposited that must never be begun twice."""
        self._exclusive.add(task)

    def heard(self, record: Record) -> None:
        """A record has arrived somewhere: one fence, one holder."""
        if record.kind not in {Kind.LEASE, Kind.CLAIM} or record.id.raw in self._seen:
            return
        self._seen.add(record.id.raw)
        if record.kind is Kind.CLAIM:
            claim = Claim.read(record.fields)
            fence = (claim.task.raw, claim.generation)
            self._claimed.add((fence, claim.worker.text))
            return
        lease = Lease.read(record.fields)
        fence = (lease.task.raw, lease.generation)
        if self._named.setdefault(fence, lease.holder) != lease.holder:
            self._complain("two holders of one lease", lease.task.raw)

    def told(self, event: Notify) -> None:
        """An issuer says how its task stands."""
        if event.task is None or event.details is None:
            return
        raw = event.task.raw
        match event.kind:
            case "task.granted" | "task.reopened":
                generation = int(str(event.details["generation"]))
                if generation < self._generations.get(raw, 0):
                    self._complain("a generation fell", raw)
                self._generations[raw] = generation
                if event.kind == "task.granted":
                    self._grant((raw, generation), str(event.details["holder"]))
            case "task.done" | "task.cancelled":
                if raw in self._closed:
                    self._complain("a task ended twice", raw)
                self._closed.add(raw)
                self.confirmed += event.kind == "task.done"
            case _:
                return

    def started(self, agent: Address, claim: ClaimView) -> None:
        """Work begins under a lease, or under a claim that workers settled on."""
        fence = (claim.task.raw, claim.generation)
        if claim.settled:
            self.settled += 1
            self._settlers.append((fence, agent.text))
        else:
            self._starts.append((fence, agent.text))
        if claim.task.raw in self._exclusive:
            if claim.task.raw in self._begun:
                self._complain("an exclusive task began twice", claim.task.raw)
            self._begun.add(claim.task.raw)

    def closed(self) -> None:
        """The run is over: whoever began must have been given the task, or claimed it.

        It is looked at now, because an issuer that works for itself begins before it
        has told that it gave itself the task.
        """
        for start in self._settlers:
            if start not in self._claimed:
                self._complain("work began without a claim to the topic", start[0][0])
        for fence, agent in self._starts:
            if self._holders.get(fence) != agent:
                self._complain("work began without a lease", fence[0])

    def _grant(self, fence: Fence, holder: str) -> None:
        if fence in self._holders:
            self._complain("one fence was given twice", fence[0])
        self._holders[fence] = holder
        self.granted += 1

    def _complain(self, words: str, task: bytes) -> None:
        if len(self.broken) < BROKEN_MAX:
            self.broken.append(f"{words}: {task.hex()[:16]}")


def figures_of(
    watcher: Watcher, tally: Tally, surplus: int, tasks: int
) -> dict[str, float]:
    """What a run of shipping code tells of beyond its score, mostly per task.

    ``denied`` is claims that brought no lease, ``surplus`` leases given back at once
    because the agent was busy meanwhile, ``settled`` claims of tasks whose issuers
    were silent; ``broken`` must be 0.
    """
    watcher.closed()
    claims = tally.records[Kind.CLAIM.value]
    return {
        "records": tally.chosen() / tasks,
        "records_all": sum(tally.records.values()) / tasks,
        "packets": tally.packets / tasks,
        "bytes": tally.bytes / tasks,
        "delivered": tally.delivered / tasks,
        "denied": max(0, claims - watcher.granted) / tasks,
        "surplus": surplus / tasks,
        "settled": watcher.settled / tasks,
        "confirmed": watcher.confirmed / tasks,
        "broken": float(len(watcher.broken)),
    }
