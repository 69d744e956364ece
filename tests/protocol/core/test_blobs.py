"""Blobs in a village of nodes: put, fetched, refused, cut off and gone on with."""

from hashlib import shake_256

import pytest

from nestmate_protocol.blobs import frames
from nestmate_protocol.blobs.requests import (
    ListBlobs,
    PinBlob,
    PutChunk,
    ReadBlob,
    RemoveBlob,
    ShareBlob,
    ShowBlob,
    Stage,
)
from nestmate_protocol.blobs.sealing import sealed_tree
from nestmate_protocol.blobs.tree import Tree, hash_of
from nestmate_protocol.codec import decode, encode
from nestmate_protocol.effects import Channel, Code, Send, Strike
from nestmate_protocol.errors import Fault
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import BlobId
from nestmate_protocol.inputs import Arrived
from nestmate_protocol.limits import BLOB_FETCHES_MAX, CHUNK_BYTES
from nestmate_protocol.limits import BLOB_PIECE_BYTES as PIECE
from nestmate_protocol.spaces.requests import (
    CreateSpace,
    InviteToSpace,
    JoinSpace,
    ListMembers,
    RevokeGrant,
)

BODY = shake_256(b"a picture").digest(20 * CHUNK_BYTES + 5)


@pytest.fixture
def two(village):
    """Ann and Bob, friends."""
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    village.wait(1)
    return village, ann, bob


def put(home, body=BODY, *, sealed=False, **more):
    parts = [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]
    stored = None
    for number, part in enumerate(parts or [b""]):
        last = number == len(parts) - 1 or not parts
        wish = PutChunk(
            part,
            0 if stored is None else stored.upload,
            number * CHUNK_BYTES,
            not last,
            **(more if last else {}),
            sealed=sealed,
        )
        stored = home.ask(wish)
    return (stored.blob, stored.key) if sealed else stored.blob


def get(home, blob, **more):
    """All bytes of a blob, or the refusal."""
    body, size = b"", None
    while size is None or len(body) < size:
        part = home.ask(ReadBlob(blob, len(body), **more))
        if not hasattr(part, "data"):
            return part
        body, size = body + part.data, part.size
    return body


def garden(village, *homes, rights=Rights.READ):
    """A space of all of them."""
    space = homes[0].ask(CreateSpace("garden")).space
    line = homes[0].ask(InviteToSpace("garden", rights)).invite
    for home in homes[1:]:
        home.ask(JoinSpace(line))
    village.wait(3)
    return space


def chunks_of(home):
    sent = [e for e in home.did(Send) if e.channel is Channel.BLOBS]
    read = [frames.unpack(each.data) for each in sent]
    return [each for each in read if isinstance(each, frames.Chunk)]


def test_a_blob_is_named_by_its_bytes_and_read_back(two):
    _, ann, _ = two
    blob = put(ann, media="image/png")
    hashes = [
        hash_of(BODY[n : n + CHUNK_BYTES]) for n in range(0, len(BODY), CHUNK_BYTES)
    ]
    assert blob == Tree(len(BODY), b"".join(hashes)).blob
    assert put(ann) == blob
    assert get(ann, blob) == BODY
    view = ann.ask(ShowBlob(blob))
    assert (view.held, view.stage, view.media) == (len(BODY), Stage.WHOLE, "image/png")
    assert len(ann.ask(ListBlobs()).blobs) == 1
    empty = put(ann, b"")
    assert get(ann, empty) == b""


def test_an_agent_it_was_shared_with_fetches_it(two):
    _, ann, bob = two
    blob = put(ann, scopes=(bob.address,))
    assert get(bob, blob) == BODY
    assert [e.details["bytes"] for e in bob.events("blob.held")] == [len(BODY)]
    assert bob.ask(ShowBlob(blob)).pinned is False


