"""Budgets, bans and the limits on who comes in, on a clock that jumps."""

import json

import pytest
import trio

from nestmate.network.base import Counters, NetworkOptions
from nestmate.network.libp2p import guard
from nestmate.network.libp2p.bans import RECORDS_MAX, WEIGHTS, Bans
from nestmate.network.libp2p.guard import Bucket, Budgets, InboundLimiter
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import NetworkId, PeerId
from nestmate_protocol.limits import (
    BAN_MS_MAX,
    BAN_MS_MIN,
    BULK_BYTES_PER_PEER_BURST,
    BULK_BYTES_PER_PEER_PER_SECOND,
    BYTES_PER_PEER_BURST,
    CONNECTIONS_IN_MAX,
    CONNECTIONS_PER_IP_MAX,
    CONNECTIONS_RESERVED,
)

FRIEND = PeerId(b"f" * 32)
RUDE = PeerId(b"r" * 32)


class Calendar:
    """A clock of Unix seconds that a test moves."""

    def __init__(self):
        self.seconds = 1_000_000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def calendar():
    return Calendar()


def strike_out(bans, peer=RUDE):
    return [bans.strike_peer(peer, Fault.BAD_SIGNATURE) for _ in range(4)]


def test_strikes_that_come_one_after_the_other_all_count(calendar):
    bans = Bans(now=calendar)
    for _ in range(3):
        assert not bans.strike_peer(RUDE, Fault.BAD_SIGNATURE)
        calendar.seconds += 5
    assert bans.strike_peer(RUDE, Fault.BAD_SIGNATURE)


def test_the_door_shuts_with_the_twentieth_strike_and_opens_again(calendar):
    bans = Bans(now=calendar)
    assert strike_out(bans) == [False, False, False, True]
    assert bans.bars_peer(RUDE)
    assert not bans.bars_peer(FRIEND)
    calendar.seconds += BAN_MS_MIN / 1000
    assert not bans.bars_peer(RUDE)


def test_each_further_ban_lasts_twice_as_long_up_to_a_day(calendar):
    bans = Bans(now=calendar)
    lasted = []
    for _ in range(10):
        strike_out(bans)
        began = calendar.seconds
        while bans.bars_peer(RUDE):
            calendar.seconds += 60
        lasted.append(round(calendar.seconds - began) * 1000)
    assert lasted[:3] == [BAN_MS_MIN, 2 * BAN_MS_MIN, 4 * BAN_MS_MIN]
    assert lasted[-1] == BAN_MS_MAX


def test_rare_faults_fade_before_they_add_up(calendar):
    bans = Bans(now=calendar)
    for _ in range(1_000):
        assert not bans.strike_peer(FRIEND, Fault.BAD_SIGNATURE)
        calendar.seconds += 300


def test_bans_outlive_a_restart_and_so_does_their_number(calendar):
    bans = Bans(now=calendar)
    strike_out(bans)
    bans.shut_address("192.0.2.7")
    again = Bans(bans.dump(), now=calendar)
    assert again.bars_peer(RUDE)
    assert again.bars_address("192.0.2.7")
    calendar.seconds += BAN_MS_MIN / 1000
    strike_out(again)
    calendar.seconds += BAN_MS_MIN / 1000
    assert again.bars_peer(RUDE)


@pytest.mark.parametrize("kept", [b"\xff", b"{}", b"[[1]]", b'[["a", "b", "c"]]', b"["])
def test_a_damaged_note_costs_the_bans_and_not_the_start(kept):
    assert not Bans(kept).bars_peer(RUDE)


def test_a_day_after_its_last_ban_a_peer_begins_anew(calendar):
    bans = Bans(now=calendar)
    strike_out(bans)
    calendar.seconds += 2 * BAN_MS_MAX / 1000
    assert bans.dump() == b""
    strike_out(bans)
    [[_, times, _]] = json.loads(bans.dump())
    assert times == 1


def test_strikes_against_ever_new_names_are_bounded_and_forget_no_ban(calendar):
    bans = Bans(now=calendar)
    strike_out(bans)
    for number in range(2 * RECORDS_MAX):
        bans.strike_peer(PeerId(number.to_bytes(32)), Fault.OVER_LIMIT)
    assert len(bans._standings) <= RECORDS_MAX
    assert bans.bars_peer(RUDE)


