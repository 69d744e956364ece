"""Engine: what becomes of ops as they come in, as small stories."""

from dataclasses import dataclass, field

import pytest

from nestmate_protocol.clocks import COUNTER_BITS, Moment
from nestmate_protocol.errors import Fault
from nestmate_protocol.grants import Rights
from nestmate_protocol.limits import EPHEMERAL_PER_AUTHOR_MAX, SKEW_MS_MAX
from nestmate_protocol.simulation.scribes import START_MS, Draft, Scribe, put
from nestmate_protocol.spaces.auth import granting, revoking
from nestmate_protocol.spaces.engine.changes import (
    Changed,
    ConflictOpened,
    ConflictResolved,
    Forked,
    Restored,
    Verdict,
    Voided,
)
from nestmate_protocol.spaces.engine.whole import Engine
from nestmate_protocol.spaces.ops import Lane, Type

NOW = Moment(START_MS + 3_600_000, 1)
PREFIX = b"s/1/"


@dataclass
class Hut:
    """A space that Ann founded, where Bob may write, and Ann's engine."""

    disk: object
    ann: Scribe = field(default_factory=lambda: Scribe("ann"))
    bob: Scribe = field(default_factory=lambda: Scribe("bob"))
    cid: Scribe = field(default_factory=lambda: Scribe("cid"))

    def __post_init__(self):
        self.first = self.ann.found([self.ann])
        self.bob.space = self.cid.space = self.ann.space
        self.engine = Engine(self.ann.space, self.disk, PREFIX)
        self.given = self.grant(self.ann, self.bob)
        self.tell(self.first, self.given)

    def grant(self, giver, taker, cap=None, **other):
        return giver.write(Draft([granting(giver.grant_to(taker, **other))], cap=cap))

    def put(self, who, value, path="a", sup=(), cap=None, **other):
        cap = self.given.dot(0) if who is self.bob else cap
        return who.write(Draft([put(path, sup)], [value], cap), **other)

    def revoke(self, who, grant, heads=(), cap=None):
        ids = [op.id for op in heads]
        return who.write(Draft([revoking(grant.dot(0), ids)], cap=cap))

    def tell(self, *ops):
        return [self.engine.admit(op, NOW).verdict for op in ops]

    def values(self, path="a", kind=Type.REGISTER):
        return {e.value for e in self.engine.views.live(path, kind)}

    def told(self, kind):
        return [c for c in self.engine.news().changes if isinstance(c, kind)]

    def save(self):
        self.disk.write(self.engine.drain())

    def restart(self):
        self.save()
        self.engine = Engine(self.ann.space, self.disk, PREFIX)


@pytest.fixture
def hut(disk) -> Hut:
    return Hut(disk)


def test_an_op_that_rests_on_another_waits_for_it(hut):
    one, two = hut.put(hut.bob, b"1"), hut.put(hut.bob, b"2")
    waiting = hut.engine.admit(two, NOW)
    assert (waiting.verdict, waiting.missing) == (Verdict.PENDING, one.id)
    assert hut.engine.missing() == [one.id]
    assert hut.engine.admit(one, NOW).released == (two.id,)
    assert hut.values() == {b"2"}


def test_an_op_waits_for_the_grant_it_acts_under(hut):
    given = hut.grant(hut.ann, hut.cid)
    op = hut.put(hut.cid, b"1", cap=given.dot(0))
    assert hut.tell(op, given) == [Verdict.PENDING, Verdict.NEW]
    assert hut.values() == {b"1"}


def test_whoever_was_never_granted_anything_is_refused_and_not_kept(hut):
    hut.save()
    op = hut.put(hut.cid, b"1", cap=hut.given.dot(0))
    admission = hut.engine.admit(op, NOW)
    assert admission.fault is Fault.NOT_ENTITLED
    assert not hut.engine.has(op.id)
    assert not hut.engine.drain()


def test_an_op_under_the_grant_of_another_is_refused_though_its_author_has_one(hut):
    given = hut.grant(hut.ann, hut.cid)
    op = hut.put(hut.cid, b"1", cap=hut.given.dot(0))
    assert hut.tell(given, op) == [Verdict.NEW, Verdict.REFUSED]
    assert not hut.engine.has(op.id)


