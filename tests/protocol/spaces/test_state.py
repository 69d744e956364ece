"""State: who may do what in a space, and what its ops come to, as small stories."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nestmate_protocol.clocks import COUNTER_BITS
from nestmate_protocol.grants import ALL_RIGHTS, Grant, Rights
from nestmate_protocol.identity.log import begin_log, rotate_log
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import recovery_key, rotation_key
from nestmate_protocol.simulation.scribes import START_MS, Draft, Scribe, put
from nestmate_protocol.spaces.auth import (
    closing,
    endorsing,
    granting,
    leaving,
    revoking,
)
from nestmate_protocol.spaces.ops import Lane, Type, open_op
from nestmate_protocol.spaces.state import state

READ, WRITE, GRANT = Rights.READ, Rights.WRITE, Rights.GRANT


@dataclass
class Garden:
    """A space that Ann founded, and what Bob, Cid and Dan do in it."""

    ann: Scribe = field(default_factory=lambda: Scribe("ann"))
    bob: Scribe = field(default_factory=lambda: Scribe("bob"))
    cid: Scribe = field(default_factory=lambda: Scribe("cid"))
    dan: Scribe = field(default_factory=lambda: Scribe("dan"))

    def found(self, *founders, threshold=1):
        self.ann.found([self.ann, *founders], threshold)
        for each in self.everybody:
            each.space = self.ann.space
        return self

    @property
    def everybody(self):
        return (self.ann, self.bob, self.cid, self.dan)

    @property
    def ops(self):
        return {op.id: op for each in self.everybody for op in each.written}

    def state(self, *without):
        gone = {op.id for op in without}
        kept = {op.id: op for op in self.ops.values() if op.id not in gone}
        return state(self.ann.space, kept)

    def grant(self, giver, taker, cap=None, **other):
        rights, depth = other.pop("rights", ALL_RIGHTS), other.pop("depth", 3)
        paths = other.pop("paths", ("",))
        given = Grant(
            taker.address, (taker.public,), rights, paths, depth=depth, **other
        )
        return giver.write(Draft([granting(given)], cap=cap)).dot(0)

    def put(self, who, cap=None, path="a", value=b"1", sup=(), **other):
        return who.write(Draft([put(path, sup)], [value], cap), **other)

    def revoke(self, who, grant, heads=(), cap=None):
        ids = [op.id for op in heads]
        return who.write(Draft([revoking(grant, ids)], cap=cap))


@pytest.fixture
def garden():
    return Garden().found()


def test_a_founder_may_write_anywhere_and_a_stranger_nowhere(garden):
    mine, theirs = garden.put(garden.ann), garden.put(garden.bob)
    assert mine.id in garden.state().valid
    assert theirs.id not in garden.state().passing


def test_a_member_writes_what_its_grant_covers(garden):
    cap = garden.grant(garden.ann, garden.bob, rights=WRITE, paths=("tasks",))
    inside = garden.put(garden.bob, cap, "tasks/7")
    outside, rule = (garden.put(garden.bob, cap, path) for path in ("x", ".policy"))
    found = garden.state()
    assert {inside.id, outside.id, rule.id} <= found.passing
    assert {inside.id, outside.id, rule.id} & found.valid == {inside.id}


def test_nobody_uses_the_grant_of_another(garden):
    cap = garden.grant(garden.ann, garden.bob)
    assert garden.put(garden.cid, cap).id not in garden.state().passing


def test_what_was_written_after_a_grant_expired_does_not_pass(garden):
    cap = garden.grant(garden.ann, garden.bob, expires_ms=START_MS + 5)
    times = [START_MS + ms << COUNTER_BITS for ms in (5, 6)]
    before, after = (garden.put(garden.bob, cap, hlc=hlc) for hlc in times)
    assert {before.id, after.id} & garden.state().passing == {before.id}


def invite(garden, **other):
    """A grant to whoever bears Cid's key, and the grant that Bob has made out of it."""
    given = Grant(None, (garden.cid.public,), WRITE | GRANT, ("",), depth=1, **other)
    dot = garden.ann.write(Draft([granting(given)])).dot(0)
    return dot, garden.grant(garden.cid, garden.bob, dot, rights=WRITE, depth=0)