def test_knowing_the_hash_is_not_enough(two):
    village, ann, bob = two
    (eve,) = village.add("eve")
    village.befriend(ann, eve)
    blob = put(ann, scopes=(bob.address,))
    refused = get(eve, blob, wait_seconds=5)
    assert refused.code is Code.TIMED_OUT
    assert not chunks_of(ann)
    answers = [
        e for e in ann.done if isinstance(e, Send) and e.channel is Channel.BLOBS
    ]
    missing = frames.pack(frames.No(blob, frames.Reason.ABSENT))
    assert {each.data for each in answers} == {missing}
    ann.ask(ShareBlob(blob, scopes=(eve.address,)))
    assert get(eve, blob, wait_seconds=60) == BODY


def test_members_give_each_other_what_one_of_them_has_put(village):
    ann, bob, cyd = village.add("ann", "bob", "cyd")
    village.befriend(ann, bob)
    village.befriend(bob, cyd)
    village.befriend(ann, cyd)
    space = garden(village, ann, bob, cyd)
    blob = put(ann, scopes=(space,))
    assert get(bob, blob, spaces=(space,)) == BODY
    village.stop(ann)
    assert get(cyd, blob, spaces=(space,)) == BODY
    assert chunks_of(bob)


def test_chunks_come_from_several_peers_at_once(village):
    ann, bob, cyd = village.add("ann", "bob", "cyd")
    for one, other in ((ann, bob), (bob, cyd), (ann, cyd)):
        village.befriend(one, other)
    village.wait(1)
    blob = put(ann, public=True)
    assert put(bob, public=True) == blob
    assert get(cyd, blob) == BODY
    assert len(chunks_of(ann)) + len(chunks_of(bob)) == 21
    assert chunks_of(ann)
    assert chunks_of(bob)


def test_a_fetch_goes_on_after_a_restart_where_it_was_cut(two):
    village, ann, bob = two
    blob = put(ann, scopes=(bob.address,))
    passed = [0]

    def lose(send):
        passed[0] += send.channel is Channel.BLOBS and len(send.data) > CHUNK_BYTES // 2
        return passed[0] > 9

    village.lost = lose
    assert get(bob, blob, wait_seconds=1).code is Code.TIMED_OUT
    held = bob.ask(ShowBlob(blob)).held
    assert 0 < held < len(BODY)
    village.lost = lambda _: False
    before = len(chunks_of(ann))
    village.restart(bob)
    village.wait(40)
    assert [e.details["bytes"] for e in bob.events("blob.held")] == [len(BODY)]
    assert len(chunks_of(ann)) - before == (len(BODY) - held) // CHUNK_BYTES + 1
    assert get(bob, blob) == BODY


def test_a_public_blob_is_found_through_the_dht(village):
    ann, bob = village.add("ann", "bob")
    blob = put(ann, public=True)
    assert not village.connected(ann, bob)
    assert get(bob, blob, wait_seconds=60) == BODY
    assert bob.ask(ShowBlob(blob)).public


def test_a_blob_for_one_agent_is_not_in_the_dht(two):
    village, ann, bob = two
    known = set(village.provided)
    put(ann, scopes=(bob.address,))
    assert set(village.provided) == known


def test_a_false_chunk_is_struck_and_asked_elsewhere(village):
    ann, bob, eve = village.add("ann", "bob", "eve")
    for one, other in ((ann, bob), (bob, eve)):
        village.befriend(one, other)
    village.wait(1)
    blob = put(ann, public=True)
    assert put(eve, public=True) == blob
    for key in [key for key in eve.disk.pairs if key.startswith(b"b/c/")]:
        eve.disk.pairs[key] = bytes(len(eve.disk.pairs[key]))
    assert get(bob, blob) == BODY
    strikes = {(e.peer, e.fault) for e in bob.did(Strike)}
    assert strikes == {(eve.peer, Fault.BROKEN_CHAIN)}


def test_a_chunk_nobody_asked_for_is_struck_and_not_kept(two):
    _, ann, bob = two
    blob = BlobId(bytes(32))
    said = frames.pack(frames.Chunk(blob, 0, b"take this"))
    ann.feed(Arrived(bob.peer, Channel.BLOBS, said))
    assert [e.fault for e in ann.did(Strike)] == [Fault.OVER_LIMIT]
    assert not [key for key in ann.disk.pairs if key.startswith(b"b/")]


