"""The world itself: what links, disks and clocks do to nodes that only watch."""

import itertools

import pytest

from nestmate_protocol.effects import (
    Channel,
    Dial,
    Find,
    Join,
    Provide,
    Publish,
    Save,
    Send,
)
from nestmate_protocol.inputs import Dialled, Found, PeerUp, Wakeup
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Kind, sign_record
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.machine import Disk, SkewedClock
from nestmate_protocol.simulation.nodes import Fuse
from nestmate_protocol.simulation.weather import Weather


def letters(count):
    return [b"%d" % number for number in range(count)]


def send(theatre, node, other, frames, channel=Channel.SIGNALS):
    theatre.do(node, *(Send(other.peer, channel, data) for data in frames))


def a_record(theatre, number=0):
    body = {1: number}
    network = theatre.world.opener.network
    return sign_record(SigningKey(b"k" * 32), network, Kind.BEAT, body).data


def test_dice_of_one_seed_fall_the_same_way():
    first, second = Dice(7), Dice(7)
    assert [first.bits() for _ in range(9)] == [second.bits() for _ in range(9)]
    assert Dice(0).bits() == 0xE220A8397B1DCDAF  # published first output of seed 0


def test_a_fork_of_the_dice_does_not_depend_on_earlier_draws():
    fresh, used = Dice(7), Dice(7)
    used.octets(100)
    assert fresh.fork("weather").bits() == used.fork("weather").bits()
    assert fresh.fork("weather").bits() != fresh.fork("agents").bits()


def test_a_crash_keeps_what_was_durable_and_only_a_first_part_of_the_rest():
    lost = set()
    for seed in range(40):
        disk = Disk()
        disk.write(((b"a", b"1"),), durable=True)
        disk.write(((b"b", b"1"),), durable=False)
        disk.write(((b"c", b"1"), (b"a", None)), durable=False)
        disk.crash(Dice(seed))
        lost.add(tuple(disk.scan(b"")))
    a, b, c = (b"a", b"1"), (b"b", b"1"), (b"c", b"1")
    assert lost == {(a,), (a, b), (b, c)}


def test_a_skewed_clock_is_undone_exactly():
    clock = SkewedClock(drift_ppm=-313)
    clock.set_off(5_000)
    clock.boot(1_234, Dice(3))
    for world_ms in range(1_234, 90_000, 777):
        mono_ms = clock.moment(world_ms).mono_ms
        due_ms = clock.world_ms(mono_ms + 10)
        assert clock.moment(due_ms).mono_ms >= mono_ms + 10
        assert clock.moment(due_ms - 1).mono_ms < mono_ms + 10


def test_frames_arrive_in_order_however_bad_the_weather(theatre):
    a, b = theatre.pair()
    theatre.world.ways.weather = Weather(1, 400, loss=0.3, stragglers=0.3)
    send(theatre, a, b, letters(50))
    theatre.world.run(60_000)
    assert theatre.frames(b) == letters(50)


def test_what_is_in_flight_when_a_connection_breaks_is_gone(theatre):
    a, b = theatre.pair()
    theatre.world.ways.weather = Weather(50, 60)
    send(theatre, a, b, letters(3))
    theatre.world.links.hang_up(a, b.peer)
    theatre.world.run(1_000)
    assert theatre.frames(b) == []
    assert theatre.news(a)[-1] == theatre.news(b)[-1] == "PeerDown"


def test_a_short_cut_one_way_only_delays(theatre):
    a, b = theatre.pair()
    theatre.world.links.cut(a, b)
    send(theatre, a, b, letters(3))
    send(theatre, b, a, letters(3))
    theatre.world.run(5_000)
    assert (theatre.frames(a), theatre.frames(b)) == (letters(3), [])
    theatre.world.links.heal()
    theatre.world.run(5_000)
    assert theatre.frames(b) == letters(3)


def test_a_long_cut_one_way_ends_the_connection_for_both(theatre):
    a, b = theatre.pair()
    theatre.world.links.cut(a, b)
    send(theatre, a, b, letters(3))
    theatre.world.run(30_000)
    assert theatre.news(a) == theatre.news(b) == ["PeerUp", "PeerDown"]
    assert theatre.frames(b) == []


def test_nobody_connects_across_a_cut(theatre):
    a, b = theatre.cast(2)
    theatre.world.links.cut(b, a)
    theatre.do(a, Dial(b.peer, (theatre.world.doors.home(b),)))
    theatre.world.run(10_000)
    assert Dialled(b.peer, connected=False) in theatre.puppet(a).seen


def test_a_dial_connects_and_says_so_last(theatre):
    a, b = theatre.cast(2)
    home = theatre.world.doors.home(b)
    theatre.do(a, Dial(b.peer, ("/ip4/10.9.9.9/tcp/1", home)))
    theatre.world.run(1_000)
    assert theatre.puppet(a).seen[-2:] == [
        PeerUp(b.peer, home, inbound=False),
        Dialled(b.peer, connected=True),
    ]
    assert theatre.news(b) == ["PeerUp"]


