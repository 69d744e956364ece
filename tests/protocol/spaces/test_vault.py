"""A private space in the engine: who has the secret sees what the specification says.

Who has not holds and offers the same. The stories are those of ``histories``, lies and
all, told in a space whose data is sealed.
"""

from dataclasses import replace
from random import Random

import pytest

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import Fault
from nestmate_protocol.identity.log import begin_log, rotate_log
from nestmate_protocol.keys import SigningKey, recovery_key, rotation_key
from nestmate_protocol.limits import EPHEMERAL_PER_AUTHOR_MAX, UNSEALED_PER_STEP
from nestmate_protocol.simulation.histories import history
from nestmate_protocol.simulation.scribes import NETWORK, START_MS, Draft, Scribe, put
from nestmate_protocol.spaces.auth import granting
from nestmate_protocol.spaces.engine.changes import Verdict
from nestmate_protocol.spaces.engine.rebuilding import rebuild
from nestmate_protocol.spaces.engine.whole import Engine
from nestmate_protocol.spaces.keyring import handing, secret_of
from nestmate_protocol.spaces.ops import Lane, Type, open_op
from nestmate_protocol.spaces.state import hash_of, state

LATE = Moment(START_MS + 365 * 24 * 3_600_000, 1)
NOW = Moment(START_MS, 1)
PREFIX = b"s/1/"
RAW = b"\x05" * 32
READER = SigningKey(b"\x07" * 32)
SEEDS = range(12)
MANY = 2 * UNSEALED_PER_STEP + 1


def travelling(op):
    """An op as it is on the wire, read by one who does not have the secret."""
    return open_op(op.data, NETWORK, sealed=True)


def offered(engine):
    return [list(engine.ops.offered(lane)) for lane in Lane]


def agree(engine, ops):
    """A reader's engine says what the specification does of what it can read."""
    want = state(engine.space, {op.id: op for op in ops})
    lasting = {op.id for op in ops if op.place.lane is not Lane.EPHEMERAL}
    found = map(engine.ops.standing, engine.ops.held())
    assert {each.op for each in found if each and each.valid} == want.valid & lasting
    assert [*engine.views.objects()] == [*want.live]
    for key, entries in want.live.items():
        assert [(entry.dot, entry.value) for entry in engine.views.live(*key)] == [
            (entry.dot, entry.value) for entry in entries
        ]
    assert engine.views.state_hash() == want.hash
    return want


@pytest.mark.parametrize("seed", SEEDS)
def test_reader_and_specification_agree_and_a_relay_offers_the_same(seed, make_disk):
    story, dice = history(seed, 40, RAW), Random(seed)
    disks = (make_disk(), make_disk())
    reader, relay = (Engine(story.space, disk, PREFIX) for disk in disks)
    reader.keyring.keep(secret_of(story.space, RAW))
    for op in dice.sample(story.ops, len(story.ops)):
        verdicts = {
            each.admit(travelling(op), LATE).verdict for each in (reader, relay)
        }
        assert len(verdicts) == 1
    want = agree(reader, story.ops)
    assert offered(relay) == offered(reader)
    auth = [row for row in want_rows(want, story.ops) if row[0] == ""]
    assert relay.views.state_hash() == hash_of(auth)
    disks[1].write(relay.drain())
    assert Engine(story.space, disks[1], PREFIX).views.sizes() == relay.views.sizes()


def want_rows(want, ops):
    return [
        ("", mutation.type, op.dot(n))
        for op in ops
        if op.id in want.valid and op.place.lane is Lane.AUTH
        for n, mutation in enumerate(op.mutations)
    ]


def handed(story, secret):
    """An op by which the first founder of a story hands the secret to the reader."""
    scribes = (Scribe(f"author {n}") for n in range(9))
    founder = next(s for s in scribes if s.public == story.ops[0].author)
    founder.space, founder.life = story.space, 77
    founder.hlc = story.ops[-1].place.hlc
    return founder.write(Draft(handing(secret, [READER.public], lambda n: RAW[:n])))


@pytest.mark.parametrize("seed", SEEDS)
def test_it_does_not_matter_when_the_secret_comes(seed, make_disk):
    story, dice, disk = history(seed, 40, RAW), Random(seed), make_disk()
    given = handed(story, secret_of(story.space, RAW))
    ops = [*story.ops, given]
    engine = Engine(story.space, disk, PREFIX, keys=[READER])
    for n, op in enumerate(dice.sample(ops, len(ops))):
        engine.admit(travelling(op), LATE)
        if n % 10 == 9:
            disk.write(engine.drain())
    agree(engine, ops)
    disk.write(engine.drain())
    again = Engine(story.space, disk, PREFIX, keys=[READER])
    agree(again, ops)
    assert again.views.sizes().sealed == 0
    assert again.drain() == ()


def test_much_that_can_be_read_at_last_is_read_a_little_at_a_time(disk):
    ann = Scribe("ann")
    first = ann.found([ann], private=True)
    ann.secret = secret = secret_of(ann.space, RAW)
    writes = [ann.write(Draft([put(f"a/{n}")], [b"x"])) for n in range(MANY)]
    given = ann.write(Draft(handing(secret, [READER.public], lambda n: RAW[:n])))
    engine = Engine(first.space, disk, PREFIX, keys=[READER])
    for op in (first, *writes, given):
        engine.admit(travelling(op), LATE)
    assert engine.views.sizes().sealed == MANY - UNSEALED_PER_STEP
    disk.write(engine.drain())
    engine = Engine(first.space, disk, PREFIX, keys=[READER])
    while engine.next_wakeup_ms() == 0:
        engine.wake(LATE)
    agree(engine, ann.written)
    assert engine.views.sizes().sealed == 0


