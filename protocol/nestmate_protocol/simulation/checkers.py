"""Checkers: what must hold at every step, and what must hold once all is well again.

The ledger sees every effect of every honest node as it becomes visible, and hears from
the agents what they were promised. From that alone it judges: one holder per fence,
generations that never fall, one result per task, taken under its fence and made by
whoever held it, no task forgotten, no honest peer shut out.
This file knows what records say, and nothing of how a core decides.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise

from nestmate_protocol.effects import Channel, Effect, Notify, Publish, Send, Strike
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import Address, RecordId, TaskId
from nestmate_protocol.records import Kind, Record, make_frame
from nestmate_protocol.signals.claims import Claim, Lease, Receipt, Verdict
from nestmate_protocol.signals.hearsay import is_hearsay
from nestmate_protocol.signals.levels import SLOW, level_of, urgency_code
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.records import Signal, task_id
from nestmate_protocol.signals.requests import (
    ClaimView,
    DepositTask,
    TaskStatus,
    TaskView,
)
from nestmate_protocol.signals.votes import Vote
from nestmate_protocol.simulation.gossip import Opener
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.register import Register
from nestmate_protocol.simulation.tellers import Tellers

INTERRUPTIONS_MAX = 2
FAILURES_MAX = 2
SETTLE_MS = RULE.settle_ms * 99 // 100
"""How long a claim must be known before work begins; clocks may run a little fast."""

FINAL = frozenset({TaskStatus.DONE, TaskStatus.CANCELLED})

Complain = Callable[[str], None]


@dataclass(slots=True)
class TaskStory:
    """All that was promised about one task, as its issuer let it be seen.

    ``holders`` and ``makers`` go by generation: who got the lease, and which node's
    agent held the claim; ``results`` are the hashes that agents handed in under it.
    ``handed_in`` is the node whose agent was promised that its result is kept.
    ``claimed`` says since when whose claims are known to the topic, ``settled`` whose
    agents began without the issuer; ``working`` whose work it now, and whether so.
    ``alive_ms`` says until when a node's last beat counts, ``yielded`` which node put
    it down under which generation and in which of its lives, ``called_off`` that its
    issuer's agent began to withdraw it.
    """

    issuer: int
    asked: DepositTask | None = None
    accepted_ms: int | None = None
    done_ms: int | None = None
    generation: int = 0
    called_off: bool = False
    withdrawn: bool = False
    failures: int = 0
    holders: dict[int, Address] = field(default_factory=dict)
    makers: dict[int, int] = field(default_factory=dict)
    results: dict[int, dict[bytes, None]] = field(default_factory=dict)
    claimed: dict[tuple[int, int], int] = field(default_factory=dict)
    settled: dict[tuple[int, int], None] = field(default_factory=dict)
    working: dict[tuple[int, int], bool] = field(default_factory=dict)
    alive_ms: dict[int, int] = field(default_factory=dict)
    yielded: dict[tuple[int, int, int], None] = field(default_factory=dict)
    receipt: tuple[int, Address, bytes] | None = None
    handed_in: int | None = None
    last: TaskView | None = None

    @property
    def is_voted_on(self) -> bool:
        """Whether delegates decide who gets it, so that it may wait for ever."""
        return self.asked is not None and bool(self.asked.delegates)

    def stopped(self, number: int) -> None:
        """A node's agent was told that its claim is lost."""
        for at in [at for at in self.working if at[1] == number]:
            del self.working[at]

    def kept(self, number: int) -> None:
        """A node's agent was promised that its result is kept."""
        if self.handed_in is None:
            self.handed_in = number

    def may_fail(self) -> bool:
        """Whether one more may say that it cannot do the task; it says so now.

        Whoever says so leaves the task alone for longer each time, so that a world in
        which everything fails would not come to its end in time.
        """
        if self.failures == FAILURES_MAX:
            return False
        self.failures += 1
        return True


