"""The trial: many real nodes, mixed work, deaths and a partition, judged from outside.

Twenty processes, each with a home, a database and libp2p of its own, reach each other
only through a switchboard. Some ask for help with tasks of mixed urgency, the others
work with real commands. Workers are killed at work; the net is cut in halves in
silence and healed. The verdict rests on what the commands wrote down, on the askers'
feeds and on counted bytes. Everything ends in time, and no process stays.
"""

import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from nestmate.config import read_config, write_config
from nestmate.errors import NodeError
from nestmate.home import Home
from nestmate.testnet.crew import dismiss
from nestmate.testnet.journals import Journals
from nestmate.testnet.ledger import Cut, Ledger
from nestmate.testnet.net import (
    ends_of_logs,
    home_of,
    make_testnet,
    take_down,
)
from nestmate.testnet.plan import Plan, Wish
from nestmate.testnet.processes import Process, ending_in_order
from nestmate.testnet.stage import Figure, Stage
from nestmate.testnet.switchboard import Switchboard, Traffic, ways_around
from nestmate.testnet.world import World

MEET_SECONDS_MAX: Final = 60.0
PART_SECONDS_MAX: Final = 90.0
REUNION_SECONDS_MAX: Final = 90.0
QUIET_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.2
KILL_FROM: Final = 0.08  # of all tasks done
CUT_FROM: Final = 0.2
KILL_INTO_CUT: Final = 0.3  # of the time it lasts
LAST_LOOK_SECONDS: Final = 0.5  # before the heal
TALLIES: Final = 5


def run_trial(plan: Plan, *, as_json: bool) -> bool:
    """Hold the trial; whether everything held."""
    stage = Stage(as_json=as_json)
    began = time.monotonic()
    with ending_in_order(), stage, _world(plan, stage) as world:
        trial = Trial(world, stage)
        failure = ""
        try:
            trial.run()
        except NodeError as trouble:
            failure = f"The trial broke off: {trouble} {trouble.hint}".rstrip()
        finally:
            dismiss(world.hands)
        figures = [] if failure else trial.figures()
        took = time.monotonic() - began
        held = stage.verdict(world.ledger.verdict(), took, failure, figures)
        if not held:
            stage.complain(*ends_of_logs(world.net))
    return held


