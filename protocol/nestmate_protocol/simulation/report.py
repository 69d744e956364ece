"""The report of one run: what was drawn, what happened, and what broke, if anything.

It says enough to see the same run again: scenario, number of nodes and seed give the
same trace hash on every machine. This file runs nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass

from nestmate_protocol.effects import Scalar

_COUNTS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one seed.

    ``broken`` are the promises that did not hold, empty if all did; ``trouble`` is the
    traceback of an exception that left a core; ``drawn`` are the options that differ
    from a calm world; ``wait_seconds`` is the median from promise to result.
    """

    scenario: str
    nodes: int
    seed: int
    drawn: tuple[tuple[str, Scalar], ...]
    virtual_seconds: float
    events: int
    counts: tuple[tuple[str, int], ...]
    tasks: int
    done: int
    cancelled: int
    wait_seconds: float
    trace_hash: str
    broken: tuple[str, ...]
    trouble: tuple[str, ...]
    last_events: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every promise held."""
        return not self.broken

    def lines(self) -> tuple[str, ...]:
        """The report for people; the last events only if something broke."""
        drawn = " ".join(f"{name}={value}" for name, value in self.drawn)
        most = sorted(self.counts, key=lambda pair: (-pair[1], pair[0]))
        counts = " ".join(f"{name} {count}" for name, count in most[:_COUNTS_SHOWN])
        ran = f"{self.virtual_seconds:.0f} s of virtual time, {self.events} events"
        tasks = f"{self.tasks} promised, {self.done} done, {self.cancelled} cancelled"
        lines = [
            f"scenario {self.scenario}, {self.nodes} nodes, seed {self.seed}",
            f"drawn    {drawn or 'nothing out of the ordinary'}",
            f"ran      {ran}",
            f"tasks    {tasks}, half of them within {self.wait_seconds:.1f} s",
            f"counts   {counts}",
            f"trace    {self.trace_hash}",
        ]
        if self.ok:
            return (*lines, "every promise held")
        events = (f"  {event}" for event in self.last_events)
        broken = (f"broken   {sentence}" for sentence in self.broken)
        return (*lines, "last events", *events, *self.trouble, *broken)

    def as_dict(self) -> dict[str, object]:
        """The report for programs."""
        return {
            "ok": self.ok,
            "scenario": self.scenario,
            "nodes": self.nodes,
            "seed": self.seed,
            "drawn": dict(self.drawn),
            "virtual_seconds": self.virtual_seconds,
            "events": self.events,
            "counts": dict(self.counts),
            "tasks": self.tasks,
            "done": self.done,
            "cancelled": self.cancelled,
            "wait_seconds": self.wait_seconds,
            "trace_hash": self.trace_hash,
            "broken": list(self.broken),
            "trouble": list(self.trouble),
            "last_events": [] if self.ok else list(self.last_events),
        }


def differences(value: object, plain: object) -> Iterable[tuple[str, Scalar]]:
    """In which fields a dataclass differs from a plain one, its parts included."""
    if not is_dataclass(value):
        return
    for field in fields(value):
        ours, theirs = getattr(value, field.name), getattr(plain, field.name)
        if is_dataclass(ours):
            yield from differences(ours, theirs)
        elif ours != theirs:
            yield field.name, ours
