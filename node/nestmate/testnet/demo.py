"""The demo: a story with real nodes, real commands, one death and one restart.

Two nodes need help, the others have skills, nobody dispatches. One worker is killed
while it works and one asker is restarted. At the end every promise is checked from
outside, with results computed a second time. Whatever happens, no process stays.
"""

import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nestmate.errors import NodeError
from nestmate.testnet.crew import CRAFTS, Craft, dismiss, hire
from nestmate.testnet.net import (
    Testnet,
    ends_of_logs,
    make_testnet,
    start,
    stop,
    take_down,
)
from nestmate.testnet.processes import ending_in_order
from nestmate.testnet.stage import Stage
from nestmate.testnet.story import URGENCIES, Death, Job, Restart, Story

STORY_SECONDS_MAX: Final = 150.0
MEET_SECONDS_MAX: Final = 30.0
SILENCE_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.2
LEASE: Final = "5s"
WORK_SECONDS: Final = 2
HANDS_PER_CRAFT: Final = 2
ASKERS: Final = (1, 5)
DEATH_AFTER: Final = 1 / 6  # of all tasks done
RESTART_AFTER: Final = 1 / 2
TALLIES: Final = 6


def run_demo(nodes: int, tasks: int, *, as_json: bool) -> bool:
    """Tell the story and judge it; whether every promise held."""
    stage = Stage(as_json=as_json)
    began = time.monotonic()
    with ending_in_order(), stage, _testnet(nodes, stage) as net:
        story = Story(net)
        try:
            _meet(story, stage)
            _hire(story, stage)
            _deposit(story, stage, tasks)
            _work(story, stage)
        except NodeError as trouble:
            broken = f"The story broke off: {trouble} {trouble.hint}".rstrip()
            stage.verdict((), time.monotonic() - began, broken)
            held = False
        else:
            held = stage.verdict(story.verdict(), time.monotonic() - began)
        finally:
            dismiss(story.hands)
        if not held:
            stage.complain(*ends_of_logs(net))
    return held


@contextlib.contextmanager
def _testnet(nodes: int, stage: Stage) -> Iterator[Testnet]:
    with tempfile.TemporaryDirectory(
        prefix="nm-", ignore_cleanup_errors=True
    ) as folder:
        stage.say(f"{nodes} nodes start, each a process with a home of its own.")
        net = make_testnet(Path(folder) / "net", nodes)
        try:
            yield net
        finally:
            take_down(net)


def _meet(story: Story, stage: Stage) -> None:
    """Wait until everybody, told of by one friend only, is connected to someone."""
    deadline = time.monotonic() + MEET_SECONDS_MAX
    members = story.net.members
    while not all(member.client.status().peers for member in members):
        _check(deadline, "The nodes did not find each other in time.")
    peers = ", ".join(str(member.client.status().peers) for member in members)
    stage.say(f"They joined by one invite each; connections now: {peers}.")


def _hire(story: Story, stage: Stage) -> None:
    """Two nodes for each skill, so that a lease can pass on."""
    workers = [each for each in story.net.members if each.number not in ASKERS]
    for at, craft in enumerate(CRAFTS):
        for step in range(HANDS_PER_CRAFT):
            member = workers[(at + step) % len(workers)]
            story.hands.append(hire(member.number, member.home, craft))
    for member in workers:
        skills = [hand.skill for hand in story.hands if hand.node == member.number]
        if skills:
            stage.say(f"Node {member.number} works: {', '.join(skills)}.")
    deadline = time.monotonic() + MEET_SECONDS_MAX
    while not all(_is_offered(story, craft.skill) for craft in CRAFTS):
        _check(deadline, "The askers did not hear of the workers in time.")


def _is_offered(story: Story, skill: str) -> bool:
    """Whether every asker has heard of everybody who offers a skill."""
    found = [
        story.net.member(number).client.skill.find(skill, timeout=0).results
        for number in ASKERS
    ]
    return all(len(results) == HANDS_PER_CRAFT for results in found)


