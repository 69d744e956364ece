"""Cursors, dead letters and what is found: the feed as a bus that loses nothing.

Carried out by the operations on a fake node whose feed and store are real. Knows
nothing of doors.
"""

import pytest

from nestmate.errors import BusyError, NotFoundError, UsageError
from nestmate.node.cursors import Cursors
from nestmate.operations.perform import Caller, perform
from nestmate_protocol.effects import Notify
from nestmate_protocol.friends.requests import ContactView, ShowContact, Trust
from nestmate_protocol.ids import Address, SpaceId
from nestmate_protocol.limits import CURSORS_MAX, DEAD_LETTERS_MAX
from nestmate_protocol.spaces.requests import ShowSpace, SpaceView, Standing

ME = Caller("python", uid=0)
BOB = Address(b"b" * 32)
SHOP, OTHER = (SpaceId(each * 32).text for each in (b"s", b"o"))


@pytest.fixture
def ask(fake_node):
    """``await ask("event.ack", cursor="c", seq=1)``."""

    async def call(name: str, **fields):
        return await perform(fake_node, name, fields, ME)

    return call


@pytest.fixture
def read(ask):
    """The numbers of the next page of a cursor, and the number to ack."""

    async def call(cursor: str = "c", **fields):
        page = await ask("event.wait", cursor=cursor, timeout=0, **fields)
        return [event.seq for event in page.events], page.seq

    return call


def restart(node) -> None:
    """What is in memory is gone; what is in the store is there again."""
    node.cursors = Cursors(node.store, node.events.last_seq)


async def test_a_cursor_gives_again_what_was_not_acked(fake_node, ask, read):
    await ask("event.cursor.set", cursor="c")
    fake_node.happen("a", "b", "c")
    assert await read() == ([1, 2, 3], 3)
    assert await read() == ([1, 2, 3], 3)
    await ask("event.ack", cursor="c", seq=2)
    restart(fake_node)
    assert await read() == ([3], 3)


async def test_a_reader_goes_on_within_its_session_without_an_ack(fake_node, ask, read):
    await ask("event.cursor.set", cursor="c")
    fake_node.happen("a", "b", "c")
    assert await read(limit=2) == ([1, 2], 2)
    assert await read(since=2) == ([3], 3)


async def test_a_cursor_begins_with_what_is_new_or_where_it_is_told(
    fake_node, ask, read
):
    fake_node.happen("a", "b", "c")
    await ask("event.cursor.set", cursor="c")
    await ask("event.cursor.set", cursor="d", start=1)
    fake_node.happen("d")
    assert (await read("c"))[0] == [4]
    assert (await read("d"))[0] == [2, 3, 4]
    await ask("event.cursor.set", cursor="d", start=3)
    assert (await read("d"))[0] == [2, 3, 4]


async def test_a_cursor_keeps_its_filters_and_passes_over_the_rest(
    fake_node, ask, read
):
    await ask("event.cursor.set", cursor="c", kinds=["space.*"], space=SHOP, path="in")
    fake_node.happen("task.done")
    fake_node.happen("space.changed", space=SHOP, path="in/1")
    fake_node.happen("space.changed", space=OTHER, path="in/1")
    fake_node.happen("space.changed", space=SHOP, path="out")
    restart(fake_node)
    assert await read() == ([2], 4)
    assert await read(path="in/2") == ([], 4)


async def test_filters_of_a_cursor_are_replaced_together_or_stay(ask):
    await ask("event.cursor.set", cursor="c", kinds=["space.*"], space=SHOP, path="in")
    kept = await ask("event.cursor.set", cursor="c")
    assert (kept.kinds, kept.space, kept.path) == (["space.*"], SHOP, "in")
    other = await ask("event.cursor.set", cursor="c", kinds=["task.*"])
    assert (other.kinds, other.space, other.path) == (["task.*"], "", "")


async def test_an_ack_moves_a_cursor_forth_only_and_setting_it_moves_it_back(
    fake_node, ask, read
):
    await ask("event.cursor.set", cursor="c")
    fake_node.happen("a", "b", "c")
    assert (await ask("event.ack", cursor="c", seq=3)).seq == 3
    assert (await ask("event.ack", cursor="c", seq=1)).seq == 3
    await ask("event.cursor.set", cursor="c", seq=1)
    assert (await read())[0] == [2, 3]


async def test_who_was_away_for_longer_than_is_kept_is_told_so(fake_node, ask):
    await ask("event.cursor.set", cursor="c", kinds=["a"])
    for _ in range(5):
        fake_node.happen(*["a"] * 500)
    page = await ask("event.wait", cursor="c", timeout=0, limit=1)
    assert page.lagged
    assert page.events[0].seq == 501


