"""Reconciliation: exactly the difference comes out, soon; hostile bytes cost little.

What stands in for two replicas are two plain sets; messages go to and fro until one
side has nothing more to say.
"""

from contextlib import suppress
from hashlib import sha256
from math import ceil, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestmate_protocol.errors import RemoteError
from nestmate_protocol.limits import RANGES_BYTES_MAX, RANGES_STEP_MAX
from nestmate_protocol.spaces import ranges, reconcile
from nestmate_protocol.spaces.ranges import (
    Listed,
    Print,
    Skip,
    Wanted,
    Writer,
    pack,
    unpack,
    varint,
)
from nestmate_protocol.spaces.reconcile import (
    Exchange,
    Negentropy,
    Some,
    bound_between,
    fingerprint,
)
from nestmate_protocol.spaces.summary import END, Summary

from .test_summary import Shelf


def key(time, number):
    return time.to_bytes(8) + sha256(time.to_bytes(8) + number.to_bytes(8)).digest()


def short(each):
    return sha256(b"salt" + each[8:]).digest()[:8]


def summary(keys):
    return Summary(Shelf(keys))


TIMES = st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1))
KEYS = st.frozensets(st.builds(key, TIMES, st.integers(0, 2_000)), max_size=90)


def many(count, of=lambda n: n * 1_000, start=0):
    return {key(of(n), n) for n in range(start, start + count)}


def answered(data):
    """What a set of two hundred says to a message."""
    exchange = Exchange(summary(many(200)), short)
    exchange.take(data)
    while exchange.is_busy:
        exchange.step(RANGES_STEP_MAX)
    return exchange.answer


def given_by(gifts, keys):
    whole = [g for g in gifts if not isinstance(g, Some)]
    ranges = {each for each in keys for g in whole if g.low <= each < g.high}
    return ranges | {each for g in gifts if isinstance(g, Some) for each in g.keys}


def exchanged(mine, theirs, begins=None):
    """What each side hands over, and how many messages that took."""
    sides = [(Exchange(summary(keys), short), keys, []) for keys in (mine, theirs)]
    message, messages, at = sides[0][0].begin() if begins is None else begins, 1, 1
    while message:
        exchange, _, gifts = sides[at]
        exchange.take(message)
        while exchange.is_busy:
            gifts += exchange.step(RANGES_STEP_MAX)[0]
        message, messages, at = exchange.answer, messages + 1, 1 - at
        assert len(message) <= RANGES_BYTES_MAX
        assert messages < 100
    return *(given_by(gifts, keys) for _, keys, gifts in sides), messages - 1


def negentropied(mine, theirs, bytes_max=RANGES_BYTES_MAX):
    first = Negentropy(summary(mine), bytes_max)
    second = Negentropy(summary(theirs), bytes_max)
    message, messages = first.begin(), 1
    while message:
        answer = second.answer(message, began=False)
        message, messages = first.answer(answer, began=True), messages + 2
        assert messages < 200
    ids = ({each[8:] for each in keys} for keys in (mine, theirs))
    return first.have, first.need, *ids


@settings(max_examples=60)
@given(KEYS, KEYS, KEYS)
def test_each_side_hands_over_exactly_what_the_other_lacks(both, mine, theirs):
    mine, theirs = both | mine, both | theirs
    from_me, from_them, _ = exchanged(mine, theirs)
    assert from_me == mine - theirs
    assert from_them == theirs - mine


@settings(max_examples=60)
@given(KEYS, KEYS, KEYS)
def test_negentropy_finds_exactly_what_one_has_and_what_it_needs(both, mine, theirs):
    have, need, mine, theirs = negentropied(both | mine, both | theirs)
    assert have == mine - theirs
    assert need == theirs - mine


@pytest.mark.parametrize("differ", [0, 1, 40, 900])
@pytest.mark.parametrize("count", [0, 97, 5_000])
def test_it_ends_within_the_bound_whatever_differs(count, differ):
    mine = many(count) | many(differ, lambda n: n * 777, 10_000_000)
    theirs = many(count) | many(differ, lambda n: n * 555, 20_000_000)
    *given_, messages = exchanged(mine, theirs)
    assert given_ == [mine - theirs, theirs - mine]
    assert messages <= 2 + 2 * ceil(log(max(2, len(mine | theirs)), 16))


def test_the_newest_ten_of_many_cost_one_message_and_its_answer():
    mine = many(20_000)
    theirs = mine - set(sorted(mine)[-10:])
    assert exchanged(theirs, mine) == (set(), mine - theirs, 1)
    assert exchanged(mine, theirs) == (mine - theirs, set(), 2)
    assert len(Exchange(summary(mine), short).begin()) < 1_200


def test_an_empty_side_is_handed_everything_after_one_message():
    mine = many(3_000)
    from_me, from_them, messages = exchanged(set(), mine)
    assert (from_me, from_them, messages) == (set(), mine, 1)


def test_a_message_that_would_be_too_long_ends_early_and_goes_on_later(monkeypatch):
    monkeypatch.setattr(reconcile, "RANGES_BYTES_MAX", 4_096)
    mine, theirs = many(4_000, start=0), many(4_000, start=2_000)
    from_me, from_them, messages = exchanged(mine, theirs)
    assert (from_me, from_them) == (mine - theirs, theirs - mine)
    assert messages > 3
    have, need, mine, theirs = negentropied(mine, theirs, 4_096)
    assert (have, need) == (mine - theirs, theirs - mine)