def _deposit(story: Story, stage: Stage, tasks: int) -> None:
    """Keep every worker busy, then slow tasks, and urgent ones last of all.

    So the urgent ones must overtake the slow ones, and nobody who is idle can help.
    """
    askers = [story.net.member(number) for number in ASKERS]
    for member in askers:
        story.seen[member.number] = member.client.event.wait(timeout=0).seq
    for at, (level, craft) in enumerate(_orders(tasks, len(story.hands))):
        asker = askers[at % len(askers)]
        text = f"task {at}\nof {tasks}\n{level} {craft.skill}\n"
        asked = time.time()
        deposited = asker.client.signal.deposit(
            craft.skill,
            urgency=URGENCIES[level],
            body=text,
            size=WORK_SECONDS,
            lease=LEASE,
        )
        job = Job(asker, craft, level, text, deposited.task, asked)
        story.jobs[job.task] = job
    stage.say(
        f"Nodes {ASKERS[0]} and {ASKERS[1]} deposit {tasks} tasks for "
        f"{len(story.hands)} workers: slow ones first, urgent ones last."
    )


def _orders(tasks: int, hands: int) -> Iterator[tuple[str, Craft]]:
    """Levels and crafts in the order of their deposits; a third of each level."""
    levels = [("slow", tasks // 3), ("alert", tasks // 3 - hands)]
    levels = [("alert", hands), *levels, ("flash", tasks - 2 * (tasks // 3))]
    for level, count in levels:
        for at in range(count):
            yield level, CRAFTS[at % len(CRAFTS)]


def _work(story: Story, stage: Stage) -> None:
    """Watch until all is done; kill a worker and restart an asker on the way."""
    deadline = time.monotonic() + STORY_SECONDS_MAX
    total = len(story.jobs)
    told = 0
    while story.done < total:
        _check(deadline, f"Not every task was done in time: {story.tally()}.")
        _listen(story)
        stage.show(story.rows(), story.tally())
        if story.done * TALLIES // total > told:
            told = story.done * TALLIES // total
            stage.say(f"  {story.tally()}")
        if story.death is None and story.done >= total * DEATH_AFTER:
            _kill(story, stage)
        if story.restart is None and story.done >= total * RESTART_AFTER:
            _restart(story, stage)
    quiet = time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < quiet:  # a second end of a task would show up about now
        time.sleep(POLL_SECONDS)
        _listen(story)


def _kill(story: Story, stage: Stage) -> None:
    """Kill a node while it works; if nobody is in the midst of it, try again later.

    Its workers are frozen first, so that what is not finished then stays unfinished.
    """
    for member in story.net.members:
        hands = [hand for hand in story.hands if hand.node == member.number]
        for hand in hands:
            hand.process.tell_group(signal.SIGSTOP)
        held = _held_by(story, member.address) if hands else None
        if held is not None and member.process is not None:
            job, fence = held
            for hand in hands:
                hand.process.tell_group(signal.SIGKILL)
            member.process.tell(signal.SIGKILL)
            story.death = Death(member, job, fence)
            stage.say(
                f"Node {member.number} is killed (-9) in the midst of {job.called}."
            )
            return
        for hand in hands:
            hand.process.tell_group(signal.SIGCONT)


def _held_by(story: Story, address: str) -> tuple[Job, int] | None:
    """A task that its own asker says is in this agent's hands, and its fence."""
    for job in story.jobs.values():
        if job.ends == 0 and job.holder == address:
            view = job.asker.client.signal.show(job.task)
            if view.status == "granted" and view.holder == address:
                return job, view.generation
    return None


def _restart(story: Story, stage: Stage) -> None:
    """Restart an asker; its tasks must survive, and it must find its way back."""
    member = story.net.member(ASKERS[-1])
    left = tuple(j for j in story.jobs.values() if j.asker is member and j.ends == 0)
    story.restart = Restart(member, left)
    stop(member)
    start(story.net, member)
    stage.say(
        f"Node {member.number} is restarted with {len(left)} of its own tasks open."
    )


def _listen(story: Story) -> None:
    """Read the askers' event feeds on from where we were."""
    for number, seen in story.seen.items():
        page = story.net.member(number).client.event.wait(
            since=seen, timeout=0, kinds=["task.*"]
        )
        story.seen[number] = page.seq
        for event in page.events:
            job = story.jobs.get(event.ref or "")
            if job is not None:
                job.note(event)


def _check(deadline: float, sentence: str) -> None:
    if time.monotonic() > deadline:
        raise NodeError(sentence, "See the ends of the logs below.")
    time.sleep(POLL_SECONDS)
