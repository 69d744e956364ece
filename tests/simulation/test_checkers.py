"""The checkers: a promise broken by hand is complained of, an honest story is not."""

from collections import deque
from dataclasses import dataclass
from hashlib import sha256

import pytest

from nestmate_protocol.effects import Channel, Notify, Publish, Send, Strike
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import Address, PeerId, TaskId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import make_frame, sign_record
from nestmate_protocol.signals.claims import Claim, Lease, Receipt, Verdict
from nestmate_protocol.signals.requests import (
    ClaimView,
    DepositTask,
    TaskStatus,
    TaskView,
)
from nestmate_protocol.simulation.cast import NETWORK
from nestmate_protocol.simulation.checkers import (
    Ledger,
    doubles,
    unfinished,
)
from nestmate_protocol.simulation.gossip import Opener
from nestmate_protocol.simulation.growth import crowded
from nestmate_protocol.simulation.register import Register

TASK = TaskId(b"t" * 32)
RESULT = b"result"


@dataclass(frozen=True)
class Somebody:
    """Stands in for a node where the ledger needs no more than its number."""

    number: int
    lives: int = 1

    @property
    def name(self) -> str:
        return f"n{self.number}"

    @property
    def peer(self) -> PeerId:
        return PeerId(bytes([self.number]) * 32)

    @property
    def key(self) -> SigningKey:
        return SigningKey(bytes([self.number]) * 32)

    @property
    def address(self) -> Address:
        return Address(bytes([self.number]) * 32)


ISSUER, WORKER, OTHER, ENEMY = map(Somebody, range(4))


def the_lease(generation, holder, renewal=0):
    return Lease(TASK, generation, holder.address, 15, 0, None, renewal)


class Play:
    """A ledger, and people who do things before its eyes."""

    def __init__(self) -> None:
        self.register = register = Register()
        for who in (ISSUER, WORKER, OTHER, ENEMY):
            hostile = who is ENEMY
            register.enrol(who, who.address, who.key.public, hostile=hostile)
        self.complaints: list[str] = []
        self.now_ms = 0
        self.ledger = Ledger(
            register, Opener(NETWORK), self.complaints.append, lambda: self.now_ms
        )

    def show(self, who, body):
        record = sign_record(who.key, NETWORK, body.kind, body.fields())
        self.ledger.watch(who, Publish("topic", record.data, 0, urgent=False))

    def post(self, who, body):
        record = sign_record(who.key, NETWORK, body.kind, body.fields())
        frame = make_frame([(record.data, 0)])
        self.ledger.watch(who, Send(PeerId(b"p" * 32), Channel.SIGNALS, frame))

    def lease(self, generation, holder, renewal=0):
        self.show(ISSUER, the_lease(generation, holder, renewal))

    def hold(self, generation, worker):
        claim = ClaimView(TASK, "s", ISSUER.address, generation, 15, 15.0, 0.5, b"")
        self.ledger.held(worker, claim)
        return claim

    def settle(self, generation, worker, after_ms=1_000):
        """A worker claims to the topic, and begins so much later."""
        self.show(worker, Claim(TASK, worker.address, generation, 900, 60))
        self.now_ms += after_ms
        at = (TASK, "s", ISSUER.address, generation, 15, 15.0, 0.5, b"")
        self.ledger.held(worker, ClaimView(*at, settled=True))

    def accept(self, *, exclusive):
        asked = DepositTask("s", 0.5, exclusive=exclusive)
        self.ledger.accepted(ISSUER, TASK, asked)

    def finish(self, generation, worker, result=RESULT):
        self.ledger.finished(self.hold(generation, worker), result)

    def receipt(self, generation, holder, result=RESULT):
        digest = sha256(result).digest()
        fields = (TASK, generation, holder.address, digest, 1, 0, Verdict.ACCEPTED)
        self.show(ISSUER, Receipt(*fields))

    def view(self, generation, status, result=None):
        seen = TaskView(
            *(TASK, "s", ISSUER.address, True, status, 0.5, 1.0, 1.0, generation),
            *(None, None, result, "", 0),
        )
        self.ledger.viewed(ISSUER, seen)


@pytest.fixture
def play():
    return Play()


