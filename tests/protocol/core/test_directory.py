"""The directory: who somebody is, who offers what, and what becomes of old cards."""

import pytest

from nestmate_protocol.directory.frames import Cards, Hello, WantAddress, pack
from nestmate_protocol.directory.requests import (
    AddSkill,
    ConnectPeer,
    DisconnectPeer,
    Done,
    FindSkill,
    ListPeers,
    ListSkills,
    PingAgent,
    Pong,
    RemoveSkill,
    ShowSelf,
    ShowStatus,
    SkillOffer,
    WhoIs,
)
from nestmate_protocol.effects import (
    Announce,
    Channel,
    Code,
    Provide,
    Refusal,
    Send,
    Strike,
)
from nestmate_protocol.errors import Fault
from nestmate_protocol.friends.requests import (
    AddContact,
    CreateInvite,
    JoinInvite,
    Trust,
    TrustContact,
)
from nestmate_protocol.identity.cards import Profile, make_card
from nestmate_protocol.identity.log import add_device
from nestmate_protocol.inputs import Abandon, Arrived, Ask, PeerUp, Sighted
from nestmate_protocol.keys import SigningKey, host_peer
from nestmate_protocol.limits import CARD_RENEW_MS, TOPICS_MAX
from nestmate_protocol.records import open_record

TRANSLATE = SkillOffer("translate", "Any language into any other", price="0.05 USDC")
HOUR = 3_600


def own_card(home) -> bytes:
    return home.ask(ShowSelf(card=True)).card


def found(home, skill: str, **options) -> list:
    return list(home.ask(FindSkill(skill, **options)).results)


def refused(answer: object, code: Code) -> None:
    assert isinstance(answer, Refusal), answer
    assert answer.code is code
    assert answer.hint


def test_two_joined_homes_find_each_other_by_skill(village):
    ann, bob = village.add("ann", "bob")
    ann.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    (result,) = found(bob, "translate")
    assert (result.address, result.name, result.skill) == (
        ann.address,
        "ann",
        TRANSLATE,
    )
    assert result.multiaddrs == (f"{ann.multiaddr}/p2p/{ann.peer.text}",)
    assert found(ann, "sing") == []


