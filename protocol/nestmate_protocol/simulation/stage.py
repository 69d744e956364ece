"""The stage: one run of a scenario, from the first boot to the verdict.

Two phases. First safety: agents join, deposit and work while faults rage, and whatever
must never happen is watched at every step. Then everything heals, and what must happen
in the end is waited for: every promised task done or cancelled, friends that know each
other, nobody honest shut out, nothing grown without a bound.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

from nestmate_protocol.core import Core, Settings
from nestmate_protocol.directory.own_card import LOOK_MS
from nestmate_protocol.effects import Effect
from nestmate_protocol.errors import LocalError
from nestmate_protocol.friends.requests import ContactViews, ListContacts
from nestmate_protocol.ids import Address, PeerId, TaskId
from nestmate_protocol.limits import DELEGATES_MAX, TASK_INLINE_BODY_BYTES_MAX
from nestmate_protocol.signals.requests import (
    DepositTask,
    ListSignals,
    TaskStatus,
    TaskViews,
)
from nestmate_protocol.simulation.agents import Depositor, Line, Newcomer, Worker
from nestmate_protocol.simulation.cast import NETWORK, Cast, MakeCore
from nestmate_protocol.simulation.checkers import (
    FINAL,
    Ledger,
    TaskStory,
    doubles,
    promised,
    unfinished,
)
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.faults import Faults
from nestmate_protocol.simulation.garden import garden_in
from nestmate_protocol.simulation.growth import crowded
from nestmate_protocol.simulation.hostile import Loot
from nestmate_protocol.simulation.machine import SkewedClock
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.perjury import Perjury
from nestmate_protocol.simulation.register import Register
from nestmate_protocol.simulation.report import Report, differences
from nestmate_protocol.simulation.scenarios import Scenario, drawn, scenario_named
from nestmate_protocol.simulation.weather import CALM
from nestmate_protocol.simulation.world import World

NODES_DEFAULT = 5
NODES_MIN = 2
LIVENESS_SECONDS_MAX = 1_200
JOIN_BY_INVITE_MAX = 40
WATCH_MS = 1_000
ANSWER_MS = 10_000
DOUBLES_MS_MAX = 8_000
"""A heal is noticed at once; without one, two hear of each other by a beat."""
CLOCKS_MS = LOOK_MS + 15_000
"""How long after the heal all have seen that their clocks were set, and said hello."""
SKILLS = ("translate", "summarise", "check")
CHORDS_PER_NODE = 2


def run(
    scenario: str | Scenario = "swarm",
    nodes: int | None = None,
    seed: int = 0,
    loss: float | None = None,
    make_core: MakeCore = Core,
) -> Report:
    """Run one seed of a scenario with so many honest nodes and tell what came of it.

    ``nodes`` None takes NODES_DEFAULT; ``loss`` replaces the scenario's share of lost
    frames; ``make_core`` replaces the core, for twins with a bug planted. Raises
    LocalError for an unknown scenario or too few nodes.
    """
    kind = scenario_named(scenario) if isinstance(scenario, str) else scenario
    count = NODES_DEFAULT if nodes is None else nodes
    if count < NODES_MIN:
        raise LocalError(f"a world takes {NODES_MIN} nodes or more, not {count}")
    return Stage(kind, count, seed, loss, make_core).play()


class Trouble:
    """Keeps an exception that a core let out, so that the report can tell of it."""

    def __init__(self, world: World) -> None:
        self.lines: tuple[str, ...] = ()
        self._world = world

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        told = "".join(traceback.format_exception(error)).splitlines()
        self.lines = tuple(told)
        self._world.complaints.append(f"an exception left a core: {error!r}")
        return True


class Stage:
    """One world with its cast, agents and faults."""

    def __init__(
        self,
        scenario: Scenario,
        nodes: int,
        seed: int,
        loss: float | None,
        make_core: MakeCore,
    ) -> None:
        self._register = Register()
        self._loot = Loot(self._targets, self._topics)
        self._world = World(seed, NETWORK, self._watch)
        world = self._world
        self._dice = world.dice.fork("stage")
        self._plan = drawn(scenario, world.dice.fork("options"), loss)
        self._ledger = Ledger(
            self._register,
            world.opener,
            world.complaints.append,
            lambda: world.timeline.now_ms,
        )
        self._ledger.nothing_breaks = self._plan == self._plan.calm
        self._faults = Faults(world, self._plan.rates, world.dice.fork("faults"))
        self._trouble = Trouble(world)
        self._pairs: list[tuple[int, int]] = []
        self._depositors: list[int] = []
        self._doubles: dict[tuple[TaskId, int, int], int] = {}
        self._settled = False
        self._cast = cast = Cast(world, self._register, self._loot, make_core)
        settings = Settings()
        self._honest = [cast.honest(settings) for _ in range(nodes)]
        self._honest_names = {node.name: None for node in self._honest}
        members = [(node, cast.identity(node.number)) for node in self._honest]
        self._garden = garden_in(world, self._plan, members)
        self._others = [cast.hostile(settings) for _ in range(self._plan.hostile)]

    def play(self) -> Report:
        """Both phases, then the verdict."""
        plan, world = self._plan, self._world
        with self._trouble:
            self._set_up()
            world.ways.weather = plan.weather
            world.dht.failures = plan.dht_failures
            self._faults.begin()
            self._look_for_doubles()
            world.run(plan.seconds * 1_000)
        if not world.complaints:
            with self._trouble:
                self._loot.quiet = True
                self._faults.end()
                self._look_around()
                if self._garden is not None:
                    self._garden.look()
                world.run(LIVENESS_SECONDS_MAX * 1_000, lambda: self._settled)
                self._judge()
        return self._report()

    # --- setting up

    def _set_up(self) -> None:
        plan, world, dice = self._plan, self._world, self._dice
        for node in world.nodes:
            node.sync_ms_max = plan.sync_ms_max
            off_ms = dice.between(-plan.offset_ms, plan.offset_ms)
            drift = dice.between(-plan.drift_ppm, plan.drift_ppm)
            node.clock = SkewedClock(drift)
            node.clock.set_off(off_ms)
            world.start(node)
        if len(self._honest) > JOIN_BY_INVITE_MAX:
            self._connect_all()
        else:
            self._invite_all()
        self._employ_all()

    def _invite_all(self) -> None:
        """Everybody joins somebody who was there before, by invite."""
        for place, guest in enumerate(self._honest[1:], start=1):
            host = self._dice.pick(self._honest[:place])
            pair = Line(self._world, host), Line(self._world, guest)
            newcomer = Newcomer(*pair, self._ledger)
            self._pairs.append((host.number, guest.number))
            self._world.after(self._dice.below(5_000), newcomer.begin)
        hosts = dict.fromkeys(host for host, _ in self._pairs)
        leaves = [node.number for node in self._honest if node.number not in hosts]
        self._faults.leaves.update(dict.fromkeys(leaves))
        movers = self._faults.movers
        for node in self._dice.shuffled(self._honest):
            pairs = [pair for pair in self._pairs if node.number in pair]
            if not any(number in movers for pair in pairs for number in pair):
                movers[node.number] = None

    def _connect_all(self) -> None:
        """A ring with chords, standing at once: invites of a crowd take too long."""
        crowd, count = self._honest, len(self._honest)
        for place, node in enumerate(crowd):
            self._world.links.connect(node, crowd[(place + 1) % count])
            for _ in range(CHORDS_PER_NODE):
                other = self._dice.pick(crowd)
                if other is not node:
                    self._world.links.connect(node, other)

    def _employ_all(self) -> None:
        """Workers for every skill, and depositors for all tasks of the plan."""
        world, dice, plan = self._world, self._dice, self._plan
        for node in self._honest:
            first = node.number % len(SKILLS)
            both = (SKILLS[first], SKILLS[(first + 1) % len(SKILLS)])
            skills = both if len(self._honest) >= len(SKILLS) else SKILLS
            agent_dice = world.dice.fork(f"worker {node.number}")
            worker = Worker(Line(world, node), self._ledger, agent_dice, skills)
            world.after(dice.below(3_000), worker.begin)
        if self._garden is not None:
            world.after(dice.below(3_000), self._garden.begin)
        for number in range(plan.tasks):
            agent_dice = world.dice.fork(f"depositor {number}")
            node = dice.pick(self._honest)
            self._depositors.append(node.number)
            line = Line(world, node)
            others = [each for each in self._honest if each is not node]
            addresses = [self._register.address(each) for each in others]
            fork = world.dice.fork(f"delegates {number}")
            body = _task(agent_dice, number, plan.exclusive)
            body = _entrusted(body, addresses, fork)
            depositor = Depositor(line, self._ledger, agent_dice, body)
            world.after(dice.below(plan.seconds * 900), depositor.begin)

    # --- what hostile nodes and the ledger see

    def _watch(self, node: Node, effect: Effect) -> None:
        self._ledger.watch(node, effect)
        if self._others and not self._register.is_hostile(node):
            self._loot.watch(node, effect)

    def _targets(self) -> list[tuple[PeerId, str]]:
        doors = self._world.doors
        return [(node.peer, doors.home(node)) for node in self._honest]

    def _topics(self) -> list[str]:
        return self._world.gossip.topics()

    # --- what must be so in the end

    def _look_around(self) -> None:
        """See, once a second of healed time, whether all is as it should be."""
        stories, gone = self._ledger.stories, self._world.gone
        self._settled = (
            all(pair in self._ledger.friends for pair in self._pairs_left())
            and len(promised(stories)) >= self._tasks_left()
            and not unfinished(stories, self._register, gone)
            and (self._garden is None or self._garden.settled)
        )
        self._world.after(WATCH_MS, self._look_around)

    def _look_for_doubles(self) -> None:
        """Of two who settled on one task, one stops soon after they can talk."""
        world = self._world
        seen = {
            (task, one, other)
            for task, one, other in doubles(self._ledger.stories)
            if self._can_talk(world.nodes[one], world.nodes[other])
        }
        self._doubles = {at: self._doubles.get(at, 0) + 1 for at in sorted(seen)}
        for (task, one, other), looks in self._doubles.items():
            if looks * WATCH_MS > DOUBLES_MS_MAX:
                both = f"n{one} and n{other} both work {task.short}"
                world.complaints.append(f"{both} long after they met")
        world.after(WATCH_MS, self._look_for_doubles)

    def _can_talk(self, one: Node, other: Node) -> bool:
        """Whether nothing at all stands between two nodes.

        Clocks that are far apart do: neither takes the other's card.
        """
        if self._plan.offset_ms or self._plan.rates.jump_seconds:
            return False
        ways, links = self._world.ways, self._world.links
        cut = ways.apart(one, other)
        awake = one.awake and other.awake
        return (
            awake and not cut and ways.weather == CALM and links.connected(one, other)
        )

    def _pairs_left(self) -> list[tuple[int, int]]:
        """Friends of whom both are still there."""
        gone = self._world.gone
        return [(a, b) for a, b in self._pairs if a not in gone and b not in gone]

    def _tasks_left(self) -> int:
        """How many tasks must have been promised: those of whoever is still there."""
        gone = self._world.gone
        return sum(number not in gone for number in self._depositors)

    def _judge(self) -> None:
        """Say what is still not so, long after everything healed."""
        world, ledger = self._world, self._ledger
        complain = world.complaints.append
        for task, story in unfinished(ledger.stories, self._register, world.gone):
            status = "unseen" if story.last is None else story.last.status
            complain(f"{task.short} of n{story.issuer} is still {status}")
        if len(promised(ledger.stories)) < self._tasks_left():
            complain("a task could not be deposited")
        for host, guest in self._pairs_left():
            if (host, guest) not in ledger.friends:
                complain(f"n{guest} never joined n{host}")
            else:
                self._introduce(world.nodes[host], world.nodes[guest])
        world.run(ANSWER_MS)
        if self._garden is not None:
            self._garden.judge()
        if ledger.nothing_breaks:
            for node in self._honest:
                told = partial(_is_honest_list, ledger.stories, complain, node)
                Line(world, node).ask(ListSignals(), told)
            world.run(WATCH_MS)
        self._check_bounds()
        if not world.complaints and len(self._honest) <= JOIN_BY_INVITE_MAX:
            self._tempt()

    def _tempt(self) -> None:
        """The last act: one who is still there cries wolf and lies.

        Not before all knew the time again, and what lay on its way has arrived.
        """
        world, gone, plan = self._world, self._world.gone, self._plan
        wrong = plan.offset_ms or plan.rates.jump_seconds
        late_ms = CLOCKS_MS if wrong else plan.weather.straggle_ms
        world.run(max(0, 1_000 * plan.seconds + late_ms - world.timeline.now_ms))
        here = [node for node in self._honest if node.number not in gone]
        liar = self._dice.pick(here)
        key = self._cast.identity(liar.number).device
        Perjury(world, self._register, liar, key).play(here)

    def _introduce(self, host: Node, guest: Node) -> None:
        """Each of two friends must have the other among its contacts."""
        for node, other in ((host, guest), (guest, host)):
            check = partial(self._knows, node, self._register.address(other))
            Line(self._world, node).ask(ListContacts(), check)

    def _knows(self, node: Node, address: Address, response: object) -> None:
        known = response.contacts if isinstance(response, ContactViews) else ()
        if all(contact.address != address for contact in known):
            name = self._register.name(address)
            self._world.complaints.append(
                f"{node.name} does not know its friend {name}"
            )

    def _check_bounds(self) -> None:
        """Nothing grown without a bound, and nobody honest shut out."""
        complain = self._world.complaints.append
        for node in self._honest:
            for sentence in crowded(node.core):
                complain(f"{node.name}: {sentence}")
        for node, peer in self._world.doors.bans:
            name = self._world.names[peer]
            if not self._register.is_hostile(node) and name in self._honest_names:
                complain(f"{node.name} shuts out honest {name}")

    def _report(self) -> Report:
        world, ledger = self._world, self._ledger
        stories = list(promised(ledger.stories).values())
        status = Counter(story.last.status for story in stories if story.last)
        waits_ms = sorted(
            story.done_ms - story.accepted_ms
            for story in stories
            if story.done_ms is not None and story.accepted_ms is not None
        )
        counts = world.timeline.counts + ledger.counts
        return Report(
            scenario=self._plan.name,
            nodes=len(self._honest),
            seed=world.seed,
            drawn=tuple(differences(self._plan, self._plan.calm)),
            virtual_seconds=world.timeline.now_ms / 1_000,
            events=world.timeline.events,
            counts=tuple(sorted(counts.items())),
            tasks=len(stories),
            done=status[TaskStatus.DONE],
            cancelled=status[TaskStatus.CANCELLED],
            wait_seconds=waits_ms[len(waits_ms) // 2] / 1_000 if waits_ms else 0.0,
            trace_hash=world.timeline.trace_hash,
            broken=tuple(world.complaints),
            trouble=self._trouble.lines,
            last_events=world.timeline.last_events(),
        )


def _is_honest_list(
    stories: Mapping[TaskId, TaskStory],
    complain: Callable[[str], None],
    node: Node,
    response: object,
) -> None:
    """Nobody may list a task as open long after the end of it."""
    listed = response.tasks if isinstance(response, TaskViews) else ()
    for view in listed:
        last = stories[view.task].last
        if last is not None and last.status in FINAL:
            complain(f"{node.name} lists {view.task.short}, which is {last.status}")


def _task(dice: Dice, number: int, exclusive: float) -> DepositTask:
    """One task of any urgency, size and length of lease."""
    return DepositTask(
        skill=dice.pick(SKILLS),
        urgency=dice.below(101) / 100,
        body=dice.octets(dice.pick([0, 20, 900, 3_000])),
        size_seconds=float(dice.between(1, 20)),
        lease_seconds=dice.pick([2, 5, 15]),
        exclusive=dice.chance(exclusive),
        key=f"task {number}".encode(),
    )


def _entrusted(body: DepositTask, others: list[Address], dice: Dice) -> DepositTask:
    """Most exclusive tasks have delegates: two others, or three."""
    count = dice.between(DELEGATES_MAX - 1, DELEGATES_MAX)
    if not body.exclusive or len(others) < count or dice.chance(0.25):
        return body
    delegates = tuple(dice.shuffled(others)[:count])
    short = body.body[:TASK_INLINE_BODY_BYTES_MAX]
    return replace(body, body=short, delegates=delegates)