def test_a_peer_that_asks_without_end_is_given_no_more_than_its_ration(two):
    _, ann, bob = two
    blob = put(ann, scopes=(bob.address,))
    ask = frames.pack(frames.AskChunks(blob, tuple(range(16))))
    before = ann.core.next_wakeup()
    for _ in range(100):
        ann.feed(Arrived(bob.peer, Channel.BLOBS, ask))
    assert len(chunks_of(ann)) == 64
    assert ann.core.next_wakeup() <= before


def test_what_is_removed_leaves_nothing_on_disk(two):
    _, ann, bob = two
    blob = put(ann, scopes=(bob.address,))
    assert get(bob, blob) == BODY
    for home in (ann, bob):
        assert home.ask(RemoveBlob(blob)).freed == len(BODY)
        assert not [key for key in home.disk.pairs if key.startswith(b"b/")]
    assert ann.ask(ShowBlob(blob)).code is Code.NOT_FOUND


def test_what_nobody_pinned_goes_when_room_is_needed(two):
    village, ann, _ = two
    shelf = ann.core._blobs._shelf
    shelf.bytes_max = 2 * CHUNK_BYTES
    old, new = put(ann, b"o" * CHUNK_BYTES), put(ann, b"n" * CHUNK_BYTES)
    refused = ann.ask(PutChunk(b"x" * CHUNK_BYTES))
    assert refused.code is Code.INVALID
    ann.ask(PinBlob(old, pinned=False))
    put(ann, b"y" * CHUNK_BYTES)
    assert [e.details["blob"] for e in ann.events("blob.dropped")] == [old.text]
    assert ann.ask(ShowBlob(new)).pinned
    assert shelf.bytes_kept == 2 * CHUNK_BYTES
    village.restart(ann)
    assert len(ann.ask(ListBlobs()).blobs) == 2


def test_a_reference_somebody_else_wrote_opens_nothing(village):
    """Ann holds a blob for herself; that Bob asks her to read it by the space's
    name must not make it the space's."""
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    space = garden(village, ann, bob)
    blob = put(ann)
    assert get(ann, blob, spaces=(space,)) == BODY
    assert get(bob, blob, spaces=(space,), wait_seconds=5).code is Code.TIMED_OUT