async def test_what_is_wanted_is_found_behind_thousands_that_are_not(fake_node, ask):
    await ask("event.cursor.set", cursor="c", kinds=["b"])
    fake_node.happen(*["a"] * 1_500, "b")
    page = await ask("event.wait", cursor="c", timeout=0)
    assert [event.seq for event in page.events] == [1_501]


async def test_there_is_no_reading_or_acking_without_a_cursor(ask):
    for name, fields in (
        ("event.wait", {"timeout": 0}),
        ("event.ack", {"seq": 0}),
        ("event.reject", {"seq": 0}),
        ("event.cursor.rm", {}),
        ("event.dead.ls", {}),
        ("event.dead.retry", {}),
        ("event.dead.rm", {"seq": 0}),
    ):
        with pytest.raises(NotFoundError, match="no cursor 'nobody'") as refused:
            await ask(name, cursor="nobody", **fields)
        assert "event cursor set nobody" in refused.value.hint


async def test_an_event_that_has_not_happened_cannot_be_acked(ask):
    await ask("event.cursor.set", cursor="c")
    with pytest.raises(UsageError, match="no event 1 yet"):
        await ask("event.ack", cursor="c", seq=1)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "a" * 65, "ä"])
async def test_a_cursor_has_a_plain_name(ask, name):
    with pytest.raises(UsageError, match=r"\$\.cursor"):
        await ask("event.cursor.set", cursor=name)


async def test_there_are_only_so_many_cursors(ask):
    for number in range(CURSORS_MAX):
        await ask("event.cursor.set", cursor=f"c{number}")
    with pytest.raises(BusyError, match=f"{CURSORS_MAX} cursors"):
        await ask("event.cursor.set", cursor="more")
    await ask("event.cursor.rm", cursor="c0")
    await ask("event.cursor.set", cursor="more")


# --- dead letters


async def given_up(fake_node, ask, *kinds: str) -> None:
    """The reader of the cursor has acked all, and given all of it up."""
    await ask("event.cursor.set", cursor="c")
    fake_node.happen(*kinds)
    for seq in range(1, len(kinds) + 1):
        await ask("event.reject", cursor="c", seq=seq, reason="no\n way", tries=3)
    await ask("event.ack", cursor="c", seq=len(kinds))


async def test_what_a_reader_gave_up_is_kept_with_the_reason(fake_node, ask):
    await given_up(fake_node, ask, "a", "b")
    restart(fake_node)
    letters = (await ask("event.dead.ls")).letters
    assert [(each.event.seq, each.event.type) for each in letters] == [
        (1, "a"),
        (2, "b"),
    ]
    assert (letters[0].reason, letters[0].tries) == ("no  way", 3)
    told = (await ask("event.find", query="event.rejected")).events[-1]
    assert told.details == {
        "cursor": "c",
        "seq": 2,
        "type": "b",
        "reason": "no  way",
        "tries": 3,
    }


async def test_a_dead_letter_is_handed_out_again_and_settled_by_its_ack(
    fake_node, ask, read
):
    await given_up(fake_node, ask, "a", "b")
    assert (await ask("event.dead.retry", cursor="c", seq=1)).events == [1]
    restart(fake_node)
    assert await read() == ([1], 5)
    assert await read() == ([1], 5)
    assert [each.retrying for each in (await ask("event.dead.ls")).letters] == [1, 0]
    await ask("event.ack", cursor="c", seq=5)
    assert [e.event.seq for e in (await ask("event.dead.ls")).letters] == [2]
    assert await read() == ([], 5)


async def test_a_dead_letter_that_fails_again_stays_one(fake_node, ask, read):
    await given_up(fake_node, ask, "a")
    await ask("event.dead.retry", cursor="c")
    assert (await ask("event.dead.retry", cursor="c")).events == []
    await ask("event.reject", cursor="c", seq=1, reason="still not", tries=6)
    await ask("event.ack", cursor="c", seq=(await read())[1])
    (letter,) = (await ask("event.dead.ls", cursor="c")).letters
    assert (letter.reason, letter.tries, letter.retrying) == ("still not", 6, False)


async def test_a_dead_letter_outlives_the_event_it_is_about(fake_node, ask, read):
    await given_up(fake_node, ask, "a")
    for _ in range(5):
        fake_node.happen(*["b"] * 500)
    await ask("event.ack", cursor="c", seq=fake_node.events.last_seq)
    await ask("event.dead.retry", cursor="c")
    assert (await read())[0] == [1]


async def test_a_dead_letter_can_be_forgotten_and_goes_with_its_cursor(fake_node, ask):
    await given_up(fake_node, ask, "a", "b")
    await ask("event.dead.rm", cursor="c", seq=1)
    with pytest.raises(NotFoundError, match="no dead letter about event 1"):
        await ask("event.dead.rm", cursor="c", seq=1)
    with pytest.raises(NotFoundError):
        await ask("event.dead.retry", cursor="c", seq=1)
    await ask("event.cursor.rm", cursor="c")
    assert not list(fake_node.store.scan(b"ed/"))


