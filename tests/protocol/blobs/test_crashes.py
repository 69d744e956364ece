"""Blobs through power cuts: nodes die at any moment and lose the tail of their disks.

What was acknowledged stays: a blob that was put, and one that was told to be here.
What was not is fetched again, and nothing false is ever read. Seeds are Hypothesis's.
"""

from hashlib import shake_256

from hypothesis import given, settings
from hypothesis import strategies as st

from nestmate_protocol.blobs.requests import (
    BlobPart,
    ListBlobs,
    PutChunk,
    ReadBlob,
    Stored,
)
from nestmate_protocol.blobs.subject import Blobs
from nestmate_protocol.blobs.tree import count_of
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify, Reply, Save, Send
from nestmate_protocol.ids import NetworkId, PeerId
from nestmate_protocol.limits import CHUNK_BYTES
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.machine import Disk

BODY = shake_256(b"a long letter").digest(30 * CHUNK_BYTES + 9)
PEERS = PeerId(b"\1" * 32), PeerId(b"\2" * 32)


class Side:
    """One node's blobs, its disk, and the only other peer there is."""

    def __init__(self, pair, number):
        self.pair, self.number = pair, number
        self.disk, self.way, self.said = Disk(), [], []
        self.boot()

    def boot(self):
        me, network = PEERS[self.number], NetworkId(bytes(32))
        self.blobs = Blobs(me, network, self, self.disk, bytes)
        self.do(self.blobs.start(self.pair.now))

    def peers(self):
        return [PEERS[1 - self.number]]

    def peer_of(self, _):
        return None

    agent_at = peer_of

    def readers(self, _):
        return []

    keepers = readers

    def do(self, outcomes):
        for outcome in outcomes:
            match outcome:
                case Save(writes, durable):
                    self.disk.write(writes, durable=durable)
                case Send(_, _, data):
                    self.pair.sides[1 - self.number].way.append(data)
                case Reply() | Notify():
                    self.said.append(outcome)

    def ask(self, body):
        """The answer, if there is one at once."""
        self.said.clear()
        self.do(self.blobs.ask(1, body, self.pair.now))
        answers = [each.response for each in self.said if isinstance(each, Reply)]
        return answers[0] if answers else None

    def step(self):
        if self.way:
            came = self.blobs.arrived(
                PEERS[1 - self.number], self.way.pop(0), self.pair.now
            )
            self.do(came)
        self.do(self.blobs.wake(self.pair.now))

    def crash(self, dice):
        """A power cut: the connection, and what was not durable, may be lost."""
        self.disk.crash(dice)
        for side in self.pair.sides:
            side.way.clear()
        other = self.pair.sides[1 - self.number]
        other.blobs.peer_down(PEERS[self.number])
        self.boot()


class Pair:
    """Ann, who has put a letter, and Bob, who fetches it."""

    def __init__(self):
        self.now = Moment(1_800_000_000_000, 5_000_000)
        self.sides = []
        self.sides += [Side(self, 0), Side(self, 1)]
        self.ann, self.bob = self.sides

    def put(self, dice):
        """Ann puts it, beginning anew after each power cut, until it is acked."""
        upload = at = 0
        while True:
            more = at + CHUNK_BYTES < len(BODY)
            piece = BODY[at : at + CHUNK_BYTES]
            stored = self.ann.ask(PutChunk(piece, upload, at, more, public=not more))
            assert isinstance(stored, Stored)
            if stored.blob is not None:
                return stored.blob
            upload, at = stored.upload, stored.size
            if dice.chance(0.02):
                self.ann.crash(dice)
                upload = at = 0

    def fetch(self, blob, dice, crashes):
        """Let time pass until Bob is told that he has it."""
        self.bob.do(self.bob.blobs.ask(7, ReadBlob(blob, wait_seconds=300), self.now))
        for _ in range(20_000):
            self.now = self.now.later(dice.between(1, 2_000))
            for side in self.sides:
                side.step()
                if any(type(e) is Notify for e in self.bob.said):
                    return
                if crashes and dice.chance(0.02):
                    crashes -= 1
                    side.crash(dice)
                    self.bob.ask(ReadBlob(blob, wait_seconds=300))
        raise AssertionError("it never came")


def body_at(side, blob):
    parts = [
        side.ask(ReadBlob(blob, at, wait_seconds=0))
        for at in range(0, len(BODY), CHUNK_BYTES)
    ]
    assert all(isinstance(part, BlobPart) for part in parts)
    return b"".join(part.data for part in parts)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 6))
def test_what_was_acknowledged_survives_and_what_was_not_is_fetched_again(
    seed, crashes
):
    dice, pair = Dice(seed), Pair()
    blob = pair.put(dice)
    pair.ann.crash(dice)
    assert body_at(pair.ann, blob) == BODY
    pair.fetch(blob, dice, crashes)
    pair.bob.crash(dice)
    assert body_at(pair.bob, blob) == BODY
    assert len(pair.bob.ask(ListBlobs()).blobs) == 1
    for side in pair.sides:
        assert len(list(side.disk.scan(b"b/c/"))) == count_of(len(BODY))
