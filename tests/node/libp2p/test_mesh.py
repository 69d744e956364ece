"""The rules of the mesh, in a net of meshes that live in one list and one clock."""

import random

import pytest

from nestmate.network.libp2p import mesh as rules
from nestmate.network.libp2p import messages as memory
from nestmate.network.libp2p.mesh import Mesh
from nestmate.network.libp2p.messages import Messages, message_name
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.ids import PeerId

TOPIC = "nestmate/1/00/skill/00"


def peer(number):
    return PeerId(number.to_bytes(32))


class Net:
    """Meshes joined by wires that deliver at once, or lose messages of some."""

    def __init__(self, count, seed):
        self.dice = random.Random(seed)
        self.meshes = {peer(n): Mesh(random.Random(seed + n)) for n in range(count)}
        self.heard = {each: [] for each in self.meshes}
        self.deaf = set()
        self.now = 0.0

    def connect(self, one, other):
        self.deliver(one, self.meshes[one].add(other))
        self.deliver(other, self.meshes[other].add(one))

    def connect_all(self):
        peers = list(self.meshes)
        for place, one in enumerate(peers):
            for other in peers[:place]:
                self.connect(one, other)

    def join_all(self):
        for each, mesh in self.meshes.items():
            self.deliver(each, mesh.join(TOPIC, self.now))

    def beat(self, times=1):
        for _ in range(times):
            self.now += 1.0
            for each, mesh in self.meshes.items():
                self.deliver(each, mesh.beat(self.now))

    def publish(self, one, data):
        self.deliver(one, self.meshes[one].publish(TOPIC, data, self.now))

    def deliver(self, sender, sayings):
        for to, saying in sayings.items():
            mesh = self.meshes[to]
            for topic, on in saying.subscriptions:
                self.deliver(to, mesh.subscribe(sender, topic, on=on, now=self.now))
            for topic in saying.graft:
                self.deliver(to, mesh.graft(sender, topic, self.now))
            for topic, seconds in saying.prune:
                mesh.prune(sender, topic, seconds, self.now)
            for topic, names in saying.told:
                self.deliver(to, mesh.hear_of(sender, topic, names))
            self.deliver(to, mesh.serve(sender, saying.asked))
            for name in saying.messages:
                self.bring(sender, to, name)

    def bring(self, sender, to, name):
        message = self.meshes[sender].messages.get(name)
        if (sender, to) in self.deaf or message is None:
            return
        mesh = self.meshes[to]
        if message.topic in mesh.topics and mesh.messages.is_new(name, self.now):
            self.heard[to].append(message.data)
            self.deliver(to, mesh.pass_on(sender, message.topic, name, message.data))


@pytest.fixture
def net(seed):
    net = Net(30, seed)
    net.connect_all()
    net.join_all()
    net.beat(5)
    return net


def test_every_mesh_settles_at_the_wanted_degree(net):
    net.beat(20)
    degrees = [len(mesh.topics[TOPIC]) for mesh in net.meshes.values()]
    assert all(rules.DEGREE_LOW <= d <= rules.DEGREE_HIGH for d in degrees), degrees


def test_grafting_is_mutual(net):
    net.beat(20)
    for each, mesh in net.meshes.items():
        for other in mesh.topics[TOPIC]:
            assert each in net.meshes[other].topics[TOPIC]


def test_everybody_hears_everything_once(net):
    for number in range(50):
        net.publish(peer(number % 30), b"%d" % number)
    net.beat(3)
    for each, heard in net.heard.items():
        own = {b"%d" % n for n in range(50) if peer(n % 30) == each}
        assert len(heard) == len(set(heard)) == 50 - len(own)
        assert not own & set(heard)


def test_what_the_mesh_lost_is_asked_for_after_a_beat(net):
    lost = peer(7)
    net.deaf = {(other, lost) for other in net.meshes}
    net.publish(peer(0), b"missed")
    assert net.heard[lost] == []
    net.deaf = set()
    net.beat(3)
    assert net.heard[lost] == [b"missed"]


def test_a_pruned_peer_is_left_alone_until_its_time_is_over(seed):
    net = Net(2, seed)
    net.connect_all()
    net.join_all()
    one, other = net.meshes.values()
    one.prune(peer(1), TOPIC, 30, net.now)
    net.beat(29)
    assert peer(1) not in one.topics[TOPIC]
    net.beat(3)
    assert peer(1) in one.topics[TOPIC]
    assert peer(0) in other.topics[TOPIC]


def test_a_graft_within_the_pause_is_answered_with_a_longer_one(seed):
    mesh = Mesh(random.Random(seed))
    mesh.add(peer(1))
    mesh.join(TOPIC, 0.0)
    mesh.prune(peer(1), TOPIC, 30, 0.0)
    saying = mesh.graft(peer(1), TOPIC, 1.0)[peer(1)]
    assert saying.prune == [(TOPIC, rules.BACKOFF_SECONDS)]
    assert not mesh.topics[TOPIC]


def test_a_graft_for_an_unknown_topic_is_passed_over_in_silence(seed):
    mesh = Mesh(random.Random(seed))
    mesh.add(peer(1))
    assert mesh.graft(peer(1), "unknown", 0.0) == {}
    mesh.prune(peer(1), "unknown", 30, 0.0)
    assert not mesh._backoff
    assert not mesh.topics


