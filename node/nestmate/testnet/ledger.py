"""The ledger of a trial: tasks, runs of commands, deaths, the cut, and the verdict.

Whether a task was done, by whom and how often is judged by the askers' own feeds and
by what the commands themselves wrote down; whether the cut was one, by bytes counted
outside the nodes. This file starts nothing and asks nobody.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from nestmate.testnet.crew import Craft
from nestmate.testnet.journals import Run
from nestmate.testnet.stage import Check

DUPLICATES_SHARE_MAX: Final = 0.02
LEVELS: Final = ("slow", "alert", "flash")


@dataclass(slots=True)
class Errand:
    """One task of the trial as its asker sees it; ``asked`` is in Unix seconds."""

    asker: int
    craft: Craft
    level: str
    text: str
    seconds: float
    task: str
    asked: float
    ends: int = 0
    right: bool = False
    fence: int = 1
    holder: int = 0

    @property
    def called(self) -> str:
        """What it is, for a sentence."""
        article = "an" if self.level == "alert" else "a"
        return f"{article} {self.level} {self.craft.skill}"


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that was killed, with the task it was at, under which fence, when."""

    node: int
    errand: Errand
    fence: int
    at: float


@dataclass(slots=True)
class Cut:
    """The partition; times are Unix seconds.

    ``before_bytes`` crossed in the ``before_seconds`` that led up to it,
    ``crossed_bytes`` while it lasted. ``divided`` are claims on tasks of the other
    half when it ended. ``joined``, ``met`` and ``agreed`` are seconds after the heal:
    until anybody, and until everybody, was connected to the other half, and until
    holders and askers said the same of every divided claim; None for never.
    """

    halves: tuple[tuple[int, ...], tuple[int, ...]]
    began: float
    before_seconds: float
    before_bytes: int
    crossed_bytes: int = 0
    ways_around: tuple[str, ...] = ()
    looks: int = 0
    hung: int = 0
    healed: float = 0.0
    divided: int = 0
    joined: float | None = None
    met: float | None = None
    agreed: float | None = None

    def lasted(self, run: Run) -> bool:
        """Whether a command was at work at any time of the cut."""
        return run.began < self.healed and (not run.ended or run.ended > self.began)

    def parts(self, one: int, other: int) -> bool:
        """Whether two nodes are in different halves."""
        return (one in self.halves[0]) != (other in self.halves[0])


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is still held to be good, in seconds."""

    joined_max: float = 15.0
    agreed_max: float = 15.0


@dataclass(slots=True)
class Ledger:
    """Everything that happened so far."""

    kills: int
    bounds: Bounds = field(default_factory=Bounds)
    errands: dict[str, Errand] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    cut: Cut | None = None

    @property
    def done(self) -> int:
        """How many tasks have ended."""
        return sum(errand.ends > 0 for errand in self.errands.values())

    def tally(self) -> str:
        """How the tasks stand, in one line."""
        held = sum(e.ends == 0 and e.holder > 0 for e in self.errands.values())
        waiting = len(self.errands) - self.done - held
        return (
            f"{self.done} of {len(self.errands)} done, {held} in work, "
            f"{waiting} waiting"
        )

    def ran(self) -> dict[str, list[Run]]:
        """Commands that came to their end, by task, in the order they began."""
        ran: dict[str, list[Run]] = {}
        for run in sorted(self.runs, key=lambda run: run.began):
            if run.ended:
                ran.setdefault(run.task, []).append(run)
        return ran

    def verdict(self) -> tuple[Check, ...]:
        """What held and what did not, each with its figure."""
        return (
            self._none_lost(),
            self._right(),
            self._hardly_twice(),
            self._passed_on(),
            self._silence(),
            self._both_went_on(),
            self._joined(),
            self._agreed(),
            self._overtaken(),
        )

    def _none_lost(self) -> Check:
        ends = Counter(errand.ends for errand in self.errands.values())
        total = len(self.errands)
        figure = f"{ends[1]} of {total} done once, {ends[0]} lost"
        return "no task was lost", total > 0 and set(ends) == {1}, figure

    def _right(self) -> Check:
        right = sum(errand.right for errand in self.errands.values())
        total = len(self.errands)
        return "every result is right", right == total > 0, f"{right} of {total}"

    def _hardly_twice(self) -> Check:
        name = "hardly a command ran to its end twice"
        causes = Counter(
            self._cause(runs) for runs in self.ran().values() for _ in runs[1:]
        )
        total, twice = len(self.errands), causes.total()
        share = twice / total if total else 1.0
        why = "".join(f", {count} {cause}" for cause, count in sorted(causes.items()))
        figure = f"{twice} of {total} ({share:.1%}{why})"
        return name, share <= DUPLICATES_SHARE_MAX, figure

    def _cause(self, runs: Sequence[Run]) -> str:
        """Why a task was done more than once."""
        cut, asker = self.cut, self.errands[runs[0].task].asker
        if cut is not None and any(
            cut.lasted(run) and cut.parts(run.node, asker) for run in runs
        ):
            return "over the cut"
        task = runs[0].task
        if any(death.errand.task == task for death in self.deaths):
            return "after a death"
        return "otherwise"

    def _passed_on(self) -> Check:
        name = "every killed worker's task passed on"
        waits: list[float] = []
        for death in self.deaths:
            errand = death.errand
            again = [
                run.began - death.at
                for run in self.runs
                if run.task == errand.task
                and run.fence > death.fence
                and run.node != death.node
            ]
            if again and errand.ends and errand.fence > death.fence:
                waits.append(min(again))
        held = len(self.deaths) == self.kills and len(waits) == self.kills
        after = ", ".join(f"{wait:.0f}" for wait in waits)
        figure = f"{len(waits)} of {self.kills}"
        return name, held, f"{figure}, after {after} s" if waits else figure

    def _silence(self) -> Check:
        name, cut = "nothing crossed the cut", self.cut
        if cut is None or not cut.healed:
            return name, False, "there was no cut"
        held = (
            cut.before_bytes > 0
            and cut.crossed_bytes == 0
            and cut.looks > 0
            and not cut.ways_around
        )
        rate = cut.before_bytes / max(cut.before_seconds, 0.001) / 1024
        figure = (
            f"{cut.crossed_bytes} bytes in {cut.healed - cut.began:.0f} s "
            f"({rate:.0f} KiB/s before), {len(cut.ways_around)} ways around"
        )
        return name, held, figure

    def _both_went_on(self) -> Check:
        name, cut = "both halves worked on during the cut", self.cut
        if cut is None:
            return name, False, "there was no cut"
        counts = [
            sum(
                cut.began < run.began and 0 < run.ended < cut.healed
                for run in self.runs
                if run.node in half
            )
            for half in cut.halves
        ]
        figure = f"{counts[0]} and {counts[1]} tasks begun and done"
        return name, all(counts), figure

    def _joined(self) -> Check:
        name = "the halves became one net again"
        cut = self.cut
        if cut is None or cut.joined is None:
            return name, False, "they did not"
        met = "never" if cut.met is None else f"after {cut.met:.1f} s"
        figure = f"{cut.joined:.1f} s after the heal, for everybody {met}"
        return name, cut.joined <= self.bounds.joined_max, figure

    def _agreed(self) -> Check:
        name = "holders and askers agreed again"
        cut = self.cut
        if cut is None or cut.agreed is None:
            return name, False, "they did not"
        figure = f"{cut.agreed:.1f} s after the heal, on {cut.divided} claims"
        return name, cut.agreed <= self.bounds.agreed_max, figure

    def waits(self) -> dict[str, list[float]]:
        """Seconds from deposit to the first command's begin, by level."""
        first: dict[str, float] = {}
        for run in self.runs:
            first[run.task] = min(run.began, first.get(run.task, run.began))
        waits: dict[str, list[float]] = {level: [] for level in LEVELS}
        for errand in self.errands.values():
            if errand.task in first:
                waits[errand.level].append(first[errand.task] - errand.asked)
        return waits

    def _overtaken(self) -> Check:
        name = "urgent tasks waited less than slow ones"
        waits = {level: _median(each) for level, each in self.waits().items()}
        figure = ", ".join(f"{level} {wait:.1f} s" for level, wait in waits.items())
        return name, waits["flash"] < waits["slow"] < float("inf"), figure


def _median(values: Iterable[float]) -> float:
    """The median; infinite where there is nothing, which is no good wait."""
    sample = list(values)
    return statistics.median(sample) if sample else float("inf")