def test_rows_made_anew_without_keys_are_read_again_with_them(disk):
    ann = Scribe("ann")
    first = ann.found([ann], private=True)
    ann.secret = secret = secret_of(ann.space, RAW)
    ann.write(Draft(handing(secret, [READER.public], lambda n: RAW[:n])))
    ann.write(Draft([put("a")], [b"one"]))
    engine = Engine(first.space, disk, PREFIX, keys=[READER])
    for op in ann.written:
        engine.admit(travelling(op), LATE)
    disk.write(engine.drain())
    for batch in rebuild(first.space, disk, PREFIX, NETWORK, LATE):
        disk.write(batch)
    assert Engine(first.space, disk, PREFIX).views.sizes().sealed == 1
    again = Engine(first.space, disk, PREFIX, keys=[READER])
    (entry,) = again.views.live("a", Type.REGISTER)
    assert (entry.value, again.views.sizes().sealed) == (b"one", 0)
    for batch in rebuild(first.space, disk, PREFIX, NETWORK, LATE, keys=[READER]):
        disk.write(batch)
    again = Engine(first.space, disk, PREFIX, keys=[READER])
    assert again.news().changes == ()  # so that nobody is told of it once more


def test_an_op_that_is_sealed_where_it_must_not_be_or_is_not_is_refused(disk):
    ann, bob = Scribe("ann"), Scribe("bob")
    first = ann.found([ann], private=True)
    clear = ann.write(Draft([put("a")], [b"one"]))
    engine = Engine(first.space, disk, PREFIX)
    assert engine.admit(clear, LATE).verdict is Verdict.PENDING
    engine.admit(first, LATE)
    assert engine.admit(clear, LATE).fault is Fault.BAD_FIELD
    assert not engine.has(clear.id)
    other = bob.found([bob])
    bob.secret = secret_of(bob.space, RAW)
    closed = travelling(bob.write(Draft([put("a")], [b"one"])))
    engine = Engine(other.space, disk, b"s/2/")
    engine.admit(other, LATE)
    assert engine.admit(closed, LATE).fault is Fault.BAD_FIELD


def test_of_too_many_words_reader_and_relay_keep_the_latest(make_disk):
    ann = Scribe("ann")
    first = ann.found([ann], private=True)
    ann.secret = secret = secret_of(ann.space, RAW)
    ends = START_MS + 60_000
    words = [
        ann.write(Draft([put("mood")], [b"%d" % n], expires_ms=ends))
        for n in range(EPHEMERAL_PER_AUTHOR_MAX + 3)
    ]
    reader, relay = (Engine(first.space, make_disk(), PREFIX) for _ in range(2))
    reader.keyring.keep(secret)
    for engine, order in ((reader, words), (relay, words[::-1])):
        for op in (first, *order):
            engine.admit(travelling(op), NOW)
    kept = [op.place.hlc.to_bytes(8) + op.id.raw for op in words[3:]]
    assert offered(reader)[2] == offered(relay)[2] == kept
    (entry,) = reader.views.ephemeral("mood", Type.REGISTER)
    assert entry.value == b"%d" % (EPHEMERAL_PER_AUTHOR_MAX + 2)
    reader.wake(Moment(ends, 1))
    assert offered(reader)[2] == []


def test_a_word_is_read_when_the_secret_comes_after_it(disk):
    ann = Scribe("ann")
    first = ann.found([ann], private=True)
    ann.secret = secret = secret_of(ann.space, RAW)
    word = ann.write(Draft([put("mood")], [b"calm"], expires_ms=START_MS + 60_000))
    given = ann.write(Draft(handing(secret, [READER.public], lambda n: RAW[:n])))
    engine = Engine(first.space, disk, PREFIX, keys=[READER])
    for op in (first, word):
        engine.admit(travelling(op), NOW)
    assert not engine.views.ephemeral("mood", Type.REGISTER)
    engine.admit(given, NOW)
    disk.write(engine.drain())
    for each in (engine, Engine(first.space, disk, PREFIX, keys=[READER])):
        assert [e.value for e in each.views.ephemeral("mood", Type.REGISTER)] == [
            b"calm"
        ]


def test_a_key_that_was_rotated_away_is_no_reader_any_more(disk):
    phrase, old, new = b"\x09" * 32, Scribe("old"), Scribe("new")
    nexts = [rotation_key(phrase, n).public for n in (1, 2)]
    log = begin_log(old.key, nexts[0], recovery_key(phrase).public, b"n" * 16)
    rotated = rotate_log(log, rotation_key(phrase, 1), [new.public], nexts[1])
    ann = Scribe("ann")
    engine = Engine(ann.found([ann], private=True).space, disk, PREFIX)
    old.address, new.space = log.address, ann.space
    grant = replace(ann.grant_to(old), generation=1)
    given = ann.write(Draft([granting(grant)]))
    heir = replace(grant, keys=(new.public,), log=rotated.entries, generation=2)
    taken = new.write(Draft([granting(heir)], cap=given.dot(0)))
    for op in ann.written:
        engine.admit(op, LATE)
    assert engine.readers.entitled(LATE).keys() == {ann.public, old.public}
    engine.admit(taken, LATE)
    assert engine.readers.entitled(LATE).keys() == {ann.public, new.public}