def test_an_honest_story_is_not_complained_of(play):
    play.lease(1, WORKER)
    play.hold(1, WORKER)
    play.lease(1, WORKER, renewal=3)
    play.lease(2, OTHER)
    play.finish(2, OTHER)
    play.receipt(2, OTHER)
    play.receipt(2, OTHER)
    play.view(2, TaskStatus.DONE, RESULT)
    assert play.complaints == []


def test_two_holders_of_one_fence_are_found(play):
    play.lease(1, WORKER)
    play.lease(1, OTHER)
    assert "to n1 and to n2" in play.complaints[0]


def test_two_agents_that_hold_one_fence_are_found(play):
    play.lease(1, WORKER)
    play.hold(1, WORKER)
    play.hold(1, OTHER)
    assert "n1 and n2 both hold" in play.complaints[0]


@pytest.mark.parametrize("exclusive", [True, False])
def test_only_an_exclusive_task_must_not_be_worked_twice_at_once(play, exclusive):
    play.accept(exclusive=exclusive)
    play.lease(1, WORKER)
    first = play.hold(1, WORKER)
    play.ledger.let_go(WORKER, first)
    play.lease(2, OTHER)
    play.hold(2, OTHER)
    assert play.complaints == []
    play.lease(3, WORKER)
    play.hold(3, WORKER)
    assert [("exclusive" in each) for each in play.complaints] == [True] * exclusive


def test_work_without_a_lease_is_found(play):
    play.accept(exclusive=False)
    play.hold(1, WORKER)
    assert "n1 begins" in play.complaints[0]


def test_work_that_was_settled_needs_no_lease_and_its_result_counts(play):
    play.accept(exclusive=False)
    play.settle(1, WORKER)
    play.ledger.finished(play.hold(1, WORKER), RESULT)
    play.receipt(1, WORKER)
    assert play.complaints == []


def test_work_that_begins_before_it_is_settled_is_found(play):
    play.accept(exclusive=False)
    play.settle(1, WORKER, after_ms=900)
    assert "before it is settled" in play.complaints[0]


def test_an_exclusive_task_that_workers_settle_is_found(play):
    play.accept(exclusive=True)
    play.settle(1, WORKER)
    assert "settles" in play.complaints[0]


def test_two_who_work_one_settled_task_are_seen_until_one_is_told(play):
    play.accept(exclusive=False)
    play.settle(1, WORKER)
    play.settle(1, OTHER)
    assert doubles(play.ledger.stories) == [(TASK, WORKER.number, OTHER.number)]
    play.ledger.watch(OTHER, Notify("claim.lost", TASK))
    assert doubles(play.ledger.stories) == []


def test_a_generation_that_falls_is_found(play):
    play.lease(2, WORKER)
    play.lease(1, WORKER)
    assert "fall from generation 2 to 1" in play.complaints[0]


def test_a_lease_that_waited_for_its_holder_may_come_late(play):
    play.lease(2, OTHER)
    play.post(ISSUER, the_lease(1, WORKER))
    assert play.complaints == []


def test_a_result_under_an_old_fence_is_found(play):
    play.lease(1, WORKER)
    play.finish(1, WORKER)
    play.lease(2, OTHER)
    play.receipt(1, WORKER)
    assert "under generation 1 after 2" in play.complaints[0]


def test_a_result_from_somebody_who_never_held_the_task_is_found(play):
    play.lease(1, WORKER)
    play.receipt(1, OTHER)
    assert "who never held generation 1" in play.complaints[0]


def test_a_second_result_is_found(play):
    play.lease(1, WORKER)
    play.finish(1, WORKER)
    play.finish(1, WORKER, b"another")
    play.receipt(1, WORKER)
    play.receipt(1, WORKER, b"another")
    assert "takes a second result" in play.complaints[0]


def test_a_result_its_maker_never_made_is_found(play):
    play.lease(1, WORKER)
    play.finish(1, WORKER)
    play.receipt(1, WORKER, b"forged")
    assert "that n1 never made" in play.complaints[0]


def test_a_hostile_worker_may_hand_in_what_it_likes_under_its_own_fence(play):
    play.lease(1, ENEMY)
    play.receipt(1, ENEMY, b"rubbish")
    assert play.complaints == []


def test_a_lease_after_the_result_is_found(play):
    play.lease(1, WORKER)
    play.finish(1, WORKER)
    play.receipt(1, WORKER)
    play.lease(2, OTHER)
    assert "again when done" in play.complaints[0]


