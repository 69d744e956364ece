"""The core as a whole: what one node does and another notices, and hostile bytes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestmate_protocol.codec import encode
from nestmate_protocol.directory.requests import (
    AddSkill,
    ConnectPeer,
    FindSkill,
    PingAgent,
    ShowSelf,
    ShowStatus,
    SkillOffer,
)
from nestmate_protocol.effects import (
    Channel,
    Code,
    Publish,
    Reply,
    Save,
    Send,
    Strike,
)
from nestmate_protocol.errors import Fault, LocalError
from nestmate_protocol.friends.requests import (
    CreateInvite,
    ListContacts,
    Trust,
    TrustContact,
)
from nestmate_protocol.inputs import (
    Arrived,
    Ask,
    Found,
    Heard,
    Listening,
    PeerUp,
    Resolved,
    Wakeup,
)
from nestmate_protocol.keys import SigningKey, host_peer
from nestmate_protocol.limits import PARKED_RECORDS_MAX
from nestmate_protocol.records import Kind, make_frame, open_frame, sign_record
from nestmate_protocol.signals.requests import (
    DepositTask,
    FinishClaim,
    ListSignals,
    ShowTask,
    TakeTask,
    TaskStatus,
)

TRANSLATE = SkillOffer("translate", "Any language into any other")
MINUTE = 60
STRANGER = host_peer(b"\x09" * 32)


def sensed(home) -> list:
    return [view.task for view in home.ask(ListSignals()).tasks]


def test_two_strangers_are_contacts_after_one_pasted_line(village):
    ann, bob = village.add("ann", "bob")
    joined = village.befriend(ann, bob)
    assert (joined.address, joined.name) == (ann.address, "ann")
    assert [c.name for c in ann.ask(ListContacts()).contacts] == ["bob"]
    assert [c.trust for c in bob.ask(ListContacts()).contacts] == [Trust.KNOWN]


def test_a_friend_is_found_again_on_another_port_within_30_seconds(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.stop(ann)
    village.wait(20)
    village.start(ann)
    assert bob.ask(PingAgent("ann"), seconds=30).address == ann.address


@pytest.mark.parametrize("has_dht", [True, False])
def test_friends_who_both_moved_find_each_other_by_a_third(village, has_dht):
    village.has_dht = has_dht
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, cid)
    village.befriend(bob, cid)
    village.befriend(ann, bob)
    village.stop(ann)
    village.move(bob)
    village.start(ann)
    village.wait(30)
    assert village.connected(ann, bob)


def test_friends_cut_apart_for_an_hour_are_together_again_within_minutes(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, bob)
    village.befriend(ann, cid)
    village.cut(ann, bob)
    village.cut(bob, cid)
    village.wait(60 * MINUTE)
    village.mend()
    village.wait(6 * MINUTE)
    assert village.connected(ann, bob)
    assert village.connected(bob, cid)


def test_a_chain_of_friends_goes_on_without_its_first_inviter(village):
    ann, bob, cid, dan = village.add("ann", "bob", "cid", "dan")
    bob.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    village.befriend(bob, cid)
    village.stop(ann)
    task = cid.ask(DepositTask("translate", 0.5, b"hello")).task
    assert bob.ask(TakeTask(skill="translate")).task == task
    village.befriend(cid, dan)
    found = dan.ask(FindSkill("translate"))
    assert [result.address for result in found.results] == [bob.address]
    assert dan.ask(PingAgent(bob.address.text)).address == bob.address


def test_a_friends_friend_works_on_a_task(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    bob.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    village.befriend(ann, cid)
    task = cid.ask(DepositTask("translate", 0.9, b"hello")).task
    claim = bob.ask(TakeTask(skill="translate"))
    assert (claim.task, claim.body) == (task, b"hello")
    bob.ask(FinishClaim(task, b"bonjour", wait_seconds=5))
    view = cid.ask(ShowTask(task))
    assert (view.status, view.result) == (TaskStatus.DONE, b"bonjour")


def test_a_result_reaches_an_issuer_that_has_moved_meanwhile(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    bob.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    village.befriend(bob, cid)
    task = ann.ask(DepositTask("translate", 0.5, b"hello", lease_seconds=600)).task
    bob.ask(TakeTask(skill="translate"))
    village.stop(ann)
    bob.ask(FinishClaim(task, b"bonjour"))
    village.wait(2 * MINUTE)
    village.start(ann)
    village.wait(MINUTE)
    assert ann.ask(ShowTask(task)).result == b"bonjour"


def test_signals_of_a_blocked_agent_weigh_nothing(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    ann.ask(AddSkill(TRANSLATE))
    village.befriend(ann, cid)
    village.befriend(cid, bob)
    ann.ask(TrustContact(bob.address.text, Trust.BLOCKED))
    bob.ask(DepositTask("translate", 0.9))
    village.wait(5)
    assert sensed(ann) == []
    assert len(sensed(cid)) == 1


def test_a_newcomer_senses_what_was_called_for_before_it_came(village):
    ann, bob = village.add("ann", "bob")
    task = ann.ask(DepositTask("translate", 0.5)).task
    village.befriend(ann, bob)
    assert sensed(bob) == [task]


def test_whoever_takes_up_a_skill_senses_at_once_what_was_called_for(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    task = ann.ask(DepositTask("translate", 0.5)).task
    other = ann.ask(DepositTask("dance", 0.9)).task
    assert sensed(bob) == []
    bob.ask(AddSkill(TRANSLATE))
    assert sensed(bob) == [task]
    assert other not in sensed(bob)


def record_of_a_stranger(village, skill: str = "translate") -> tuple:
    """A home nobody is connected to, and the record of a task of its own."""
    (zoe,) = village.add("zoe")
    zoe.ask(DepositTask(skill, 0.9))
    (published, *_) = zoe.did(Publish)
    return zoe, published.record


def test_a_record_of_an_unknown_author_waits_for_the_authors_card(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    zoe, record = record_of_a_stranger(village)
    bob.ask(ConnectPeer(f"{zoe.multiaddr}/p2p/{zoe.peer.text}"))
    ann.feed(Arrived(bob.peer, Channel.SIGNALS, make_frame([(record, 10)])))
    assert len(sensed(ann)) == 1


def test_a_record_whose_author_stays_unknown_is_dropped_in_time(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    _, record = record_of_a_stranger(village)
    ann.feed(Arrived(bob.peer, Channel.SIGNALS, make_frame([(record, 10)])))
    assert len(ann.core._admission._parking) == 1
    village.wait(31)
    assert len(ann.core._admission._parking) == 0
    assert sensed(ann) == []


def test_one_bearer_cannot_fill_the_room_where_records_wait(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    network = ann.core._me.network
    for number in range(PARKED_RECORDS_MAX):
        key = SigningKey(number.to_bytes(32))
        record = sign_record(key, network, Kind.CANCEL, {1: bytes(32), 2: 1})
        frame = make_frame([(record.data, 0)])
        ann.feed(Heard(bob.peer, "topic", open_frame(frame, network)))
    assert len(ann.core._admission._parking) == PARKED_RECORDS_MAX // 8


def test_a_record_that_is_no_signal_is_held_against_its_author_who_sent_it(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    card = bob.ask(ShowSelf(card=True)).card
    effects = ann.feed(Arrived(bob.peer, Channel.SIGNALS, make_frame([(card, 0)])))
    assert effects == [Strike(bob.peer, Fault.UNKNOWN_KIND)]


def test_an_honest_node_is_not_struck_for_a_lie_it_passed_on(village):
    ann, bob, mallory = village.add("ann", "bob", "mallory")
    village.befriend(ann, bob)
    village.befriend(ann, mallory)
    lie = sign_record(
        mallory.core._me.key, ann.core._me.network, Kind.SIGNAL, {1: bob.address.raw}
    )
    frame = make_frame([(lie.data, 0)])
    passed_on = ann.feed(Arrived(bob.peer, Channel.SIGNALS, frame))
    told = ann.feed(Arrived(mallory.peer, Channel.SIGNALS, frame))
    assert passed_on == []
    assert told == [Strike(mallory.peer, Fault.BAD_FIELD)]
    assert dict(ann.ask(ShowStatus()).faults)["bad field"] == 2


def test_effects_are_durable_then_visible_then_answered(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    effects = ann.feed(Ask(1_000, AddSkill(TRANSLATE)))
    kinds = [type(effect) for effect in effects]
    assert kinds[0] is Save
    assert kinds[-1] is Reply
    assert kinds.count(Save) == kinds.count(Reply) == 1
    assert Send in kinds


def test_status_tells_the_nodes_own_figures(village):
    ann, bob = village.add("ann", "bob")
    ann.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    bob.ask(DepositTask("translate", 0.5))
    village.wait(10)
    status = ann.ask(ShowStatus())
    assert (status.peers, status.contacts, status.tasks_sensed) == (1, 1, 1)
    assert status.skills == ("translate",)
    assert status.up_seconds >= 10
    assert status.faults == ()


def test_the_same_inputs_have_the_same_effects(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    twin = type(village)()
    ann2, bob2 = twin.add("ann", "bob")
    twin.befriend(ann2, bob2)
    assert ann.done == ann2.done
    assert bob.done == bob2.done


def test_a_store_that_lost_our_own_doings_to_damage_is_not_taken(village):
    (ann,) = village.add("ann")
    ann.ask(CreateInvite())
    for key, _ in list(ann.disk.scan(b"f/invite/")):
        ann.disk.pairs[key] = b"damaged"
    with pytest.raises(LocalError, match="cannot be read"):
        ann.boot()


def test_a_name_or_address_no_card_can_hold_does_not_keep_a_node_down(village):
    (ann,) = village.add("ann")
    ann.name = "A\u202e" + "n" * 99
    village.restart(ann)
    ann.feed(Listening(("nonsense", "/ip4/" + "1" * 999, ann.multiaddr)))
    view = ann.ask(ShowSelf())
    assert view.multiaddrs == (ann.multiaddr,)
    assert view.called == "A" + "n" * 63


def test_a_device_that_was_replaced_does_not_start(village):
    (ann,) = village.add("ann")
    device = ann.device_seed
    village.stop(ann)
    ann.rotate()
    ann.device_seed = device
    with pytest.raises(LocalError, match="does not speak") as caught:
        ann.boot()
    assert "recover" in caught.value.hint


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.binary(max_size=40)
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
frames = st.binary(max_size=200) | st.one_of(
    st.lists(values, max_size=4), st.tuples(st.integers(0, 8), values, values)
).map(encode)
KINDS = (*Channel, "found", "resolved")


def hostile(ann, kind: object, data: bytes, peer) -> object:
    match kind:
        case Channel():
            return Arrived(peer, kind, data)
        case "found":
            return Found(data, ((peer, ("/ip4/1", "x" * 999)),))
        case _:
            return Resolved(ann.address, data)


@pytest.fixture
def besieged(village):
    """A node with a stranger's connection, and everything ever sent to a friend."""
    ann, bob = village.add("ann", "bob")
    bob.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    task = ann.ask(DepositTask("translate", 0.9, b"hello")).task
    bob.ask(TakeTask(skill="translate"))
    bob.ask(FinishClaim(task, b"bonjour", wait_seconds=5))
    village.stop(bob)
    ann.loot = [(e.channel, e.data) for e in bob.did(Send)]
    ann.feed(PeerUp(STRANGER, "/ip4/127.0.0.1/tcp/66", inbound=True))
    ann.before = dict(ann.disk.pairs)
    return ann


