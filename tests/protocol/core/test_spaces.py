"""Spaces in a village of nodes: founding, joining, writing apart, agreeing again."""

from hashlib import sha256

import pytest

from nestmate_protocol.effects import Channel, Code, Notify, Refusal, Save, Strike
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import SpaceId
from nestmate_protocol.inputs import Arrived
from nestmate_protocol.limits import OPS_PER_STEP_MAX
from nestmate_protocol.spaces.engine.changes import Verdict
from nestmate_protocol.spaces.members import read_grant_name
from nestmate_protocol.spaces.ops import Mutation, Type
from nestmate_protocol.spaces.pen import Written
from nestmate_protocol.spaces.requests import (
    Act,
    Change,
    CreateSpace,
    Fate,
    GrantRights,
    InviteToSpace,
    JoinSpace,
    LeaveSpace,
    ListConflicts,
    ListMembers,
    ListPaths,
    ListSpaces,
    ListVoid,
    ReadPath,
    RevokeGrant,
    ShowHistory,
    ShowSpace,
    Standing,
    SyncSpace,
    WriteChanges,
)
from nestmate_protocol.spaces.sync.frames import Ops, pack

WRITER = Rights.READ | Rights.WRITE


@pytest.fixture
def garden(village):
    """Ann and Bob, friends, both in one space that Ann has founded."""
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.wait(1)
    ann.ask(CreateSpace("garden"))
    line = ann.ask(InviteToSpace("garden", WRITER)).invite
    bob.ask(JoinSpace(line))
    village.wait(2)
    return village, ann, bob


def put(home, path, value, **more):
    change = Change(path, value=value, **more)
    return home.ask(WriteChanges("garden", (change,)))


def get(home, path, kind=None):
    return home.ask(ReadPath("garden", path, kind))


def state(home):
    return home.ask(ShowSpace("garden")).state


def test_whoever_holds_an_invite_takes_part_and_reads_what_is_there(garden):
    village, ann, bob = garden
    put(ann, "beds/1", b"beans")
    village.wait(1)
    assert bob.ask(ShowSpace("garden")).standing is Standing.MEMBER
    assert get(bob, "beds/1").value == b"beans"
    assert state(ann) == state(bob) != b""


def test_a_write_is_durable_before_it_is_told_or_answered(garden):
    _, ann, _ = garden
    before = len(ann.done)
    put(ann, "beds/1", b"beans")
    first = ann.done[before:][0]
    assert isinstance(first, Save)
    assert first.durable


def told_of_at_once(home):
    """How many ops each step of a home tells of, noted from now on."""
    noted, steps = [], home.core.steps

    def spied(item, now):
        for effects in steps(item, now):
            noted.append(sum(isinstance(e, Notify) for e in effects))
            yield effects

    home.core.steps = spied
    return noted


def test_many_ops_are_taken_in_a_few_at_a_time_and_come_to_the_same(garden):
    village, ann, bob = garden
    village.cut(ann, bob)
    for number in range(3 * OPS_PER_STEP_MAX):
        put(ann, f"beds/{number}", b"beans")
    noted = told_of_at_once(bob)
    village.mend()
    village.wait(60)
    assert state(bob) == state(ann)
    assert max(noted) == OPS_PER_STEP_MAX


def test_a_frame_that_is_wrong_in_all_its_parts_is_one_strike(garden):
    _, ann, bob = garden
    link = bob.core._spaces._sessions._floor.links[ann.peer]
    [number] = link.their_numbers
    wrong = Ops(number, 0, tuple(b"%d" % n for n in range(2 * OPS_PER_STEP_MAX)))
    bob.feed(Arrived(ann.peer, Channel.SPACES, pack(wrong)))
    assert len(bob.did(Strike)) == 1


def test_what_two_write_apart_stands_side_by_side_until_one_settles_it(garden):
    village, ann, bob = garden
    village.cut(ann, bob)
    put(ann, "beds/1", b"beans")
    put(bob, "beds/1", b"peas")
    village.mend()
    village.wait(60)
    seen = [get(home, "beds/1") for home in (ann, bob)]
    assert seen[0].conflict
    assert seen[0].value == seen[1].value
    assert {each.value for each in seen[1].alternatives} == {b"beans", b"peas"}
    assert state(ann) == state(bob)
    assert len(ann.ask(ListConflicts("garden")).documents) == 1
    put(ann, "beds/1", b"both", expect=seen[0].version)
    village.wait(1)
    assert [get(bob, "beds/1").conflict, get(bob, "beds/1").value] == [False, b"both"]


