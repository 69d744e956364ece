"""A full disk: what a node still does, what it refuses, and how it catches up.

The core is told by inputs; what keeps the writes meanwhile is the shell's affair.
"""

import pytest

from nestmate_protocol.blobs.requests import ListBlobs, PutChunk, ReadBlob
from nestmate_protocol.directory.requests import AddSkill
from nestmate_protocol.effects import Channel, Code, Refusal, Save, Send
from nestmate_protocol.friends.requests import CreateInvite
from nestmate_protocol.grants import Rights
from nestmate_protocol.identity.cards import SkillOffer
from nestmate_protocol.inputs import Ask, DiskFull, DiskRoom
from nestmate_protocol.limits import OPS_FRAMES_UNDERWAY_MAX
from nestmate_protocol.signals.requests import DepositTask, ListSignals, TakeTask
from nestmate_protocol.spaces.requests import (
    Change,
    CreateSpace,
    InviteToSpace,
    JoinSpace,
    ListPaths,
    ReadPath,
    ShowSpace,
    WriteChanges,
)
from nestmate_protocol.spaces.sync.frames import Done, End, Ops, unpack

FULL = DiskFull("No space left on device.")
WRITER = Rights.READ | Rights.WRITE


@pytest.fixture
def garden(village):
    """Ann and Bob share a space; Bob's disk is full."""
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.wait(1)
    ann.ask(CreateSpace("garden"))
    bob.ask(JoinSpace(ann.ask(InviteToSpace("garden", WRITER)).invite))
    put(ann, "beds/1", b"beans")
    village.wait(5)
    assert state(ann) == state(bob)
    bob.feed(FULL)
    bob.done.clear()
    return village, ann, bob


def put(home, path, value):
    return home.ask(WriteChanges("garden", (Change(path, value=value),)))


def state(home):
    return home.ask(ShowSpace("garden")).state


def frames(home, kind):
    sent = [each for each in home.did(Send) if each.channel is Channel.SPACES]
    return [frame for each in sent if isinstance(frame := unpack(each.data), kind)]


def test_a_full_node_reads_on_and_refuses_what_would_have_to_be_kept(garden):
    _, _, bob = garden
    assert bob.ask(ReadPath("garden", "beds/1")).value == b"beans"
    for body in (CreateInvite(), DepositTask("weed", 0.5), CreateSpace("new")):
        refused = bob.ask(body)
        assert (refused.code, refused.hint[:15]) == (Code.FULL, "Free some space")
    assert put(bob, "beds/2", b"peas").code is Code.FULL
    assert len(bob.ask(ListPaths("garden")).documents) == 1


def test_a_full_node_takes_in_nothing_of_a_flood_and_catches_up_by_itself(garden):
    village, ann, bob = garden
    for n in range(300):
        put(ann, f"flood/{n}", b"x" * 100)
    village.wait(120)
    assert state(ann) != state(bob)
    assert not [save for save in bob.did(Save) if save.writes[0][0][:2] == b"o/"]
    assert len(frames(ann, Ops)) <= 2 * OPS_FRAMES_UNDERWAY_MAX
    assert {frame.end for frame in frames(bob, Done)} == {End.BUSY}
    bob.feed(DiskRoom())
    village.wait(5)
    assert state(ann) == state(bob)
    put(ann, "flood/last", b"pushed")
    village.wait(0.1)
    assert bob.ask(ReadPath("garden", "flood/last")).value == b"pushed"


def test_a_run_that_is_going_on_is_ended_politely(garden):
    village, ann, bob = garden
    bob.feed(DiskRoom())
    village.cut(ann, bob)
    put(ann, "beds/3", b"leek")
    village.mend()
    village.lost = lambda send: (
        send.channel is Channel.SPACES and isinstance(unpack(send.data), Ops)
    )
    while not any(
        link.runs for link in bob.core._spaces._sessions._floor.links.values()
    ):
        village.wait(0.5)
    bob.done.clear()
    bob.feed(FULL)
    assert [frame.end for frame in frames(bob, Done)] == [End.BUSY]


def test_it_says_once_that_the_disk_is_full_and_once_that_there_is_room(garden):
    _, _, bob = garden
    bob.feed(FULL)
    for _ in range(2):
        bob.feed(DiskRoom(untold=3))
    assert not bob.events("disk.full")
    assert [e.details for e in bob.events("disk.room")] == [{"untold": 3}]


def test_whoever_waits_for_what_cannot_come_is_refused_at_once(village):
    (ann,) = village.add("ann")
    request = village.ask(ann, TakeTask(skill="weed", wait_seconds=60))
    assert request not in ann.replies
    ann.feed(FULL)
    assert ann.replies[request].code is Code.FULL
    village.wait(120)


def test_a_call_for_help_that_passed_a_full_node_by_is_sensed_when_there_is_room(
    garden,
):
    village, ann, bob = garden
    bob.feed(DiskRoom())
    bob.ask(AddSkill(SkillOffer("weed")))
    bob.feed(FULL)
    ann.ask(DepositTask("weed", 0.9))
    village.wait(30)
    assert not bob.ask(ListSignals()).tasks
    bob.feed(DiskRoom())
    village.wait(60)
    assert [task.skill for task in bob.ask(ListSignals()).tasks] == ["weed"]


def test_a_full_node_gives_blobs_away_and_fetches_none(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    ours, theirs = (
        home.ask(PutChunk(data, public=True)).blob
        for home, data in ((ann, b"ann's"), (bob, b"bob's"))
    )
    bob.feed(FULL)
    read = ReadBlob(ours, agents=(ann.address,), wait_seconds=20)
    assert bob.ask(read).code is Code.FULL
    assert ann.ask(ReadBlob(theirs, agents=(bob.address,))).data == b"bob's"
    assert bob.ask(ReadBlob(theirs)).data == b"bob's"
    assert len(bob.ask(ListBlobs()).blobs) == 1
    bob.feed(DiskRoom())
    assert bob.ask(read).data == b"ann's"


def test_a_full_node_rests_instead_of_being_woken_again_and_again(garden):
    village, ann, bob = garden
    ann.ask(DepositTask("weed", 0.9))
    village.wait(3_600)  # fails if somebody wants to be woken all the time
    answer = bob.core.handle(Ask(1_000_000, CreateInvite()), village.now)
    assert isinstance(answer[0].response, Refusal)
