"""Sync: replicas come to hold the same, over slow, lossy and broken wires.

The wires keep order. What an op says is no matter here; see ``village``.
"""

import random
from itertools import count

import pytest

from nestmate_protocol.effects import Send
from nestmate_protocol.ids import SpaceId
from nestmate_protocol.limits import (
    OPS_FRAMES_UNDERWAY_MAX,
    PUSHED_TO_MAX,
    SYNC_EVERY_MS,
)
from nestmate_protocol.spaces.ops import Dot, Lane
from nestmate_protocol.spaces.sync.floor import Offered
from nestmate_protocol.spaces.sync.frames import (
    Credit,
    Done,
    End,
    Hello,
    Ops,
    Proof,
    Ranges,
    State,
    unpack,
)

from .village import SPACE, Village, id_of, op, ops_sent, welcome

HOUR = 3_600_000 << 16


def many(count, start=0, lane=Lane.DATA):
    return [op(n * HOUR, b"%d" % n, lane) for n in range(start, start + count)]


def pair(mine, theirs, **options):
    village = Village(2, **options)
    village.nodes[0].shelf.add(*mine)
    village.nodes[1].shelf.add(*theirs)
    village.connect(0, 1)
    return village


def test_who_is_in_step_finds_out_in_one_round_trip_and_hundred_bytes():
    lanes = [*many(2_000), *many(3, 5_000, Lane.AUTH), *many(1, 6_000, Lane.EPHEMERAL)]
    village = pair(lanes, lanes)
    village.run(SYNC_EVERY_MS * 1.3 / 1_000)
    first, second = village.nodes
    states, dones = first.frames(State), second.frames(Done)
    assert {done.end for done in dones} == {End.EQUAL}
    assert first.frames(Ranges) == second.frames(Ranges) == []
    assert len(states) == len(dones) > 0
    bytes_ = [len(d) for d in first.sent if isinstance(unpack(d), State)]
    answers = [len(d) for d in second.sent if isinstance(unpack(d), Done)]
    assert bytes_[0] + answers[0] <= 100


def test_ten_recent_ops_cost_two_round_trips_and_little_more_than_themselves():
    village = pair(many(2_000), many(1_990), delay_ms=500)
    began = village.now.mono_ms
    village.settle()
    greeting, round_trip = 2 * 500, 2 * 500
    assert village.now.mono_ms - began <= greeting + 2 * round_trip + 100
    assert sum(node.bytes_sent for node in village.nodes) <= 2_500


def test_what_either_side_lacks_is_handed_over_once():
    both, mine, theirs = many(500), many(40, 1_000), many(60, 2_000)
    village = pair(both + mine, both + theirs)
    village.settle()
    assert [ops_sent(node) for node in village.nodes] == [40, 60]
    assert [max(node.shelf.taken.values()) for node in village.nodes] == [1, 1]


@pytest.mark.parametrize("seed", range(4))
def test_five_replicas_come_to_hold_the_same_whatever_is_cut(seed):
    chance = random.Random(seed)
    village = Village(5, seed, delay_ms=chance.choice([1, 30, 200]))
    lanes = [Lane.AUTH, Lane.DATA, Lane.DATA, Lane.EPHEMERAL]
    wires = [op(n * HOUR, b"%d" % n, chance.choice(lanes)) for n in range(400)]
    for node in village.nodes:
        node.shelf.add(*[wire for wire in wires if chance.random() < 0.5])
    village.mesh()
    for _ in range(8):
        village.run(chance.random() / 2)
        one, other = chance.sample(range(5), 2)
        village.cut(one, other)
        village.write(chance.randrange(5), op(chance.randrange(HOUR), b"new"))
        village.run(chance.random() / 4)
        village.connect(one, other)
    assert village.settle() <= 5
    assert [node.strikes for node in village.nodes] == [[]] * 5


@pytest.mark.parametrize("seed", range(3))
def test_lost_frames_are_made_up_for(seed):
    chance = random.Random(seed)
    village = pair(many(600), many(600, 300), seed=seed)
    greeted = (Hello, Proof)
    village.losing = lambda data: (
        not isinstance(unpack(data), greeted) and chance.random() < 0.1
    )
    village.settle(seconds=600)
    assert [node.strikes for node in village.nodes] == [[], []]


