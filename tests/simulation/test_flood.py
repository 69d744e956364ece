"""A flood of well-signed records leaves every container of a core within its bound."""

from hashlib import sha256

import pytest

from nestmate_protocol.core import Settings
from nestmate_protocol.effects import Channel
from nestmate_protocol.ids import TaskId
from nestmate_protocol.inputs import Arrived
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import make_frame, sign_record
from nestmate_protocol.signals.claims import (
    Cancel,
    Claim,
    Done,
    Lease,
    Receipt,
    Release,
    Verdict,
)
from nestmate_protocol.signals.records import Deposit, Link, Signal, TaskClass
from nestmate_protocol.simulation.cast import NETWORK, Cast, make_identity
from nestmate_protocol.simulation.growth import crowded
from nestmate_protocol.simulation.hostile import Loot
from nestmate_protocol.simulation.register import Register
from nestmate_protocol.simulation.world import World

RECORDS = 1_440
PER_FRAME = 24
MOST = 1_100  # what one author may fill; a container without a bound holds more


def digest(number):
    return sha256(b"%d" % number).digest()


class Chain:
    """The spending chain of an author who floods, but does not lie."""

    def __init__(self, key):
        self._key, self._seq, self._last = key, 0, None

    def sign(self, write):
        """The next record of the chain."""
        self._seq += 1
        body = write(Link(b"i" * 16, self._seq, self._last, 5 * self._seq))
        record = sign_record(self._key, NETWORK, body.kind, body.fields())
        self._last = record.id.raw
        return record.data


def chained(chain, number, me, victim):
    """A signal and a deposit, as many records of one kind as numbers."""
    empty, key = sha256(b"").digest(), digest(number)
    return chain.sign(
        lambda link: Signal(
            *(me, key, f"skill {number}", 0, 9, 600, TaskClass.NORMAL, 15, link),
            *(b"", empty, 0, 1_800_000_000_000, 1, 0),
        )
    ), chain.sign(lambda link: Deposit(victim, key, me, 1, 0, link))


def bodies(number, me, victim):
    """One of each other kind that a stranger may say of a task nobody has heard of."""
    task, empty = TaskId(digest(number)), sha256(b"").digest()
    lease = (number % 7 + 1, victim, 15, 0, None, 0)
    yield Claim(task, me, 1, 0, 15)
    yield Lease(task, *lease)
    yield Receipt(task, 1, victim, empty, 1, 0, Verdict.ACCEPTED)
    yield Cancel(task, 1)
    yield Done(task, me, 1, b"", empty, 1)
    yield Release(task, me, 1, "", None, failed=False)


def address_of(node):
    return node.core._me.address


@pytest.fixture
def pair():
    """A world, a victim, and a flooder whose card the victim knows."""
    world = World(1, NETWORK, lambda *_: None)
    cast = Cast(world, Register(), Loot(list, list))
    nodes = [cast.honest(Settings()) for _ in range(2)]
    for node in nodes:
        world.start(node)
    world.links.connect(*nodes)
    world.run(5_000)
    return world, *nodes


def frames(key, me, target):
    """Frames of one kind each, as many of every kind."""
    chain = Chain(key)
    for first in range(0, RECORDS, PER_FRAME):
        numbers = range(first, first + PER_FRAME)
        for alike in zip(
            *(chained(chain, n, me, target) for n in numbers), strict=True
        ):
            yield make_frame([(data, 0) for data in alike])
        for alike in zip(*(bodies(n, me, target) for n in numbers), strict=True):
            signed = [sign_record(key, NETWORK, b.kind, b.fields()) for b in alike]
            yield make_frame([(record.data, 0) for record in signed])


def test_a_flood_of_one_known_author_stays_within_bounds(pair):
    world, victim, flooder = pair
    identity = make_identity(world.dice.fork("identity 1"), "n1")
    me, target = identity.log.address, address_of(victim)
    for frame in frames(identity.device, me, target):
        victim.give(Arrived(flooder.peer, Channel.SIGNALS, frame))
        world.run(10)
    assert victim.core._board.counts().tasks_sensed > 20
    assert crowded(victim.core, MOST) == []


def test_a_flood_of_unknown_authors_stays_within_bounds(pair):
    world, victim, flooder = pair
    for number in range(RECORDS):
        key = SigningKey(digest(number))
        claim = Claim(TaskId(digest(number)), address_of(victim), 1, 0, 15)
        record = sign_record(key, NETWORK, claim.kind, claim.fields())
        frame = make_frame([(record.data, 0)])
        victim.give(Arrived(flooder.peer, Channel.SIGNALS, frame))
        world.run(10)
    assert len(victim.core._admission._parking) > 20
    assert crowded(victim.core, MOST) == []