def test_a_skill_is_found_through_the_dht_alone(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    ann.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    village.wait(2)
    village.stop(bob)
    (result,) = found(cid, "translate")
    assert (result.address, result.connected) == (ann.address, True)


def test_whoever_offers_it_too_comes_last_and_is_called_me(village):
    ann, bob = village.add("ann", "bob")
    for home in (ann, bob):
        home.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    assert [r.name for r in found(ann, "translate")] == ["bob", "me"]
    assert [r.name for r in found(ann, "translate", limit=1)] == ["bob"]


def test_friends_come_before_strangers_and_the_trusted_before_them(village):
    ann, bob, cid, dan = village.add("ann", "bob", "cid", "dan")
    for home in (bob, cid, dan):
        home.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    village.befriend(bob, dan)
    village.befriend(ann, cid)
    ann.ask(TrustContact("cid", Trust.TRUSTED))
    assert [r.address for r in found(ann, "translate")] == [
        cid.address,
        bob.address,
        dan.address,
    ]
    ann.ask(TrustContact("cid", Trust.BLOCKED))
    assert [r.name for r in found(ann, "translate")] == ["bob", ""]


def test_a_skill_taken_back_is_not_found_any_more(village):
    ann, bob = village.add("ann", "bob")
    ann.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    assert ann.ask(RemoveSkill("translate")) == Done()
    assert found(bob, "translate") == []
    assert ann.topics == set()
    refused(ann.ask(RemoveSkill("translate")), Code.NOT_FOUND)


def test_skills_and_the_number_of_the_card_outlive_a_restart(village):
    (ann,) = village.add("ann")
    ann.ask(AddSkill(TRANSLATE))
    before = open_record(own_card(ann), ann.core._me.network)
    village.turn_wall_clocks(hours=-1)
    village.restart(ann)
    after = open_record(own_card(ann), ann.core._me.network)
    assert ann.ask(ListSkills()).skills == (TRANSLATE,)
    assert after.fields.integer(8, 0, 2**63) > before.fields.integer(8, 0, 2**63)


@pytest.mark.parametrize(
    "skill",
    [
        SkillOffer(""),
        SkillOffer("x" * 65),
        SkillOffer("two\nlines"),
        SkillOffer("fine", "half a \ud800 character"),
        SkillOffer("fine", input_schema="no json"),
        SkillOffer("fine", input_schema="[]"),
        SkillOffer("fine", input_schema="[" * 100_000),
        SkillOffer("fine", output_schema='"' + "x" * 5_000 + '"'),
    ],
)
def test_an_offer_nobody_could_take_changes_nothing(village, skill):
    (ann,) = village.add("ann")
    card = own_card(ann)
    assert ann.ask(AddSkill(skill)).code is Code.INVALID
    assert own_card(ann) == card
    assert ann.ask(ListSkills()).skills == ()


def test_a_card_that_would_grow_too_large_is_refused_and_left_as_it_was(village):
    (ann,) = village.add("ann")
    schema = '{"a":"%s"}' % ("x" * 4_000)
    offers = [SkillOffer(f"skill {n}", input_schema=schema) for n in range(8)]
    kept = [offer for offer in offers if ann.ask(AddSkill(offer)) == Done()]
    assert 0 < len(kept) < 8
    assert ann.ask(ListSkills()).skills == tuple(kept)


def test_whois_knows_ourselves_our_friends_and_their_friends(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, bob)
    village.befriend(bob, cid)
    assert ann.ask(WhoIs("me")).name == "me"
    assert ann.ask(WhoIs("bob")).address == bob.address
    view = ann.ask(WhoIs(cid.address.text))
    assert (view.called, view.name, view.peer) == ("cid", "", cid.peer)
    assert view.devices == (cid.key.public,)


def test_whois_finds_a_stranger_by_the_dht(village):
    ann, bob, cid, dan = village.add("ann", "bob", "cid", "dan")
    village.befriend(ann, bob)
    village.befriend(cid, dan)
    village.wait(2)
    view = ann.ask(WhoIs(dan.address.text))
    assert (view.address, view.connected) == (dan.address, True)


def test_an_address_nobody_knows_is_not_waited_for_to_the_end(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    nobody = type(ann.address)(b"\x42" * 32)
    refused(ann.ask(WhoIs(nobody.text), seconds=1), Code.NOT_FOUND)
    refused(ann.ask(PingAgent(nobody.text), seconds=1), Code.NOT_FOUND)


def test_a_node_on_its_own_says_that_it_could_ask_nobody(village):
    (ann,) = village.add("ann")
    nobody = type(ann.address)(b"\x42" * 32)
    answer = ann.ask(WhoIs(nobody.text, wait_seconds=3))
    refused(answer, Code.NOT_FOUND)
    assert "no other node could be asked" in answer.detail


@pytest.mark.parametrize("who", ["bob", "nest1", "ME2", "b\x00b"])
def test_a_name_nobody_has_is_refused_at_once(village, who):
    (ann,) = village.add("ann")
    answer = ann.ask(WhoIs(who), seconds=0)
    assert answer.code in {Code.NOT_FOUND, Code.INVALID}
    assert answer.hint


def test_a_ping_goes_to_wherever_the_agent_is_now(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.cut(ann, bob)
    request = village.ask(ann, PingAgent("bob"))
    village.wait(1)
    assert request not in ann.replies
    village.mend()
    village.wait(10)
    assert isinstance(ann.replies[request], Pong)
    assert ann.ask(PingAgent("me")) == Pong(ann.address, 0.0)


def test_a_ping_to_somebody_asleep_times_out_with_a_sentence(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.stop(bob)
    refused(ann.ask(PingAgent("bob", wait_seconds=5)), Code.TIMED_OUT)


def test_an_abandoned_request_is_never_answered(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.stop(bob)
    request = village.ask(ann, PingAgent("bob", wait_seconds=5))
    ann.feed(Abandon(request))
    village.wait(30)
    assert request not in ann.replies


def test_peers_are_listed_by_agent_and_friendship(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, bob)
    full = f"{cid.multiaddr}/p2p/{cid.peer.text}"
    assert ann.ask(ConnectPeer(full)) == Done()
    views = {view.address: view for view in ann.ask(ListPeers()).peers}
    assert views[bob.address].friend
    assert not views[cid.address].friend
    assert views[cid.address].multiaddr == cid.multiaddr
    assert ann.ask(ConnectPeer(full)) == Done()


def test_a_call_to_an_address_where_nobody_is_fails_in_words(village):
    ann, bob = village.add("ann", "bob")
    wrong = f"/ip4/127.0.0.1/tcp/9/p2p/{bob.peer.text}"
    refused(ann.ask(ConnectPeer(wrong)), Code.TIMED_OUT)
    for text in ("", "/ip4/127.0.0.1/tcp/9", "hello", f"/x/p2p/{'1' * 20}"):
        assert ann.ask(ConnectPeer(text)).code is Code.INVALID
    mine = f"{ann.multiaddr}/p2p/{ann.peer.text}"
    assert ann.ask(ConnectPeer(mine)).code is Code.INVALID


def test_a_peer_that_was_disconnected_is_left_alone_until_asked_for(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    assert ann.ask(DisconnectPeer(bob.peer)) == Done()
    bob.up = False  # or it would redial by itself
    village.wait(HOUR)
    bob.up = True
    assert not village.connected(ann, bob)
    assert isinstance(ann.ask(PingAgent("bob")), Pong)
    refused(ann.ask(DisconnectPeer(host_peer(b"\x01" * 32))), Code.NOT_FOUND)


def test_a_rotated_agent_is_followed_to_its_new_key_and_host(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    before = bob.peer
    village.stop(bob)
    bob.rotate()
    village.start(bob)
    village.wait(30)
    view = ann.ask(WhoIs("bob"))
    assert view.connected
    assert (view.devices, view.generation) == ((bob.key.public,), 2)
    assert ann.pinned == {bob.peer}
    assert before != bob.peer


def test_a_rotated_agent_is_found_by_whoever_was_asleep_meanwhile(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, bob)
    village.befriend(bob, cid)
    village.stop(ann)
    village.stop(bob)
    bob.rotate()
    village.start(bob)
    village.wait(30)
    village.start(ann)
    assert isinstance(ann.ask(PingAgent("bob"), seconds=30), Pong)


def test_the_old_device_of_a_rotated_agent_speaks_for_nobody(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    stolen = own_card(bob)
    thief = bob.peer
    village.stop(bob)
    bob.rotate()
    village.start(bob)
    village.wait(30)
    ann.feed(PeerUp(thief, "/ip4/127.0.0.1/tcp/66", inbound=True))
    effects = ann.feed(Arrived(thief, Channel.CARDS, pack(Hello(stolen))))
    assert any(isinstance(e, Send) for e in effects)  # it is shown the newer card
    assert [v.address for v in ann.ask(ListPeers()).peers] == [bob.address, None]


def forked_card(home, village, seed: bytes) -> bytes:
    """A card whose log contradicts every other one made with another seed."""
    log = add_device(home.log, home.key, SigningKey(seed).public)
    return make_card(
        home.key,
        home.core._me.network,
        log,
        Profile(),
        seq=village.now.wall_ms + 60_000,
        valid_until_ms=village.now.wall_ms + 60_000,
    ).data


def test_a_forked_agent_is_shown_as_such_and_gets_no_new_trust(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    line = bob.ask(CreateInvite()).invite
    village.befriend(ann, cid)
    cards = tuple(forked_card(bob, village, bytes([n]) * 32) for n in (1, 2))
    ann.feed(Arrived(cid.peer, Channel.CARDS, pack(Cards(cards))))
    assert len(ann.events("agent.forked")) == 1
    assert ann.ask(AddContact(bob.address, "bob")).code is Code.DENIED
    refused(ann.ask(JoinInvite(line)), Code.DENIED)
    village.restart(ann)
    assert ann.ask(WhoIs(bob.address.text, wait_seconds=0)).forked


def test_newcomers_are_introduced_so_that_nobody_depends_on_one_friend(village):
    ann, *others = village.add("ann", "bob", "cid", "dan", "eve")
    for home in others:
        village.befriend(ann, home)
    village.wait(10)
    village.stop(ann)
    assert all(village.connected(a, b) for a in others for b in others if a is not b)


def test_a_card_is_announced_and_renewed_before_it_ends(village):
    ann, bob = village.add("ann", "bob")
    ann.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    village.wait(2)
    assert ann.did(Announce)
    assert ann.did(Provide)
    first = own_card(ann)
    village.wait(CARD_RENEW_MS / 1_000 + 1)
    assert own_card(ann) != first
    assert bob.ask(WhoIs("ann", card=True)).card == own_card(ann)


def test_a_machine_that_slept_for_days_shows_a_fresh_card_when_it_wakes(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.cut(ann, bob)
    village.turn_wall_clocks(hours=72)
    village.mend()
    village.wait(10)
    assert bob.ask(WhoIs("ann", card=True)).card == own_card(ann)
    assert bob.ask(WhoIs("ann")).connected


def test_a_card_with_more_time_left_than_a_new_one_is_not_shown_to_anybody(village):
    ann, bob = village.add("ann", "bob")
    first = own_card(ann)
    village.turn_wall_clocks(hours=-0.01)
    village.befriend(ann, bob)
    assert own_card(ann) != first
    assert bob.ask(WhoIs("ann", card=True)).card == own_card(ann)


def test_friends_find_each_other_after_a_week_in_the_drawer(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.stop(ann)
    village.stop(bob)
    village.wait(7 * 24 * HOUR)
    village.start(ann, ann.port)
    village.start(bob, bob.port)
    village.wait(5)
    assert ann.ask(WhoIs("bob")).connected


def test_a_node_alone_announces_nothing(village):
    (ann,) = village.add("ann")
    ann.ask(AddSkill(TRANSLATE))
    village.wait(HOUR)
    assert not ann.did(Announce)


def test_a_node_with_a_lost_disk_takes_a_higher_number_than_its_friends_know(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    known = own_card(ann)
    village.turn_wall_clocks(hours=-1)
    ann.disk.pairs = {k: v for k, v in ann.disk.pairs.items() if k != b"d/own"}
    village.restart(ann)
    village.wait(30)
    assert own_card(ann) != known
    assert bob.ask(WhoIs("ann", card=True)).card == own_card(ann)


def test_a_card_of_somebody_else_proves_nothing_about_a_peer(village):
    ann, bob, cid = village.add("ann", "bob", "cid")
    village.befriend(ann, bob)
    stranger = host_peer(b"\x09" * 32)
    ann.feed(PeerUp(stranger, "/ip4/127.0.0.1/tcp/66", inbound=True))
    effects = ann.feed(Arrived(stranger, Channel.CARDS, pack(Hello(own_card(cid)))))
    assert effects == [Strike(stranger, Fault.NOT_ENTITLED)]
    assert ann.ask(ShowStatus()).faults == (("not entitled", 1),)


def test_a_hello_that_was_lost_is_asked_for(village):
    ann, bob = village.add("ann", "bob")
    village.lost = lambda effect: effect.peer == bob.peer
    ann.ask(ConnectPeer(f"{bob.multiaddr}/p2p/{bob.peer.text}"))
    village.lost = lambda _: False
    assert bob.ask(ListPeers()).peers[0].address is None
    village.wait(6)
    assert bob.ask(ListPeers()).peers[0].address == ann.address


def test_questions_are_answered_within_a_ration(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    want = Arrived(bob.peer, Channel.CARDS, pack(WantAddress(ann.address.raw)))
    answers = [ann.feed(want) for _ in range(100)]
    assert sum(map(bool, answers)) <= 33
    village.wait(10)
    assert ann.feed(want)


def test_cards_nobody_asked_for_are_not_even_opened(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    junk = pack(Cards((b"junk",) * 16))
    for _ in range(4):
        assert ann.feed(Arrived(bob.peer, Channel.CARDS, junk))
    assert ann.feed(Arrived(bob.peer, Channel.CARDS, junk)) == []


def test_a_node_sighted_nearby_is_tried(village):
    ann, bob = village.add("ann", "bob")
    ann.feed(Sighted(bob.peer, (bob.multiaddr,)))
    assert village.connected(ann, bob)
    village.wait(1)
    assert ann.ask(WhoIs(bob.address.text)).connected


def test_a_node_carries_topics_it_only_heard_of_but_not_too_many(village):
    ann, bob = village.add("ann", "bob")
    for number in range(TOPICS_MAX):
        ann.ask(AddSkill(SkillOffer(f"skill {number}")))
    bob.ask(AddSkill(TRANSLATE))
    village.befriend(ann, bob)
    assert len(bob.topics) == TOPICS_MAX
    assert len(ann.topics & bob.topics) >= TOPICS_MAX - 1
    assert set(ann.ask(ShowStatus()).skills) == {
        f"skill {n}" for n in range(TOPICS_MAX)
    }


def test_the_oldest_strangers_are_forgotten_first(monkeypatch, village):
    monkeypatch.setattr("nestmate_protocol.directory.cards_known.CARDS_KNOWN_MAX", 3)
    ann, *others = village.add("ann", "bob", "cid", "dan", "eve", "fay")
    village.befriend(ann, others[0])
    village.stop(others[0])
    for home in others[1:]:
        ann.ask(ConnectPeer(f"{home.multiaddr}/p2p/{home.peer.text}"))
        village.stop(home)
    assert len(list(ann.disk.scan(b"d/card/"))) == 3
    assert ann.ask(WhoIs("bob", wait_seconds=0)).address == others[0].address


def test_a_request_number_is_answered_once_even_under_a_flood(village):
    (ann,) = village.add("ann")
    nobody = type(ann.address)(b"\x42" * 32)
    answers = [
        effect
        for number in range(1_100)
        for effect in ann.feed(Ask(number, WhoIs(nobody.text, wait_seconds=300)))
    ]
    codes = [e.response.code for e in answers if hasattr(e, "response")]
    assert codes == [Code.BUSY] * (1_100 - 1_024)