def test_who_was_cut_off_goes_on_where_it_was():
    village = pair(many(6_000), [])
    while len(village.nodes[1].shelf.wires) < 3_000:
        village.run(0.02)
    village.cut(0, 1)
    held = len(village.nodes[1].shelf.wires)
    before = village.nodes[0].frames(Ops)
    village.connect(0, 1)
    village.settle()
    again = village.nodes[0].frames(Ops)[len(before) :]
    assert sum(len(frame.ops) for frame in again) <= 6_000 - held


def test_a_new_op_is_everywhere_at_once():
    village = Village(5, delay_ms=10)
    village.mesh()
    village.run(1)
    village.write(2, op(HOUR, b"news"))
    assert village.settle() <= 0.05


def test_a_new_op_goes_through_those_who_are_not_members_neighbours():
    village = Village(4, delay_ms=10)
    for number in range(3):
        village.connect(number, number + 1)
    village.run(1)
    village.write(0, op(HOUR, b"news"))
    assert village.settle() <= 0.15
    assert [ops_sent(node) for node in village.nodes] == [1, 1, 1, 0]


def test_few_are_pushed_to_and_ops_that_come_together_go_together():
    village = Village(12, delay_ms=1)
    for number in range(1, 12):
        village.connect(0, number)
    village.run(1)
    before = len(village.nodes[0].frames(Ops))
    for number in range(30):
        village.write(0, op(number, b"fast"))
    village.run(0.002)
    pushed = village.nodes[0].frames(Ops)[before:]
    assert len(pushed) <= 11
    assert max(len(frame.ops) for frame in pushed) == 1
    village.run(0.1)
    assert ops_sent(village.nodes[0]) == 30 * PUSHED_TO_MAX
    assert len(village.nodes[0].frames(Ops)) <= 2 * 11


def test_what_a_run_brought_is_passed_on_by_runs_with_a_few():
    village = Village(13)
    for number in range(1, 12):
        village.connect(0, number)
    village.run(1)
    village.nodes[12].shelf.add(*many(40))
    before = len(village.nodes[0].frames(State))
    village.connect(0, 12)
    village.run(0.8)
    assert len(village.nodes[0].shelf.wires) == 40
    held = [len(node.shelf.wires) for node in village.nodes[1:12]]
    assert held.count(40) == PUSHED_TO_MAX
    assert len(village.nodes[0].frames(State)) > before
    assert village.settle(seconds=200) < 120


def test_the_auth_lane_comes_first():
    mixed = [*many(100), *many(100, 50, Lane.AUTH), *many(10, 50, Lane.EPHEMERAL)]
    village = pair(mixed, [])
    village.settle()
    order = village.nodes[1].shelf.order
    assert order == sorted(order)


def test_no_more_ops_are_under_way_than_there_is_credit_for():
    village = pair(many(3_000), [], delay_ms=3_000)
    village.run(14)
    assert len(village.nodes[0].frames(Ops)) == OPS_FRAMES_UNDERWAY_MAX
    assert not village.nodes[1].frames(Credit)
    village.settle()
    assert village.nodes[1].frames(Credit)


def test_ops_are_given_to_nobody_without_a_key_that_may_have_them():
    village = Village(2, members=False)
    owner, other = village.nodes
    owner.shelf.add(*many(50), welcome(1, owner.shelf.key.public))
    other.shelf.add(*many(1, 900))
    village.connect(0, 1)
    village.run(100)
    assert len(other.shelf.wires) == 1
    assert owner.frames(Ranges) == owner.frames(Ops) == other.frames(Ops) == []


@pytest.mark.parametrize("member", [0, 1])
def test_a_newcomer_is_served_as_soon_as_it_is_known(member):
    village = Village(2, members=False)
    old, new = village.nodes[member], village.nodes[1 - member]
    old.shelf.add(*many(50), welcome(1, old.shelf.key.public))
    village.connect(0, 1)
    village.run(1)
    old.shelf.add(welcome(HOUR, new.shelf.key.public))
    old.sessions.rights_changed(SPACE, village.now)
    assert village.settle() < 2


