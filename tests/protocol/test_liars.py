"""Liars: a chain that contradicts itself is proved, told of and heard no more."""

from dataclasses import replace

import pytest

from nestmate_protocol.codec import encode
from nestmate_protocol.effects import Notify, Save
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.limits import HEADS_PER_ROUND_MAX
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.chains import Chains, Head, Proof
from nestmate_protocol.signals.hearsay import head_frame, is_hearsay, witness_frame
from nestmate_protocol.signals.liars import PROOF_PREFIX
from nestmate_protocol.signals.outcomes import Reject, ToNeighbours
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.records import Deposit, Link
from nestmate_protocol.signals.requests import DepositTask

JOB = DepositTask("dig", 0.5, b"a hole")
LIE = Reject(Fault.BROKEN_CHAIN, strike=True)


def say(town, liar, seq, prev=None, *, word=b"one", incarnation=b"e"):
    """One deposit of an author, at a place of its chain."""
    link = Link(incarnation * 16, seq, prev, 5)
    deposit = Deposit(liar.address, word, liar.address, seq, 0, link)
    return town.sign(liar.name, deposit)


def twice(town, liar):
    """Two records in one place."""
    return say(town, liar, 7), say(town, liar, 7, word=b"two")


def tell(town, hearer, record, liar):
    town.deliver(hearer, record, liar.name)


def hear(agent, frame):
    """Frames in answer, and outcomes."""
    return agent.board.liars.hear(frame, agent.board._pen._device.public)


def rounds(agent, now):
    """The frames an agent has for its neighbours after a round."""
    later = now.later(RULE.digest_ms)
    return [o.frame for o in agent.board.wake(later) if isinstance(o, ToNeighbours)]


def test_two_records_in_one_place_of_a_chain_end_a_key_for_good(town, ann, bob):
    task = ann.ask(JOB).task
    for record in twice(town, ann):
        tell(town, bob, record, ann)
    assert bob.rejects == [LIE]
    assert bob.kinds()[-1] == "author.equivocated"
    assert bob.board._field.get(task) is None
    bob.boot()
    ann.ask(replace(JOB, key=b"more"))
    assert bob.rejects[-1] == Reject(Fault.BROKEN_CHAIN, strike=False)


@pytest.mark.parametrize("late", [False, True])
def test_a_record_that_names_another_before_it_proves_a_lie_too(town, ann, bob, late):
    pair = [say(town, ann, 7), say(town, ann, 8, prev=b"x" * 32, word=b"two")]
    for record in reversed(pair) if late else pair:
        tell(town, bob, record, ann)
    assert bob.rejects == [LIE]


def test_the_proof_is_saved_before_it_is_told_and_then_passed_on(town, ann, bob):
    first, second = twice(town, ann)
    tell(town, bob, first, ann)
    outcomes = bob.board.admit(second, ann.address, 0, town.now)
    assert [type(each) for each in outcomes] == [Reject, Save, Notify, ToNeighbours]
    ((_, value),) = outcomes[1].writes
    assert first.data in value
    assert second.data in value
    assert outcomes[1].durable
    assert outcomes[3] == ToNeighbours(witness_frame((first.data, second.data)), None)


def test_an_honest_chain_proves_nothing_in_whatever_order_it_comes(town, ann, bob):
    chain, prev = [], None
    for seq in range(1, 30):
        chain.append(say(town, ann, seq, prev))
        prev = chain[-1].id.raw
    again = say(town, ann, 1, incarnation=b"f", word=b"after a restart")
    for record in (*chain[5:], *chain[::-1], *chain, again):
        tell(town, bob, record, ann)
    assert LIE not in bob.rejects
    assert "author.equivocated" not in bob.kinds()


def test_two_halves_that_were_told_different_things_find_out(town, ann, bob, cid):
    one, two = twice(town, ann)
    tell(town, bob, one, ann)
    tell(town, cid, two, ann)
    (heads,) = rounds(bob, town.now)
    (shown,), told = hear(cid, heads)
    assert told == []
    answers, told = hear(bob, shown)
    assert answers == []
    assert [type(each) for each in told] == [Save, Notify, ToNeighbours]
    _, told = hear(cid, told[-1].frame)
    assert [type(each) for each in told] == [Save, Notify, ToNeighbours]
    assert hear(cid, told[-1].frame) == ([], [])  # and there it ends


def test_a_lie_in_a_number_that_was_there_before_is_told_of_all_the_same(
    town, ann, bob, cid
):
    before = say(town, ann, 7, incarnation=b"d")
    tell(town, bob, before, ann)
    tell(town, bob, say(town, ann, 8, before.id.raw, incarnation=b"d"), ann)
    rounds(bob, town.now)
    one, two = twice(town, ann)
    tell(town, bob, one, ann)
    tell(town, cid, two, ann)
    (shown,), _ = hear(cid, rounds(bob, town.now.later(RULE.digest_ms))[0])
    _, told = hear(bob, shown)
    assert any(isinstance(each, Notify) for each in told)


