"""Agents: what lives beside a node and asks it for things, through the front door.

Newcomers join by invite, depositors ask for help and look after their tasks, workers
take tasks, beat, finish, fail and give back. They outlive the crashes of their nodes,
as programs of their own would, and repeat what got lost. They tell the ledger what
they were promised; they know nothing of records.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from nestmate_protocol.directory.requests import AddSkill, SkillOffer
from nestmate_protocol.effects import Code, Refusal
from nestmate_protocol.friends.requests import (
    CreateInvite,
    Invited,
    Joined,
    JoinInvite,
)
from nestmate_protocol.ids import TaskId
from nestmate_protocol.inputs import Abandon, Request
from nestmate_protocol.signals.preemption import (
    RESERVE_URGENCY,
    Work,
    makes_way,
)
from nestmate_protocol.signals.requests import (
    Acknowledged,
    ClaimView,
    ClaimViews,
    Deposited,
    DepositTask,
    FailClaim,
    FinishClaim,
    ListClaims,
    ReinforceTask,
    ReleaseClaim,
    RenewClaim,
    ShowTask,
    TakeTask,
    TaskStatus,
    TaskView,
    WithdrawTask,
)
from nestmate_protocol.simulation.checkers import Ledger, promised
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.world import World

PATIENCE_MS = 5_000
_LATER = (Code.BUSY, Code.FULL)
RETRY_MS = 500
LOOK_MS = 5_000
INPUTS_MOST = 3
INVITE_TRIES = 4

Then = Callable[[object], None]


class Line:
    """An agent's line to its node: each question ends with a response, or with None.

    None means that the node went away; a node that stays and never answers has
    broken a promise.
    """

    def __init__(self, world: World, node: Node) -> None:
        self.world = world
        self.node = node

    def ask(self, body: Request, then: Then) -> None:
        """Put a request; ``then`` is called once, whatever happens."""
        node = self.node
        if node.core is None:
            self.world.after(RETRY_MS, partial(then, None))
            return
        fair, state, waiting = node.awake, (node.lives, node.pauses), True

        def settle(response: object) -> None:
            nonlocal waiting
            if waiting:
                waiting = False
                then(response)

        def give_up() -> None:
            if not waiting:
                return
            if fair and node.awake and (node.lives, node.pauses) == state:
                sentence = f"{node.name} never answers {type(body).__name__}"
                self.world.complaints.append(sentence)
            if node.lives == state[0]:
                node.give(Abandon(number))
            settle(None)

        number = node.ask(body, settle)
        wait_ms = int(1_000 * getattr(body, "wait_seconds", 0.0))
        self.world.after(wait_ms + PATIENCE_MS, give_up)


class Newcomer:
    """Joins one node to another by an invite, and does not rest until it worked."""

    def __init__(self, host: Line, guest: Line, ledger: Ledger) -> None:
        self._host = host
        self._guest = guest
        self._ledger = ledger
        self._tries = 0

    def begin(self) -> None:
        """Ask the host for an invite."""
        self._tries = 0
        self._host.ask(CreateInvite(uses=1), self._invited)

    def _invited(self, response: object) -> None:
        if isinstance(response, Invited):
            self._try(response.invite)
        else:
            self._host.world.after(RETRY_MS, self.begin)

    def _try(self, invite: str) -> None:
        self._tries += 1
        self._guest.ask(JoinInvite(invite), partial(self._tried, invite))

    def _tried(self, invite: str, response: object) -> None:
        if isinstance(response, Joined):
            self._ledger.joined(self._host.node, self._guest.node)
        elif self._tries < INVITE_TRIES:
            self._host.world.after(RETRY_MS, partial(self._try, invite))
        else:
            self._host.world.after(RETRY_MS, self.begin)


class Depositor:
    """Asks for help with one task and follows it to its end."""

    def __init__(
        self, line: Line, ledger: Ledger, dice: Dice, body: DepositTask
    ) -> None:
        self._line = line
        self._ledger = ledger
        self._dice = dice
        self._body = body
        self._withdraws = dice.chance(0.1)

    def begin(self) -> None:
        """Make it take results of what was asked for before, now and then."""
        dice = self._dice.fork("inputs")
        node, known = self._line.node, promised(self._ledger.stories)
        earlier = [
            task
            for task, story in known.items()
            if story.issuer == node.number and not story.is_voted_on
        ]
        if earlier and dice.chance(0.4) and not self._body.delegates:
            inputs = dice.shuffled(earlier)[: dice.between(1, INPUTS_MOST)]
            self._body = replace(self._body, inputs=tuple(inputs))
        self._deposit()

    def _deposit(self) -> None:
        """Ask again and again under one key until it is promised."""
        self._line.ask(self._body, self._deposited)

    def _deposited(self, response: object) -> None:
        if isinstance(response, Deposited):
            self._ledger.accepted(self._line.node, response.task, self._body)
            self._look_later(response.task)
            return
        if isinstance(response, Refusal) and response.code not in _LATER:
            sentence = f"{self._line.node.name} refuses a task: {response.detail}"
            self._line.world.complaints.append(sentence)
        self._line.world.after(RETRY_MS, self._deposit)

    def _look_later(self, task: TaskId) -> None:
        delay_ms = self._dice.between(LOOK_MS // 2, LOOK_MS * 2)
        self._line.world.after(delay_ms, partial(self._look, task))

    def _look(self, task: TaskId) -> None:
        if self._withdraws and self._dice.chance(0.3):
            self._ledger.stories[task].called_off = True
            self._line.ask(WithdrawTask(task), partial(self._withdrawn, task))
        else:
            self._line.ask(ShowTask(task), partial(self._looked, task))

    def _withdrawn(self, task: TaskId, response: object) -> None:
        if isinstance(response, Acknowledged):
            self._ledger.withdrawn(task)
        self._withdraws = False
        self._look_later(task)

    def _looked(self, task: TaskId, response: object) -> None:
        if isinstance(response, TaskView):
            self._ledger.viewed(self._line.node, response)
            if response.status in {TaskStatus.DONE, TaskStatus.CANCELLED}:
                return
        elif isinstance(response, Refusal):
            sentence = f"{self._line.node.name} forgot {task.short}: {response.detail}"
            self._line.world.complaints.append(sentence)
        self._look_later(task)


@dataclass(slots=True)
class _Job:
    """One task at work under one fence."""

    claim: ClaimView
    result: bytes


class Worker:
    """Takes tasks of its skills, one at a time, and mostly finishes them.

    Some wait in reserve for a flash task while they work, and put a slow one down.
    """

    def __init__(
        self, line: Line, ledger: Ledger, dice: Dice, skills: tuple[str, ...]
    ) -> None:
        self._line = line
        self._ledger = ledger
        self._dice = dice
        self._skills = skills
        self._yields = dice.chance(0.5)
        self._job: _Job | None = None

    def begin(self) -> None:
        """Offer every skill, then look for work for ever."""
        self._offer(0)

    def _offer(self, index: int) -> None:
        if index == len(self._skills):
            self._look()
            return
        offer = AddSkill(SkillOffer(self._skills[index]))
        self._line.ask(offer, partial(self._offered, index))

    def _offered(self, index: int, response: object) -> None:
        if response is None:
            self._later(RETRY_MS, partial(self._offer, index))
        else:
            self._offer(index + 1)

    def _look(self) -> None:
        """Before new work, see whether a claim is left from before a crash."""
        self._line.ask(ListClaims(), self._looked)

    def _looked(self, response: object) -> None:
        held = response.claims if isinstance(response, ClaimViews) else ()
        if held:
            self._taken(held[0])
        else:
            self._take()

    def _take(self) -> None:
        skill = self._dice.pick(self._skills)
        wait_seconds = float(self._dice.between(2, 20))
        self._line.ask(TakeTask(skill=skill, wait_seconds=wait_seconds), self._taken)

    def _taken(self, response: object) -> None:
        if not isinstance(response, ClaimView):
            self._later(self._dice.between(100, 2_000), self._look)
            return
        node, claim = self._line.node, response
        self._ledger.held(node, claim)
        result = b"%s by %s under %d" % (
            claim.body,
            node.name.encode(),
            claim.generation,
        )
        job = self._job = _Job(claim, result)
        self._later(self._dice.between(50, 20_000), partial(self._end, job))
        self._beat_later(job)
        if self._yields and makes_way(_work(job)):
            wish = TakeTask(
                skill=self._dice.pick(self._skills),
                wait_seconds=20,
                min_urgency=RESERVE_URGENCY,
            )
            self._line.ask(wish, partial(self._pressed, job))
        if self._dice.chance(0.1):
            self._line.ask(ReinforceTask(claim.task), lambda _: None)

    def _pressed(self, job: _Job, response: object) -> None:
        """A flash task has come while a slow one was at work: it has to make way."""
        if not isinstance(response, ClaimView):
            return
        if self._job is not job:
            self._line.ask(ReleaseClaim(response.task, "no room"), lambda _: None)
            return
        self._ledger.made_way(self._line.node, job.claim)
        self._ledger.let_go(self._line.node, job.claim)
        self._job = None
        release = ReleaseClaim(job.claim.task, "made way", b"half of it")
        self._line.ask(release, lambda _: None)
        self._taken(response)

    def _beat_later(self, job: _Job) -> None:
        beat_ms = max(300, job.claim.lease_seconds * 1_000 // 3)
        self._later(beat_ms, partial(self._beat, job))

    def _beat(self, job: _Job) -> None:
        if self._job is job:
            self._line.ask(RenewClaim(job.claim.task), partial(self._beaten, job))

    def _beaten(self, job: _Job, response: object) -> None:
        if self._job is not job:
            return
        renewed = isinstance(response, Acknowledged)
        if renewed:
            self._ledger.beaten(self._line.node, job.claim)
        if response is None or (renewed and not self._dice.chance(0.02)):
            self._beat_later(job)  # otherwise it falls asleep, or lost the task
        elif isinstance(response, Refusal):
            self._stop(job)

    def _end(self, job: _Job) -> None:
        if self._job is not job:
            return
        task, dice = job.claim.task, self._dice
        story = self._ledger.stories.get(task)
        if dice.chance(0.05) and story is not None and story.may_fail():
            self._line.ask(FailClaim(task, "no tool for it"), partial(self._ended, job))
        elif dice.chance(0.05):
            release = ReleaseClaim(task, "busy", b"half of it")
            self._line.ask(release, partial(self._ended, job))
        else:
            self._ledger.finished(job.claim, job.result)
            wait_seconds = float(dice.between(0, 5))
            finish = FinishClaim(task, job.result, wait_seconds)
            self._line.ask(finish, partial(self._handed_in, job))

    def _handed_in(self, job: _Job, response: object) -> None:
        story = self._ledger.stories.get(job.claim.task)
        if isinstance(response, Acknowledged) and story is not None:
            story.kept(self._line.node.number)
        self._ended(job, response)

    def _ended(self, job: _Job, response: object) -> None:
        if response is None and self._dice.chance(0.7):
            self._later(RETRY_MS, partial(self._end, job))
        else:
            self._stop(job)

    def _stop(self, job: _Job) -> None:
        if self._job is job:
            self._ledger.let_go(self._line.node, job.claim)
            self._job = None
            self._later(self._dice.between(1, 500), self._look)

    def _later(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._line.world.after(delay_ms, action)


def _work(job: _Job) -> Work:
    claim = job.claim
    return Work(0, claim.urgency, claim.generation, claim.exclusive, 0.0)
