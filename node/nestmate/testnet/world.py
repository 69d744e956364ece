"""The world of a trial: real nodes behind a switchboard, workers, and what is seen.

``listen`` brings the ledger up to date from the askers' feeds and the workers' own
journals; ``kill`` ends a worker while it works, its node and its command included.
What happens when is decided elsewhere.
"""

import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nestmate.errors import NodeError
from nestmate.testnet import chore
from nestmate.testnet.crew import Hand, engage, same
from nestmate.testnet.journals import Journals, Run
from nestmate.testnet.ledger import Death, Errand, Ledger
from nestmate.testnet.net import Member, Testnet
from nestmate.testnet.plan import Plan, Wish, Worker
from nestmate.testnet.processes import Process
from nestmate.testnet.story import URGENCIES
from nestmate.testnet.switchboard import Switchboard

if TYPE_CHECKING:
    from nestmate.operations.events import Event
    from nestmate.operations.signals import Task

REST_SECONDS_MIN: Final = 0.3
SENSED_MAX: Final = 8_192


@dataclass(slots=True)
class World:
    """Everything there is, and the ledger of what happened."""

    plan: Plan
    net: Testnet
    board: Switchboard
    journals: Journals
    ledger: Ledger
    hands: list[Hand] = field(default_factory=list)
    _seen: dict[int, int] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = {member.address: member.number for member in self.net.members}
        for number in self.plan.askers:
            self._seen[number] = (
                self.net.member(number).client.event.wait(timeout=0).seq
            )

    @property
    def alive(self) -> list[Member]:
        """Nodes that were not killed."""
        dead = {death.node for death in self.ledger.deaths}
        return [member for member in self.net.members if member.number not in dead]

    def number(self, address: str | None) -> int:
        """The node of an agent; 0 for nobody."""
        return self._numbers.get(address or "", 0)

    def hire(self, worker: Worker) -> None:
        """Let a node work."""
        program = (sys.executable, "-I", "-S", str(Path(chore.__file__)))
        command = (*program, str(self.journals.path(worker.node)))
        home = self.net.member(worker.node).home
        self.hands.append(engage(worker.node, home, worker.craft.skill, command))

    def ask(self, wish: Wish) -> None:
        """Let somebody ask for help."""
        asked = time.time()
        deposited = self.net.member(wish.asker).client.signal.deposit(
            wish.craft.skill,
            urgency=URGENCIES[wish.level],
            body=f"{wish.seconds}\n{wish.text}",
            size=wish.seconds,
            lease=self.plan.lease,
        )
        self.ledger.errands[deposited.task] = Errand(
            asker=wish.asker,
            craft=wish.craft,
            level=wish.level,
            text=wish.text,
            seconds=wish.seconds,
            task=deposited.task,
            asked=asked,
        )

    def listen(self) -> None:
        """Take in what the askers heard and what the commands wrote since."""
        for number, seen in self._seen.items():
            page = self.net.member(number).client.event.wait(
                since=seen, timeout=0, kinds=["task.*"]
            )
            self._seen[number] = page.seq
            for event in page.events:
                errand = self.ledger.errands.get(event.ref or "")
                if errand is not None:
                    self._note(errand, event)
        self.ledger.runs = self.journals.all(
            worker.node for worker in self.plan.workers
        )

    def show(self, errand: Errand) -> "Task":
        """A task as its asker sees it now."""
        return self.net.member(errand.asker).client.signal.show(errand.task)

    def _note(self, errand: Errand, event: "Event") -> None:
        if event.type == "task.granted":
            errand.holder = self.number(str(event.details.get("holder") or ""))
        elif event.type == "task.reopened":
            errand.holder = 0
        elif event.type == "task.done":
            errand.ends += 1
            view = self.show(errand)
            errand.fence, errand.holder = view.generation, self.number(view.holder)
            errand.right = same(errand.craft, errand.text, view.result)

    # --- death ---

    def kill(self, dice: random.Random) -> Death | None:
        """Kill a worker in the midst of a task, if there is one; never a last of craft.

        Its command, its ``work`` and its node are frozen before anything is decided,
        so that what is not finished then stays unfinished.
        """
        hands = [hand for hand in self.hands if self._has_colleague(hand)]
        dice.shuffle(hands)
        for hand in hands:
            run = self._at_work(hand)
            errand = self.ledger.errands.get(run.task) if run else None
            if run is None or errand is None:
                continue
            if run.began + errand.seconds < time.time() + REST_SECONDS_MIN:
                continue
            death = self._kill_at(hand, run, errand)
            if death is not None:
                self.ledger.deaths.append(death)
                return death
        return None

    def _has_colleague(self, hand: Hand) -> bool:
        alive = {member.number for member in self.alive}
        crew = [h.node for h in self.hands if h.skill == hand.skill and h.node in alive]
        return hand.node in alive and len(crew) > 1

    def _at_work(self, hand: Hand) -> Run | None:
        """The command that runs for this worker, by what it wrote down."""
        runs = self.journals.of(hand.node)
        return runs[-1] if runs and not runs[-1].ended else None

    def _kill_at(self, hand: Hand, run: Run, errand: Errand) -> Death | None:
        command = Process.of(run.pid)
        member = self.net.member(hand.node)
        if command.parent != hand.process.pid or member.process is None:
            return None
        victims = (command, hand.process, member.process)
        for victim in victims:
            victim.tell(signal.SIGSTOP)
        view = self.show(errand)
        midst = self._at_work(hand) == run
        held = view.status == "granted" and self.number(view.holder) == hand.node
        if midst and held and view.generation == run.fence:
            for victim in victims:
                victim.tell(signal.SIGKILL)
            return Death(hand.node, errand, run.fence, time.time())
        for victim in victims:
            victim.tell(signal.SIGCONT)
        return None

    # --- agreement ---

    def met(self) -> set[int]:
        """Who is connected to the other half, as both ends see it."""
        alive = {member.number: member for member in self.alive}
        sees = {
            number: {
                self.number(peer.address) for peer in member.client.peer.ls().peers
            }
            for number, member in alive.items()
        }
        near = self.plan.halves[0]
        return {
            number
            for number in alive
            for other in sees[number] & alive.keys()
            if (other in near) != (number in near) and number in sees[other]
        }

    def divided(self) -> set[tuple[int, str, int]]:
        """Claims on tasks of the other half: holder, task and fence; the living's."""
        cut = self.ledger.cut
        claims = {
            (member.number, claim.task, claim.generation)
            for member in self.alive
            for claim in member.client.claim.ls().claims
        }
        alive = {member.number for member in self.alive}
        for errand in self.ledger.errands.values():
            if errand.ends == 0 and errand.holder in alive:
                view = self.show(errand)
                claims.add((self.number(view.holder), view.task, view.generation))
        return {
            claim
            for claim in claims
            if cut is not None
            and claim[0] in alive
            and claim[1] in self.ledger.errands
            and cut.parts(claim[0], self.ledger.errands[claim[1]].asker)
        }

    def agree(self, claim: tuple[int, str, int]) -> bool:
        """Whether holder and asker say the same of a claim; the dead say nothing."""
        node, task, fence = claim
        member = self.net.member(node)
        if member not in self.alive:
            return True
        held = any(
            each.task == task and each.generation == fence
            for each in member.client.claim.ls().claims
        )
        view = self.show(self.ledger.errands[task])
        granted = view.status == "granted" and self.number(view.holder) == node
        return held == (granted and view.generation == fence)

    def misled(self) -> tuple[int, int]:
        """How often somebody alive still takes a task for open that is done.

        First those who have its skill, then all others.
        """
        crafts = {worker.node: worker.craft.skill for worker in self.plan.workers}
        over = {errand.task for errand in self.ledger.errands.values() if errand.ends}
        able = others = 0
        for member in self.alive:
            for each in member.client.signal.ls(limit=SENSED_MAX).signals:
                if each.task in over and each.status == "open":
                    mine = crafts.get(member.number) == each.skill
                    able, others = able + mine, others + (not mine)
        return able, others

    def check(self) -> None:
        """Raise NodeError if a node or worker ended that nobody killed."""
        for member in self.alive:
            if not member.runs:
                raise NodeError(f"Node {member.number} ended by itself.")
        alive = {member.number for member in self.alive}
        for hand in self.hands:
            if hand.node in alive and not hand.process.runs:
                raise NodeError(f"The worker at node {hand.node} ended by itself.")
