"""Private spaces in a village: who reads what, and what those see who do not."""

import pytest

from nestmate_protocol.directory.topics import network_id
from nestmate_protocol.effects import Code, Refusal, Send
from nestmate_protocol.grants import Rights
from nestmate_protocol.inputs import Channel
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.engine.changes import Verdict
from nestmate_protocol.spaces.invites import read_invite
from nestmate_protocol.spaces.keyring import handing, secret_of
from nestmate_protocol.spaces.ops import Type, open_ops
from nestmate_protocol.spaces.requests import (
    Act,
    Change,
    CreateSpace,
    EndorseOps,
    GrantRights,
    InviteToSpace,
    JoinSpace,
    ListMembers,
    ListPaths,
    ListVoid,
    ReadPath,
    RevokeGrant,
    ShowHistory,
    ShowSpace,
    Standing,
    SyncSpace,
    WriteChanges,
)

WRITER = Rights.READ | Rights.WRITE
NETWORK = network_id("main")
PATH, VALUE = "diary/monday", b"met the badger at the old mill"


class Garden:
    """Ann's private space, and who takes part in it by an invite each."""

    def __init__(self, village):
        self.village = village
        (self.ann,) = village.add("ann")
        self.space = self.ann.ask(CreateSpace("garden", private=True)).space

    def join(self, name, rights=WRITER):
        (home,) = self.village.add(name)
        self.village.befriend(self.ann, home)
        self.village.wait(1)
        home.ask(JoinSpace(self.ann.ask(InviteToSpace("garden", rights)).invite))
        self.village.wait(2)
        return home

    def revoke(self, home):
        grants = self.ann.ask(ListMembers("garden")).grants
        (grant,) = [each.grant for each in grants if each.who == home.address]
        self.ann.ask(RevokeGrant("garden", (grant,)))


@pytest.fixture
def garden(village):
    return Garden(village)


def put(home, path, value, **more):
    change = Change(path, value=value, **more)
    return home.ask(WriteChanges("garden", (change,)))


def get(home, path):
    return home.ask(ReadPath("garden", path))


def show(home):
    return home.ask(ShowSpace("garden"))


def engine(home, garden):
    return home.core._spaces._copies[garden.space].engine


def offered(home, garden):
    ops = engine(home, garden).ops
    return [list(ops.offered(lane)) for lane in range(3)]


def test_members_read_what_was_written_before_and_after_they_came(garden):
    put(garden.ann, PATH, b"before")
    bob = garden.join("bob")
    assert get(bob, PATH).value == b"before"
    put(bob, PATH, VALUE)
    garden.village.wait(1)
    assert get(garden.ann, PATH).value == VALUE
    assert show(garden.ann).state == show(bob).state != b""
    assert show(bob).sealed == 0
    assert [w.value for w in bob.ask(ShowHistory("garden", PATH)).writes] == [
        VALUE,
        b"before",
    ]


def test_a_relay_reads_nothing_and_yet_serves(garden):
    relay = garden.join("relay", Rights.RELAY)
    put(garden.ann, PATH, VALUE)
    garden.village.wait(1)
    assert show(relay).standing is Standing.MEMBER
    assert (show(relay).sealed, get(relay, PATH).code) == (1, Code.NOT_FOUND)
    assert "sealed" in get(relay, PATH).hint
    bob = garden.join("bob")
    garden.village.befriend(relay, bob)
    garden.village.cut(garden.ann, bob)
    put(garden.ann, "beds/2", b"peas")
    garden.village.wait(60)
    assert get(bob, "beds/2").value == b"peas"
    assert offered(relay, garden) == offered(bob, garden) == offered(garden.ann, garden)
    assert not relay.ask(ListPaths("garden")).documents
    assert not relay.ask(ListVoid("garden")).writes


def test_no_frame_and_no_row_of_a_relay_shows_a_path_or_a_value(garden):
    relay = garden.join("relay", Rights.RELAY)
    put(garden.ann, PATH, VALUE)
    change = Change("diary/now", value=VALUE)
    garden.ann.ask(WriteChanges("garden", (change,), ephemeral_seconds=60))
    garden.village.wait(1)
    sent = [each for each in garden.ann.did(Send) if each.channel is Channel.SPACES]
    rows = relay.disk.pairs
    seen = [*(each.data for each in sent), *rows.keys(), *rows.values()]
    assert [len(lane) for lane in offered(relay, garden)][1:] == [1, 1]
    assert not [each for each in seen if b"diary" in each or b"badger" in each]


def test_who_was_removed_cannot_read_what_is_written_afterwards(garden):
    bob, cid = garden.join("bob"), garden.join("cid")
    put(garden.ann, PATH, b"known")
    garden.village.wait(1)
    garden.revoke(bob)
    put(garden.ann, PATH, VALUE)
    put(cid, "beds/2", VALUE)
    garden.village.wait(1)
    assert get(cid, PATH).value == VALUE
    mine, copy = engine(bob, garden).keyring, engine(garden.ann, garden)
    held = open_ops(map(copy.wire, copy.ops.held()), NETWORK, sealed=True)
    boxes = [op.box for op in held if op.box]  # bob steals all that Ann holds
    assert [sum(map(ring.knows, boxes)) for ring in (mine, copy.keyring)] == [1, 3]
    assert [len(mine), len(copy.keyring)] == [1, 2]


