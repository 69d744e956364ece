"""What happened so far in the demo: jobs, hands, one death, one restart, the verdict.

All of it is seen from outside: from the askers' own event feeds and from what they
show of their tasks. This file starts and ends nothing.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from nestmate.testnet.crew import Craft, Hand, same
from nestmate.testnet.net import Member, Testnet
from nestmate.testnet.stage import Check

if TYPE_CHECKING:
    from nestmate.operations.events import Event

URGENCIES: Final = {"slow": 0.05, "alert": 0.35, "flash": 0.95}


@dataclass(slots=True)
class Job:
    """One task of the story, as its asker sees it; times are Unix seconds."""

    asker: Member
    craft: Craft
    level: str
    text: str
    task: str
    asked: float
    granted: float = 0.0
    holder: str = ""
    fence: int = 0
    ends: int = 0
    right: bool = False

    @property
    def called(self) -> str:
        """What it is, for a sentence."""
        article = "an" if self.level == "alert" else "a"
        return f"{article} {self.level} {self.craft.skill}"

    def note(self, event: "Event") -> None:
        """Take in what the asker's feed says of it."""
        if event.type == "task.granted":
            self.granted = self.granted or datetime.fromisoformat(event.at).timestamp()
            self.holder = str(event.details.get("holder") or "")
        elif event.type == "task.reopened":
            self.holder = ""
        elif event.type == "task.done":
            self.ends += 1
            view = self.asker.client.signal.show(self.task)
            self.fence, self.holder = view.generation, view.holder or ""
            self.right = same(self.craft, self.text, view.result)


@dataclass(frozen=True, slots=True)
class Death:
    """A node that was killed, and the task it was working on under which fence."""

    victim: Member
    job: Job
    fence: int


@dataclass(frozen=True, slots=True)
class Restart:
    """A node that was restarted, and those of its tasks that were open then."""

    member: Member
    left: tuple[Job, ...]


@dataclass(slots=True)
class Story:
    """Everything that happened so far."""

    net: Testnet
    hands: list[Hand] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)
    death: Death | None = None
    restart: Restart | None = None

    @property
    def done(self) -> int:
        """How many tasks have ended."""
        return sum(job.ends > 0 for job in self.jobs.values())

    def tally(self) -> str:
        """How the tasks stand, in one line."""
        open_jobs = [job for job in self.jobs.values() if job.ends == 0]
        held = sum(bool(job.holder) for job in open_jobs)
        return (
            f"{self.done} of {len(self.jobs)} done, {held} in work, "
            f"{len(open_jobs) - held} waiting"
        )

    def rows(self) -> list[tuple[str, ...]]:
        """One line for each node: number, state, role, tasks in work, tasks done."""
        rows: list[tuple[str, ...]] = []
        jobs = self.jobs.values()
        for member in self.net.members:
            skills = [hand.skill for hand in self.hands if hand.node == member.number]
            mine = [job for job in jobs if job.asker is member]
            role = f"asks: {sum(job.ends > 0 for job in mine)} of {len(mine)} answered"
            held = [job for job in jobs if job.holder == member.address]
            dead = self.death is not None and self.death.victim is member
            rows.append(
                (
                    str(member.number),
                    "killed" if dead else "up",
                    role if mine else ", ".join(skills),
                    "" if dead else str(sum(job.ends == 0 for job in held)),
                    str(sum(job.ends > 0 for job in held)),
                )
            )
        return rows

    def verdict(self) -> tuple[Check, ...]:
        """What held and what did not, each with its figure."""
        jobs = list(self.jobs.values())
        ends = Counter(job.ends for job in jobs)
        return (
            (
                "every result arrived exactly once",
                set(ends) == {1},
                f"{ends[1]} of {len(jobs)} once",
            ),
            (
                "every result is right",
                all(job.right for job in jobs),
                f"{sum(job.right for job in jobs)} of {len(jobs)}",
            ),
            self._passed_on(),
            self._caught_up(),
            _overtaken(jobs),
        )

    def _passed_on(self) -> Check:
        name, death = "the killed worker's lease passed on", self.death
        if death is None:
            return name, False, "nobody was killed at work"
        job = death.job
        held = job.fence > death.fence and job.holder != death.victim.address
        by = next((m for m in self.net.members if m.address == job.holder), None)
        who = f"done by node {by.number}" if by else "done by nobody"
        return name, held, f"{who} under fence {job.fence}, not {death.fence}"

    def _caught_up(self) -> Check:
        name, restart = "the restarted node caught up", self.restart
        if restart is None:
            return name, False, "nobody was restarted"
        peers = restart.member.client.status().peers
        done = sum(job.ends == 1 for job in restart.left)
        held = peers > 0 and len(restart.left) > 0 and done == len(restart.left)
        return name, held, f"{done} of {len(restart.left)} open tasks, {peers} peers"


def _overtaken(jobs: Sequence[Job]) -> Check:
    waits = {
        level: statistics.median(
            job.granted - job.asked for job in jobs if job.level == level
        )
        for level in URGENCIES
    }
    figure = ", ".join(f"{level} {wait:.1f} s" for level, wait in waits.items())
    held = waits["flash"] < waits["slow"]
    return "urgent tasks waited less than slow ones", held, figure