def test_a_write_that_expects_what_is_gone_writes_nothing(garden):
    _, ann, _ = garden
    version = put(ann, "beds/1", b"beans").version
    put(ann, "beds/1", b"peas")
    refused = put(ann, "beds/1", b"corn", expect=version)
    assert isinstance(refused, Refusal)
    assert refused.code is Code.CONFLICT
    assert get(ann, "beds/1").value == b"peas"
    fresh = put(ann, "beds/2", b"corn", expect="none")
    assert get(ann, "beds/2").version == fresh.version


def member(home, other):
    """The grants of another in the garden, as one sees them."""
    grants = home.ask(ListMembers("garden")).grants
    return tuple(each.grant for each in grants if each.who == other.address)


def test_who_is_taken_out_does_not_come_back_by_the_same_line_and_others_stay(garden):
    village, ann, bob = garden
    (cid,) = village.add("cid")
    village.befriend(ann, cid)
    line = ann.ask(InviteToSpace("garden", WRITER)).invite
    village.wait(1)
    cid.ask(JoinSpace(line))
    village.wait(2)
    (first,) = [i.grant for i in ann.ask(ListMembers("garden")).grants if not i.who][:1]
    out = ann.ask(RevokeGrant("garden", member(ann, cid)))
    assert (len(out.closed), out.open) == (1, (first,))  # Bob's line may still be used
    cid.ask(JoinSpace(line))
    village.wait(60)
    assert (member(ann, cid), put(cid, "a", b"1").code) == ((), Code.DENIED)
    put(ann, "secret", b"2")
    assert ann.ask(RevokeGrant("garden", (first,), keep=True)).open == ()
    village.wait(60)
    assert get(cid, "secret").code is Code.NOT_FOUND
    assert get(bob, "secret").value == b"2"
    assert not isinstance(put(bob, "b", b"3"), Refusal)


def test_an_invite_is_over_when_it_closes_and_its_maker_closes_it_for_good(garden):
    village, ann, bob = garden
    (cid,) = village.add("cid")
    village.befriend(ann, cid)
    closes_ms = village.now.wall_ms + 60_000
    invited = ann.ask(InviteToSpace("garden", WRITER, closes_ms=closes_ms))
    assert ann.ask(ShowSpace("garden")).invites == 2
    village.wait(61)
    assert "over" in cid.ask(JoinSpace(invited.invite)).detail
    assert ann.ask(ShowSpace("garden")).invites == 1
    for home in (ann, bob, cid):
        village.stop(home)
    village.wait(24 * 3_600)
    for home in (ann, bob):
        village.start(home, home.port)
    village.wait(60)
    shown = [each.grant for each in bob.ask(ListMembers("garden")).grants]
    assert invited.grant not in shown
    assert state(ann) == state(bob)


def test_what_a_revoked_member_writes_afterwards_counts_nowhere(garden):
    village, ann, bob = garden
    put(bob, "beds/1", b"known")
    village.wait(1)
    village.cut(ann, bob)
    (grant,) = [
        g for g in ann.ask(ListMembers("garden")).grants if g.who == bob.address
    ]
    ann.ask(RevokeGrant("garden", (grant.grant,)))
    put(bob, "beds/2", b"too late")
    village.mend()
    village.wait(60)
    assert state(ann) == state(bob)
    assert get(ann, "beds/1").value == b"known"
    for home in (ann, bob):
        assert get(home, "beds/2").code is Code.NOT_FOUND
    lost = bob.ask(ListVoid("garden")).writes
    assert [(w.path, w.fate) for w in lost] == [("beds/2", Fate.VOID)]
    assert "revoked" in lost[0].why


def test_who_may_not_write_is_told_which_grant_it_takes(garden):
    _, _, bob = garden
    refused = put(bob, ".policy/beds", b'"manual"')
    assert refused.code is Code.DENIED
    assert "rule" in refused.hint


