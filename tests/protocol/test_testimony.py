"""Testimony: what is heard of an agent's speed counts once, and only from others."""

from hashlib import sha256

import pytest

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import TESTIMONIES_KEPT_MAX, TESTIMONY_COUNT_MAX
from nestmate_protocol.records import Kind, open_record
from nestmate_protocol.signals import testimony
from nestmate_protocol.signals.outcomes import ToTopic
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.pen import Pen
from nestmate_protocol.signals.response import Speeds
from nestmate_protocol.signals.testimony import Witness

NETWORK = NetworkId(bytes(32))
ME, ANN, BOB, CID = (
    Address(sha256(name).digest()) for name in (b"m", b"a", b"b", b"c")
)


class Bench:
    """A witness with speeds of its own and a clock that is moved by hand."""

    def __init__(self):
        self.speeds = Speeds()
        pen = Pen(ME, NETWORK, SigningKey(bytes(32)), bytes(16))
        self.witness = Witness(pen, self.speeds, RULE)
        self.now = Moment(1_800_000_000_000, 1_000)

    def learn(self, agent=BOB, size=4.0, seconds=1.0):
        self.speeds.learn(agent, "dig", size, seconds)
        self.witness.learned("dig", self.now)

    def wait(self):
        """Let time pass until something is due; how long, and what is said."""
        pause_ms = self.witness.next_wakeup() - self.now.mono_ms
        self.now = self.now.later(pause_ms)
        said = self.witness.wake(self.now)
        return pause_ms, said

    def hear(self, author, *rows, seq=1):
        self.witness.heard(testimony.Testimony(author, seq, rows))

    def speed(self, agent=BOB):
        return self.speeds.speed(agent, "dig")


@pytest.fixture
def bench():
    return Bench()


def read(outcome):
    record = open_record(outcome.record, NETWORK)
    assert record.kind is Kind.TESTIMONY
    return testimony.Testimony.read(record.fields)


def test_what_was_learned_is_said_to_the_topic_by_and_by(bench):
    bench.learn()
    pause_ms, (said,) = bench.wait()
    assert isinstance(said, ToTopic)
    assert (pause_ms, said.skill, said.urgent) == (15_000, "dig", False)
    assert read(said).lessons == (("dig", BOB, 32, 1),)


def test_what_comes_within_the_pause_is_said_together_and_the_pause_doubles(bench):
    bench.learn()
    bench.learn(CID, 1.0, 2.0)
    _, (first,) = bench.wait()
    assert {row[1] for row in read(first).lessons} == {BOB, CID}
    bench.learn()
    pause_ms, (second,) = bench.wait()
    assert pause_ms == 30_000
    assert read(second).seq > read(first).seq


def test_nothing_is_said_where_nothing_was_learned_of_others(bench):
    assert bench.witness.next_wakeup() is None
    bench.learn(ME)
    assert bench.wait()[1] == []
    assert bench.witness.greeting() == ()


def test_of_many_tasks_with_one_agent_the_mean_counts_on(bench):
    for _ in range(50):
        bench.learn()
    (row,) = read(bench.wait()[1][0]).lessons
    assert row[2:] == (32 * TESTIMONY_COUNT_MAX, TESTIMONY_COUNT_MAX)


def test_what_others_say_counts_beside_what_was_measured_here(bench):
    bench.hear(ANN, ("dig", BOB, 32, 1))
    assert bench.speed() == 2  # the mean of no doubling and two
    bench.hear(CID, ("dig", BOB, -32, 1))
    assert bench.speed() == 1
    bench.learn()
    assert bench.speed() == 2 ** (2 / 4)


def test_the_latest_testimony_replaces_what_its_author_said_before(bench):
    bench.hear(ANN, ("dig", BOB, 32, 1), seq=2)
    bench.hear(ANN, ("dig", BOB, 320, 10), seq=1)
    assert bench.speed() == 2
    bench.hear(ANN, ("dig", CID, 32, 1), seq=3)
    assert (bench.speed(), bench.speed(CID)) == (1, 2)


def test_doubling_and_disorder_change_nothing(bench):
    other = Bench()
    said = [(ANN, ("dig", BOB, n, 1), n) for n in range(4)]
    for author, row, seq in said:
        bench.hear(author, row, seq=seq)
    for author, row, seq in [*said[::-1], *said]:
        other.hear(author, row, seq=seq)
    assert bench.speed() == other.speed() != 1


def test_nobody_testifies_for_itself_or_teaches_us_how_fast_we_are(bench):
    bench.hear(ANN, ("dig", ANN, 96, 1), ("dig", ME, 96, 1))
    assert bench.speed(ANN) == bench.speed(ME) == 1


def test_the_author_not_heard_of_for_longest_is_forgotten(bench):
    bench.hear(ANN, ("dig", BOB, 32, 1))
    for number in range(TESTIMONIES_KEPT_MAX):
        bench.hear(Address(sha256(b"%d" % number).digest()))
    assert bench.speed() == 1


def test_a_node_newly_met_is_given_what_was_said_last(bench):
    bench.learn()
    (said,) = bench.wait()[1]
    assert bench.witness.greeting() == (said.record,)