async def test_readers_that_fail_at_each_others_failures_come_to_an_end(
    fake_node, ask, read
):
    for cursor in ("c", "d"):
        await ask("event.cursor.set", cursor=cursor, kinds=["event.*", "a"])
    fake_node.happen("a")
    for _ in range(6):
        for cursor in ("c", "d"):
            numbers, seq = await read(cursor)
            for number in numbers:
                await ask("event.reject", cursor=cursor, seq=number)
            await ask("event.ack", cursor=cursor, seq=seq)
    assert fake_node.events.last_seq == 3
    assert not (await read("c"))[0] + (await read("d"))[0]


async def test_there_are_only_so_many_dead_letters(fake_node, ask, monkeypatch):
    monkeypatch.setattr("nestmate.node.cursors.DEAD_LETTERS_MAX", 2)
    assert DEAD_LETTERS_MAX > 2
    await given_up(fake_node, ask, "a", "b")
    fake_node.happen("c")
    with pytest.raises(BusyError, match="2 dead letters"):
        await ask("event.reject", cursor="c", seq=5)
    await ask("event.reject", cursor="c", seq=1)


# --- finding


async def test_what_happened_is_found_by_whatever_it_is_about(fake_node, ask):
    fake_node.happen("task.done", skill="echo")
    fake_node.happen("space.changed", space=SHOP, path="orders/7", ref="v1")
    for query, number in (
        ("task.*", 1),
        ("echo", 1),
        (SHOP, 2),
        ("orders", 2),
        ("v1", 2),
    ):
        found = (await ask("event.find", query=query)).events
        assert [event.seq for event in found] == [number], query
    assert (await ask("event.find", query="order")).events == []
    assert found[0].ref == "v1"


async def test_a_find_tells_who_has_seen_it_who_has_not_and_who_gave_up(fake_node, ask):
    for cursor in ("quick", "slow", "broken"):
        await ask("event.cursor.set", cursor=cursor)
    await ask("event.cursor.set", cursor="elsewhere", kinds=["task.*"])
    fake_node.happen("a")
    await ask("event.ack", cursor="quick", seq=1)
    await ask("event.reject", cursor="broken", seq=1)
    (event,) = (await ask("event.find", query="a")).events
    assert (event.seen, event.waiting, event.dead) == (["quick"], ["slow"], ["broken"])


async def test_the_newest_are_found_first_and_more_are_told_of(fake_node, ask):
    fake_node.happen(*["a"] * 5)
    found = await ask("event.find", limit=2)
    assert ([event.seq for event in found.events], found.more) == ([4, 5], True)
    found = await ask("event.find", limit=5)
    assert (len(found.events), found.more) == (5, False)


async def test_what_is_found_lies_between_two_times(fake_node, ask):
    fake_node.happen("a")  # 2023-11-14T22:13:20Z
    for fields, found in (
        ({"after": "2023-11-14T22:00:00Z", "before": "2023-11-14T23:00:00Z"}, 1),
        ({"after": "2023-11-14T23:00:00Z"}, 0),
        ({"before": "2023-11-14T22:00:00Z"}, 0),
        ({"after": "15m"}, 0),
        ({"before": "15m"}, 1),
    ):
        assert len((await ask("event.find", **fields)).events) == found, fields
    with pytest.raises(UsageError, match="`after`"):
        await ask("event.find", after="yesterday")


async def test_an_author_is_named_by_address_or_as_a_contact(fake_node, ask):
    contact = ContactView(BOB, "bob", Trust.KNOWN, 1_000, connected=True)
    fake_node.answers[ShowContact] = contact
    fake_node.tell([Notify("a", author=BOB), Notify("b")])
    for who in ("bob", BOB.text):
        found = (await ask("event.find", author=who)).events
        assert [event.seq for event in found] == [1]


async def test_a_space_is_named_by_id_or_by_name_and_kept_by_id(fake_node, ask, read):
    view = SpaceView(SpaceId.parse(SHOP), "shop", Standing.MEMBER)
    fake_node.answers[ShowSpace] = view
    made = await ask("event.cursor.set", cursor="c", space="shop")
    assert (made.space, fake_node.asked) == (SHOP, [ShowSpace("shop")])
    fake_node.happen("space.changed", space=OTHER, name="shop", path="p")
    fake_node.happen("space.changed", space=SHOP, name="shop", path="p")
    assert await read() == ([2], 2)
    assert (await read(space=OTHER)) == ([], 2)