def test_nothing_about_a_space_is_said_to_whom_does_not_know_it():
    village = Village(2)
    village.nodes[0].shelf.add(*many(50))
    village.nodes[1].shelf.in_spaces = [SpaceId(b"\x22" * 32)]
    village.connect(0, 1)
    village.run(100)
    [hello] = village.nodes[0].frames(Hello)
    assert len(village.nodes[0].sent) == 1
    assert SPACE.raw not in hello.salt + b"".join(hello.tags)


def test_who_has_no_space_is_silent_until_it_joins_one():
    village = Village(2)
    old, new = village.nodes
    old.shelf.add(*many(50))
    new.shelf.in_spaces = []
    village.connect(0, 1)
    village.run(1)
    assert new.sent == []
    new.shelf.in_spaces = [SPACE]
    village.act(new, new.sessions.joined(SPACE, village.now))
    assert village.settle() < 2


def test_who_left_a_space_hears_no_more_of_it_and_may_come_back():
    village = pair(many(50), many(50))
    village.run(1)
    old, new = village.nodes
    new.shelf.in_spaces = []
    new.sessions.left(SPACE)
    village.write(0, op(HOUR, b"missed"))
    village.run(1)
    assert not village.equal()
    assert new.strikes == old.strikes == []
    new.shelf.in_spaces = [SPACE]
    village.act(new, new.sessions.joined(SPACE, village.now))
    assert village.settle() < 2
    assert new.strikes == old.strikes == []


def test_two_who_begin_at_once_agree_on_one_run():
    village = pair(many(50), many(50, 20))
    village.settle()
    village.run(1)
    for node, other in zip(village.nodes, reversed(village.nodes), strict=True):
        node.shelf.add(op(7, node.peer.raw[:1]))
        node.sessions._floor.timetable.soon(SPACE, other.peer, village.now)
    assert village.settle() < 1
    assert [node.strikes for node in village.nodes] == [[], []]


def test_an_offer_reaches_the_one_it_is_for():
    village = Village(2)
    village.connect(0, 1)
    grant = Dot(bytes(33))
    first, second = village.nodes
    village.act(first, first.sessions.offer(second.peer, SPACE, "garden", grant))
    village.run(0.1)
    assert second.other == [Offered(first.peer, SPACE, "garden", grant)]


def test_the_next_member_is_drawn_by_chance_and_all_have_their_turn():
    village = Village(4, members=True)
    village.mesh()
    village.run(1)
    village.nodes[3].sent.clear()
    targets = set()
    sessions = village.nodes[3].sessions
    for _ in range(30):
        village.now = village.now.later(2 * SYNC_EVERY_MS)
        sent = sessions.wake(village.now)
        targets |= {each.peer for each in sent if isinstance(each, Send)}
    assert len(targets) == 3


def test_ops_that_went_through_a_run_are_not_pushed_one_by_one():
    village = Village(3)
    village.nodes[0].shelf.add(*many(300))
    village.connect(0, 1)
    village.connect(1, 2)
    assert village.settle() < 3
    assert {frame.run > 0 for frame in village.nodes[1].frames(Ops)} == {True}
    assert id_of(many(1)[0]) in village.nodes[2].shelf.wires


def test_who_was_a_member_once_hears_who_may_do_what_and_nothing_else():
    village = Village(2)
    owner, other = village.nodes
    owner.shelf.members.discard(other.shelf.key.public)
    owner.shelf.once.add(other.shelf.key.public)
    owner.shelf.add(*many(5, lane=Lane.AUTH), *many(7, 100))
    village.connect(0, 1)
    village.run(60)
    assert other.shelf.order == [Lane.AUTH] * 5
    assert all(state.lanes[1:] == (None, None) for state in owner.frames(State))


@pytest.mark.parametrize("lost", range(6))
def test_a_greeting_that_was_lost_is_said_again(lost):
    village = Village(2)
    village.nodes[0].shelf.add(*many(5))
    counted = count()
    village.losing = lambda _: next(counted) == lost
    village.connect(0, 1)
    assert village.settle() < 40
