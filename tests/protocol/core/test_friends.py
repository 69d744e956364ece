"""Friends: joining, refusals that say what to do, and the list of contacts."""

import pytest

from nestmate_protocol.directory.requests import PingAgent
from nestmate_protocol.effects import Channel, Code, Refusal, Strike
from nestmate_protocol.errors import Fault
from nestmate_protocol.friends.frames import Redeem, pack
from nestmate_protocol.friends.invites import open_invite
from nestmate_protocol.friends.requests import (
    AddContact,
    ContactView,
    CreateInvite,
    Forgotten,
    Joined,
    JoinInvite,
    ListContacts,
    RemoveContact,
    RenameContact,
    ShowContact,
    Trust,
    TrustContact,
)
from nestmate_protocol.inputs import Arrived, Listening
from nestmate_protocol.limits import INVITES_OPEN_MAX, NAME_CHARS_MAX

DAY = 86_400


def line_of(home, **terms) -> str:
    return home.ask(CreateInvite(**terms)).invite


def names(home) -> list[str]:
    return [contact.name for contact in home.ask(ListContacts()).contacts]


def refused(answer: object, code: Code, words: str) -> None:
    assert isinstance(answer, Refusal), answer
    assert answer.code is code
    assert words in answer.detail
    assert answer.hint