def news(home) -> set[bytes]:
    """Which keys of the store have changed, but for the address book's."""
    changed = home.disk.pairs.items() ^ home.before.items()
    return {key for key, _ in changed if not key.startswith(b"d/book/")}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(KINDS), frames), max_size=20))
def test_no_bytes_of_any_peer_raise_or_change_what_is_kept(village, besieged, story):
    for kind, data in story:
        besieged.feed(hostile(besieged, kind, data, STRANGER))
        besieged.feed(Wakeup())
    assert news(besieged) == set()
    assert len(list(besieged.disk.scan(b"d/book/"))) <= 2
    assert (
        len(besieged.core._admission._parking)
        == len(besieged.core._postroom._outbox)
        == 0
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_mutant_of_a_real_frame_raises_or_changes_what_is_kept(besieged, data):
    channel, frame = data.draw(st.sampled_from(besieged.loot))
    place = data.draw(st.integers(0, len(frame) - 1))
    mutant = frame[:place] + data.draw(st.binary(max_size=3)) + frame[place + 1 :]
    if mutant != frame:
        besieged.feed(Arrived(STRANGER, channel, mutant))
        besieged.feed(Wakeup())
    assert news(besieged) == set()


def test_a_flood_of_requests_is_refused_and_not_forgotten(village):
    (ann,) = village.add("ann")
    asked = [
        ann.feed(Ask(n, TakeTask(skill="x", wait_seconds=9))) for n in range(1_100)
    ]
    refusals = [e for effects in asked for e in effects if isinstance(e, Reply)]
    assert {reply.response.code for reply in refusals} <= {Code.BUSY}
    village.wait(10)
    assert len(ann.replies) == 1_100