class Ledger:
    """What was seen and promised, and whether it fits together."""

    def __init__(
        self,
        register: Register,
        opener: Opener,
        complain: Complain,
        clock: Callable[[], int],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.stories: dict[TaskId, TaskStory] = {}
        self.friends: dict[tuple[int, int], tuple[Node, Node]] = {}
        self.nothing_breaks = False
        self._register = register
        self._opener = opener
        self._complain = complain
        self._clock = clock
        self._known: dict[RecordId, None] = {}
        self._tellers = Tellers(register)

    def __repr__(self) -> str:
        return f"<Ledger of {len(self.stories)} tasks>"

    # --- what nodes let be seen

    def watch(self, node: Node, effect: Effect) -> None:
        """One effect of one node, at the moment it becomes visible."""
        if self._register.is_hostile(node):
            return
        match effect:
            case Send(_, Channel.SIGNALS, data):
                self._frame(node, data, at_once=False)
            case Publish(_, record):
                self._frame(node, make_frame([(record, 0)]), at_once=True)
            case Notify(kind, task):
                self.counts[kind] += 1
                if kind == "claim.lost" and task in self.stories:
                    self._lost(node, self.stories[task], task)
            case Strike(peer, fault):
                other = self._register.at(peer)
                if other is not None and not self._register.is_hostile(other):
                    accused = f"honest {other.name} for {fault.value}"
                    self._complain(f"{node.name} strikes {accused}")
            case _:
                return

    def _frame(self, node: Node, data: bytes, *, at_once: bool) -> None:
        """Records as they leave; what goes straight to an agent may have waited."""
        if is_hearsay(data):
            return
        opened = self._opener.open(data)
        if isinstance(opened, Fault):
            self._complain(f"{node.name} shows a frame that is {opened.value}")
            return
        for carried in opened:
            record = carried.record
            made_here = self._register.signs_for(record.author, node)
            if made_here and at_once and record.kind is Kind.CLAIM:
                claim = Claim.read(record.fields)
                if claim.task in self.stories:
                    claimed = self.stories[claim.task].claimed
                    at = (claim.generation, node.number)
                    claimed.setdefault(at, self._clock())
            if made_here and record.id not in self._known:
                self._known[record.id] = None
                self._record(node, record, at_once=at_once)

    def _record(self, node: Node, record: Record, *, at_once: bool) -> None:
        """A record this node made itself, seen for the first time."""
        self.counts[record.kind.value] += 1
        match record.kind:
            case Kind.SIGNAL:
                signal = Signal.read(record.fields)
                task = task_id(signal.issuer, signal.key)
                self._tellers.called(signal)
                self._risen(node, task, signal.generation, at_once=at_once)
            case Kind.LEASE:
                self._leased(node, Lease.read(record.fields), at_once=at_once)
            case Kind.RECEIPT:
                self._received(node, Receipt.read(record.fields))
            case Kind.VOTE:
                if wrong := self._tellers.voted(node, Vote.read(record.fields)):
                    self._complain(wrong)
            case _:
                return

    def _lost(self, node: Node, story: TaskStory, task: TaskId) -> None:
        """A worker's agent is told that it does not hold its task any more."""
        story.stopped(node.number)
        beats = story.alive_ms.pop(node.number, 0) > self._clock()
        if self.nothing_breaks and beats and not story.called_off:
            self._complain(f"{node.name} loses {task.short}, although it beats")

    def _story(self, node: Node, task: TaskId) -> TaskStory:
        return self.stories.setdefault(task, TaskStory(node.number))

    def _risen(
        self, node: Node, task: TaskId, generation: int, *, at_once: bool
    ) -> None:
        story = self._story(node, task)
        if story.issuer != node.number:
            self._complain(f"{node.name} speaks for {task.short}, a task of another")
        if at_once and generation < story.generation:
            self._complain(
                f"{node.name} lets {task.short} fall from generation"
                f" {story.generation} to {generation}"
            )
        story.generation = max(story.generation, generation)

    def _leased(self, node: Node, lease: Lease, *, at_once: bool) -> None:
        self._risen(node, lease.task, lease.generation, at_once=at_once)
        story = self._story(node, lease.task)
        holder = story.holders.setdefault(lease.generation, lease.holder)
        if holder != lease.holder:
            first, second = map(self._register.name, (holder, lease.holder))
            self._complain(
                f"{node.name} gives {lease.task.short} generation {lease.generation}"
                f" to {first} and to {second}"
            )
        if story.receipt is not None and lease.generation > story.receipt[0]:
            self._complain(f"{node.name} leases {lease.task.short} again when done")
        for supply in lease.inputs:
            story, short = self._story(node, supply.task), supply.task.short
            if not _came_to(story, supply.digest, self._register):
                what = f"{lease.task.short} with an input that {short} never came to"
                self._complain(f"{node.name} leases {what}")

    def _received(self, node: Node, receipt: Receipt) -> None:
        if receipt.verdict is not Verdict.ACCEPTED:
            return
        story, short = self._story(node, receipt.task), receipt.task.short
        fence = receipt.generation
        if story.receipt is None:
            story.done_ms = self._clock()
            if fence < story.generation:
                self._complain(
                    f"{node.name} takes a result of {short} under generation {fence}"
                    f" after {story.generation}"
                )
        taken = (fence, receipt.holder, receipt.result_hash)
        if story.receipt not in {None, taken}:
            self._complain(f"{node.name} takes a second result of {short}")
        story.receipt = taken
        self._judge_result(node, receipt, story)

    def _judge_result(self, node: Node, receipt: Receipt, story: TaskStory) -> None:
        fence, short = receipt.generation, receipt.task.short
        maker = self._register.node(receipt.holder)
        told = maker is not None and (
            story.makers.get(fence) == maker.number
            or (fence, maker.number) in story.settled
        )
        if story.holders.get(fence) != receipt.holder and not told:
            who = self._register.name(receipt.holder)
            self._complain(
                f"{node.name} takes a result of {short} from {who},"
                f" who never held generation {fence}"
            )
        if maker is None or self._register.is_hostile(maker):
            return
        if receipt.result_hash not in story.results.get(fence, {}):
            self._complain(
                f"{node.name} takes a result of {short} that {maker.name} never made"
            )

    # --- what agents were promised

    def joined(self, host: Node, guest: Node) -> None:
        """The guest was told that the two are contacts now."""
        self.friends[host.number, guest.number] = host, guest

    def accepted(self, node: Node, task: TaskId, asked: DepositTask) -> None:
        """The issuer's node promised to look after a task."""
        story = self._story(node, task)
        story.asked = asked
        if story.accepted_ms is None:
            story.accepted_ms = self._clock()

    def withdrawn(self, task: TaskId) -> None:
        """The issuer's agent was told that the task is cancelled."""
        self.stories[task].withdrawn = True

    def viewed(self, node: Node, view: TaskView) -> None:
        """The issuer's agent looked at a task of its own."""
        story, short = self._story(node, view.task), view.task.short
        last, story.last = story.last, view
        if view.status is TaskStatus.DONE:
            expected = story.receipt[2] if story.receipt else None
            made = sha256(view.result or b"").digest()
            known = {h for of_one in story.results.values() for h in of_one}
            if expected not in {None, made} or (expected is None and made not in known):
                self._complain(f"{node.name} shows a result of {short} never taken")
        if last is None:
            return
        if view.generation < last.generation:
            self._complain(f"{node.name} lets {short} fall to {view.generation}")
        changed = (view.status, view.result) != (last.status, last.result)
        if last.status in FINAL and changed:
            self._complain(f"{node.name} changes {short} after it was {last.status}")
        if story.withdrawn and view.status is not TaskStatus.CANCELLED:
            self._complain(f"{node.name} shows {short} {view.status} when cancelled")

    def held(self, node: Node, claim: ClaimView) -> None:
        """A worker's agent was told that it holds a task under a fence."""
        if self._register.is_hostile(node):
            return
        story = self.stories.get(claim.task)
        if story is None:
            return  # a hostile issuer's task
        fence, short = claim.generation, claim.task.short
        at_work = (fence, node.number)
        if claim.settled:
            story.settled[at_work] = None
            said_ms = story.claimed.get(at_work)
            waited_ms = None if said_ms is None else self._clock() - said_ms
            if wrong := _too_soon(claim, story, waited_ms):
                self._complain(f"{node.name} {wrong}")
            self.counts["claims settled"] += 1
        elif at_work not in story.settled:
            maker = story.makers.setdefault(fence, node.number)
            if maker != node.number:
                both = f"n{maker} and {node.name} both hold {short}"
                self._complain(f"{both} under generation {fence}")
            leased = story.holders.get(fence) == self._register.address(node)
            if self._tellers.votes_on(claim.task):
                if wrong := self._tellers.begins(node, claim.task, fence):
                    self._complain(wrong)
            elif not leased and story.issuer != node.number:
                self._complain(f"{node.name} begins {short} without a lease")
        if claim.exclusive and story.handed_in not in {None, node.number}:
            self._complain(f"{node.name} begins {short}, which is exclusive and done")
        others = [at for at in story.working if at != at_work]
        if others and story.asked is not None and story.asked.exclusive:
            both = f"n{others[0][1]} and {node.name} both work {short}"
            self._complain(f"{both}, which is exclusive")
        story.working[at_work] = claim.settled
        self.beaten(node, claim)
        self.counts["claims held"] += 1

    def beaten(self, node: Node, claim: ClaimView) -> None:
        """A worker's agent beats: its claim holds for another term."""
        story = self.stories.get(claim.task)
        if story is not None:
            until_ms = self._clock() + 1_000 * claim.lease_seconds
            story.alive_ms[node.number] = until_ms

    def let_go(self, node: Node, claim: ClaimView) -> None:
        """A worker's agent works a task no longer."""
        story = self.stories.get(claim.task)
        if story is not None:
            story.working.pop((claim.generation, node.number), None)
            story.alive_ms.pop(node.number, None)

    def finished(self, claim: ClaimView, result: bytes) -> None:
        """A worker's agent hands a result in under its fence."""
        story = self.stories.get(claim.task)
        if story is not None:
            made = story.results.setdefault(claim.generation, {})
            made[sha256(result).digest()] = None
        self.counts["results"] += 1

    def made_way(self, node: Node, claim: ClaimView) -> None:
        """A worker's agent puts a task down for a flash one.

        Twice at most, as far as its fence is known: the halves of a cut net count on
        from the same fence, and each of them may come that far.
        """
        story = self.stories.get(claim.task)
        self.counts["made way"] += 1
        if story is None or story.asked is None:
            return
        short, fence = claim.task.short, claim.generation
        at_work = (fence, node.number, node.lives)
        if story.asked.exclusive:
            self._complain(f"{short} makes way, although it is exclusive")
        if level_of(urgency_code(story.asked.urgency)) is not SLOW:
            self._complain(f"{short} makes way, although it is not slow")
        if fence > INTERRUPTIONS_MAX:
            self._complain(f"{short} makes way, although its fence is {fence}")
        if at_work in story.yielded:
            self._complain(f"{node.name} puts {short} down twice under fence {fence}")
        story.yielded[at_work] = None


def promised(stories: Mapping[TaskId, TaskStory]) -> dict[TaskId, TaskStory]:
    """Every task a node promised to look after."""
    return {
        task: story for task, story in stories.items() if story.accepted_ms is not None
    }


def unfinished(
    stories: Mapping[TaskId, TaskStory], register: Register, gone: Mapping[int, None]
) -> list[tuple[TaskId, TaskStory]]:
    """Promised tasks that are neither done nor cancelled as far as seen.

    An exclusive task in the hands of somebody hostile, or ``gone`` for good, waits
    until its time is up, as it should, and so does whatever takes its result. A task
    whose issuer is gone for good has nobody left to say what became of it.
    """
    stuck: dict[TaskId, None] = {}
    left = promised(stories)
    while more := [t for t in left if _is_stuck(left[t], stuck, register, gone)]:
        stuck |= dict.fromkeys(more)
        left = {task: story for task, story in left.items() if task not in stuck}
    return [
        (task, story)
        for task, story in left.items()
        if story.issuer not in gone
        and (story.last is None or story.last.status not in FINAL)
    ]


def _is_stuck(
    story: TaskStory,
    stuck: Mapping[TaskId, None],
    register: Register,
    gone: Mapping[int, None],
) -> bool:
    """Whether a task waits for somebody from whom nothing can be expected."""
    asked, last = story.asked, story.last
    if asked is None or last is None:
        return False
    if last.status is TaskStatus.OPEN:
        return any(task in stuck for task in asked.inputs)
    holder = None if last.holder is None else register.node(last.holder)
    lost = holder is not None and (register.is_hostile(holder) or holder.number in gone)
    return asked.exclusive and lost and last.status not in FINAL


def _came_to(story: TaskStory, digest: bytes, register: Register) -> bool:
    """Whether this is a result that was handed in, or may be a stranger's."""
    nodes = [register.node(holder) for holder in story.holders.values()]
    strange = any(node is None or register.is_hostile(node) for node in nodes)
    return strange or any(digest in of_one for of_one in story.results.values())


def doubles(stories: Mapping[TaskId, TaskStory]) -> list[tuple[TaskId, int, int]]:
    """Tasks with the numbers of two nodes that work them under settled claims."""
    found: list[tuple[TaskId, int, int]] = []
    for task, story in stories.items():
        alone = sorted(at for at, settled in story.working.items() if settled)
        found += [
            (task, one, other)
            for (fence, one), (also, other) in pairwise(alone)
            if fence == also
        ]
    return found


def _too_soon(claim: ClaimView, story: TaskStory, since_ms: int | None) -> str:
    """What is wrong with work that begins without the issuer, if anything is."""
    if story.asked is not None and story.asked.exclusive:
        return f"settles {claim.task.short}, which is exclusive"
    if since_ms is None or since_ms < SETTLE_MS:
        return f"begins {claim.task.short} before it is settled"
    return ""