def test_a_used_invite_says_so_and_what_to_do(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    line = line_of(ann)
    assert isinstance(bob.ask(JoinInvite(line)), Joined)
    answer = cid.ask(JoinInvite(line))
    refused(answer, Code.DENIED, "used up")
    assert "nestmate invite" in answer.hint
    assert names(cid) == []


def test_an_invite_works_as_often_as_it_says_also_across_a_restart(village):
    ann, bob, cid, dan = village.add("ann", "bob", "cid", "dan")
    line = line_of(ann, uses=2)
    assert isinstance(bob.ask(JoinInvite(line)), Joined)
    village.restart(ann)
    assert isinstance(cid.ask(JoinInvite(line)), Joined)
    refused(dan.ask(JoinInvite(line)), Code.DENIED, "used up")


def test_an_issuer_that_has_moved_is_found_by_the_address_in_its_invite(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    line = line_of(ann)
    village.befriend(ann, cid)
    village.move(ann)
    village.wait(10)
    assert isinstance(bob.ask(JoinInvite(line)), Joined)


def test_an_expired_invite_says_when_it_ended(village):
    ann, bob = village.add("ann", "bob")
    line = line_of(ann, expires_seconds=60)
    village.wait(61)
    answer = bob.ask(JoinInvite(line))
    refused(answer, Code.DENIED, "expired at 2027-01-15 08:01 UTC")


def test_an_invite_its_issuer_has_forgotten_is_unknown(village):
    ann, bob = village.add("ann", "bob")
    line = line_of(ann)
    ann.disk.pairs.clear()
    village.restart(ann)
    refused(bob.ask(JoinInvite(line)), Code.DENIED, "does not know this invite")


def test_ones_own_invite_is_for_somebody_else(village):
    (ann,) = village.add("ann")
    refused(ann.ask(JoinInvite(line_of(ann))), Code.INVALID, "invite of your own")


def test_an_invite_to_another_network_is_not_tried(village):
    (ann,) = village.add("ann", network="test")
    (bob,) = village.add("bob")
    refused(bob.ask(JoinInvite(line_of(ann))), Code.INVALID, "another network")


def test_an_issuer_that_is_down_is_waited_for_and_named(village):
    ann, bob = village.add("ann", "bob")
    line = line_of(ann)
    village.stop(ann)
    answer = bob.ask(JoinInvite(line, wait_seconds=5))
    refused(answer, Code.TIMED_OUT, "The node of ann could not be reached at /ip4")


def test_an_issuer_that_comes_up_while_somebody_joins_is_reached(village):
    ann, bob = village.add("ann", "bob")
    line = line_of(ann)
    village.stop(ann)
    request = village.ask(bob, JoinInvite(line, wait_seconds=15))
    village.wait(5)
    village.start(ann, ann.port)
    village.wait(10)
    assert bob.replies[request] == Joined(ann.address, "ann")


def test_a_node_that_listens_nowhere_invites_nobody(village):
    (ann,) = village.add("ann")
    ann.feed(Listening(()))
    refused(ann.ask(CreateInvite()), Code.INVALID, "listens nowhere")


def test_joining_a_friend_again_is_answered_at_once_and_burns_no_use(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, bob)
    line = line_of(ann)
    assert bob.ask(JoinInvite(line)) == Joined(ann.address, "ann")
    village.wait(5)
    assert isinstance(cid.ask(JoinInvite(line)), Joined)


def test_joining_again_mends_a_friendship_the_other_side_has_forgotten(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    ann.ask(RemoveContact("bob"))
    assert bob.ask(JoinInvite(line_of(ann))) == Joined(ann.address, "ann")
    village.wait(5)
    assert names(ann) == ["bob"]


def test_a_welcome_lost_on_the_way_is_asked_for_again(village):
    ann, bob = village.add("ann", "bob")
    line = line_of(ann)
    village.lost = lambda effect: effect.data[:2] == bytes((0x82, 2))  # a welcome
    village.ask(bob, JoinInvite(line))
    assert names(ann) == ["bob"]
    village.lost = lambda effect: False
    village.restart(bob)
    assert isinstance(bob.ask(JoinInvite(line)), Joined)
    assert names(ann) == ["bob"]


def test_whoever_guesses_a_secret_is_told_nothing_and_struck(village):
    ann, bob = village.add("ann", "bob")
    invite = open_invite(line_of(ann), ann.core._me.network)
    village.befriend(ann, bob)
    guess = pack(Redeem(invite.id, b"guess" + bytes(11)))
    ann.ask(RemoveContact("bob"))
    effects = ann.feed(Arrived(bob.peer, Channel.FRIENDS, guess))
    assert Strike(bob.peer, Fault.NOT_ENTITLED) in effects
    assert names(ann) == []


def test_two_contacts_who_call_themselves_the_same_get_two_names(village):
    ann, bob, rob = village.add("ann", "bob", "rob")
    rob.name = "BOB"
    village.restart(rob)
    village.befriend(ann, bob)
    village.befriend(ann, rob)
    assert names(ann) == ["bob", "BOB-2"]


def test_a_friendship_outlives_a_restart_of_both_and_the_inviter(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, bob)
    village.befriend(bob, cid)
    village.stop(ann)
    village.restart(bob)
    village.restart(cid)
    village.wait(20)
    assert village.connected(bob, cid)
    assert names(bob) == ["ann", "cid"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "1 to 64 characters"),
        ("x" * (NAME_CHARS_MAX + 1), "1 to 64 characters"),
        ("me", "this node calls itself"),
        ("nest1abc", "look like an address"),
        ("NEST1abc", "look like an address"),
        (" bob", "plain printable"),
        ("b\u202eob", "plain printable"),
        ("b\x07ob", "plain printable"),
    ],
)
def test_a_name_that_could_mislead_is_refused(village, name, words):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    answer = ann.ask(RenameContact("bob", name))
    assert answer.code is Code.INVALID
    assert words in answer.detail


def test_a_name_belongs_to_one_contact_whatever_the_case_of_its_letters(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, bob)
    refused(ann.ask(AddContact(cid.address, "BOB")), Code.CONFLICT, "'BOB'")
    assert ann.ask(AddContact(cid.address, "Cid")).name == "Cid"
    assert ann.ask(ShowContact("cid")).address == cid.address
    assert ann.ask(RenameContact("cid", "CID")).name == "CID"
    refused(ann.ask(RenameContact("cid", "bob")), Code.CONFLICT, "'bob'")


def test_adding_a_contact_twice_changes_nothing(village):
    ann, bob = village.add("ann", "bob")
    first = ann.ask(AddContact(bob.address, "bob"))
    assert ann.ask(AddContact(bob.address)) == first
    refused(ann.ask(AddContact(bob.address, "rob")), Code.CONFLICT, "already")


def test_an_added_contact_is_looked_for_and_kept_in_touch_with(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, cid)
    village.befriend(bob, cid)
    village.cut(ann, bob)
    village.mend()
    ann.ask(AddContact(bob.address, "bob"))
    village.wait(20)
    assert ann.ask(ShowContact("bob")).connected


def test_a_blocked_contact_is_hung_up_and_stays_out(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    view = ann.ask(TrustContact("bob", Trust.BLOCKED))
    assert view == ContactView(bob.address, "bob", Trust.BLOCKED, view.added_ms, False)
    village.wait(600)
    assert not village.connected(ann, bob)
    village.restart(ann)
    village.restart(bob)
    village.wait(600)
    assert ann.ask(ShowContact("bob")).connected is False
    refused(ann.ask(JoinInvite(line_of(bob))), Code.DENIED, "You have blocked bob.")


def test_a_contact_let_in_again_is_a_friend_again(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    ann.ask(TrustContact("bob", Trust.BLOCKED))
    village.wait(60)
    ann.ask(TrustContact("bob", Trust.KNOWN))
    village.wait(30)
    assert ann.ask(ShowContact("bob")).connected
    assert ann.ask(PingAgent("bob")).address == bob.address


def test_a_stranger_can_be_blocked_by_address(village):
    ann, bob = village.add("ann", "bob")
    view = ann.ask(TrustContact(bob.address.text, Trust.BLOCKED))
    assert view.trust is Trust.BLOCKED
    refused(ann.ask(TrustContact("bobby", Trust.BLOCKED)), Code.NOT_FOUND, "bobby")


def test_a_forgotten_contact_is_no_friend_any_more(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    assert ann.pinned == {bob.peer}
    assert ann.ask(RemoveContact("bob")) == Forgotten(bob.address)
    assert ann.pinned == set()
    refused(ann.ask(RemoveContact("bob")), Code.NOT_FOUND, "bob")
    village.restart(ann)
    assert names(ann) == []


def test_open_invites_are_bounded_and_spent_ones_make_room(village):
    (ann,) = village.add("ann")
    for _ in range(INVITES_OPEN_MAX):
        line_of(ann, expires_seconds=60)
    refused(ann.ask(CreateInvite()), Code.BUSY, "open already")
    village.wait(300)
    assert line_of(ann)
    assert len(list(ann.disk.scan(b"f/invite/"))) == 1


@pytest.mark.parametrize(
    "body",
    [
        CreateInvite(uses=0),
        CreateInvite(uses=1_001),
        CreateInvite(expires_seconds=0),
        CreateInvite(expires_seconds=31 * DAY),
        CreateInvite(grants=("",)),
        CreateInvite(grants=("\ud800",)),
        JoinInvite("hello"),
        JoinInvite("nestmate1AAAA"),
        JoinInvite("nestmate1", wait_seconds=float("nan")),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(village, body):
    (ann,) = village.add("ann")
    assert ann.ask(body, seconds=0).code is Code.INVALID