def test_halves_that_never_heard_the_same_place_find_out_by_the_links(
    town, ann, bob, cid
):
    tell(town, bob, say(town, ann, 7), ann)
    tell(town, cid, say(town, ann, 8, prev=b"x" * 32, word=b"two"), ann)
    (shown,), _ = hear(cid, rounds(bob, town.now)[0])
    _, told = hear(bob, shown)
    assert any(isinstance(each, Notify) for each in told)


def test_whoever_still_tells_of_a_liars_chain_is_shown_the_proof(town, ann, bob, cid):
    one, two = twice(town, ann)
    for record in (one, two):
        tell(town, bob, record, ann)
    tell(town, cid, one, ann)
    (shown,), _ = hear(bob, rounds(cid, town.now)[0])
    assert shown == witness_frame((one.data, two.data))
    _, told = hear(cid, shown)
    assert any(isinstance(each, Notify) for each in told)


def test_a_quiet_node_tells_no_heads_and_a_newcomer_hears_the_latest(town, ann, bob):
    assert rounds(bob, town.now) == []
    tell(town, bob, say(town, ann, 7), ann)
    (first,) = rounds(bob, town.now)
    assert is_hearsay(first)
    assert rounds(bob, town.now) == []
    bob.board.agent_up(ann.address, town.now)
    assert rounds(bob, town.now) == [first]


def test_what_is_told_in_one_round_is_bounded_and_all_have_their_turn(town, bob):
    names = [f"a{number}" for number in range(HEADS_PER_ROUND_MAX + 5)]
    for agent in town.add(*names):
        tell(town, bob, say(town, agent, 7), agent)
    first, second = rounds(bob, town.now), rounds(bob, town.now.later(1_000))
    assert len(first) == len(second) == 1
    assert len(first[0]) > 10 * len(second[0])


def test_hearsay_that_proves_nothing_changes_nothing(town, ann, bob):
    alone = say(town, ann, 7)
    tell(town, bob, alone, ann)
    other = say(town, ann, 9, prev=b"y" * 32, word=b"two")
    for frame in (witness_frame([alone.data, other.data]), witness_frame([])):
        assert hear(bob, frame) == ([], [])
    head = Head(b"k" * 32, b"i" * 16, 7, b"r" * 32)
    assert hear(bob, head_frame([head])) == ([], [])


def test_a_proof_against_a_key_that_speaks_for_nobody_known_costs_nothing(town, bob):
    (eve,) = town.add("eve")
    one, two = twice(town, eve)
    del town.agents["eve"]
    assert hear(bob, witness_frame([one.data, two.data])) == ([], [])
    assert bob.board.liars.proofs == {}


def test_a_node_believes_no_proof_against_itself(town, ann):
    one, two = twice(town, ann)
    assert hear(ann, witness_frame([one.data, two.data])) == ([], [])


@pytest.mark.parametrize(
    "frame",
    [
        encode([2, [[b"short", b"i" * 16, 7, b"r" * 32]]]),
        encode([2, [[b"k" * 32, b"i" * 16, 7, b"r" * 32]] * 65]),
        encode([3, [b"no record"]]),
        encode([3, [7]]),
        b"\x82\x03",
    ],
)
def test_malformed_hearsay_is_refused(bob, frame):
    assert is_hearsay(frame)
    with pytest.raises(RemoteError):
        hear(bob, frame)


def test_a_record_without_a_chain_is_no_witness(town, ann, bob):
    ann.ask(JOB)
    others = [r for r in ann.sent if r.kind not in {Kind.SIGNAL, Kind.DEPOSIT}]
    ann.ask(replace(JOB, key=b"k"))
    signal = ann.sent[-1]
    assert hear(bob, witness_frame([signal.data])) == ([], [])
    for record in others:
        with pytest.raises(RemoteError):
            hear(bob, witness_frame([record.data]))


def test_a_damaged_proof_on_disk_is_said_to_be_one(bob):
    bob.disk.pairs[PROOF_PREFIX + b"k" * 32] = b"\xff"
    with pytest.raises(LocalError):
        bob.boot()


def test_the_latest_records_of_a_device_are_kept_and_no_more(town, ann):
    chains, prev, records = Chains(), None, []
    for seq in range(1, 200):
        link = Link(b"e" * 16, seq, prev, 5)
        record = town.sign("ann", Deposit(ann.address, b"k", ann.address, seq, 0, link))
        records.append(record)
        assert chains.note(record, link) is None
        prev = record.id.raw
    (places,) = chains._places.values()
    assert len(places) <= 16
    other = say(town, ann, 199, prev=records[-2].id.raw, word=b"two")
    link = Link(b"e" * 16, 199, records[-2].id.raw, 5)
    assert chains.note(other, link) == Proof(records[-1].data, other.data)
