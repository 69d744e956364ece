"""The demo: a story with real nodes, real commands, one death and one restart.

Two nodes need help, the others have skills, nobody dispatches. One worker is killed
while it works and one asker is restarted. At the end every promise is checked from
outside: what the askers' own event feeds say, and results computed a second time.
"""

import contextlib
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from nestmate.errors import NodeError
from nestmate.testnet.crew import CRAFTS, Craft, Hand, hire, same
from nestmate.testnet.net import (
    Member,
    Testnet,
    make_testnet,
    run_nestmate,
    take_down,
    tell,
)
from nestmate.testnet.processes import Process
from nestmate.testnet.stage import Stage

STORY_SECONDS_MAX: Final = 150.0
MEET_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.2
LEASE: Final = "5s"
ASKERS: Final = (1, 5)
URGENCIES: Final = (("slow", 0.05), ("alert", 0.5), ("flash", 0.95))
LOG_TAIL_LINES: Final = 15


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


@dataclass(slots=True)
class Story:
    """Everything that happened so far."""

    net: Testnet
    stage: Stage
    hands: list[Hand] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)
    victim: Member | None = None
    interrupted: str = ""
    restarted: Member | None = None
    restart_left: int = 0


def run_demo(nodes: int, tasks: int, *, as_json: bool) -> bool:
    """Tell the story and judge it; whether every promise held."""
    stage = Stage(as_json=as_json)
    began = time.monotonic()
    with _testnet(nodes, stage) as net:
        story = Story(net, stage)
        try:
            _meet(story)
            _hire(story)
            _deposit(story, tasks)
            _work(story)
            held = _judge(story, time.monotonic() - began)
        except NodeError as trouble:
            stage.say(f"The story broke off: {trouble} {trouble.hint}".rstrip())
            held = False
        finally:
            stage.close()
            _dismiss(story)
        if not held:
            _show_logs(story)
    return held


@contextlib.contextmanager
def _testnet(nodes: int, stage: Stage) -> Iterator[Testnet]:
    with tempfile.TemporaryDirectory(prefix="nm-") as folder:
        stage.say(f"{nodes} nodes start, each a process with a home of its own.")
        net = make_testnet(Path(folder) / "net", nodes)
        try:
            yield net
        finally:
            take_down(net)


def _meet(story: Story) -> None:
    """Wait until everybody, told of by one friend only, is connected to someone."""
    deadline = time.monotonic() + MEET_SECONDS_MAX
    members = story.net.members
    while not all(member.client.status().peers for member in members):
        _check(deadline, "The nodes did not find each other in time.")
    peers = [member.client.status().peers for member in members]
    story.stage.say(f"They joined by one invite each; connections now: {peers}.")


def _hire(story: Story) -> None:
    """Two nodes for each skill, so that a lease can pass on."""
    workers = [each for each in story.net.members if each.number not in ASKERS]
    for at, craft in enumerate(CRAFTS):
        for step in range(2):
            member = workers[(at + step) % len(workers)]
            log = Path(member.home) / "log" / f"work-{craft.skill}.log"
            with log.open("wb") as file:
                story.hands.append(hire(member.number, member.home, craft, file))
    told = ", ".join(f"node {hand.node}: {hand.skill}" for hand in story.hands)
    story.stage.say(f"Skills are offered ({told}).")