def test_every_fault_has_a_weight():
    assert set(WEIGHTS) == set(Fault)
    assert WEIGHTS[Fault.STALE_GENERATION] == 0


async def test_a_bucket_gives_its_burst_and_then_its_rate(autojump_clock):
    bucket = Bucket(per_second=10, burst=5)
    assert [bucket.take() for _ in range(6)] == [True] * 5 + [False]
    began = trio.current_time()
    for _ in range(20):
        await bucket.pay()
    assert trio.current_time() - began == pytest.approx(2.0)


async def test_a_budget_outlives_its_connection_and_idle_ones_go(autojump_clock):
    budgets = Budgets()
    spent = budgets.of(RUDE)
    await spent.pay(500_000)
    for number in range(2_000):
        budgets.of(PeerId(number.to_bytes(32)))
    assert budgets.of(RUDE) is spent
    assert len(budgets._budgets) <= 1_025


async def test_what_bulk_channels_carry_leaves_the_others_budget_alone(autojump_clock):
    budget = Budgets().of(RUDE)
    began = trio.current_time()
    await budget.pay_bulk(BULK_BYTES_PER_PEER_BURST + BULK_BYTES_PER_PEER_PER_SECOND)
    assert trio.current_time() - began == pytest.approx(1.0)
    assert not budget.is_full
    await budget.pay(BYTES_PER_PEER_BURST)
    assert trio.current_time() - began == pytest.approx(1.0)


def make_limiter(**options):
    wanted = NetworkOptions(bytes(32), NetworkId(bytes(32)), **options)
    return InboundLimiter(wanted, Counters())


def enter(limiter, group, stack):
    room = limiter.room(group)
    stack.append(room)
    return room.__enter__()


def leave(stack):
    while stack:
        stack.pop().__exit__(None, None, None)


async def test_one_address_gets_so_many_places_and_others_their_own(autojump_clock):
    limiter, stack = make_limiter(), []
    rooms = [enter(limiter, "192.0.2.7", stack) for _ in range(20)]
    assert rooms.count(True) == CONNECTIONS_PER_IP_MAX
    assert enter(limiter, "192.0.2.8", stack)
    leave(stack)
    assert limiter.total == 0


async def test_one_address_knocks_only_so_often(autojump_clock):
    limiter, stack = make_limiter(), []
    for _ in range(int(guard.ARRIVALS_PER_IP_BURST)):
        assert enter(limiter, "192.0.2.7", stack)
        leave(stack)
    assert not enter(limiter, "192.0.2.7", stack)
    with trio.move_on_after(2.0):
        await trio.Event().wait()
    assert enter(limiter, "192.0.2.7", stack)


async def test_loopback_counts_only_if_it_is_told_to(autojump_clock):
    for one_ip in (False, True):
        limiter, stack = make_limiter(loopback_is_one_ip=one_ip), []
        rooms = [enter(limiter, "127.0.0.1", stack) for _ in range(20)]
        assert all(rooms) is not one_ip


async def test_rooms_are_kept_for_friends_when_all_others_are_taken(autojump_clock):
    limiter, stack = make_limiter(), []
    for _ in range(CONNECTIONS_IN_MAX + CONNECTIONS_RESERVED):
        assert enter(limiter, "127.0.0.1", stack)
    assert not enter(limiter, "127.0.0.1", stack)
    assert not limiter.has_room_for(pinned=False)
    assert limiter.has_room_for(pinned=True)


async def test_a_slow_handshake_makes_room_when_room_is_needed(autojump_clock):
    limiter, stack, ousted = make_limiter(connections_in_max=0), [], []

    async def dawdle(group):
        with limiter.room(group) as room, limiter.handshake(group):
            assert room
            await trio.sleep_forever()
        ousted.append(group)

    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS_RESERVED):
            nursery.start_soon(dawdle, f"192.0.2.{number}")
        await trio.testing.wait_all_tasks_blocked()
        assert not enter(limiter, "198.51.100.1", stack)
        with trio.move_on_after(1.5):
            await trio.Event().wait()
        assert enter(limiter, "198.51.100.2", stack)
        await trio.testing.wait_all_tasks_blocked()
        assert len(ousted) == 1
        nursery.cancel_scope.cancel()