def test_a_task_that_changes_after_its_end_is_found(play):
    play.view(1, TaskStatus.CANCELLED)
    play.view(1, TaskStatus.OPEN)
    assert "after it was cancelled" in play.complaints[0]


def test_a_strike_against_an_honest_peer_is_found(play):
    play.ledger.watch(ISSUER, Strike(ENEMY.peer, Fault.MALFORMED))
    assert play.complaints == []
    play.ledger.watch(ISSUER, Strike(WORKER.peer, Fault.MALFORMED))
    assert play.complaints == ["n0 strikes honest n1 for malformed"]


def test_a_frame_that_others_cannot_open_is_found(play):
    play.ledger.watch(ISSUER, Send(PeerId(b"p" * 32), Channel.SIGNALS, b"rubbish"))
    assert "shows a frame that is" in play.complaints[0]


def test_what_grows_without_a_bound_is_found_wherever_it_hides(play):
    play.kept = {"deep": [deque(range(20))]}
    assert crowded(play, most=20) == []
    assert crowded(play, most=19) == ["Play.kept[][] keeps 20 items"]


def slow_claim(generation):
    return ClaimView(TASK, "s", ISSUER.address, generation, 15, 15.0, 0.1, b"")


@pytest.mark.parametrize(
    ("urgency", "exclusive", "times", "sentence"),
    [
        (0.1, False, 3, "its fence is 3"),
        (0.1, True, 1, "is exclusive"),
        (0.25, False, 1, "is not slow"),
    ],
)
def test_a_task_that_must_not_make_way_is_found(
    play, urgency, exclusive, times, sentence
):
    asked = DepositTask("s", urgency, exclusive=exclusive)
    play.ledger.accepted(ISSUER, TASK, asked)
    for generation in range(times):
        assert play.complaints == []
        play.ledger.made_way(WORKER, slow_claim(generation + 1))
    assert sentence in play.complaints[0]


def test_a_node_that_puts_a_task_down_twice_under_one_fence_is_found(play):
    play.ledger.accepted(ISSUER, TASK, DepositTask("s", 0.1))
    play.ledger.made_way(WORKER, slow_claim(2))
    play.ledger.made_way(OTHER, slow_claim(2))  # on the other side of a cut
    assert play.complaints == []
    play.ledger.made_way(WORKER, slow_claim(2))
    assert "twice under fence 2" in play.complaints[0]


def the_view(task, status, holder=None):
    address = None if holder is None else holder.address
    return TaskView(
        *(task, "s", ISSUER.address, True, status, 0.5, 1.0, 1.0, 1),
        *(address, None, None, "", 0),
    )


def waiting(play, *, exclusive):
    """A lost holder's task, one that takes its result and one of that; what is left."""
    tasks = [TASK, TaskId(b"u" * 32), TaskId(b"v" * 32)]
    asked = [DepositTask("s", 0.5, exclusive=exclusive)]
    asked += [DepositTask("s", 0.5, inputs=(task,)) for task in tasks[:2]]
    for task, body in zip(tasks, asked, strict=True):
        play.ledger.accepted(ISSUER, task, body)
        play.ledger.viewed(ISSUER, the_view(task, TaskStatus.OPEN))
    play.ledger.viewed(ISSUER, the_view(TASK, TaskStatus.GRANTED, WORKER))
    left = unfinished(play.ledger.stories, play.register, {WORKER.number: None})
    return tasks, [task for task, _ in left]


def test_what_waits_for_an_exclusive_task_of_a_lost_holder_waits_rightly(play):
    _, left = waiting(play, exclusive=True)
    assert left == []


def test_any_other_task_of_a_lost_holder_is_to_be_done_and_all_that_takes_it(play):
    tasks, left = waiting(play, exclusive=False)
    assert left == tasks


@pytest.mark.parametrize(("seconds", "found"), [(14, True), (16, False)])
def test_a_holder_that_beats_and_loses_its_task_where_nothing_breaks_is_found(
    play, seconds, found
):
    play.ledger.nothing_breaks = True
    play.lease(1, WORKER)
    play.hold(1, WORKER)
    play.now_ms += 1_000 * seconds
    play.ledger.watch(WORKER, Notify("claim.lost", TASK))
    assert [each for each in play.complaints if "although it beats" in each] == (
        [f"n1 loses {TASK.short}, although it beats"] if found else []
    )