def _deposit(story: Story, tasks: int) -> None:
    """Slow tasks first, so that the urgent ones must overtake them."""
    askers = [story.net.member(number) for number in ASKERS]
    for member in askers:
        story.seen[member.number] = member.client.event.wait(timeout=0).seq
    for at in range(tasks):
        level, urgency = URGENCIES[at * len(URGENCIES) // tasks]
        craft, asker = CRAFTS[at % len(CRAFTS)], askers[at % len(askers)]
        text = f"task {at}\nof {tasks}\n{level} {craft.skill}\n"
        asked = time.time()
        deposited = asker.client.signal.deposit(
            craft.skill, urgency=urgency, body=text, size=1, lease=LEASE
        )
        job = Job(asker, craft, level, text, deposited.task, asked)
        story.jobs[job.task] = job
    story.stage.say(f"{tasks} tasks are deposited: slow ones first, urgent ones last.")


def _work(story: Story) -> None:
    """Watch until all is done; kill a worker and restart an asker on the way."""
    deadline = time.monotonic() + STORY_SECONDS_MAX
    total = len(story.jobs)
    while any(job.ends == 0 for job in story.jobs.values()):
        _check(deadline, "Not every task was done in time.")
        _listen(story)
        done = sum(job.ends > 0 for job in story.jobs.values())
        story.stage.show(_rows(story), f"{done} of {total} tasks done")
        if story.victim is None and done >= total // 6:
            _kill(story)
        if story.restarted is None and done >= total // 2:
            _restart(story)
    time.sleep(POLL_SECONDS)  # a second end of a task would show up about now
    _listen(story)


def _kill(story: Story) -> None:
    """Kill a node while it works, together with its workers."""
    for hand in story.hands:
        member = story.net.member(hand.node)
        claims = member.client.claim.ls().claims
        if not claims:
            continue
        story.victim, story.interrupted = member, claims[0].task
        tell(member, signal.SIGKILL)
        for each in story.hands:
            if each.node == member.number:
                each.process.tell_group(signal.SIGKILL)
        story.stage.say(
            f"Node {member.number} is killed while it works on "
            f"{story.jobs[story.interrupted].level} {hand.skill}."
        )
        return


def _restart(story: Story) -> None:
    """Restart an asker; its tasks must survive, and it must find its way back."""
    member = story.net.member(ASKERS[-1])
    story.restarted = member
    story.restart_left = sum(
        job.asker is member and job.ends == 0 for job in story.jobs.values()
    )
    run_nestmate(member.home, "restart")
    pid = (Path(member.home) / "run" / "node.pid").read_text(encoding="utf-8")
    member.process = Process.of(int(pid))
    story.stage.say(
        f"Node {member.number} is restarted with {story.restart_left} of its own "
        "tasks open."
    )


def _listen(story: Story) -> None:
    """Read the askers' event feeds on from where we were."""
    for number in story.seen:
        page = story.net.member(number).client.event.wait(
            since=story.seen[number], timeout=0, kinds=["task.*"]
        )
        story.seen[number] = page.seq
        for event in page.events:
            job = story.jobs.get(event.ref or "")
            if job is not None:
                _note(job, event)


def _note(job: Job, event: Any) -> None:
    if event.type == "task.granted" and not job.granted:
        job.granted = datetime.fromisoformat(event.at).timestamp()
    if event.type == "task.done":
        job.ends += 1
        view = job.asker.client.signal.show(job.task)
        job.fence, job.holder = view.generation, view.holder or ""
        job.right = same(job.craft, job.text, view.result)


def _judge(story: Story, seconds: float) -> bool:
    jobs = list(story.jobs.values())
    waits = {
        level: statistics.median(
            job.granted - job.asked for job in jobs if job.level == level
        )
        for level, _ in URGENCIES
    }
    ends = Counter(job.ends for job in jobs)
    interrupted = story.jobs.get(story.interrupted)
    back = story.restarted.client.status() if story.restarted else None
    checks = (
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
        (
            "the killed worker's lease passed on",
            interrupted is not None
            and interrupted.fence > 1
            and story.victim is not None
            and interrupted.holder != story.victim.address,
            f"fence {interrupted.fence}" if interrupted else "nobody was killed",
        ),
        (
            "the restarted node caught up",
            back is not None and back.peers > 0 and story.restart_left > 0,
            f"{story.restart_left} tasks open then, {back.peers if back else 0} peers",
        ),
        (
            "urgent tasks waited less than slow ones",
            waits["flash"] < waits["slow"],
            ", ".join(f"{level} {wait:.1f} s" for level, wait in waits.items()),
        ),
    )
    story.stage.verdict(checks, seconds)
    return all(held for _, held, _ in checks)


def _rows(story: Story) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for member in story.net.members:
        hands = [hand.skill for hand in story.hands if hand.node == member.number]
        mine = [job for job in story.jobs.values() if job.asker is member]
        done_here = sum(job.holder == member.address for job in story.jobs.values())
        role = f"asks, {sum(j.ends > 0 for j in mine)} of {len(mine)} answered"
        rows.append(
            (
                str(member.number),
                "killed" if member is story.victim else "up",
                ", ".join(hands) if hands else role if mine else "",
                str(done_here),
            )
        )
    return rows


def _check(deadline: float, sentence: str) -> None:
    if time.monotonic() > deadline:
        raise NodeError(sentence, "See the ends of the logs below.")
    time.sleep(POLL_SECONDS)


def _dismiss(story: Story) -> None:
    for hand in story.hands:
        hand.process.tell_group(signal.SIGTERM)
    for hand in story.hands:
        if not hand.process.wait_gone(2.0):
            hand.process.tell_group(signal.SIGKILL)
            hand.process.wait_gone(2.0)


def _show_logs(story: Story) -> None:
    for member in story.net.members:
        for log in sorted((Path(member.home) / "log").glob("*.log")):
            tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            story.stage.say(f"--- node {member.number} {log.name}", *tail)