def test_types_and_conflicts_are_those_of_a_space_in_the_clear(garden):
    bob = garden.join("bob")
    tag = Change("tags", Type.SET, Act.ADD, b"red")
    garden.village.cut(garden.ann, bob)
    for home in (garden.ann, bob):
        home.ask(WriteChanges("garden", (tag,)))
        put(home, "same", b"beans")
        put(home, "other", home.name.encode())
    garden.village.mend()
    garden.village.wait(60)
    for home in (garden.ann, bob):
        assert [each.value for each in get(home, "tags").values] == [b"red"]
        assert not get(home, "same").conflict
        assert get(home, "other").conflict
    assert show(garden.ann).state == show(bob).state


def test_a_restarted_member_takes_its_secrets_out_of_its_ops_again(garden):
    bob = garden.join("bob")
    put(bob, PATH, VALUE)
    garden.village.restart(bob)
    garden.village.wait(5)
    assert get(bob, PATH).value == VALUE
    assert put(bob, PATH, b"again").op
    garden.village.wait(60)
    assert get(garden.ann, PATH).value == b"again"


def test_who_was_granted_something_is_handed_the_secrets_with_it(garden):
    (bob,) = garden.village.add("bob")
    garden.village.befriend(garden.ann, bob)
    garden.village.wait(1)
    put(garden.ann, PATH, VALUE)
    key = bob.core._me.key.public
    garden.ann.ask(GrantRights("garden", bob.address, (key,), WRITER))
    garden.village.wait(1)
    bob.ask(JoinSpace(garden.space.text))
    garden.village.wait(3)
    assert get(bob, PATH).value == VALUE


def test_an_invite_by_which_somebody_came_who_was_removed_gives_nothing(garden):
    (bob,) = garden.village.add("bob")
    garden.village.befriend(garden.ann, bob)
    garden.village.wait(1)
    line = garden.ann.ask(InviteToSpace("garden", WRITER)).invite
    bob.ask(JoinSpace(line))
    garden.village.wait(2)
    garden.revoke(bob)
    put(garden.ann, PATH, VALUE)
    bob.ask(JoinSpace(line))
    garden.village.wait(60)
    assert get(bob, PATH).code is Code.NOT_FOUND
    assert show(bob).sealed == 0


def test_ephemeral_words_are_read_by_members_and_kept_by_relays_alike(garden):
    bob, relay = garden.join("bob"), garden.join("relay", Rights.RELAY)
    for word in (b"typing", b"resting"):
        change = Change("presence", value=word)
        garden.ann.ask(WriteChanges("garden", (change,), ephemeral_seconds=60))
        garden.village.wait(1)
    assert get(bob, "presence").value == b"resting"
    assert offered(relay, garden) == offered(bob, garden)
    synced = garden.ann.ask(SyncSpace("garden"))
    assert (synced.peers, synced.equal) == (2, 2)
    garden.village.wait(61)
    assert get(bob, "presence").code is Code.NOT_FOUND


def test_a_revocation_brings_the_new_secret_along(garden):
    bob, cid = garden.join("bob"), garden.join("cid")
    garden.revoke(bob)
    garden.village.wait(1)
    sizes = [len(engine(home, garden).keyring) for home in (garden.ann, bob, cid)]
    assert sizes == [2, 1, 2]
    deeds = engine(cid, garden)._ledger.authority.deeds.values()
    (kinds,) = [deed.types for deed in deeds if Type.REVOKE in deed.types]
    assert kinds == (Type.REVOKE, Type.CLOSE, Type.KEYS)
    assert put(cid, PATH, VALUE).op
    assert put(bob, PATH, VALUE).code is Code.DENIED


def grant(garden, home, rights, **more):
    keys = (home.core._me.key.public,)
    garden.ann.ask(GrantRights("garden", home.address, keys, rights, **more))
    garden.village.wait(1)
    home.ask(JoinSpace(garden.space.text))
    garden.village.wait(3)


def test_when_a_reader_s_time_is_up_the_next_write_waits_for_a_new_secret(garden):
    village, ann = garden.village, garden.ann
    bob, cid = village.add("bob", "cid")
    village.befriend(ann, bob)
    village.befriend(ann, cid)
    grant(garden, bob, WRITER, expires_ms=village.now.wall_ms + 60_000)
    grant(garden, cid, WRITER)
    village.stop(ann)
    village.wait(60)
    refused = put(cid, PATH, VALUE)
    assert (refused.code, "members" in refused.hint) == (Code.DENIED, True)
    village.start(ann, ann.port)
    village.wait(60)
    assert put(cid, PATH, VALUE).op
    village.wait(1)
    assert get(ann, PATH).value == VALUE
    assert [len(engine(home, garden).keyring) for home in (ann, bob, cid)] == [2, 1, 2]