def test_an_agent_that_was_granted_something_is_offered_the_space(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.wait(1)
    space = ann.ask(CreateSpace("garden")).space
    key = bob.core._me.key.public
    ann.ask(GrantRights("garden", bob.address, (key,), WRITER, paths=("beds/{self}",)))
    village.wait(1)
    assert [e.details["space"] for e in bob.events("space.offered")] == [space.text]
    bob.ask(JoinSpace(space.text))
    village.wait(3)
    assert bob.ask(ShowSpace("garden")).standing is Standing.MEMBER
    own = f"beds/{bob.address.text}/1"
    assert put(bob, own, b"mine").op
    assert put(bob, "beds/1", b"not mine").code is Code.DENIED


def test_a_manual_conflict_becomes_one_task_that_somebody_can_take(garden):
    village, ann, bob = garden
    put(ann, ".policy/beds", b'"manual"')
    village.wait(1)
    village.cut(ann, bob)
    put(ann, "beds/1", b"beans")
    put(bob, "beds/1", b"peas")
    village.mend()
    village.wait(60)
    tasks = [e for home in (ann, bob) for e in home.events("task.opened")]
    assert [e.kind for e in ann.events("conflict.opened")] == ["conflict.opened"]
    assert len(tasks) <= 1


def one_of_each(until_ms):
    return (
        Change("hits", Type.COUNTER, Act.INCREMENT, amount=3),
        Change("lead", Type.CLAIM, Act.BID, amount=1, until_ms=until_ms),
        Change("money", Type.BUDGET, Act.MINT, amount=10),
        Change("news", Type.LOG, Act.APPEND, b"first"),
        Change("steps", Type.LIST, Act.INSERT, b"dig"),
        Change("tags", Type.SET, Act.ADD, b"red"),
    )


def test_all_types_come_to_the_same_everywhere(garden):
    village, ann, bob = garden
    changes = one_of_each(village.now.wall_ms * 2)
    ann.ask(WriteChanges("garden", changes))
    village.wait(1)
    less = Change("hits", Type.COUNTER, Act.INCREMENT, amount=-1)
    bob.ask(WriteChanges("garden", (less,)))
    village.wait(1)
    assert [get(home, "hits").number for home in (ann, bob)] == [2, 2]
    assert [v.value for v in get(bob, "tags").values] == [b"red"]
    assert get(bob, "lead").holder == ann.address
    assert get(bob, "money").number == 10
    shown = bob.ask(ListPaths("garden")).documents
    assert [each.path for each in shown] == [each.path for each in changes]
    assert state(ann) == state(bob)


def bid(home, amount, until_ms):
    change = Change("lead", Type.CLAIM, Act.BID, amount=amount, until_ms=until_ms)
    return home.ask(WriteChanges("garden", (change,)))


def test_who_is_outbid_hears_that_a_claim_is_lost(garden):
    village, ann, bob = garden
    bid(ann, 1, village.now.wall_ms * 2)
    village.wait(1)
    assert ann.events("claim.lost") == []
    bid(bob, 2, village.now.wall_ms * 2)
    village.wait(1)
    [lost] = ann.events("claim.lost")
    assert (lost.author, lost.details["path"]) == (bob.address, "lead")
    assert bob.events("claim.lost") == []


def test_a_budget_is_not_overspent_here(garden):
    village, ann, bob = garden
    key = bob.core._me.key.public
    mint = Change("money", Type.BUDGET, Act.MINT, amount=10, to=key)
    ann.ask(WriteChanges("garden", (mint,)))
    village.wait(1)
    spend = Change("money", Type.BUDGET, Act.SPEND, amount=7)
    assert bob.ask(WriteChanges("garden", (spend,))).op
    assert bob.ask(WriteChanges("garden", (spend,))).code is Code.INVALID
    village.wait(1)
    assert get(ann, "money").number == 3


def test_history_says_who_wrote_what_and_what_became_of_it(garden):
    village, ann, bob = garden
    put(ann, "beds/1", b"beans")
    village.wait(1)
    put(bob, "beds/1", b"peas")
    writes = bob.ask(ShowHistory("garden", "beds/1")).writes
    told = [(w.value, w.who, w.fate) for w in writes]
    assert told == [
        (b"peas", bob.address, Fate.LIVE),
        (b"beans", ann.address, Fate.SUPERSEDED),
    ]


def test_what_was_written_as_a_version_is_read_after_it_was_replaced(garden):
    village, ann, bob = garden
    first = put(ann, "beds/1", b"beans").version
    village.wait(1)
    put(bob, "beds/1", b"peas")
    village.wait(1)
    seen = ann.ask(ReadPath("garden", "beds/1", version=first))
    assert (seen.value, seen.version, seen.conflict) == (b"beans", first, False)
    assert get(ann, "beds/1").value == b"peas"
    elsewhere = ann.ask(ReadPath("garden", "beds/2", version=first))
    other_type = ann.ask(ReadPath("garden", "beds/1", Type.LOG, first))
    assert [elsewhere.code, other_type.code] == [Code.NOT_FOUND] * 2


def test_a_write_that_does_not_count_is_not_read_by_its_version(garden):
    village, ann, bob = garden
    village.cut(ann, bob)
    grants = ann.ask(ListMembers("garden")).grants
    (grant,) = [each for each in grants if each.who == bob.address]
    ann.ask(RevokeGrant("garden", (grant.grant,)))
    late = put(bob, "beds/1", b"late").version
    assert bob.ask(ReadPath("garden", "beds/1", version=late)).value == b"late"
    village.mend()
    village.wait(60)
    seen = bob.ask(ReadPath("garden", "beds/1", version=late))
    assert (seen.code, "history" in seen.hint) == (Code.NOT_FOUND, True)


def test_a_restarted_node_knows_its_spaces_and_writes_on(garden):
    village, ann, bob = garden
    put(bob, "beds/1", b"beans")
    village.restart(bob)
    village.wait(5)
    put(bob, "beds/1", b"peas")
    village.wait(60)
    assert get(ann, "beds/1").value == b"peas"
    assert state(ann) == state(bob)


def test_who_leaves_takes_part_no_more_and_nothing_of_it_stays(garden):
    village, ann, bob = garden
    put(bob, "beds/1", b"beans")
    bob.ask(LeaveSpace("garden"))
    village.wait(5)
    assert bob.ask(ListSpaces()).spaces == ()
    assert not [key for key in bob.disk.pairs if key.startswith(b"o/")]
    assert put(ann, "beds/1", b"peas").op


def test_who_left_in_the_midst_of_a_comparison_is_let_in_again_at_once(garden):
    village, ann, bob = garden
    bob.ask(LeaveSpace("garden"))
    ann.ask(SyncSpace("garden", 1.0))  # and nobody answers
    bob.ask(JoinSpace(ann.ask(InviteToSpace("garden", WRITER)).invite))
    village.wait(2)
    assert bob.ask(ShowSpace("garden")).standing is Standing.MEMBER


def test_members_can_be_compared_with_on_demand(garden):
    _, ann, _ = garden
    put(ann, "beds/1", b"beans")
    synced = ann.ask(SyncSpace("garden"))
    assert (synced.peers, synced.equal) == (1, 1)


def test_a_space_nobody_knows_is_refused_with_the_way_out(village):
    (ann,) = village.add("ann")
    assert ann.ask(ShowSpace("garden")).hint
    assert ann.ask(JoinSpace(SpaceId(b"x" * 32).text)).standing is Standing.JOINING


def aged(home):
    """Say that an earlier version wrote the rows of all spaces on a disk."""
    rows = [k for k in home.disk.pairs if k.startswith(b"o/d") and k[7:] == b"m"]
    assert rows
    home.disk.pairs.update(dict.fromkeys(rows, b"\0an older layout"))


def test_a_space_an_earlier_version_wrote_is_made_anew_and_open_again(garden):
    village, ann, bob = garden
    put(bob, "beds/1", b"beans")
    village.wait(1)
    village.stop(bob)
    aged(bob)
    put(ann, "beds/2", b"peas")
    village.start(bob, bob.port)
    assert len(bob.events("space.rebuilding")) == 1
    assert bob.ask(ListSpaces()).spaces[0].standing is Standing.REBUILDING
    assert put(bob, "beds/1", b"corn").hint
    village.wait(60)
    assert len(bob.events("space.rebuilt")) == 1
    assert bob.ask(ShowSpace("garden")).standing is Standing.MEMBER
    assert [get(bob, f"beds/{n}").value for n in (1, 2)] == [b"beans", b"peas"]
    assert state(ann) == state(bob)


def test_a_space_that_is_being_made_anew_can_be_left(garden):
    village, _, bob = garden
    village.stop(bob)
    aged(bob)
    village.start(bob, bob.port)
    bob.ask(LeaveSpace("garden"))
    village.wait(10)
    assert bob.ask(ListSpaces()).spaces == ()
    assert not [key for key in bob.disk.pairs if key.startswith(b"o/")]


def test_a_member_whose_key_is_rotated_goes_on_writing_and_its_old_key_does_not(garden):
    village, ann, bob = garden
    put(bob, "a", b"1")
    village.wait(1)
    grant, copy = member(ann, bob)[0], bob.core._spaces._copies
    thief, pen = next(iter(copy)), bob.core._spaces._desk._documents._pen
    village.stop(bob)
    bob.rotate()
    village.start(bob)
    village.wait(60)
    assert not isinstance(put(bob, "a", b"2"), Refusal)
    village.wait(60)
    assert (get(ann, "a").value, state(ann) == state(bob)) == (b"2", True)
    assert grant not in member(ann, bob)
    content = [(Mutation(Type.REGISTER, 0, "a", sha256(b"3").digest()), b"3")]
    (held,) = ann.core._spaces._copies
    op = pen.write(thief, Written(content, read_grant_name(grant)), village.now)
    assert held.engine.admit(op, village.now).verdict is Verdict.QUARANTINED