def test_a_message_of_too_many_ranges_ends_early_too(monkeypatch):
    for module in (reconcile, ranges):
        monkeypatch.setattr(module, "RANGES_PER_MESSAGE_MAX", 800)
    mine = many(12_000)
    theirs = mine - set(sorted(mine)[::120])
    from_me, from_them, _ = exchanged(mine, theirs)
    assert (from_me, from_them) == (mine - theirs, set())


@settings(max_examples=60)
@given(KEYS, KEYS)
def test_different_sets_never_have_one_fingerprint(mine, theirs):
    prints = [fingerprint(summary(k), 0, len(k)) for k in (mine, theirs)]
    assert (prints[0] == prints[1]) == (mine == theirs)


BOUNDS = st.one_of(
    st.just(END),
    st.builds(lambda t, rest: t.to_bytes(8) + rest, TIMES, st.binary(max_size=32)),
)
PLACES = st.frozensets(st.integers(0, 95), min_size=1).map(sorted).map(tuple)
SAYINGS = st.one_of(
    st.builds(Print, BOUNDS, st.binary(min_size=16, max_size=16)),
    st.builds(Listed, BOUNDS, st.tuples(*[st.binary(min_size=8, max_size=8)] * 2)),
    st.builds(Wanted, BOUNDS, PLACES),
)


@given(st.lists(SAYINGS, max_size=12, unique_by=lambda each: each.upper))
def test_what_is_packed_is_unpacked_the_same(ranges):
    ranges.sort(key=lambda each: each.upper)
    assert [*unpack(pack(ranges), 8)] == ranges


def test_runs_of_nothing_to_say_become_one_and_the_last_is_left_out():
    skips = [Skip(time.to_bytes(8)) for time in (1, 2, 3)]
    told = Print((5).to_bytes(8), bytes(16))
    assert [*unpack(pack([*skips, told, Skip(END)]), 8)] == [skips[-1], told]
    assert pack([*skips, Skip(END)]) == b""


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_remote_error(data):
    with suppress(RemoteError):
        assert len(answered(data)) <= RANGES_BYTES_MAX


BAD = {
    "a bound below the last": pack([Print((9).to_bytes(8), bytes(16))]) + b"\1\0\0",
    "longer than the shortest": b"\x80\x01" + bytes(20),
    "an unknown mode": b"\0\0\x07",
    "an id beyond 32 bytes": varint(1) + varint(33) + bytes(33) + b"\0",
    "a time beyond 64 bits": varint(2**64 + 1) + b"\0\0",
    "a number without end": b"\xff" * 20,
    "a list cut short": b"\0\0\x02\x05" + bytes(8),
    "wanted of no list": pack([Wanted(END, (0,))]),
    "wanted places without end": b"\0\0\x03" + varint(100_000) + bytes(100_000),
    "no wanted place": b"\0\0\x03\x01\0",
    "a million ranges": b"".join(b"\x02\0\0" for _ in range(9_000)),
}


@pytest.mark.parametrize("name", BAD)
def test_a_hostile_message_is_refused(name):
    with pytest.raises(RemoteError):
        answered(BAD[name])


def test_places_are_taken_of_the_last_list_only_and_once():
    exchange = Exchange(summary(many(10)), short)
    exchange.begin()
    exchange.take(pack([Wanted(END, (0, 9))]))
    [gift], _ = exchange.step(RANGES_STEP_MAX)
    assert len(gift.keys) == 2
    exchange.take(pack([Wanted(END, (0,))]))
    with pytest.raises(RemoteError):
        exchange.step(RANGES_STEP_MAX)


def test_a_step_does_no_more_than_it_may_and_the_rest_waits():
    exchange = Exchange(summary(many(4_000)), short)
    lies = [Print((n * 20_000).to_bytes(8), bytes(16)) for n in range(1, 200)]
    exchange.take(pack(lies))
    with pytest.raises(RemoteError):
        exchange.take(pack(lies))
    _, cost = exchange.step(64)
    assert 64 <= cost <= 64 + 17
    assert exchange.is_busy


def test_what_one_message_can_make_us_say_is_bounded():
    exchange = Exchange(summary(many(20_000, lambda n: n)), short)
    lies = [Print((n * 40).to_bytes(8), bytes(16)) for n in range(1, 500)]
    exchange.take(pack(lies))
    while exchange.is_busy:
        exchange.step(RANGES_STEP_MAX)
    assert len(exchange.answer) <= RANGES_BYTES_MAX


def test_a_bound_is_no_longer_than_it_must_be():
    assert bound_between(key(1, 1), key(2, 1)) == (2).to_bytes(8)
    low, high = sorted((key(1, 1), key(1, 2)))
    bound = bound_between(low, high)
    assert low < bound <= high
    assert not low < bound[:-1] <= high


def test_a_writer_says_how_long_its_message_is():
    writer = Writer()
    writer.add(Skip((7).to_bytes(8)))
    assert (writer.size, writer.data) == (0, b"")
    writer.add(Print(END, bytes(16)))
    assert writer.size == len(writer.data)