def test_an_op_under_a_revoked_grant_is_in_quarantine(hut):
    end, op = hut.revoke(hut.ann, hut.given), hut.put(hut.bob, b"1")
    assert hut.tell(end, op) == [Verdict.NEW, Verdict.QUARANTINED]
    assert [each.op for each in hut.engine.ops.quarantined()] == [op.id]
    assert op.id.raw not in {k[8:] for k in hut.engine.ops.offered(Lane.DATA)}


def test_an_op_from_the_future_is_parked_until_its_time_has_come(hut):
    ahead_ms = NOW.wall_ms + SKEW_MS_MAX + 5_000
    op = hut.put(hut.bob, b"1", hlc=ahead_ms << COUNTER_BITS)
    assert hut.tell(op) == [Verdict.PARKED]
    assert hut.engine.next_wakeup_ms() == NOW.wall_ms + 5_000
    hut.engine.wake(NOW.later(4_999))
    assert not hut.values()
    hut.engine.wake(NOW.later(5_000))
    assert hut.values() == {b"1"}


def test_a_chain_that_does_not_fit_is_refused(hut):
    one = hut.put(hut.bob, b"1")
    other = hut.put(hut.ann, b"2")
    forged = hut.bob.write(Draft([put("a")], [b"3"], hut.given.dot(0)), after=other)
    assert hut.tell(one, other, forged)[-1] is Verdict.REFUSED


def test_a_revocation_keeps_what_is_named_and_voids_the_rest(hut):
    one, two = hut.put(hut.bob, b"1", "a"), hut.put(hut.bob, b"2", "b")
    hut.tell(one, two)
    hut.engine.news()
    hut.tell(hut.revoke(hut.ann, hut.given, [one]))
    news = hut.engine.news()
    assert [c.op for c in news.changes if isinstance(c, Voided)] == [two.id]
    assert [c.path for c in news.changes if isinstance(c, Changed)] == ["b"]
    assert [o.key[8:] for o in news.offers if not o.entered] == [two.id.raw]
    assert (hut.values("a"), hut.values("b")) == ({b"1"}, set())


def test_what_a_void_write_replaced_is_live_again(hut):
    old = hut.put(hut.ann, b"old")
    new = hut.put(hut.bob, b"new", sup=[old.dot(0)])
    hut.tell(old, new)
    assert hut.values() == {b"new"}
    hut.tell(hut.revoke(hut.ann, hut.given))
    assert hut.values() == {b"old"}


def test_an_op_counts_again_when_the_revocation_of_it_is_void(hut):
    given = hut.grant(hut.bob, hut.cid, hut.given.dot(0), depth=1)
    op = hut.put(hut.cid, b"1", cap=given.dot(0))
    hut.tell(given, op, hut.revoke(hut.bob, given, cap=hut.given.dot(0)))
    assert not hut.values()
    hut.engine.news()
    hut.tell(hut.revoke(hut.ann, hut.given, [given, op]))
    assert [each.op for each in hut.told(Restored)] == [op.id]
    assert hut.values() == {b"1"}


def test_a_conflict_is_told_when_it_opens_and_when_it_is_resolved(hut):
    ours, theirs = hut.put(hut.ann, b"1"), hut.put(hut.bob, b"2")
    hut.tell(ours, theirs)
    assert hut.told(ConflictOpened) == [ConflictOpened("a")]
    assert hut.engine.views.conflicts() == ["a"]
    hut.tell(hut.put(hut.ann, b"3", sup=[ours.dot(0), theirs.dot(0)]))
    assert hut.told(ConflictResolved) == [ConflictResolved("a")]


def test_a_fork_is_told_with_both_of_its_ops(hut):
    one = hut.put(hut.bob, b"1")
    two, rival = hut.put(hut.bob, b"2"), hut.put(hut.bob, b"3", after=one)
    hut.tell(one, two, rival)
    assert hut.told(Forked) == [Forked(hut.bob.public, two.id, rival.id)]