def test_who_may_only_relay_a_space_is_given_none_of_its_blobs(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    space = garden(village, ann, bob, rights=Rights.RELAY)
    blob = put(ann, scopes=(space,))
    assert ann.core._spaces._sessions.company.members(space) == [bob.peer]
    assert get(bob, blob, agents=(ann.address,), wait_seconds=5).code is Code.TIMED_OUT
    assert not chunks_of(ann)


def test_a_relay_holds_what_is_sealed_and_gives_it_to_a_reader(village):
    ann, bob, cyd = village.add("ann", "bob", "cyd")
    for one, other in ((ann, bob), (bob, cyd), (ann, cyd)):
        village.befriend(one, other)
    space = garden(village, ann, cyd)
    bob.ask(JoinSpace(ann.ask(InviteToSpace("garden", Rights.RELAY)).invite))
    village.wait(3)
    blob, key = put(ann, sealed=True, scopes=(space,))
    closed = get(bob, blob, spaces=(space,))
    assert len(closed) == len(BODY) + 16 * 21
    assert bob.ask(ShowBlob(blob)).sealed
    kept = b"".join(v for k, v in bob.disk.pairs.items() if k.startswith(b"b/"))
    assert not any(BODY[n : n + 32] in kept for n in range(0, len(BODY), CHUNK_BYTES))
    village.stop(ann)
    assert get(cyd, blob, spaces=(space,), key=key) == BODY
    assert len(chunks_of(bob)) == 21


def test_who_has_no_right_in_a_space_is_not_even_given_what_is_sealed(village):
    ann, bob, eve = village.add("ann", "bob", "eve")
    village.befriend(ann, bob)
    village.befriend(ann, eve)
    space = garden(village, ann, bob)
    blob, key = put(ann, sealed=True, scopes=(space,))
    refused = get(eve, blob, agents=(ann.address,), key=key, wait_seconds=5)
    assert refused.code is Code.TIMED_OUT
    assert not chunks_of(ann)


@pytest.mark.parametrize(
    "size",
    [0, 1, PIECE - 1, PIECE, PIECE + 1, CHUNK_BYTES, 2 * PIECE, 3 * CHUNK_BYTES],
)
def test_what_was_sealed_is_read_back_whatever_its_size(two, size):
    _, ann, _ = two
    blob, key = put(ann, BODY[:size], sealed=True)
    assert get(ann, blob, key=key) == BODY[:size]
    middle = ann.ask(ReadBlob(blob, size // 2, key=key)).data
    assert middle[:9] == BODY[size // 2 : size][:9]
    assert sealed_tree(key, [BODY[:size]]).blob == blob
    assert get(ann, blob, key=bytes(32)).code is Code.INVALID


def test_no_two_blobs_have_one_key_and_the_key_lies_nowhere(two):
    _, ann, _ = two
    (blob, key), (other, another) = put(ann, sealed=True), put(ann, sealed=True)
    assert blob != other
    assert key != another
    assert not any(key in value for value in ann.disk.pairs.values() if value)


def test_what_was_begun_in_clear_is_not_called_sealed_in_the_end(two):
    _, ann, _ = two
    part = ann.ask(PutChunk(BODY[:CHUNK_BYTES], more=True))
    refused = ann.ask(PutChunk(b"x", part.upload, CHUNK_BYTES, sealed=True))
    assert refused.code is Code.INVALID


def test_a_blob_in_clear_is_read_as_ever_and_with_no_key(two):
    village, ann, _ = two
    blob = put(ann)
    (row,) = [key for key in ann.disk.pairs if key.startswith(b"b/l/")]
    ann.disk.pairs[row] = encode(decode(ann.disk.pairs[row])[:11])  # as it once was
    village.restart(ann)
    assert get(ann, blob) == BODY
    assert get(ann, blob, key=bytes(32)).code is Code.INVALID


def test_a_member_that_was_revoked_is_given_nothing_more(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    space = garden(village, ann, bob)
    blob = put(ann, scopes=(space,))
    grants = ann.ask(ListMembers("garden")).grants
    for each in grants:
        if each.grant:  # his own, and that of the invite he still holds
            ann.ask(RevokeGrant("garden", (each.grant,)))
    village.wait(1)
    assert get(bob, blob, agents=(ann.address,), wait_seconds=5).code is Code.TIMED_OUT


def test_a_search_that_goes_on_in_a_space_gives_the_space_nothing(village):
    ann, bob = village.add("ann", "bob")
    village.befriend(ann, bob)
    space = garden(village, ann, bob)
    blob = BlobId(bytes(32))
    assert get(ann, blob, agents=(bob.address,), wait_seconds=1).code is Code.TIMED_OUT
    assert get(ann, blob, spaces=(space,), wait_seconds=1).code is Code.TIMED_OUT
    assert ann.ask(ShowBlob(blob)).scopes == ()


def test_what_nobody_has_does_not_stand_in_the_way(two):
    village, ann, bob = two
    blob = put(ann, scopes=(bob.address,))
    for number in range(2 * BLOB_FETCHES_MAX):
        village.ask(bob, ReadBlob(BlobId(bytes([number]) * 32), wait_seconds=300))
        village.wait(0.1)
    assert get(bob, blob) == BODY


def test_an_upload_that_was_cut_by_a_restart_leaves_nothing(two):
    village, ann, _ = two
    part = ann.ask(PutChunk(BODY[:CHUNK_BYTES], more=True))
    assert [key for key in ann.disk.pairs if key.startswith(b"b/c/")]
    village.restart(ann)
    village.wait(1)
    assert not [key for key in ann.disk.pairs if key.startswith(b"b/")]
    later = PutChunk(b"x", part.upload, CHUNK_BYTES)
    assert ann.ask(later).code is Code.INVALID
