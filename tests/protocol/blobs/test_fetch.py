"""A fetch and its peers, played by dice: through loss and lies all bytes come."""

from hashlib import sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestmate_protocol.blobs.fetch import Came, Fetch
from nestmate_protocol.blobs.frames import AskChunks, Want
from nestmate_protocol.blobs.tree import Bits, Tree, count_of, hash_of, read_tree
from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import BlobId, PeerId
from nestmate_protocol.limits import (
    BLOB_SILENT_MS_MAX,
    BLOB_UNDERWAY_CHUNKS_MAX,
    BLOB_WINDOW_CHUNKS,
    CHUNK_BYTES,
)

SIZE = 40 * CHUNK_BYTES - 7
BODY = b"".join(
    sha256(n.to_bytes(8)).digest() * (CHUNK_BYTES // 32) for n in range(40)
)[:SIZE]
CHUNKS = [BODY[at : at + CHUNK_BYTES] for at in range(0, SIZE, CHUNK_BYTES)]
TREE = Tree(SIZE, b"".join(map(hash_of, CHUNKS)))
NOW = Moment(1_800_000_000_000, 5_000_000)
PEERS = [PeerId(bytes([n]) * 32) for n in range(1, 5)]


def mask(indexes):
    bits = Bits(TREE.count)
    for index in indexes:
        bits.add(index)
    return bytes(bits.raw)


class Play:
    """Peers of which each holds some chunks, and some lie or fall silent."""

    def __init__(self, seed, held):
        self.dice = Random(seed)
        self.now = NOW
        self.fetch = Fetch(TREE.blob, TREE, Bits(TREE.count, mask(held)))
        self.kept = {index: CHUNKS[index] for index in held}
        self.holds = {peer: set() for peer in PEERS}
        for index in range(TREE.count):
            for peer in self.dice.sample(PEERS, self.dice.randint(1, 3)):
                self.holds[peer].add(index)
        self.honest = PEERS[0]
        self.holds[self.honest] = set(range(TREE.count))
        self.liar = PEERS[3]
        self.silent = PEERS[2]
        self.way = []

    def hear(self, said):
        for peer, frame in said:
            match frame:
                case Want():
                    self.fetch.have(peer, mask(self.holds[peer]), self.now)
                case AskChunks(_, indexes):
                    self.way += [(peer, index) for index in indexes]

    def bounded(self):
        sources = self.fetch._sources.values()
        assert all(len(each.owes) <= BLOB_WINDOW_CHUNKS for each in sources)
        assert len(self.fetch._asked) <= BLOB_UNDERWAY_CHUNKS_MAX

    def deliver(self):
        peer, index = self.way.pop(self.dice.randrange(len(self.way)))
        if peer == self.silent and self.dice.random() < 0.7:
            return
        data = CHUNKS[index]
        if peer == self.liar:
            data = data[:-1] + bytes([data[-1] ^ 1])
        try:
            if self.fetch.chunk(peer, index, data, self.now) is Came.NEWS:
                assert index not in self.kept
                self.kept[index] = data
        except RemoteError:
            assert peer == self.liar
            self.fetch.distrust(peer)
        self.hear(self.fetch.asks(self.now))

    def run(self, steps=2_000):
        for _ in range(steps):
            if self.fetch.done:
                return
            self.fetch.meet(PEERS, self.now)
            self.hear(self.fetch.wake(self.now))
            self.bounded()
            if self.way:
                self.deliver()
            else:
                self.now = self.now.later(BLOB_SILENT_MS_MAX)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sets(st.integers(0, TREE.count - 1)))
def test_all_bytes_come_whoever_lies_or_falls_silent(seed, held):
    play = Play(seed, held)
    play.run()
    assert play.fetch.done, seed
    assert b"".join(play.kept[index] for index in range(TREE.count)) == BODY


def test_what_is_here_is_not_asked_for_again():
    play = Play(1, set(range(1, 40)))
    play.fetch.meet([PEERS[0]], NOW)
    play.hear(play.fetch.wake(NOW))
    play.hear(play.fetch.asks(NOW))
    assert play.way == [(PEERS[0], 0)]


def test_what_a_lost_peer_owed_is_asked_of_others():
    play = Play(2, set(range(8, 40)))
    first, second = PEERS[:2]
    play.holds[second] = set(range(40))
    play.fetch.meet([first], NOW)
    play.hear(play.fetch.wake(NOW))
    play.hear(play.fetch.asks(NOW))
    play.fetch.meet([second], NOW)
    play.hear(play.fetch.wake(NOW))
    play.hear(play.fetch.asks(NOW))
    assert play.way[-8:] == [(second, index) for index in range(8)]


def test_a_peer_that_lied_is_never_asked_again():
    play = Play(3, ())
    play.fetch.meet([play.liar], NOW)
    play.hear(play.fetch.wake(NOW))
    play.hear(play.fetch.asks(NOW))
    with pytest.raises(RemoteError):
        play.fetch.chunk(play.liar, play.way[0][1], b"lie", NOW)
    play.fetch.distrust(play.liar)
    play.fetch.meet([play.liar], NOW.later(10**6))
    assert play.fetch.wake(NOW.later(10**6)) == []


@given(st.integers(0, 5 * CHUNK_BYTES))
def test_a_tree_is_that_of_its_blob_or_refused(size):
    hashes = bytes(32) * count_of(size)
    tree = Tree(size, hashes)
    assert read_tree(tree.blob, size, hashes) == tree
    for other in ((size + 1, hashes), (size, hashes + bytes(32))):
        with pytest.raises(RemoteError):
            read_tree(tree.blob, *other)
    with pytest.raises(RemoteError):
        read_tree(BlobId(bytes(32)), size, hashes)


@given(st.sets(st.integers(0, 99)))
def test_bits_are_what_was_added(indexes):
    bits = Bits(100)
    for index in indexes:
        bits.add(index)
    again = Bits(100, bytes(bits.raw))
    assert {n for n in range(-5, 105) if n in again} == indexes
    assert set(again.missing()) == set(range(100)) - indexes
    assert (len(again), again.full) == (len(indexes), False)
    assert Bits(100, None).full