def test_whoever_came_by_an_invite_stays_when_it_is_closed(garden):
    line, cap = invite(garden)
    heads = [garden.cid.tips[Lane.AUTH].id]
    garden.ann.write(Draft([closing(line, heads)]))
    late = garden.grant(garden.cid, garden.dan, line, rights=WRITE, depth=0)
    kept, lost = garden.put(garden.bob, cap), garden.put(garden.dan, late)
    found = garden.state()
    assert {kept.id, lost.id} & found.valid == {kept.id}
    assert (found.members[line].revoked, found.members[cap].revoked) == (True, False)


def test_who_came_by_an_invite_goes_when_its_closing_does_not_keep_them(garden):
    line, cap = invite(garden)
    garden.ann.write(Draft([closing(line, [])]))
    assert garden.put(garden.bob, cap).id not in garden.state().passing


def test_nobody_closes_a_grant_from_below_it(garden):
    line, cap = invite(garden)
    garden.bob.write(Draft([closing(line, [])], cap=cap))
    assert not garden.state().members[line].revoked


def test_an_invite_is_taken_up_until_it_closes_and_what_it_gave_lasts(garden):
    line, cap = invite(garden, closes_ms=START_MS + 50)
    late = garden.grant(garden.cid, garden.dan, line, rights=WRITE, depth=0)
    hlc = START_MS + 51 << COUNTER_BITS
    again = Grant(garden.dan.address, (garden.dan.public,), WRITE, ("",))
    past = garden.cid.write(Draft([granting(again)], cap=line), hlc=hlc)
    stays = garden.put(garden.bob, cap, hlc=hlc)
    found = garden.state()
    assert {past.id, stays.id} & found.passing == {stays.id}
    assert late in found.members


def test_a_grant_that_exceeds_its_parent_lets_nobody_in(garden):
    cap = garden.grant(garden.ann, garden.bob, rights=WRITE | GRANT, depth=2)
    more = garden.grant(garden.bob, garden.cid, cap, rights=WRITE | READ, depth=1)
    less = garden.grant(garden.bob, garden.cid, cap, rights=WRITE, depth=1)
    kept, lost = garden.put(garden.cid, less), garden.put(garden.cid, more)
    assert {lost.id, kept.id} & garden.state().held == {kept.id}


def test_an_op_without_what_comes_before_it_is_as_if_it_had_not_come(garden):
    first, second = garden.put(garden.ann), garden.put(garden.ann)
    assert second.id in garden.state().held
    assert second.id not in garden.state(first).held


def test_an_op_without_the_op_that_gave_its_grant_is_as_if_it_had_not_come(garden):
    cap = garden.grant(garden.ann, garden.bob)
    op, given = garden.put(garden.bob, cap), garden.ann.tips[Lane.AUTH]
    assert op.id in garden.state().held
    assert op.id not in garden.state(given).held


def test_what_comes_after_an_op_under_a_grant_never_held_is_lost_with_it(garden):
    cap = garden.grant(garden.ann, garden.bob)
    for _ in range(2):
        last = garden.put(garden.cid, cap)
        cap = garden.grant(garden.ann, garden.cid)
    assert last.id not in garden.state().held


def test_grants_of_offered_ops_are_offered_even_if_they_are_void(garden):
    top = garden.grant(garden.ann, garden.bob)
    below = garden.grant(garden.bob, garden.cid, top, depth=2)
    carrier, void = garden.bob.tips[Lane.AUTH], garden.put(garden.cid, below)
    garden.revoke(garden.ann, top)
    op = garden.put(garden.cid, garden.grant(garden.ann, garden.cid))
    found = garden.state()
    assert op.id in found.valid
    assert {carrier.id, void.id} <= found.offered - found.passing