@contextlib.contextmanager
def _world(plan: Plan, stage: Stage) -> Iterator[World]:
    """The nodes, behind the switchboard from their first moment on."""
    with tempfile.TemporaryDirectory(prefix="nm-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        net_folder = folder / "net"
        homes = [str(home_of(net_folder, n)) for n in range(1, plan.nodes + 1)]
        stage.say(
            f"{plan.nodes} nodes start, each a process with a home of its own, behind "
            "a switchboard."
        )
        with Switchboard(homes, folder / "relay.log") as board:

            def prepare(number: int, home: Home) -> None:
                config = read_config(home.config)
                announced = replace(config, announce=(board.address(number),))
                write_config(home.config, announced)

            net = make_testnet(
                net_folder, plan.nodes, "random", plan.seed, prepare=prepare
            )
            try:
                journals = Journals(folder)
                yield World(plan, net, board, journals, Ledger(plan.kills))
            finally:
                take_down(net)


@dataclass(slots=True)
class Trial:
    """The story: its parts in order, and what is measured on the way."""

    world: World
    stage: Stage
    _kills_due: int = 0
    _told: int = 0
    _began: float = 0.0
    _spent: dict[int, float] = field(default_factory=dict)
    _quiet: Traffic | None = None
    _first: Traffic | None = None
    _divided: set[tuple[int, str, int]] = field(default_factory=set)

    def run(self) -> None:
        """From the first meeting to the last command's end."""
        before, during, after = self.world.plan.wishes()
        kills = self.world.plan.kills_by_part
        total = self.world.plan.tasks
        self._meet()
        self._start()
        self._ask(before, "before the cut")
        ledger = self.world.ledger
        self._until(lambda: ledger.done >= total * KILL_FROM)
        self._kills_due += kills[0]
        self._until(lambda: ledger.done >= total * CUT_FROM and not self._kills_due)
        self._cut()
        self._ask(during, "in both halves")
        self._endure(kills[1])
        self._heal()
        self._reunite()
        self._ask(after, "after the heal")
        self._kills_due += kills[2]
        self._until(lambda: ledger.done == total and not self._kills_due)
        self._calm_down()

    # --- before ---

    def _meet(self) -> None:
        """Hire, and wait until every asker has heard of every worker."""
        world, plan = self.world, self.world.plan
        for worker in plan.workers:
            world.hire(worker)
        skills = [worker.craft.skill for worker in plan.workers]
        deadline = time.monotonic() + MEET_SECONDS_MAX
        for number in plan.askers:
            client = world.net.member(number).client
            for skill in sorted(set(skills)):
                while len(client.skill.find(skill, timeout=1).results) < skills.count(
                    skill
                ):
                    self._check(deadline, "The askers did not hear of all workers.")
        peers = [member.client.status().peers for member in world.net.members]
        counts = ", ".join(
            f"{skills.count(skill)} {skill}" for skill in sorted(set(skills))
        )
        self.stage.say(
            f"They joined by one invite each; connections now: {min(peers)} to "
            f"{max(peers)}.",
            f"Nodes {_list(plan.askers)} ask; {len(skills)} others work: {counts}.",
        )

    def _start(self) -> None:
        """Begin to count."""
        self._began = time.time()
        self._first = self._quiet = self.world.board.count()
        self._spent = {
            member.number: member.process.cpu_seconds
            for member in self.world.net.members
            if member.process is not None
        }

    def _ask(self, wishes: Sequence[Wish], when: str) -> None:
        for wish in wishes:
            self.world.ask(wish)
        self.stage.say(f"{len(wishes)} tasks are asked for {when}.")

    # --- cut and heal ---

    def _cut(self) -> None:
        world = self.world
        halves = world.plan.halves
        traffic = world.board.cut(halves)
        now, quiet = time.time(), self._quiet
        before = traffic.across(halves) - (quiet.across(halves) if quiet else 0)
        world.ledger.cut = Cut(
            halves, began=now, before_seconds=now - self._began, before_bytes=before
        )
        self._quiet = traffic
        across = [pair for pair in traffic.standing if world.ledger.cut.parts(*pair)]
        self._divided = world.divided()
        self.stage.say(
            f"The net is cut: {_list(halves[0])} | {_list(halves[1])}.",
            f"{len(across)} of {len(traffic.standing)} connections fall silent, "
            f"{len(self._divided)} claims are cut through.",
        )

    def _endure(self, kills: int) -> None:
        """Wait out the cut, and look for ways around it all the time."""
        world, cut = self.world, self.world.ledger.cut
        if cut is None:
            return
        end = cut.began + world.plan.cut_seconds - LAST_LOOK_SECONDS
        kill_from = cut.began + KILL_INTO_CUT * world.plan.cut_seconds
        due = kills
        while time.time() < end:
            if due and time.time() >= kill_from:
                self._kills_due, due = self._kills_due + due, 0
            self._step()
            pids = [m.process.pid for m in world.alive if m.process is not None]
            found = ways_around(pids, world.board.pid)
            cut.ways_around = tuple(dict.fromkeys((*cut.ways_around, *found)))
            cut.looks += 1

    def _heal(self) -> None:
        world, cut = self.world, self.world.ledger.cut
        if cut is None or self._quiet is None:
            return
        world.listen()
        self._divided |= world.divided()
        cut.divided = len(self._divided)
        last = world.board.count()
        world.board.heal()
        cut.healed = time.time()
        cut.crossed_bytes = last.across(cut.halves) - self._quiet.across(cut.halves)
        cut.hung = last.hung - self._quiet.hung
        done = sum(cut.began < run.ended < cut.healed for run in world.ledger.runs)
        self.stage.say(
            f"The net is healed after {cut.healed - cut.began:.0f} s: meanwhile {done} "
            f"commands ended and {cut.hung} calls across hung."
        )

    def _reunite(self) -> None:
        """Measure how long it takes until the halves are one again."""
        world, cut = self.world, self.world.ledger.cut
        if cut is None:
            return
        deadline = time.monotonic() + REUNION_SECONDS_MAX
        while time.monotonic() < deadline and (cut.met is None or cut.agreed is None):
            met = world.met() if cut.met is None else set()
            if met and cut.joined is None:
                cut.joined = time.time() - cut.healed
            if len(met) == len(world.alive):
                cut.met = time.time() - cut.healed
            self._divided = {c for c in self._divided if not world.agree(c)}
            if cut.agreed is None and not self._divided:
                cut.agreed = time.time() - cut.healed
            self._step()
        self.stage.say(
            f"The halves meet after {_seconds(cut.joined)}, everybody after "
            f"{_seconds(cut.met)}; holders and askers agree after "
            f"{_seconds(cut.agreed)}."
        )

    # --- at all times ---

    def _until(self, fact: Callable[[], bool]) -> None:
        """Let things happen until a fact, or until it takes too long for good."""
        deadline = time.monotonic() + PART_SECONDS_MAX + 2 * self.world.plan.lease
        while not fact() and time.monotonic() < deadline:
            self._step()

    def _step(self) -> None:
        time.sleep(POLL_SECONDS)
        world, ledger = self.world, self.world.ledger
        world.listen()
        world.check()
        self.stage.show(_rows(world), ledger.tally())
        total = world.plan.tasks
        if ledger.done * TALLIES // total > self._told:
            self._told = ledger.done * TALLIES // total
            self.stage.say(f"  {ledger.tally()}")
        if self._kills_due:
            self._kill()

    def _kill(self) -> None:
        seed = f"kill {self.world.plan.seed} {len(self.world.ledger.deaths)}"
        death = self.world.kill(random.Random(seed))  # noqa: S311 - a story, not a secret
        if death is not None:
            self._kills_due -= 1
            self.stage.say(
                f"Node {death.node} is killed (-9) in the midst of "
                f"{death.errand.called} of node {death.errand.asker}."
            )

    def _check(self, deadline: float, sentence: str) -> None:
        if time.monotonic() > deadline:
            raise NodeError(sentence, "See the ends of the logs below.")
        time.sleep(POLL_SECONDS)

    def _calm_down(self) -> None:
        """Wait for commands that are still at work, and for what comes after them."""
        longest = max(errand.seconds for errand in self.world.ledger.errands.values())
        deadline = time.monotonic() + longest + QUIET_SECONDS
        quiet = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < quiet or (
            time.monotonic() < deadline and self._busy()
        ):
            self._step()

    def _busy(self) -> bool:
        return any(
            not run.ended and Process.of(run.pid).runs for run in self.world.ledger.runs
        )

    # --- figures ---

    def figures(self) -> list[Figure]:
        """What was measured and is not judged."""
        world, first = self.world, self._first
        seconds = time.time() - self._began
        last = world.board.count()
        carried = last.total - (first.total if first else 0)
        tasks = max(1, len(world.ledger.errands))
        able, others = world.misled()
        return [
            ("seed", str(world.plan.seed)),
            ("a lease lasts", f"{world.plan.lease:g} s"),
            *_wait_figures(world.ledger),
            ("bytes between nodes, all included", _bytes(carried, tasks, seconds)),
            ("strangers at the switchboard", str(last.strangers)),
            (
                "done, and still taken for open",
                f"{able} by the able, {others} by others",
            ),
            *self._load_figures(seconds),
        ]

    def _load_figures(self, seconds: float) -> list[Figure]:
        living = [m for m in self.world.alive if m.process is not None]
        processes = [(m.number, m.process) for m in living if m.process is not None]
        shares = [
            (process.cpu_seconds - self._spent.get(number, 0.0)) / seconds
            for number, process in processes
        ]
        sizes = [process.resident_bytes / 2**20 for _, process in processes]
        return [
            (
                "a node takes of one core",
                f"median {statistics.median(shares):.1%}, most {max(shares):.1%}",
            ),
            (
                "a node takes of memory",
                f"median {statistics.median(sizes):.0f} MiB, most {max(sizes):.0f} MiB",
            ),
        ]


def _wait_figures(ledger: Ledger) -> list[Figure]:
    figures: list[Figure] = []
    for level, waits in ledger.waits().items():
        if waits:
            middle = statistics.median(waits)
            late = sorted(waits)[int(0.9 * (len(waits) - 1))]
            text = f"median {middle:.1f} s, nine in ten {late:.1f} s, of {len(waits)}"
            figures.append((f"wait of {level} tasks", text))
    return figures


def _bytes(carried: int, tasks: int, seconds: float) -> str:
    return (
        f"{carried / 2**20:.1f} MiB, {carried / tasks / 1024:.0f} KiB a task, "
        f"{carried / seconds / 1024:.0f} KiB/s"
    )


def _rows(world: World) -> list[tuple[str, ...]]:
    """One line for each node: number, state, role, tasks in work, tasks done."""
    alive = {member.number for member in world.alive}
    skills = {worker.node: worker.craft.skill for worker in world.plan.workers}
    errands = world.ledger.errands.values()
    rows: list[tuple[str, ...]] = []
    for member in world.net.members:
        number = member.number
        mine = [errand for errand in errands if errand.asker == number]
        answered = sum(errand.ends > 0 for errand in mine)
        held = [errand for errand in errands if errand.holder == number]
        rows.append(
            (
                str(number),
                "up" if number in alive else "killed",
                skills.get(number, f"asks: {answered} of {len(mine)} answered"),
                str(sum(errand.ends == 0 for errand in held)),
                str(sum(errand.ends > 0 for errand in held)),
            )
        )
    return rows


def _list(numbers: Sequence[int]) -> str:
    return " ".join(str(number) for number in numbers)


def _seconds(seconds: float | None) -> str:
    return "too long" if seconds is None else f"{seconds:.1f} s"
