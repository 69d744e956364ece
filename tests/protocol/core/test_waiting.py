"""What waits: records for an address, records of an unknown key, topics and turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.announcing import Announcing
from nestmate_protocol.directory.links import Ration
from nestmate_protocol.directory.outbox import (
    ADDRESSES_MAX,
    RECORDS_PER_ADDRESS_MAX,
    WAIT_MS_MAX,
    Outbox,
)
from nestmate_protocol.directory.parking import ASK_AFTER_MS, Parking
from nestmate_protocol.directory.sought import AGAIN_MS_MAX, FIRST_AFTER_MS, Sought
from nestmate_protocol.directory.topics import Topics, network_id
from nestmate_protocol.effects import Join, Leave
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import PROVIDE_AGAIN_MS, TOPICS_MAX
from nestmate_protocol.records import Carried, Kind, sign_record

START = Moment(1_800_000_000_000, 5_000_000)
ANN = Address(b"\x01" * 32)
BEARER = PeerId(b"\x02" * 32)
NETWORK = NetworkId(b"\x06" * 32)


def record_of(number: int, task: int = 0) -> Carried:
    key = SigningKey(number.to_bytes(32))
    body = {1: task.to_bytes(32), 2: 1}
    return Carried(sign_record(key, NETWORK, Kind.CANCEL, body), 10)


def test_what_waits_for_an_address_comes_out_in_order_and_older():
    outbox = Outbox()
    outbox.put(ANN, b"one", 5, START)
    outbox.put(ANN, b"two", 0, START.later(1_000))
    assert outbox.take(ANN, START.later(3_000)) == [(b"one", 3_005), (b"two", 2_000)]
    assert outbox.take(ANN, START.later(3_000)) == []


def test_a_record_said_twice_waits_once():
    outbox = Outbox()
    for _ in range(3):
        outbox.put(ANN, b"one", 0, START)
    assert outbox.take(ANN, START) == [(b"one", 0)]


def test_what_waits_too_long_is_dropped():
    outbox = Outbox()
    outbox.put(ANN, b"one", 0, START)
    assert outbox.next_wakeup() == START.mono_ms + WAIT_MS_MAX
    outbox.wake(START.later(WAIT_MS_MAX))
    assert len(outbox) == 0
    assert outbox.next_wakeup() is None


def test_the_outbox_keeps_the_newest_within_its_bounds():
    outbox = Outbox()
    for number in range(2 * RECORDS_PER_ADDRESS_MAX):
        outbox.put(ANN, bytes([number]), 0, START)
    first, _ = outbox.take(ANN, START)[0]
    assert first == bytes([RECORDS_PER_ADDRESS_MAX])
    for number in range(2 * ADDRESSES_MAX):
        outbox.put(Address(number.to_bytes(32)), b"one", 0, START)
    assert len(outbox) == ADDRESSES_MAX


def test_a_parked_record_comes_out_older_once_its_author_is_known():
    parking, carried = Parking(), record_of(1)
    assert parking.park(carried, BEARER, START)
    assert parking.park(carried, BEARER, START)
    (released,) = parking.release(carried.record.author, START.later(500))
    assert released == (BEARER, Carried(carried.record, 510))
    assert len(parking) == 0


def test_the_card_of_an_unknown_author_is_asked_for_a_few_times():
    parking, carried = Parking(), record_of(1)
    parking.park(carried, BEARER, START)
    asked, now = 0, START
    while (due := parking.next_wakeup()) is not None:
        now = START.later(due - START.mono_ms)
        asked += parking.wake(now) == [(carried.record.author, BEARER)]
    assert asked == len(ASK_AFTER_MS)
    assert now.mono_ms - START.mono_ms == 30_000


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 40)), max_size=40))
def test_parking_counts_what_it_holds(story):
    parking, now, inside = Parking(), START, set()
    for author, seconds in story:
        now = now.later(seconds * 1_000)
        parking.wake(now)
        carried = record_of(author, len(inside))
        parking.park(carried, PeerId(bytes([author]) * 32), now)
        inside.add(carried.record.id)
        held = len(parking)
        assert 0 < held <= len(inside)
    parking.wake(now.later(30_000))
    assert len(parking) == 0


def joined(effects: list) -> int:
    return sum(isinstance(e, Join) for e in effects) - sum(
        isinstance(e, Leave) for e in effects
    )


def test_own_skills_and_own_calls_come_before_what_is_only_carried():
    topics = Topics(NETWORK)
    total = joined(topics.carry(f"carried {n}" for n in range(2 * TOPICS_MAX)))
    assert total == TOPICS_MAX
    assert joined(topics.offer(["mine"])) == joined(topics.ask("needed")) == 0
    assert "mine" in topics
    assert "needed" in topics
    assert f"carried {TOPICS_MAX - 1}" not in topics
    assert joined(topics.offer([])) == 0


def test_asking_again_joins_nothing_anew():
    topics = Topics(NETWORK)
    assert joined(topics.ask("needed")) == 1
    assert topics.ask("needed") == topics.ask("needed") == []


def test_a_network_is_known_by_its_name_alone():
    assert network_id("main") == network_id("main")
    assert network_id("main") != network_id("Main")


def test_a_friend_away_has_its_turn_soon_then_ever_more_rarely():
    sought = Sought(lambda _: b"\x80")
    sought.miss(ANN, START)
    sought.miss(ANN, START.later(1_000))
    assert sought.next_wakeup() == START.mono_ms + FIRST_AFTER_MS
    pauses, now = [], START
    for _ in range(8):
        due = sought.next_wakeup()
        pauses.append(due - now.mono_ms)
        now = START.later(due - START.mono_ms)
        assert sought.due(now) == [ANN]
    assert pauses[1:4] == [10_000, 20_000, 40_000]
    assert pauses[-1] == AGAIN_MS_MAX
    sought.found(ANN)
    assert sought.next_wakeup() is None


def test_news_are_announced_soon_and_then_twice_a_day():
    announcing, now, pauses = Announcing(), START, []
    announcing.soon(now)
    for _ in range(5):
        due = announcing.next_wakeup()
        pauses.append(due - now.mono_ms)
        now = START.later(due - START.mono_ms)
        assert announcing.is_due(now)
        assert not announcing.is_due(now)
    assert pauses == [500, 60_000, 600_000, PROVIDE_AGAIN_MS, PROVIDE_AGAIN_MS]


@pytest.mark.parametrize("pause_ms", [0, 1, 249])
def test_a_ration_runs_out_and_grows_back(pause_ms):
    ration, now, granted = Ration(4, 250), START, 0
    for _ in range(100):
        granted += ration.take(now)
        now = now.later(pause_ms)
    assert granted <= 4 + 100 * pause_ms // 250 + 1
    assert ration.take(now.later(1_000))
