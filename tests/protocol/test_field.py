"""The field: the same news in any order give the same field, and it fades by itself."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Fields
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import Address, DeviceKey, RecordId
from nestmate_protocol.limits import (
    DEPOSITORS_PER_TASK_MAX,
    EARLY_TASKS_MAX,
    SIGNALS_PER_AUTHOR_BURST,
    TASKS_KNOWN_MAX,
    TASKS_PER_AUTHOR_MAX,
)
from nestmate_protocol.records import Kind, Record
from nestmate_protocol.signals.cells import (
    Life,
    Share,
    Stage,
    done,
    granted,
    join_shares,
)
from nestmate_protocol.signals.field import Field, Sensed
from nestmate_protocol.signals.levels import URGENCY_MAX, value_of
from nestmate_protocol.signals.pace import Pace
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.records import (
    Deposit,
    Link,
    Signal,
    TaskClass,
    task_id,
)

ME = Address(b"m" * 32)
START = Moment(1_800_000_000_000, 9_000_000)
RICH = replace(RULE, credit_cap_signals=10**9)  # nobody's credit runs out
EMPTY = sha256(b"").digest()


def someone(number: int) -> Address:
    return Address(sha256(b"someone %d" % number).digest())


ANN, BOB, CID = someone(1), someone(2), someone(3)
TASK = task_id(ANN, b"key")


def link(seq: int) -> Link:
    return Link(b"i" * 16, seq, None, 0)


def call(seq=1, *, issuer=ANN, key=b"key", code=64, **changes) -> Signal:
    plain = {
        "issuer": issuer,
        "key": key,
        "skill": "dig",
        "urgency_code": code,
        "size_code": 0,
        "ttl_seconds": 3_600,
        "task_class": TaskClass.NORMAL,
        "lease_seconds": 15,
        "link": link(seq),
        "body": b"",
        "body_hash": EMPTY,
        "body_bytes": 0,
        "created_ms": START.wall_ms,
        "generation": 1,
        "open_ms": 0,
    }
    return Signal(**{**plain, **changes})


def record_of(body) -> Record:
    name = RecordId(sha256(repr(body).encode()).digest())
    return Record(name, Kind.SIGNAL, DeviceKey(b"d" * 32), Fields({}), name.raw)


def hear(field: Field, signal: Signal, age_ms=0, now=START):
    return field.sense(signal, record_of(signal), age_ms, now)


def share_in(field, who, code=0):
    deposit = Deposit(ANN, b"key", who, 1, code, link(1))
    return field.deposit(deposit, 0, START)


def state(field: Field, at: Moment):
    return {
        cell.task: (
            cell.life,
            sorted(cell.shares.items()),
            cell.opened_ms,
            cell.sent_ms,
            cell.signal,
            cell.intensity(at.mono_ms),
            cell.strength(at.mono_ms, 100.0),
        )
        for cell in field
    }


# --- joins

SENT = st.integers(0, 30_000)
SIGNALS = st.builds(
    lambda seq, generation, sent: (sent, call(seq, generation=generation)),
    st.integers(1, 4),
    st.integers(1, 3),
    SENT,
)
DEPOSITS = st.builds(
    lambda who, n, code, sent: (
        sent,
        Deposit(ANN, b"key", someone(who), n, code, link(n)),
    ),
    *(st.integers(2, 5), st.integers(1, 3), st.integers(0, 127), SENT),
)
LIVES = st.builds(
    lambda generation, make, who: (0, make(TASK, generation, someone(who))),
    *(st.integers(1, 3), st.sampled_from((granted, done)), st.integers(2, 4)),
)
NEWS = st.lists(st.one_of(SIGNALS, DEPOSITS, LIVES), max_size=8)


def absorb(field, news, now):
    for sent, what in news:
        age = now.mono_ms - START.mono_ms + 30_000 - sent
        if isinstance(what, Signal):
            hear(field, what, age, now)
        elif isinstance(what, Deposit):
            field.deposit(what, age, now)
        else:
            field.tell(ANN, TASK, what)
        now = now.later(1)  # news travel: each is heard a little later
    return field


@given(NEWS, st.data())
def test_the_same_news_in_any_order_and_number_make_the_same_field(news, data):
    first = (0, call(9))
    shuffled = data.draw(st.permutations([first, *news, *news[:4]]))
    one = absorb(Field(ME, RICH), [first, *news], START)
    other = absorb(Field(ME, RICH), shuffled, START.later(777))
    assert state(one, START.later(60_000)) == state(other, START.later(60_000))


@given(NEWS)
def test_hearing_everything_twice_changes_nothing(news):
    field = absorb(Field(ME, RICH), [(0, call(9)), *news], START)
    before = state(field, START.later(60_000))
    assert state(absorb(field, news, START.later(5)), START.later(60_000)) == before


SHARES = st.builds(Share, st.integers(0, 3), st.integers(0, 3), st.integers(-3, 3))


@given(SHARES, SHARES, SHARES)
def test_the_join_of_deposits_is_a_semilattice(a, b, c):
    assert join_shares(a, b) == join_shares(b, a)
    assert join_shares(a, a) == a
    assert join_shares(a, join_shares(b, c)) == join_shares(join_shares(a, b), c)


def test_of_two_deposits_the_larger_count_then_amount_then_earlier_birth_wins():
    assert join_shares(Share(2, 0, 9), Share(1, 99, 0)) == Share(2, 0, 9)
    assert join_shares(Share(1, 5, 9), Share(1, 4, 0)) == Share(1, 5, 9)
    assert join_shares(Share(1, 5, 9), Share(1, 5, 3)) == Share(1, 5, 3)


def test_a_life_is_ordered_by_generation_then_stage_then_holder():
    lives = [
        Life(1, Stage.OPEN),
        granted(TASK, 1, BOB),
        Life(1, Stage.CANCELLED),
        done(TASK, 1, BOB),
        Life(2, Stage.OPEN),
    ]
    assert lives == sorted(lives)
    assert granted(TASK, 1, BOB) != granted(TASK, 1, CID)


def test_every_node_keeps_the_same_depositors_when_there_are_too_many():
    numbers = range(2, DEPOSITORS_PER_TASK_MAX + 20)
    fields = []
    for order in (numbers, reversed(numbers)):
        field = Field(ME, RICH)
        hear(field, call())
        for number in order:
            share_in(field, someone(number))
        fields.append(field)
    one, other = fields
    assert state(one, START) == state(other, START)
    assert len(one.get(TASK).shares) == DEPOSITORS_PER_TASK_MAX
    assert ANN.raw in one.get(TASK).shares


# --- fading


@given(st.lists(st.integers(0, 10_000_000), min_size=2, max_size=2).map(sorted))
def test_intensity_only_falls_while_nobody_deposits(times):
    field = Field(ME, RICH)
    _, cell = hear(field, call(half_life_seconds=60))
    share_in(field, BOB, code=100)
    early, late = (cell.intensity(START.mono_ms + ms) for ms in times)
    assert 0 <= late <= early


@pytest.mark.parametrize(("code", "seconds"), [(64, 30), (32, 600), (0, 12 * 3_600)])
def test_each_level_has_its_half_life(code, seconds):
    _, cell = hear(Field(ME, RICH), call(code=code, ttl_seconds=14 * 86_400))
    whole = cell.intensity(START.mono_ms)
    assert whole == value_of(code)
    assert cell.intensity(START.mono_ms + seconds * 1_000) == pytest.approx(whole / 2)


def test_a_half_life_of_its_own_replaces_the_levels():
    _, cell = hear(Field(ME, RICH), call(code=64, half_life_seconds=7))
    assert cell.intensity(START.mono_ms + 7_000) == pytest.approx(8)


def test_strength_grows_with_age_and_fades_when_the_issuer_falls_silent():
    _, cell = hear(Field(ME, RICH), call(code=64))
    at = [cell.strength(START.mono_ms + 1_000 * s, 100.0) for s in (0, 30, 60, 180)]
    assert at[0] == pytest.approx(16)
    assert at[1] == pytest.approx(16 * 1.3)  # one half-life: not yet fading
    assert at[2] == pytest.approx(16 * 1.6 / 2)
    assert at[3] == pytest.approx(16 * 2.8 / 32)


def test_others_who_need_a_task_too_raise_its_urgency_and_no_higher_than_the_scale():
    field = Field(ME, RICH)
    _, cell = hear(field, call(code=16))
    share_in(field, BOB, code=32)
    assert cell.urgency(START.mono_ms) == pytest.approx(2 + 4)
    for number in range(4, 14):
        share_in(field, someone(number), code=127)
    assert cell.urgency(START.mono_ms) == URGENCY_MAX


def test_a_task_evaporates_seven_half_lives_after_its_issuer_fell_silent():
    field = Field(ME, RICH)
    hear(field, call(code=64))
    field.sweep(START.later(7 * 30_000 - 1))
    assert field.get(TASK)
    field.sweep(START.later(7 * 30_000 + 1))
    assert field.get(TASK) is None


def test_a_repeated_signal_keeps_the_task_from_fading():
    field = Field(ME, RICH)
    _, cell = hear(field, call(1, code=64))
    later = START.later(200_000)
    assert hear(field, call(2, code=64, open_ms=200_000), now=later)[0] is (
        Sensed.RENEWED
    )
    assert cell.intensity(later.mono_ms) == 16
    assert cell.age_seconds(later.mono_ms) == 200


def test_whoever_hears_only_a_repetition_knows_the_tasks_age_all_the_same():
    _, cell = hear(Field(ME, RICH), call(7, open_ms=120_000), age_ms=3_000)
    assert cell.age_seconds(START.mono_ms) == 123


# --- what is let in


@pytest.mark.parametrize(
    ("changes", "age_ms"),
    [
        ({"ttl_seconds": 10}, 10_000),
        ({"ttl_seconds": 10, "open_ms": 9_000}, 1_000),
        ({"deadline_ms": START.wall_ms}, 0),
        ({"created_ms": START.wall_ms - 90_001_000}, 0),
    ],
)
def test_a_signal_whose_time_is_over_is_not_let_in(changes, age_ms):
    with pytest.raises(RemoteError) as error:
        hear(Field(ME, RICH), call(**changes), age_ms)
    assert error.value.fault is Fault.EXPIRED


def test_clocks_an_hour_apart_do_not_matter():
    for hours in (-1, 1):
        created = START.wall_ms + hours * 3_600_000
        sensed, _ = hear(Field(ME, RICH), call(created_ms=created, ttl_seconds=60))
        assert sensed is Sensed.NEW


def test_an_author_may_say_twenty_new_things_at_once_and_then_one_per_second():
    field = Field(ME, RICH)
    for number in range(SIGNALS_PER_AUTHOR_BURST):
        hear(field, call(number, key=b"%d" % number))
    with pytest.raises(RemoteError) as error:
        hear(field, call(99, key=b"one more"))
    assert error.value.fault is Fault.OVER_LIMIT
    hear(field, call(1, issuer=BOB))
    hear(field, call(99, key=b"one more"), now=START.later(1_000))


def test_hearing_the_same_again_costs_an_author_nothing():
    field = Field(ME, RICH)
    for _ in range(100):
        hear(field, call())
        share_in(field, BOB)
    hear(field, call(2))


def test_one_author_has_only_so_many_tasks_and_finished_ones_make_room():
    field, now = Field(ME, RICH), START
    for number in range(TASKS_PER_AUTHOR_MAX):
        hear(field, call(number, key=b"%d" % number, code=32), now=now)
        now = now.later(1_000)
    with pytest.raises(RemoteError) as error:
        hear(field, call(999, key=b"one more"), now=now)
    assert error.value.fault is Fault.OVER_LIMIT
    first = task_id(ANN, b"200")
    field.tell(ANN, first, done(first, 1, BOB))
    hear(field, call(999, key=b"one more"), now=now.later(1_000))
    assert field.get(first) is None


def test_when_the_field_is_full_the_faintest_give_way():
    field, strong = Field(ME, RICH), call(1, issuer=BOB, code=100)
    hear(field, strong)
    for number in range(TASKS_KNOWN_MAX):
        issuer = someone(10 + number // SIGNALS_PER_AUTHOR_BURST)
        hear(field, call(number, issuer=issuer, key=b"%d" % number, code=40))
    assert len(field) <= TASKS_KNOWN_MAX
    assert field.get(task_id(BOB, b"key"))


def test_our_own_tasks_are_neither_counted_nor_made_to_give_way():
    field = Field(ME, RICH)
    for number in range(TASKS_PER_AUTHOR_MAX + 50):
        hear(field, call(number, issuer=ME, key=b"%d" % number))
    assert len(field) == TASKS_PER_AUTHOR_MAX + 50


def test_only_its_issuer_speaks_for_a_task():
    field = Field(ME, RICH)
    hear(field, call())
    with pytest.raises(RemoteError) as error:
        field.tell(BOB, TASK, done(TASK, 1, BOB))
    assert error.value.fault is Fault.NOT_ENTITLED


def test_what_a_stranger_said_of_an_unknown_task_is_not_believed_later():
    field = Field(ME, RICH)
    field.tell(BOB, TASK, done(TASK, 1, BOB))
    field.tell(ANN, TASK, granted(TASK, 1, CID))
    _, cell = hear(field, call())
    assert cell.life == granted(TASK, 1, CID)


def test_news_of_unknown_tasks_do_not_pile_up():
    field = Field(ME, RICH)
    for number in range(EARLY_TASKS_MAX + 1):
        field.tell(ANN, task_id(ANN, b"%d" % number), Life(5, Stage.CANCELLED))
    _, cell = hear(field, call(key=b"0"))
    assert cell.life == Life(1, Stage.OPEN)
    _, cell = hear(field, call(key=b"1"))
    assert cell.life == Life(5, Stage.CANCELLED)


def test_a_task_that_changes_its_skill_is_found_under_the_new_one_only():
    field = Field(ME, RICH)
    hear(field, call(1))
    hear(field, call(2, skill="fly"))
    assert list(field.of_skill("dig")) == []
    assert [cell.task for cell in field.of_skill("fly")] == [TASK]


@given(st.lists(st.integers(0, 5_000), max_size=60))
def test_a_pace_never_lets_more_through_than_its_burst_and_one_per_second(gaps):
    pace, now, taken = Pace(5), 0, []
    for gap in gaps:
        now += gap
        promised = pace.ready_at(now) == now
        assert pace.take(now) is promised
        taken += [now] * promised
    for start in range(len(taken)):
        for end in range(start, len(taken)):
            assert end - start + 1 <= 5 + (taken[end] - taken[start]) / 1_000