def test_nothing_is_visible_before_a_durable_save_is_on_disk(theatre):
    a, b = theatre.pair()
    a.sync_ms_max = 100
    for fuse in range(3):
        theatre.world.start(a) if a.core is None else None
        theatre.world.links.connect(a, b)
        theatre.world.run(100)
        a.fuse = Fuse(fuse)
        save = Save(((b"k%d" % fuse, b"v"),))
        theatre.do(a, save, Send(b.peer, Channel.CARDS, b"%d" % fuse))
        theatre.world.run(1_000)
    assert [a.disk.get(b"k%d" % fuse) for fuse in range(3)] == [None, b"v", b"v"]
    assert theatre.frames(b) == [b"2"]


def test_a_paused_node_finds_all_its_post_in_order_when_it_goes_on(theatre):
    a, b = theatre.pair()
    theatre.world.pause(b)
    send(theatre, a, b, letters(20))
    theatre.world.run(8_000)
    assert theatre.frames(b) == []
    b.resume()
    theatre.world.run(100)
    assert theatre.frames(b) == letters(20)


def test_a_crashed_node_wakes_with_its_disk_and_nothing_else(theatre):
    a, b = theatre.pair()
    theatre.do(a, Save(((b"k", b"v"),)))
    theatre.world.run(10)
    theatre.world.crash(a)
    theatre.world.run(100)
    theatre.world.start(a, move=True)
    assert theatre.puppet(a).life.reader.get(b"k") == b"v"
    assert theatre.news(a) == []
    assert theatre.news(b)[-1] == "PeerDown"


def test_a_wakeup_comes_when_it_is_due_on_the_nodes_own_clock(theatre):
    (a,) = theatre.cast(1)
    puppet = theatre.puppet(a)
    puppet.wakeup = due_ms = a.now.mono_ms + 5_000
    theatre.do(a)
    theatre.world.run(4_990)
    assert Wakeup() not in puppet.seen
    theatre.world.run(20)
    assert Wakeup() in puppet.seen
    assert due_ms <= puppet.now.mono_ms <= due_ms + 220


def test_a_core_that_never_rests_is_found_out(theatre):
    (a,) = theatre.cast(1)
    theatre.puppet(a).wakeup = 0
    theatre.do(a)
    theatre.world.run(10_000)
    assert theatre.world.complaints == ["n0 never rests"]


def test_gossip_reaches_everyone_on_the_topic_once_over_others(theatre):
    nodes = theatre.cast(5)
    for a, b in itertools.pairwise(nodes):
        theatre.world.links.connect(a, b)
    for node in nodes[:4]:
        theatre.do(node, Join("t"))
    theatre.world.run(100)
    theatre.do(nodes[1], Publish("t", a_record(theatre), 5, urgent=True))
    theatre.world.run(1_000)
    assert [len(theatre.heard(node)) for node in nodes] == [1, 0, 1, 1, 0]
    assert theatre.heard(nodes[3])[0].peer == nodes[2].peer


def test_gossip_gathers_what_is_not_urgent_and_adds_the_waiting(theatre):
    a, b = theatre.pair()
    theatre.do(b, Join("t"))
    for number in range(3):
        record = a_record(theatre, number)
        theatre.do(a, Publish("t", record, 5, urgent=False))
        theatre.world.run(20)
    theatre.world.run(1_000)
    (heard,) = theatre.heard(b)
    assert [carried.age_ms for carried in heard.records] == [105, 85, 65]


def test_a_frame_that_does_not_open_goes_no_further_than_one_hop(theatre):
    a, b = theatre.pair()
    theatre.do(b, Join("t"))
    for number in range(20):
        theatre.world.gossip.spread(a, "t", b"garbage %d" % number)
    theatre.world.run(1_000)
    assert theatre.heard(b) == []
    assert theatre.world.doors.bans == [(b, a.peer)]
    assert theatre.news(b)[-1] == "PeerDown"


def test_the_dht_knows_who_provides_unless_the_one_who_asks_is_alone(theatre):
    a, b = theatre.pair()
    (c,) = theatre.cast(1)
    theatre.do(a, Provide(b"key"))
    theatre.do(b, Find(b"key"))
    theatre.do(c, Find(b"key"))
    theatre.world.run(2_000)
    home = theatre.world.doors.home(a)
    assert theatre.puppet(b).seen[-1] == Found(b"key", ((a.peer, (home,)),))
    assert theatre.puppet(c).seen[-1] == Found(b"key", ())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_last_events_say_when_who_and_what(theatre, seed):
    a, b = theatre.pair()
    send(theatre, a, b, [b"x" * seed])
    theatre.world.run(1_000)
    last = theatre.world.timeline.last_events()[-1]
    assert last.endswith(f"n1 Arrived signals from n0, {seed} B ->")
