"""Invites as pasted lines: what is forgiven, what is refused, and in which words."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.errors import LocalError
from nestmate_protocol.friends.invites import Terms, make_invite, open_invite
from nestmate_protocol.identity.log import add_device, begin_log
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey, host_peer, recovery_key, rotation_key
from nestmate_protocol.limits import HOST_ADDRESSES_MAX, INVITE_CHARS_MAX

NETWORK = NetworkId(b"\x06" * 32)
SEED = b"\x01" * 32
KEY = SigningKey(SEED)
LOG = begin_log(
    KEY, rotation_key(SEED, 1).public, recovery_key(SEED).public, b"\x05" * 16
)
TERMS = Terms(
    issuer=LOG.address,
    peer=host_peer(SEED),
    multiaddrs=("/ip4/192.0.2.7/tcp/4001",),
    secret=b"\x07" * 16,
    uses=3,
    expires_ms=1_800_086_400_000,
    network=NETWORK,
    called="Ann",
    log=LOG.entries,
)
INVITE = make_invite(KEY, TERMS)


def test_an_invite_is_one_line_that_says_what_its_issuer_meant():
    assert "\n" not in INVITE.text
    assert INVITE.text.startswith("nestmate1")
    assert open_invite(INVITE.text, NETWORK) == INVITE


@pytest.mark.parametrize(
    "pasted",
    [
        f"  {INVITE.text}\n",
        "\n".join(INVITE.text[at : at + 60] for at in range(0, 2_000, 60)),
        f"nestmate join {INVITE.text}",
        f"`{INVITE.text}`",
        f'"{INVITE.text}"',
    ],
)
def test_what_chats_and_mails_do_to_a_line_is_forgiven(pasted):
    assert open_invite(pasted, NETWORK) == INVITE


@given(st.integers(9, len(INVITE.text) - 3), st.characters(codec="ascii"))
def test_a_mistyped_character_is_never_taken_for_another_invite(place, typed):
    pasted = INVITE.text[:place] + typed + INVITE.text[place + 1 :]
    try:
        opened = open_invite(pasted, NETWORK)
    except LocalError:
        return
    assert opened == INVITE


@given(st.one_of(st.text(), st.text().map(lambda text: "nestmate1" + text)))
def test_any_other_text_is_refused_in_words(text):
    with pytest.raises(LocalError, match="invite"):
        open_invite(text, NETWORK)


@given(st.binary(max_size=600))
def test_any_other_bytes_in_the_right_dress_are_refused_in_words(data):
    dressed = replace(INVITE, data=data).text
    with pytest.raises(LocalError, match="cut short or mistyped"):
        open_invite(dressed, NETWORK)


def test_an_invite_to_another_network_names_the_way_there():
    with pytest.raises(LocalError, match="another network") as caught:
        open_invite(INVITE.text, NetworkId(b"\x09" * 32))
    assert "init --network" in caught.value.hint


def test_a_thief_cannot_make_an_invite_in_somebody_elses_name():
    forged = make_invite(SigningKey(b"\x02" * 32), TERMS)
    with pytest.raises(LocalError, match="cut short or mistyped"):
        open_invite(forged.text, NETWORK)


def test_a_log_too_long_for_a_line_is_left_for_the_card_to_prove():
    log = LOG
    for number in range(15):
        device = SigningKey(sha256(bytes([number])).digest()).public
        log = add_device(log, KEY, device)
    invite = make_invite(KEY, replace(TERMS, log=log.entries))
    assert len(invite.text) <= INVITE_CHARS_MAX
    assert open_invite(invite.text, NETWORK).terms.log == ()


def test_an_invite_that_cannot_fit_into_a_line_is_refused_with_a_way_out():
    places = tuple(f"/dns4/{'x' * 240}/tcp/{n}" for n in range(HOST_ADDRESSES_MAX))
    with pytest.raises(LocalError, match="too long") as caught:
        make_invite(KEY, replace(TERMS, multiaddrs=places))
    assert "fewer addresses" in caught.value.hint


def test_a_proposed_name_cannot_move_the_readers_cursor():
    invite = make_invite(KEY, replace(TERMS, called="A\u202enn\x1b[2J"))
    assert open_invite(invite.text, NETWORK).terms.called == "Ann[2J"
