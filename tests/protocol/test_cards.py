"""Cards and presence: who may speak for an address, until when, and in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.directory import requests
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.identity.cards import (
    HostOffer,
    Profile,
    SkillOffer,
    check_skill,
    make_card,
    make_presence,
    open_card,
    open_presence,
)
from nestmate_protocol.identity.log import (
    add_device,
    begin_log,
    remove_device,
    retire_log,
    rotate_log,
)
from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.keys import (
    SigningKey,
    host_peer,
    recovery_key,
    rotation_key,
)
from nestmate_protocol.limits import (
    CARD_BYTES_MAX,
    CARD_TTL_MS,
    HOST_ADDRESSES_MAX,
    HOSTS_PER_CARD_MAX,
    SCHEMA_BYTES_MAX,
    SKEW_MS_MAX,
    SKILLS_PER_CARD_MAX,
)
from nestmate_protocol.records import Kind, sign_record

PHRASE = b"r" * 32
ANN, BEN = SigningKey(b"a" * 32), SigningKey(b"b" * 32)
NETWORK = NetworkId(b"n" * 32)
NOW = 1_800_000_000_000
LOG = begin_log(
    ANN, rotation_key(PHRASE, 1).public, recovery_key(PHRASE).public, b"n" * 16
)
HOST = HostOffer(host_peer(b"a" * 32), ("/ip4/192.0.2.7/tcp/4001", "/dns4/x/tcp/1"))
SKILL = SkillOffer("code.review", "Reads Python", '{"type":"string"}', "", "0.05 USDC")
PROFILE = Profile(hosts=(HOST,), skills=(SKILL, SkillOffer("sum")), called="Ann")


def card(key=ANN, log=LOG, profile=PROFILE, seq=7, until=NOW + 1_000):
    return make_card(key, NETWORK, log, profile, seq=seq, valid_until_ms=until)


def presence(key=ANN, log=LOG, hosts=(HOST,), seq=7, until=NOW + 1_000):
    return make_presence(key, NETWORK, log, hosts, seq=seq, valid_until_ms=until)


CARD, PRESENCE = card(), presence()
OPEN = {
    "card": (CARD, open_card, card),
    "presence": (PRESENCE, open_presence, presence),
}


def fault_of(data: bytes, now: int | None = NOW, opener=open_card) -> Fault | None:
    try:
        opener(data, NETWORK, now)
    except RemoteError as error:
        return error.fault
    return None


def signed(kind: Kind, body: dict, key: SigningKey = ANN) -> bytes:
    return sign_record(key, NETWORK, kind, body).data


def card_body(**changes: object) -> dict:
    body = {1: LOG.entries, 2: [], 3: [], 7: NOW + 1, 8: 1, 9: ""}
    return body | {int(key[1:]): value for key, value in changes.items()}


@pytest.mark.parametrize("name", OPEN)
def test_what_was_made_is_what_is_opened(name):
    made, opener, _ = OPEN[name]
    assert opener(made.data, NETWORK, NOW) == made
    assert (made.address, made.author, made.seq) == (LOG.address, ANN.public, 7)
    assert made.hosts == (HOST,)
    assert made.log == LOG


def test_a_card_tells_the_skills_and_the_proposed_name():
    assert CARD.skills == PROFILE.skills
    assert CARD.called == "Ann"
    assert requests.SkillOffer is SkillOffer


@pytest.mark.parametrize("name", OPEN)
def test_it_holds_until_its_time_and_not_beyond_what_anyone_may_claim(name):
    made, opener, make = OPEN[name]
    assert fault_of(made.data, made.valid_until_ms - 1, opener) is None
    assert fault_of(made.data, made.valid_until_ms, opener) is Fault.EXPIRED
    assert fault_of(made.data, None, opener) is None
    latest = NOW + CARD_TTL_MS + SKEW_MS_MAX
    assert fault_of(make(until=latest).data, NOW, opener) is None
    beyond = make(until=latest + 1).data
    assert fault_of(beyond, NOW, opener) is Fault.FROM_THE_FUTURE


@pytest.mark.parametrize("name", OPEN)
def test_only_a_current_device_may_sign(name):
    _, opener, make = OPEN[name]
    both = add_device(LOG, ANN, BEN.public)
    only = remove_device(both, ANN, ANN.public)
    assert fault_of(make(key=BEN, log=both).data, NOW, opener) is None
    for key, log in ((BEN, LOG), (ANN, only)):
        with pytest.raises(LocalError, match="does not speak"):
            make(key=key, log=log)
    entries = [LOG.entries, only.entries]
    for key, log in zip((BEN, ANN), entries, strict=True):
        body = card_body(_1=log) if name == "card" else presence_body(_4=log)
        data = signed(Kind(name), body, key)
        assert fault_of(data, NOW, opener) is Fault.NOT_ENTITLED


def presence_body(**changes: object) -> dict:
    body = {1: LOG.address.raw, 2: 1, 3: [], 4: LOG.entries, 5: NOW + 1}
    return body | {int(key[1:]): value for key, value in changes.items()}


def test_a_presence_speaks_for_the_address_of_its_log_only():
    other = signed(Kind.PRESENCE, presence_body(_1=Address(b"x" * 32).raw))
    assert fault_of(other, NOW, open_presence) is Fault.NOT_ENTITLED
    good = signed(Kind.PRESENCE, presence_body())
    assert fault_of(good, NOW, open_presence) is None


def test_a_last_device_passes_on_the_news_of_the_end():
    ended = retire_log(LOG, recovery_key(PHRASE))
    farewell = open_card(card(log=ended).data, NETWORK, NOW)
    assert farewell.log.retired
    assert farewell.log.devices == frozenset()


def test_a_card_is_no_presence_and_holds_in_its_network_only():
    assert fault_of(PRESENCE.data) is Fault.UNKNOWN_KIND
    assert fault_of(CARD.data, NOW, open_presence) is Fault.UNKNOWN_KIND
    with pytest.raises(RemoteError):
        open_card(CARD.data, NetworkId(b"o" * 32), NOW)


def test_the_better_log_ranks_first_and_then_the_later_version():
    moved = rotate_log(
        *(LOG, rotation_key(PHRASE, 1), [BEN.public], rotation_key(PHRASE, 2).public)
    )
    thief = add_device(LOG, ANN, host_key())
    for make in (card, presence):
        ranked = [make(), make(seq=9), make(log=thief), make(key=BEN, log=moved, seq=1)]
        shuffled = [ranked[place] for place in (2, 0, 3, 1)]
        assert sorted(shuffled, key=lambda each: each.rank) == ranked


def host_key():
    return SigningKey(b"t" * 32).public


BAD_CARDS = {
    "no log": card_body(_1=[]),
    "a log that is none": card_body(_1=[b"x"]),
    "a log of texts": card_body(_1=["x"]),
    "no end": card_body(_7=None),
    "an end as text": card_body(_7="soon"),
    "no version": card_body(_8=None),
    "a negative version": card_body(_8=-1),
    "a long name": card_body(_9="x" * 65),
    "a name in bytes": card_body(_9=b"x"),
    "hosts that are none": card_body(_2=[5]),
    "a host without peer": card_body(_2=[[b"x", []]]),
    "a host without places": card_body(_2=[[bytes(32), 5]]),
    "a place that is none": card_body(_2=[[bytes(32), ["tcp"]]]),
    "a place with a line break": card_body(_2=[[bytes(32), ["/ip4\n"]]]),
    "a long place": card_body(_2=[[bytes(32), ["/" * 257]]]),
    "too many places": card_body(_2=[[bytes(32), ["/x"] * (HOST_ADDRESSES_MAX + 1)]]),
    "too many hosts": card_body(
        _2=[[bytes([n]) * 32, []] for n in range(HOSTS_PER_CARD_MAX + 1)]
    ),
    "a host twice": card_body(_2=[[bytes(32), []]] * 2),
    "a skill without name": card_body(_3=[[""]]),
    "a skill with a hidden name": card_body(_3=[["a\u202eb"]]),
    "a skill with a long name": card_body(_3=[["x" * 65]]),
    "a skill twice": card_body(_3=[["x"], ["x"]]),
    "a long description": card_body(_3=[["x", "y" * 1_025]]),
    "a long price": card_body(_3=[["x", "", "", "", "y" * 65]]),
    "a large schema": card_body(_3=[["x", "", "ü" * (SCHEMA_BYTES_MAX // 2 + 1)]]),
    "too many skills": card_body(_3=[[str(n)] for n in range(SKILLS_PER_CARD_MAX + 1)]),
}


@pytest.mark.parametrize("bad", BAD_CARDS)
def test_a_well_signed_card_with_a_bad_field_is_refused(bad):
    assert fault_of(signed(Kind.CARD, BAD_CARDS[bad])) is not None


BAD_PRESENCES = {
    "no address": presence_body(_1=None),
    "no version": presence_body(_2=None),
    "hosts that are none": presence_body(_3=5),
    "no log": presence_body(_4=None),
    "no end": presence_body(_5=None),
}


@pytest.mark.parametrize("bad", BAD_PRESENCES)
def test_a_well_signed_presence_with_a_bad_field_is_refused(bad):
    data = signed(Kind.PRESENCE, BAD_PRESENCES[bad])
    assert fault_of(data, NOW, open_presence) is not None


BAD_PROFILES = {
    "a nameless skill": Profile(skills=(SkillOffer(""),)),
    "a long skill name": Profile(skills=(SkillOffer("x" * 65),)),
    "a two-line skill name": Profile(skills=(SkillOffer("x\ny"),)),
    "a long description": Profile(skills=(SkillOffer("x", "y" * 1_025),)),
    "a large schema": Profile(skills=(SkillOffer("x", "", "", "y" * 4_097),)),
    "a long price": Profile(skills=(SkillOffer("x", price="y" * 65),)),
    "a skill twice": Profile(skills=(SkillOffer("x"), SkillOffer("x"))),
    "a place that is none": Profile(hosts=(HostOffer(HOST.peer, ("x",)),)),
    "too many places": Profile(hosts=(HostOffer(HOST.peer, ("/x",) * 17),)),
    "a long name": Profile(called="x" * 65),
    "too many skills": Profile(skills=tuple(SkillOffer(str(n)) for n in range(65))),
    "more than fits": Profile(
        skills=tuple(SkillOffer(str(n), "y" * 1_000) for n in range(20))
    ),
}


@pytest.mark.parametrize("bad", BAD_PROFILES)
def test_what_nobody_would_take_is_not_made(bad):
    with pytest.raises(LocalError):
        card(profile=BAD_PROFILES[bad])


def test_a_presence_nobody_would_take_is_not_made():
    for hosts in ([HOST, HOST], [HostOffer(HOST.peer, ("x",))]):
        with pytest.raises(LocalError):
            presence(hosts=hosts)


def test_a_skill_can_be_judged_before_it_is_offered():
    check_skill(SKILL)
    with pytest.raises(LocalError) as refused:
        check_skill(SkillOffer("x\u200by"))
    assert "visible characters" in refused.value.hint


def test_foreign_words_are_fit_to_be_shown():
    row = ["sum", "evil\u202e\x1b[2Jgood", "{\n}", "", "1\n2"]
    data = signed(Kind.CARD, card_body(_3=[row], _9="A\x07nn\u200f"))
    opened = open_card(data, NETWORK, NOW)
    [skill] = opened.skills
    assert opened.called == "Ann"
    assert (skill.description, skill.price) == ("evil[2Jgood", "1 2")
    assert skill.input_schema == "{\n}"
    assert opened.data == data


def test_fields_of_later_versions_are_kept_and_do_no_harm():
    data = signed(Kind.CARD, card_body(_4=["later"], _5=[], _6={}, _99=b"new"))
    assert open_card(data, NETWORK, NOW).data == data


def test_an_ordinary_card_is_small():
    assert len(CARD.data) < 1_024 < CARD_BYTES_MAX
    assert len(PRESENCE.data) < 768


@given(data=st.binary(max_size=600), now=st.integers(0, 2**63) | st.none())
def test_arbitrary_bytes_are_neither_card_nor_presence(data, now):
    for _, opener, _ in OPEN.values():
        assert fault_of(data, now, opener) is not None


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**50) | st.binary() | st.text("ab/"),
    lambda below: st.lists(below, max_size=4),
    max_leaves=8,
)


@given(field=st.sampled_from([1, 2, 3, 7, 8, 9]), junk=JUNK)
def test_any_well_signed_junk_is_a_card_or_a_remote_error(field, junk):
    try:
        data = signed(Kind.CARD, card_body() | {field: junk})
    except LocalError:
        return
    fault_of(data)
    fault_of(data, None)


@given(field=st.integers(1, 5), junk=JUNK)
def test_any_well_signed_junk_is_a_presence_or_a_remote_error(field, junk):
    try:
        data = signed(Kind.PRESENCE, presence_body() | {field: junk})
    except LocalError:
        return
    fault_of(data, NOW, open_presence)


@pytest.mark.parametrize("name", OPEN)
@given(place=st.integers(0, 5_000), byte=st.integers(1, 255))
def test_a_mutated_one_is_refused(name, place, byte):
    made, opener, _ = OPEN[name]
    mutant = bytearray(made.data)
    mutant[place % len(mutant)] ^= byte
    assert fault_of(bytes(mutant), NOW, opener) is not None
