"""Sync among strangers and liars: what they send is refused, and costs little.

One honest node stands against a peer whose frames are made by hand.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import encode
from nestmate_protocol.effects import Send, Strike
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import DeviceKey, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import (
    OPS_FRAMES_UNDERWAY_MAX,
    RANGES_BYTES_MAX,
    RUNS_PER_PEER_MAX,
)
from nestmate_protocol.spaces.ops import Dot, Lane
from nestmate_protocol.spaces.ranges import Print
from nestmate_protocol.spaces.ranges import pack as pack_ranges
from nestmate_protocol.spaces.sync.frames import (
    AskOps,
    Credit,
    Done,
    End,
    Hello,
    LeavesOf,
    Offer,
    Ops,
    Proof,
    Ranges,
    Stand,
    State,
    Tags,
    pack,
    unpack,
)
from nestmate_protocol.spaces.sync.greeting import Salted, prove, tag_of

from .village import NETWORK, SPACE, Village, id_of, op

HOUR = 3_600_000 << 16
NOTHING = (None, None, None)


class Stranger:
    """A peer that says whatever a test wants, to one honest node with some ops."""

    def __init__(self, count=300, *, member=True):
        self.village = Village(1)
        self.node = self.village.nodes[0]
        self.node.shelf.add(*[op(n * HOUR, b"%d" % n) for n in range(count)])
        self.key = SigningKey(b"\x66" * 32)
        if member:
            self.node.shelf.members.add(self.key.public)
        self.peer = type(self.node.peer)(b"\x77" * 32)
        self.now = Moment(1_800_000_000_000, 1_000)
        [hello] = self.heard(self.node.sessions.peer_up(self.peer, self.now))
        self.us = Salted(self.peer, b"\x88" * 16)
        self.them = Salted(self.node.peer, hello.salt)

    def say(self, frame):
        """What the honest node answers; its refusal is an error."""
        data = frame if isinstance(frame, bytes) else pack(frame)
        return self.heard(self.node.sessions.arrived(self.peer, data, self.now))

    def heard(self, outcomes):
        return [unpack(o.data) if isinstance(o, Send) else o for o in outcomes]

    def hello(self, *spaces):
        return Hello(self.us.salt, tuple(tag_of(s, self.us.salt) for s in spaces))

    def proof(self, number=1, key=None, space=SPACE):
        key = key or self.key
        signed = prove(key, NETWORK, space, self.us, self.them)
        return Proof(number, tag_of(space, self.us.salt), ((key.public, signed),))

    def state(self, run=2, number=1, sent=0, lanes=NOTHING):
        return State(number, run, sent, 0, lanes, bytes(16))

    def greet(self):
        self.say(self.hello(SPACE))
        self.say(self.proof())
        # the run the honest node began itself is left alone
        self.node.sessions._floor.links[self.peer].runs.clear()
        return self


def refused(stranger, frame):
    with pytest.raises(RemoteError) as info:
        stranger.say(frame)
    return info.value.fault


def test_a_member_is_answered_so_that_the_refusals_below_mean_something():
    [answer] = Stranger().greet().say(Stranger().state())
    assert isinstance(answer, Ranges)


@pytest.mark.parametrize(
    "frame",
    [
        State(1, 2, 0, 0, NOTHING, bytes(16)),
        Ranges(1, 2, Lane.DATA, b""),
        Ops(1, 0, (op(1, b"x"),)),
        AskOps(1, (RecordId(bytes(32)),)),
        LeavesOf(1, 2, ()),
        Done(1, 2, End.EQUAL),
        Tags((bytes(16),)),
    ],
)
def test_before_a_proof_nothing_about_a_space_is_heard(frame):
    stranger = Stranger()
    assert stranger.say(frame) == []
    assert not stranger.node.shelf.taken


def test_a_proof_made_for_someone_else_does_not_count():
    stranger, other = Stranger(), SigningKey(b"\x01" * 32)
    stranger.say(stranger.hello(SPACE))
    honest = stranger.proof()
    stolen = Proof(1, honest.tag, ((other.public, honest.proofs[0][1]),))
    assert refused(stranger, stolen) is Fault.BAD_SIGNATURE
    back = prove(stranger.key, NETWORK, SPACE, stranger.them, stranger.us)
    turned = Proof(1, honest.tag, ((stranger.key.public, back),))
    assert refused(stranger, turned) is Fault.BAD_SIGNATURE


def test_a_proof_is_for_a_space_that_was_named_and_counts_once():
    stranger = Stranger()
    assert stranger.say(stranger.proof()) == []
    stranger.say(stranger.hello(SPACE))
    assert stranger.say(stranger.proof(space=SpaceId(b"\x33" * 32))) == []
    assert refused(stranger, Proof(1, stranger.proof().tag, ())) is Fault.BAD_FIELD
    stranger.say(stranger.proof())
    assert refused(stranger, stranger.proof()) is Fault.REPLAYED


def test_who_comes_with_a_new_salt_begins_anew():
    stranger = Stranger().greet()
    [hello] = stranger.say(Hello(b"\x99" * 16, ()))
    assert hello.salt == stranger.them.salt
    assert stranger.say(stranger.state()) == []


def test_a_greeting_said_again_is_answered_again_but_not_again_and_again():
    stranger = Stranger().greet()
    first = stranger.say(stranger.hello(SPACE))
    assert [type(each) for each in first] == [Hello, Proof]
    assert stranger.say(stranger.hello(SPACE)) == []


def test_who_is_no_member_is_denied_and_may_not_ask():
    stranger = Stranger(member=False).greet()
    assert stranger.say(stranger.state()) == [Done(1, 2, End.DENIED)]
    assert refused(stranger, AskOps(1, (RecordId(bytes(32)),))) is Fault.NOT_ENTITLED


def test_ops_beyond_credit_are_refused_and_not_taken():
    stranger = Stranger().greet()
    for number in range(3 * OPS_FRAMES_UNDERWAY_MAX):
        stranger.say(Ops(1, 0, (op(1, b"%d" % number),)))
    link = stranger.node.sessions._floor.links[stranger.peer]
    link.credit.to_tell = lambda: None  # as if nothing were dealt with any more
    before = len(stranger.node.shelf.wires)
    room = link.credit._told + OPS_FRAMES_UNDERWAY_MAX - link.credit._received
    for number in range(room):
        stranger.say(Ops(1, 0, (op(2, b"%d" % number),)))
    assert refused(stranger, Ops(1, 0, (op(3, b"x"),))) is Fault.OVER_LIMIT
    assert len(stranger.node.shelf.wires) == before + room


def test_an_op_no_honest_peer_sends_is_struck_and_ends_the_run():
    stranger = Stranger().greet()
    stranger.say(stranger.state())
    answers = stranger.say(Ops(1, 2, (b"bad op", op(5, b"good"))))
    assert Strike(stranger.peer, Fault.BAD_SIGNATURE) in answers
    assert id_of(op(5, b"good")) in stranger.node.shelf.wires
    assert stranger.say(Ranges(1, 2, Lane.DATA, b"")) == []


def test_who_speaks_out_of_turn_is_refused():
    stranger = Stranger(20_000).greet()
    stranger.say(stranger.state())
    lies = [Print((n * HOUR).to_bytes(8), bytes(16)) for n in range(1, 5_000)]
    stranger.say(Ranges(1, 2, Lane.DATA, pack_ranges(lies)))
    assert refused(stranger, Ranges(1, 2, Lane.DATA, b"")) is Fault.OVER_LIMIT
    assert refused(stranger, stranger.state()) is Fault.OVER_LIMIT


def test_work_beyond_a_peers_ration_waits_and_ends():
    stranger = Stranger(20_000).greet()
    link = stranger.node.sessions._floor.links[stranger.peer]
    link.work.draw(stranger.now, 1e5)
    stranger.say(stranger.state())
    lies = [Print((n * HOUR).to_bytes(8), bytes(16)) for n in range(1, 5_000)]
    assert stranger.say(Ranges(1, 2, Lane.DATA, pack_ranges(lies))) == []
    due = stranger.node.sessions.next_wakeup()
    assert due > stranger.now.mono_ms + 10_000
    stranger.now = stranger.now.later(due - stranger.now.mono_ms)
    answers = []
    while not answers:
        answers = stranger.heard(stranger.node.sessions.wake(stranger.now))
        stranger.now = stranger.now.later(1_000)
    assert len(answers[0].data) <= RANGES_BYTES_MAX


def test_what_turns_out_wrong_in_the_middle_of_a_message_is_struck():
    stranger = Stranger(20_000).greet()
    stranger.say(stranger.state())
    lies = [Print((n * HOUR).to_bytes(8), bytes(16)) for n in range(1, 2_000)]
    stranger.say(Ranges(1, 2, Lane.DATA, pack_ranges(lies) + b"\x01\0\x09"))
    said = []
    while not said:
        stranger.now = stranger.now.later(1)
        said = stranger.heard(stranger.node.sessions.wake(stranger.now))
    assert said == [Strike(stranger.peer, Fault.BAD_FIELD)]


def test_runs_of_one_peer_are_bounded_and_silent_ones_end():
    stranger = Stranger().greet()
    spaces = [SpaceId(bytes((n,)) * 32) for n in range(40, 48)]
    stranger.node.shelf.in_spaces = [SPACE, *spaces]
    stranger.say(Tags(tuple(tag_of(s, stranger.us.salt) for s in spaces)))
    link = stranger.node.sessions._floor.links[stranger.peer]
    for number, space in enumerate(spaces, 2):
        stranger.say(stranger.proof(number, space=space))
    link.runs.clear()
    answers = [stranger.say(stranger.state(4, n))[-1] for n in range(2, 10)]
    busy = [a for a in answers if isinstance(a, Done) and a.end is End.BUSY]
    assert len(busy) == len(spaces) - RUNS_PER_PEER_MAX
    stranger.now = stranger.now.later(16_000)
    stranger.node.sessions.wake(stranger.now)
    assert all(run.begun_here for run in link.runs.values())


def test_beginning_without_end_is_answered_with_busy():
    stranger = Stranger().greet()
    ends = [stranger.say(stranger.state(run))[-1] for run in range(2, 400, 2)]
    assert isinstance(ends[0], Ranges)
    assert ends[-1].end is End.BUSY


FLOODS = {
    "offers": lambda _, n: Offer(SPACE, f"space {n}", Dot(bytes(33))),
    "tags": lambda _, n: Tags((bytes((n % 256,)) * 16,)),
    "proofs": lambda stranger, n: stranger.proof(n + 2),
}


@pytest.mark.parametrize("what", FLOODS)
def test_greetings_and_offers_are_rationed(what):
    stranger = Stranger().greet()
    faults = []
    for number in range(400):
        try:
            stranger.say(FLOODS[what](stranger, number))
        except RemoteError as error:
            faults.append(error.fault)
    assert set(faults) == {Fault.OVER_LIMIT}
    assert len(faults) > 100


@pytest.mark.parametrize(
    "frame",
    [Credit(1), Credit(2**40), State(1, 2, 99, 0, NOTHING, bytes(16))],
)
def test_counts_that_cannot_be_are_refused(frame):
    assert refused(Stranger().greet(), frame) is Fault.BAD_FIELD


def test_a_liar_about_fingerprints_ends_by_the_number_of_passes():
    stranger = Stranger().greet()
    lane = (None, Stand(7, bytes(16)), None)
    said = stranger.say(stranger.state(lanes=lane))
    for _ in range(20):
        if isinstance(said[-1], Done):
            break
        said = stranger.say(stranger.state(lanes=lane))
    assert said[-1] == Done(1, 2, End.UNEQUAL)


def test_leaves_that_are_not_held_are_asked_for():
    stranger = Stranger(0).greet()
    [leaves] = stranger.say(stranger.state())
    assert leaves == LeavesOf(1, 2, ())
    leaf = bytes(41) + b"\x99" * 32
    answers = stranger.say(LeavesOf(1, 2, (leaf,)))
    assert answers == [
        AskOps(1, (RecordId(b"\x99" * 32),)),
        Done(1, 2, End.UNEQUAL),
    ]


def test_what_is_asked_for_is_given_within_the_credit():
    stranger = Stranger().greet()
    asked = tuple(list(stranger.node.shelf.wires)[:64])
    [given_] = stranger.say(AskOps(1, asked))
    assert (given_.run, len(given_.ops)) == (0, 64)


FRAMES = [
    Hello(bytes(16), (bytes(16),)),
    Proof(3, bytes(16), ((DeviceKey(bytes(32)), bytes(64)),)),
    State(1, 2, 3, 4, (Stand(5, bytes(16)), None, Stand(7, bytes(16))), bytes(16)),
    Ranges(1, 2, Lane.EPHEMERAL, b"data"),
    Ops(1, 2, (b"one", b"two")),
    LeavesOf(1, 2, (bytes(73),)),
    Offer(SPACE, "garden", Dot(bytes(33))),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_a_frame_with_any_byte_changed_is_refused_or_another_frame(frame):
    data = pack(frame)
    assert unpack(data) == frame
    for at in range(len(data)):
        for bit in range(8):
            bent = data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]
            try:
                assert pack(unpack(bent)) == bent
            except RemoteError:
                continue


ITEMS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 300), st.binary(max_size=40)),
    lambda below: st.lists(below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=80), st.lists(ITEMS, max_size=8).map(encode)))
def test_any_bytes_are_a_frame_or_a_remote_error_in_any_state(data):
    for stranger in (Stranger(5), Stranger(5).greet()):
        try:
            stranger.say(data)
        except RemoteError:
            continue
