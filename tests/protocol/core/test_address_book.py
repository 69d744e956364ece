"""The address book and its dialling: who is tried where, when, and how often."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory import address_book
from nestmate_protocol.directory.address_book import HINTS_MAX, PREFIX, AddressBook
from nestmate_protocol.directory.dialling import (
    BACKOFF_FRIEND_MS_MAX,
    BACKOFF_OTHER_MS_MAX,
    DIAL_MS_MAX,
    STEADY_MS,
    Dialling,
    Regard,
)
from nestmate_protocol.effects import Dial
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import DIALS_AT_ONCE_MAX, HOST_ADDRESSES_MAX

START = Moment(1_800_000_000_000, 5_000_000)
OWN = PeerId(b"\xff" * 32)
HERE, THERE = "/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/2"


def peer(number: int) -> PeerId:
    return PeerId(number.to_bytes(32))


def even(count: int) -> bytes:
    """Chance that always falls in the middle: a pause is exactly what it doubles to."""
    return b"\x80\x00"[:count]


@pytest.fixture
def book() -> AddressBook:
    return AddressBook(OWN, lambda _: False)


@pytest.fixture
def dialling() -> Dialling:
    return Dialling(OWN, 8, even)


def befriend(dialling: Dialling, *numbers: int) -> None:
    for number in numbers:
        dialling.book.learn_signed(peer(number), [HERE])
        dialling.regard(peer(number), Regard.FRIEND)


def dialled(effects: list) -> list[PeerId]:
    return [effect.peer for effect in effects if isinstance(effect, Dial)]


def pauses(dialling: Dialling, number: int, count: int) -> list[int]:
    """How long each of so many failing tries is waited for."""
    now, waits = START, []
    for _ in range(count):
        assert dialled(dialling.wake(now)) == [peer(number)]
        dialling.failed(peer(number), now)
        waits.append(dialling.next_wakeup() - now.mono_ms)
        now = now.later(waits[-1])
    return waits


def test_hints_never_push_out_what_was_signed(book):
    book.learn_signed(peer(1), [HERE])
    for number in range(100):
        book.learn_hints(peer(1), [f"/ip4/192.0.2.9/tcp/{number}"])
    assert book.multiaddrs(peer(1))[0] == HERE
    assert len(book.multiaddrs(peer(1))) == HOST_ADDRESSES_MAX
    assert len(book.get(peer(1)).hints) == HINTS_MAX


def test_a_new_card_replaces_where_a_peer_was(book):
    book.learn_signed(peer(1), [HERE])
    book.learn_signed(peer(1), [THERE])
    assert book.multiaddrs(peer(1)) == (THERE,)


def test_a_place_where_a_peer_was_met_is_remembered(book):
    book.reached(peer(1), HERE, START.wall_ms)
    book.reached(peer(2), "", START.wall_ms)
    assert book.multiaddrs(peer(1)) == (HERE,)
    assert book.multiaddrs(peer(2)) == ()


def test_nothing_is_kept_about_ourselves(book):
    assert book.learn_hints(OWN, [HERE]) == []
    assert len(book) == 0


def test_the_book_reads_back_what_it_wrote(book):
    saves = book.learn_signed(peer(1), [HERE]) + book.learn_hints(peer(1), [THERE])
    saves += book.hold(peer(1), held=True)
    pairs = [write for save in saves for write in save.writes]
    again = AddressBook(OWN, lambda _: False)
    again.restore(pairs)
    assert again.get(peer(1)) == book.get(peer(1))


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_page_that_cannot_be_read_is_left_out(key, value):
    again = AddressBook(OWN, lambda _: False)
    again.restore([(PREFIX + key, value)])
    assert len(again) <= 1


def test_a_full_book_forgets_whoever_was_never_reached(book, monkeypatch):
    monkeypatch.setattr(address_book, "PEERS_KNOWN_MAX", 2)
    book.reached(peer(1), HERE, START.wall_ms)
    book.learn_hints(peer(2), [HERE])
    (save,) = book.learn_hints(peer(3), [HERE])
    assert (PREFIX + peer(2).raw, None) in save.writes
    assert set(book) == {peer(1), peer(3)}


def test_a_full_book_forgets_no_friend(monkeypatch):
    monkeypatch.setattr(address_book, "PEERS_KNOWN_MAX", 2)
    dialling = Dialling(OWN, 8, even)
    befriend(dialling, 1, 2)
    dialling.book.learn_hints(peer(3), [HERE])
    assert set(dialling.book) == {peer(1), peer(2)}


def test_a_friend_is_redialled_for_ever_up_to_five_minutes_apart(dialling):
    befriend(dialling, 1)
    waits = pauses(dialling, 1, 14)
    assert waits[:4] == [1_000, 2_000, 4_000, 8_000]
    assert waits[-3:] == pytest.approx([BACKOFF_FRIEND_MS_MAX] * 3, rel=1e-4)


def test_a_stranger_waits_up_to_an_hour(dialling):
    dialling.book.learn_hints(peer(1), [HERE])
    assert pauses(dialling, 1, 16)[-1] == pytest.approx(BACKOFF_OTHER_MS_MAX, 1e-4)


@pytest.mark.parametrize(("drawn", "share"), [(b"\0\0", 0.75), (b"\xff\xff", 1.25)])
def test_chance_moves_a_pause_by_a_quarter_at_most(drawn, share):
    dialling = Dialling(OWN, 8, lambda _: drawn)
    befriend(dialling, 1)
    assert pauses(dialling, 1, 1) == [1_000 * share]


def test_strangers_are_dialled_only_while_connections_are_few():
    dialling = Dialling(OWN, 2, even)
    for number in range(1, 6):
        dialling.book.learn_hints(peer(number), [HERE])
    first = dialled(dialling.wake(START))
    assert len(first) == 2
    for each in first:
        dialling.up(each, START)
    assert dialling.wake(START.later(1_000)) == []
    assert dialling.next_wakeup() is None


def test_strangers_who_answered_last_are_dialled_first():
    dialling = Dialling(OWN, 1, even)
    for number in (1, 2, 3):
        dialling.book.learn_hints(peer(number), [HERE])
    dialling.book.reached(peer(2), HERE, START.wall_ms)
    assert dialled(dialling.wake(START)) == [peer(2)]


def test_so_many_friends_are_dialled_at_once_and_the_rest_in_turn(dialling):
    befriend(dialling, *range(1, 20))
    first = dialled(dialling.wake(START))
    assert len(first) == DIALS_AT_ONCE_MAX
    assert dialling.wake(START) == []
    for each in first:
        dialling.failed(each, START)
    second = dialled(dialling.wake(START))
    assert len(second) == DIALS_AT_ONCE_MAX
    assert not set(first) & set(second)


def test_a_dial_that_never_ends_is_given_up(dialling):
    befriend(dialling, 1)
    dialling.wake(START)
    assert dialling.next_wakeup() == START.mono_ms + DIAL_MS_MAX
    assert dialling.wake(START.later(DIAL_MS_MAX)) == []
    assert dialled(dialling.wake(START.later(DIAL_MS_MAX + 1_000))) == [peer(1)]


def test_a_connection_that_did_not_last_counts_as_a_failure(dialling):
    befriend(dialling, 1)
    now = START
    for pause in (1_000, 2_000, 4_000):
        dialling.up(peer(1), now)
        dialling.down(peer(1), now)
        assert dialling.next_wakeup() == now.mono_ms + pause
    dialling.up(peer(1), now)
    now = now.later(STEADY_MS)
    dialling.down(peer(1), now)
    assert dialling.next_wakeup() == now.mono_ms + 1_000


def test_when_one_friend_comes_back_the_others_are_tried_soon(dialling):
    befriend(dialling, 1, 2)
    now = START
    for _ in range(8):
        dialling.wake(now)
        dialling.failed(peer(1), now)
        dialling.failed(peer(2), now)
        now = now.later(BACKOFF_FRIEND_MS_MAX)
    dialling.wake(now)
    dialling.failed(peer(2), now)
    dialling.up(peer(1), now)
    assert dialling.next_wakeup() <= now.mono_ms + 1_000


def test_a_held_or_shunned_peer_is_left_alone(dialling):
    befriend(dialling, 1, 2)
    dialling.book.hold(peer(1), held=True)
    dialling.regard(peer(2), Regard.SHUNNED)
    assert dialling.wake(START) == []
    assert dialling.dial(peer(1), START) == dialling.dial(peer(2), START) == []
    assert dialling.next_wakeup() is None


STEPS: dict[str, Callable[[Dialling, PeerId, Moment], object]] = {
    "learn": lambda d, p, _: d.book.learn_hints(p, [HERE]),
    "befriend": lambda d, p, _: d.regard(p, Regard.FRIEND),
    "shun": lambda d, p, _: d.regard(p, Regard.SHUNNED),
    "forget": lambda d, p, _: d.regard(p, Regard.OTHER),
    "hold": lambda d, p, _: d.book.hold(p, held=True),
    "dial": lambda d, p, now: d.dial(p, now),
    "up": lambda d, p, now: d.up(p, now),
    "down": lambda d, p, now: d.down(p, now),
    "fail": lambda d, p, now: d.failed(p, now),
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(STEPS)), st.integers(1, 12), st.integers(0, 9)
        ),
        max_size=60,
    )
)
def test_whatever_happens_waking_when_asked_leaves_nothing_due(steps):
    dialling = Dialling(OWN, 3, even)
    now = START
    for step, number, seconds in steps:
        STEPS[step](dialling, peer(number), now)
        now = now.later(seconds * 1_000)
        due = dialling.next_wakeup()
        if due is not None and due <= now.mono_ms:
            dialling.wake(now)
        after = dialling.next_wakeup()
        assert after is None or after > now.mono_ms