def test_a_revocation_keeps_what_leads_up_to_its_heads(garden):
    cap = garden.grant(garden.ann, garden.bob)
    kept, head, late = (garden.put(garden.bob, cap) for _ in range(3))
    garden.revoke(garden.ann, cap, [head])
    back_dated = garden.put(garden.bob, cap, hlc=1, after=kept)
    found = garden.state()
    assert {kept.id, head.id} <= found.valid
    assert not {late.id, back_dated.id} & found.passing
    assert found.members[cap].revoked


def test_a_revocation_reaches_all_that_was_handed_on(garden):
    cap = garden.grant(garden.ann, garden.bob)
    below = garden.grant(garden.bob, garden.cid, cap, depth=2)
    op = garden.put(garden.cid, below)
    assert op.id in garden.state().valid
    garden.revoke(garden.ann, cap)
    assert op.id not in garden.state().passing


def test_siblings_cannot_revoke_each_other_nor_what_is_above_them(garden):
    one = garden.grant(garden.ann, garden.bob)
    other = garden.grant(garden.ann, garden.cid)
    garden.revoke(garden.bob, other, cap=one)
    garden.revoke(garden.cid, other, cap=other)
    assert not garden.state().members[other].revoked


def test_all_revocations_of_a_grant_must_be_satisfied(garden):
    top = garden.grant(garden.ann, garden.bob)
    cap = garden.grant(garden.bob, garden.cid, top, depth=2)
    first, second = garden.put(garden.cid, cap), garden.put(garden.cid, cap)
    garden.revoke(garden.bob, cap, [first], top)
    garden.revoke(garden.ann, cap, [second])
    assert {first.id, second.id} & garden.state().valid == {first.id}


def test_a_revocation_is_gone_with_the_right_to_make_it(garden):
    top = garden.grant(garden.ann, garden.bob)
    cap = garden.grant(garden.bob, garden.cid, top, depth=2)
    op, issued = garden.put(garden.cid, cap), garden.bob.tips[Lane.AUTH]
    garden.revoke(garden.bob, cap, cap=top)
    assert op.id not in garden.state().passing
    garden.revoke(garden.ann, top, [issued, op])
    assert op.id in garden.state().passing


def test_what_passing_revocations_name_is_offered_even_if_it_is_void(garden):
    top = garden.grant(garden.ann, garden.bob)
    cap = garden.grant(garden.bob, garden.cid, top, depth=2)
    first, head, late = (garden.put(garden.cid, cap) for _ in range(3))
    garden.revoke(garden.bob, cap, [first], top)
    garden.revoke(garden.ann, cap, [head])
    found = garden.state()
    assert head.id not in found.passing
    assert head.id in found.offered
    assert late.id not in found.offered


def test_founders_act_once_enough_of_them_agree(garden):
    garden = Garden()
    garden.found(garden.bob, garden.cid, threshold=2)
    cap = garden.grant(garden.ann, garden.dan)
    op, carrier = garden.put(garden.dan, cap), garden.ann.tips[Lane.AUTH]
    garden.ann.write(Draft([endorsing([carrier.id])]))
    garden.dan.write(Draft([endorsing([carrier.id])]))
    assert op.id not in garden.state().passing
    assert carrier.id in garden.state().offered - garden.state().in_force
    garden.cid.write(Draft([endorsing([carrier.id])]))
    assert op.id in garden.state().valid
    assert garden.put(garden.bob).id in garden.state().valid


def test_a_rotated_key_takes_a_grant_over_and_does_nothing_else_under_it(garden):
    phrase = b"\x09" * 32
    nexts = [rotation_key(phrase, n) for n in (1, 2)]
    recovery = recovery_key(phrase).public
    log = begin_log(garden.bob.key, nexts[0].public, recovery, b"n" * 16)
    garden.bob.address = garden.cid.address = log.address
    cap = garden.grant(garden.ann, garden.bob, rights=WRITE, generation=1)
    log = rotate_log(log, nexts[0], [garden.cid.public], nexts[1].public)
    proof = {"log": log.entries, "generation": 2, "rights": WRITE}
    taken = garden.grant(garden.cid, garden.cid, cap, **proof)
    assert garden.put(garden.cid, taken).id in garden.state().valid
    assert garden.put(garden.cid, cap).id not in garden.state().held
    garden.revoke(garden.ann, cap)
    assert garden.state().members[cap].revoked
    assert taken not in garden.state().members