def times_handed(home, garden):
    """How often a home was handed the latest secret."""
    copy = engine(home, garden)
    deeds = copy._ledger.authority.handed[copy.readers.epochs()[-1].name]
    keys = [key for deed in deeds for _, keys in deed.handed for key in keys]
    return keys.count(home.key.public.raw)


@pytest.mark.parametrize("founder_is_there", [True, False])
def test_what_two_did_apart_is_made_good_by_whoever_may(garden, founder_is_there):
    village, ann = garden.village, garden.ann
    bob, dora, eve = village.add("bob", "dora", "eve")
    for one, other in ((ann, bob), (ann, dora), (dora, eve)):
        village.befriend(one, other)
    grant(garden, bob, WRITER)
    grant(garden, dora, WRITER | Rights.GRANT, depth=2)
    village.cut(ann, dora)
    garden.revoke(bob)  # the new secret is not for Eve, of whom Ann does not know
    put(ann, PATH, VALUE)
    eve.ask(JoinSpace(dora.ask(InviteToSpace("garden", WRITER)).invite))
    village.wait(2)
    village.mend()
    village.wait(40)
    if not founder_is_there:
        village.stop(ann)
    village.wait(60)
    assert get(eve, PATH).value == VALUE
    assert show(eve).sealed == 0
    assert times_handed(eve, garden) == 1


def test_a_relay_that_is_let_in_reads_what_it_has_held(garden):
    village = garden.village
    (relay,) = village.add("relay")
    village.befriend(garden.ann, relay)
    grant(garden, relay, Rights.RELAY)
    put(garden.ann, PATH, VALUE)
    village.wait(1)
    assert show(relay).sealed == 1
    village.restart(relay)
    village.wait(5)
    keys = (relay.core._me.key.public,)
    garden.ann.ask(GrantRights("garden", relay.address, keys, Rights.READ))
    village.wait(60)
    assert (show(relay).sealed, get(relay, PATH).value) == (0, VALUE)
    assert show(relay).state == show(garden.ann).state
    assert [e.details["path"] for e in relay.events("space.changed")] == [PATH]


def test_founders_who_must_agree_agree_on_the_secret_too(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    founders = ((bob.address, bob.core._me.key.public),)
    space = ann.ask(CreateSpace("garden", True, founders, threshold=2)).space
    refused = put(ann, PATH, VALUE)
    assert (refused.code, "endorse" in refused.hint) == (Code.DENIED, True)
    bob.ask(JoinSpace(space.text))
    village.wait(3)
    bob.ask(EndorseOps("garden"))
    village.wait(1)
    assert put(ann, PATH, VALUE).op
    village.wait(1)
    assert get(bob, PATH).value == VALUE


def hand_out(garden, home, line, secret, readers):
    """An op by which a home hands a secret to others, by the right of an invite."""
    invite, copy = read_invite(line), home.core._spaces._copies[garden.space]
    keys = [each.key.public for each in readers]
    mutations = handing(secret, keys, lambda size: b"\x14" * size)
    pen, key = home.core._spaces._desk._documents._pen, SigningKey(invite.seed)
    return pen.act(copy, mutations, invite.dot, garden.village.now, key)


def test_nobody_writes_under_a_secret_that_a_removed_one_hands_out(garden):
    village, ann, cid = garden.village, garden.ann, garden.join("cid")
    (bob,) = village.add("bob")
    village.befriend(ann, bob)
    line = ann.ask(InviteToSpace("garden", WRITER)).invite
    bob.ask(JoinSpace(line))
    village.wait(2)
    garden.revoke(bob)
    village.wait(1)
    trap = secret_of(garden.space, b"\x13" * 32)
    op = hand_out(garden, bob, line, trap, [ann, cid])
    for home in (ann, cid):
        held = engine(home, garden)
        assert held.admit(op, village.now).verdict is Verdict.QUARANTINED
        assert held.keyring.get(trap.name) == trap
        assert put(home, f"beds/{home.name}", VALUE).op
        ops = open_ops(map(held.wire, held.ops.held()), NETWORK, sealed=True)
        assert not [each for each in ops if each.box.startswith(trap.name)]


def test_an_invite_brings_the_secrets_while_its_maker_is_away(garden):
    village, relay = garden.village, garden.join("relay", Rights.RELAY)
    put(garden.ann, PATH, VALUE)
    line = garden.ann.ask(InviteToSpace("garden", WRITER)).invite
    (bob,) = village.add("bob")
    village.befriend(relay, bob)
    village.wait(1)
    village.stop(garden.ann)
    bob.ask(JoinSpace(line))
    village.wait(3)
    assert get(bob, PATH).value == VALUE
    village.restart(bob)
    assert put(bob, PATH, b"after a restart").op
    assert get(bob, PATH).value == b"after a restart"


def test_a_member_whose_key_is_rotated_is_given_what_it_may_read(garden):
    bob = garden.join("bob")
    put(garden.ann, PATH, VALUE)
    garden.village.wait(1)
    garden.village.stop(bob)
    bob.rotate()
    garden.village.start(bob)
    garden.village.wait(90)
    assert get(bob, PATH).value == VALUE
    assert not isinstance(put(bob, "beds/2", VALUE), Refusal)