def test_a_full_mesh_takes_nobody_in(net):
    mesh = net.meshes[peer(0)]
    strangers = [other for other in net.meshes if other not in mesh.topics[TOPIC]]
    refused = [mesh.graft(each, TOPIC, net.now + 100) for each in strangers[1:]]
    assert len(mesh.topics[TOPIC]) == rules.DEGREE_HIGH
    assert refused[-1]


def test_a_friend_is_in_the_mesh_however_many_strangers_are(net):
    mesh = net.meshes[peer(0)]
    strangers = set(net.meshes) - mesh.topics[TOPIC] - {peer(0)}
    friend = min(strangers)
    mesh._pinned = {friend}
    net.meshes[friend]._pinned = {peer(0)}
    net.beat(70)
    assert friend in mesh.topics[TOPIC]
    for other in net.meshes:
        mesh.graft(other, TOPIC, net.now + 1_000)
    mesh.topics[TOPIC] |= set(list(net.meshes)[5:15])
    net.beat(5)
    assert friend in mesh.topics[TOPIC]
    assert len(mesh.topics[TOPIC]) <= rules.DEGREE_HIGH + 1


def test_a_friend_who_asks_is_let_into_a_full_mesh(seed):
    mesh = Mesh(random.Random(seed), {peer(99)})
    mesh.join(TOPIC, 0.0)
    for number in range(1, 100):
        mesh.add(peer(number))
        mesh.graft(peer(number), TOPIC, 0.0)
    assert len(mesh.topics[TOPIC]) == rules.DEGREE_HIGH + 1
    assert peer(99) in mesh.topics[TOPIC]


def test_a_node_that_leaves_is_pruned_from_every_mesh(net):
    leaver = peer(3)
    net.deliver(leaver, net.meshes[leaver].leave(TOPIC, net.now))
    assert all(leaver not in mesh.topics.get(TOPIC, ()) for mesh in net.meshes.values())
    net.publish(peer(0), b"without it")
    assert net.heard[leaver] == []


def test_a_node_may_publish_where_it_does_not_listen(net):
    outsider = peer(3)
    net.deliver(outsider, net.meshes[outsider].leave(TOPIC, net.now))
    net.publish(outsider, b"from outside")
    assert sum(b"from outside" in heard for heard in net.heard.values()) == 29


def test_few_listeners_all_get_our_own_messages_at_once(seed):
    net = Net(rules.FLOOD_MAX, seed)
    net.connect_all()
    net.join_all()
    sayings = net.meshes[peer(0)].publish(TOPIC, b"now", net.now)
    assert len(sayings) == rules.FLOOD_MAX - 1


def test_one_peer_cannot_ask_for_a_message_again_and_again(net):
    net.publish(peer(0), b"again")
    mesh = net.meshes[peer(0)]
    names = [message_name(b"again")] * 50
    served = mesh.serve(peer(1), names)[peer(1)].messages
    assert len(served) == memory.SERVED_PER_MESSAGE_MAX
    assert mesh.serve(peer(1), names) == {}


def test_one_peer_cannot_make_us_ask_for_everything(seed):
    mesh = Mesh(random.Random(seed))
    mesh.add(peer(1))
    mesh.join(TOPIC, 0.0)
    names = [n.to_bytes(32) for n in range(10_000)]
    asked = mesh.hear_of(peer(1), TOPIC, names)[peer(1)].asked
    assert len(asked) == rules.IDS_ASKED_MAX
    assert mesh.hear_of(peer(1), TOPIC, names) == {}
    mesh.beat(1.0)
    assert mesh.hear_of(peer(1), TOPIC, names)


def test_one_peer_cannot_listen_to_everything(seed):
    mesh = Mesh(random.Random(seed))
    mesh.add(peer(1))
    for number in range(rules.TOPICS_PER_PEER_MAX):
        mesh.subscribe(peer(1), str(number), on=True, now=0.0)
    with pytest.raises(RemoteError):
        mesh.subscribe(peer(1), "one more", on=True, now=0.0)
    assert len(mesh._neighbours[peer(1)].topics) == rules.TOPICS_PER_PEER_MAX


def test_strangers_are_neither_heard_nor_served(seed):
    mesh = Mesh(random.Random(seed))
    mesh.join(TOPIC, 0.0)
    mesh.publish(TOPIC, b"x", 0.0)
    assert mesh.graft(peer(9), TOPIC, 0.0) == {}
    assert mesh.hear_of(peer(9), TOPIC, [b"n" * 32]) == {}
    assert mesh.serve(peer(9), [message_name(b"x")]) == {}
    assert mesh.subscribe(peer(9), TOPIC, on=True, now=0.0) == {}


def test_what_is_remembered_is_bounded_and_forgotten():
    messages = Messages()
    for number in range(memory.SEEN_MAX + 100):
        assert messages.is_new(number.to_bytes(32), float(number))
    assert len(messages._seen) == memory.SEEN_MAX
    for number in range(20):
        messages.keep(number.to_bytes(32), TOPIC, bytes(1024 * 1024))
    assert messages._kept_bytes <= memory.HISTORY_BYTES_MAX
    for beat in range(memory.HISTORY_BEATS + 1):
        messages.beat(memory.SEEN_MAX + 1_000.0 + beat)
    assert not messages._kept
    assert messages._kept_bytes == 0
    assert not messages._seen