def test_who_leaves_is_said_to_have_left_and_no_more(garden):
    cap = garden.grant(garden.ann, garden.bob)
    garden.bob.write(Draft([leaving()], cap=cap))
    assert garden.state().left == {garden.bob.public}
    assert garden.put(garden.bob, cap).id in garden.state().valid


def test_a_fork_is_proof_and_a_branch_of_a_new_life_is_none(garden):
    first = garden.put(garden.ann)
    one = garden.put(garden.ann, after=first)
    garden.ann.life += 1
    garden.put(garden.ann, after=first)
    assert garden.state().forks == ()
    garden.ann.life -= 1
    other = garden.put(garden.ann, after=first, value=b"2")
    (fork,) = garden.state().forks
    assert (fork.author, fork.seq) == (garden.ann.public, 1)
    assert set(fork.ops) == {one.id, other.id}


def test_an_op_of_which_one_mutation_is_not_covered_changes_nothing(garden):
    cap = garden.grant(garden.ann, garden.bob, paths=("tasks",))
    both = Draft([put("tasks/1"), put("notes/1")], [b"1", b"2"], cap)
    op = garden.bob.write(both)
    assert op.id in garden.state().passing
    assert garden.state().live == {}


def test_nobody_supersedes_at_a_path_it_may_not_write(garden):
    mine = garden.put(garden.ann, path="notes/1")
    cap = garden.grant(garden.ann, garden.bob, paths=("tasks",))
    garden.put(garden.bob, cap, "tasks/1", sup=[mine.dot(0)])
    assert ("notes/1", Type.REGISTER) in garden.state().live


def test_of_the_ephemeral_lane_the_last_word_of_each_author_counts(garden):
    def said(value, hlc):
        draft = Draft([put("mood")], [value], expires_ms=START_MS + 9)
        return garden.ann.write(draft, hlc=hlc)

    later, earlier = said(b"glad", 9), said(b"sad", 8)
    found = garden.state()
    (entry,) = found.ephemeral["mood", Type.REGISTER]
    assert entry.value == b"glad"
    assert {later.id, earlier.id} & found.offered == {later.id}
    assert found.live == {}


def test_the_hash_is_of_what_is_live_and_of_the_auth_lane(garden):
    before = garden.state().hash
    op = garden.put(garden.ann)
    during = garden.state().hash
    garden.put(garden.ann, sup=[op.dot(0)], value=b"1")
    assert len({before, during, garden.state().hash}) == 3


def test_without_its_first_op_nothing_in_a_space_counts(garden):
    garden.put(garden.ann)
    (first,) = [op for op in garden.ops.values() if op.id.raw == op.space.raw]
    assert garden.state(first).passing == frozenset()


def test_the_golden_ops_are_a_space_in_which_all_of_them_count():
    folder = Path(__file__).parents[2] / "vectors"
    vectors = [json.loads(path.read_text()) for path in folder.glob("op_*.json")]
    network = NetworkId(bytes.fromhex(vectors[0]["inputs"]["network"]))
    opened = [open_op(bytes.fromhex(v["inputs"]["op"]), network) for v in vectors]
    space = next(op.space for op in opened if op.id.raw == op.space.raw)
    found = state(space, {op.id: op for op in opened})
    assert found.valid == found.offered == {op.id for op in opened}
    assert {kind for _, kind in found.live} == {k for k in Type if not k.is_auth}
    golden = "2f41cdf25c63fc5c8c38a0d7b8b8fbf4127e8921cf826092946dc47804726f44"
    assert found.hash.hex() == golden