def test_a_new_life_that_goes_on_from_an_older_op_is_no_fork(hut):
    one, two = hut.put(hut.bob, b"1"), hut.put(hut.bob, b"2")
    hut.bob.life += 1
    hut.tell(one, two, hut.put(hut.bob, b"3", after=one))
    assert not hut.told(Forked)
    assert len(hut.engine.ops.tips(hut.bob.public, Lane.DATA)) == 2


def test_an_op_that_comes_again_changes_no_row(hut):
    ops = [hut.put(hut.bob, b"1"), hut.revoke(hut.ann, hut.given)]
    hut.tell(*ops)
    hut.save()
    assert hut.tell(hut.first, hut.given, *ops) == [Verdict.KNOWN] * 4
    assert not hut.engine.drain()


def test_after_a_restart_everything_is_as_it_was(hut):
    hut.tell(hut.put(hut.bob, b"1"), hut.put(hut.ann, b"2"))
    hut.tell(hut.revoke(hut.ann, hut.given, [hut.bob.written[-1]]))
    before = hut.engine.views.state_hash(), hut.engine.ops.frontier()
    hut.restart()
    assert (hut.engine.views.state_hash(), hut.engine.ops.frontier()) == before
    assert hut.tell(hut.put(hut.bob, b"3")) == [Verdict.QUARANTINED]


def test_a_revoker_is_told_the_cut_that_keeps_everything(hut):
    one, two = hut.put(hut.bob, b"1"), hut.put(hut.bob, b"2")
    hut.tell(one, two)
    heads = hut.engine.rights.heads_under(hut.given.dot(0))
    assert heads == [two.id]
    ops = {op.id: op for op in (one, two)}
    hut.tell(hut.revoke(hut.ann, hut.given, [ops[head] for head in heads]))
    assert hut.values() == {b"2"}


def test_the_nearest_grant_that_lets_a_key_write_is_the_one_to_act_under(hut):
    rights, bob = hut.engine.rights, hut.bob.public
    where = "a", Type.REGISTER, Rights.WRITE, NOW
    assert rights.best_cap(bob, *where) == hut.given.dot(0)
    assert rights.is_entitled(bob, Rights.READ, NOW)
    hut.tell(hut.revoke(hut.ann, hut.given))
    assert rights.best_cap(bob, *where) is None
    assert not rights.is_entitled(bob, Rights.READ, NOW)


def whisper(hut, value, expires_ms=NOW.wall_ms + 60_000, **other):
    draft = Draft([put("here")], [value], hut.given.dot(0), expires_ms)
    return hut.bob.write(draft, **other)


def said(hut):
    return [e.value for e in hut.engine.views.ephemeral("here", Type.REGISTER)]


def test_of_ephemeral_ops_an_authors_latest_stays_until_it_is_due(hut):
    one, two = whisper(hut, b"1"), whisper(hut, b"2")
    hut.tell(two, one)
    assert said(hut) == [b"2"]
    hut.restart()
    assert said(hut) == [b"2"]
    hut.engine.wake(NOW.later(60_000))
    assert not said(hut)
    assert not list(hut.engine.ops.offered(Lane.EPHEMERAL))


def test_a_revocation_ends_what_was_said_for_a_moment(hut):
    hut.tell(whisper(hut, b"1"))
    hut.tell(hut.revoke(hut.ann, hut.given))
    assert not said(hut)


def test_an_author_who_has_said_its_most_may_still_take_back_what_it_said(hut):
    for n in range(EPHEMERAL_PER_AUTHOR_MAX):
        draft = Draft([put(f"at/{n}")], [b"1"], hut.given.dot(0), NOW.wall_ms + 9_000)
        hut.tell(hut.bob.write(draft))
    assert hut.engine.admit(whisper(hut, b"more"), NOW).fault is Fault.OVER_LIMIT
    draft = Draft([put("at/0")], [b"2"], hut.given.dot(0), NOW.wall_ms + 9_000)
    assert hut.tell(hut.bob.write(draft)) == [Verdict.NEW]
