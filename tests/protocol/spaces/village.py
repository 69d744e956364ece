"""A village: a few replicas in memory, the wires between them, and a clock of its own.

An op here is eight bytes of time, one of lane and some words; its id is their hash.
Wires keep order, may be slow, may be cut, and drop what is under way when they are.
Everything happens in the order of time, and chance comes from one seed.
"""

import heapq
import random
from bisect import bisect_left, insort
from collections import Counter
from hashlib import sha256

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Send, Strike
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import DeviceKey, NetworkId, PeerId, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.ops import Lane
from nestmate_protocol.spaces.summary import Leaves, Summary
from nestmate_protocol.spaces.sync.frames import Ops, unpack
from nestmate_protocol.spaces.sync.ports import Taken
from nestmate_protocol.spaces.sync.sessions import Sessions

NETWORK = NetworkId(b"\x06" * 32)
SPACE = SpaceId(b"\x11" * 32)
WELCOME = b"welcome "


def op(time, words=b"", lane=Lane.DATA):
    return time.to_bytes(8) + bytes((lane,)) + words


def welcome(time, key):
    """An op of the auth lane that makes a key a member."""
    return op(time, WELCOME + key.raw, Lane.AUTH)


def id_of(wire):
    return RecordId(sha256(wire).digest())


class Rows:
    """The keys of one lane, in order."""

    def __init__(self):
        self.keys = []

    def scan(self, start, stop):
        low, high = bisect_left(self.keys, start), bisect_left(self.keys, stop)
        return iter(self.keys[low:high])


class Shelf:
    """A replica of one space in memory; ops that begin with ``bad`` are refused."""

    def __init__(self, seed, founders=()):
        self.key = SigningKey(sha256(b"%d" % seed).digest())
        self.members = set(founders)
        self.once = set()
        self.wires = {}
        self.rows = {lane: Rows() for lane in Lane}
        leaves = Leaves()
        self.lanes = {lane: Summary(self.rows[lane], leaves) for lane in Lane}
        self.taken = Counter()
        self.order = []
        self.in_spaces = [SPACE]

    def add(self, *wires):
        for wire in wires:
            identity, lane = id_of(wire), Lane(wire[8])
            self.wires[identity] = wire
            insort(self.rows[lane].keys, wire[:8] + identity.raw)
            self.lanes[lane].insert(wire[:8] + identity.raw)
            if wire[9:].startswith(WELCOME):
                self.members.add(DeviceKey(wire[9 + len(WELCOME) :]))
        return [id_of(wire) for wire in wires]

    def spaces(self):
        return self.in_spaces

    def offered(self, _, lane):
        return self.lanes[lane]

    def leaves(self, _):
        return []

    def wire(self, _, identity):
        return self.wires.get(identity)

    def holds(self, _, identity):
        return identity in self.wires

    def may_know(self, _, key):
        return key in self.once

    def may_have(self, _, key):
        return key in self.members

    def credentials(self, space):
        return ()

    def proving(self, _):
        return [self.key]

    def take(self, _, wires, now):
        self.taken.update(wires)
        good = [wire for wire in wires if not wire.startswith(b"bad")]
        new = [wire for wire in good if id_of(wire) not in self.wires]
        self.order += [Lane(wire[8]) for wire in new]
        return Taken(
            new=tuple(self.add(*new)),
            faults=(Fault.BAD_SIGNATURE,) * (len(wires) - len(good)),
            rights_changed=any(wire[8] == Lane.AUTH for wire in new),
        )


class Node:
    """One node: its replica, its sessions, and what it sent."""

    def __init__(self, number, seed, founders):
        chance = random.Random(f"{seed}/{number}")
        peers = [PeerId(bytes((n,)) * 32) for n in range(256)]
        self.peer = peers[number]
        self.shelf = Shelf(number, founders)
        self.sessions = Sessions(self.peer, NETWORK, self.shelf, chance.randbytes)
        self.strikes = []
        self.other = []
        self.sent = []

    @property
    def bytes_sent(self):
        return sum(len(data) for data in self.sent)

    def frames(self, kind):
        return [f for f in map(unpack, self.sent) if isinstance(f, kind)]


class Village:
    """Nodes and wires; ``delay_ms`` is one way, ``losses`` the share of lost frames."""

    def __init__(self, count, seed=0, *, delay_ms=25, members=True):
        keys = [SigningKey(sha256(b"%d" % n).digest()).public for n in range(count)]
        founders = keys if members else ()
        self.nodes = [Node(number, seed, founders) for number in range(count)]
        self.by_peer = {node.peer: node for node in self.nodes}
        self.delay_ms = delay_ms
        self.now = Moment(1_800_000_000_000, 1_000)
        self.wires = {}
        self.losing = lambda _: False
        self._queue = []
        self._count = 0

    def connect(self, one, other):
        self._wire(one, other, number=len(self.wires) + self._count + 1)

    def cut(self, one, other):
        a, b = self.nodes[one], self.nodes[other]
        if self.wires.pop(frozenset((a.peer, b.peer)), None):
            a.sessions.peer_down(b.peer)
            b.sessions.peer_down(a.peer)

    def mesh(self):
        for one in range(len(self.nodes)):
            for other in range(one):
                self.connect(one, other)

    def act(self, node, outcomes):
        for each in outcomes:
            match each:
                case Send(peer, _, data):
                    node.sent.append(data)
                    self._post(node, peer, data)
                case Strike():
                    node.strikes.append(each)
                case _:
                    node.other.append(each)

    def write(self, number, *wires):
        node = self.nodes[number]
        self.act(node, node.sessions.told(SPACE, node.shelf.add(*wires), self.now))

    def run(self, seconds):
        """Let so much time pass."""
        end = self.now.mono_ms + int(seconds * 1_000)
        while True:
            due = [n.sessions.next_wakeup() for n in self.nodes]
            times = [at for at in due if at is not None]
            at = min([*times, self._queue[0][0] if self._queue else end, end])
            self._pass(max(0, at - self.now.mono_ms))
            if at >= end:
                return
            if self._queue and self._queue[0][0] <= at:
                self._deliver()
                continue
            for node, when in zip(self.nodes, due, strict=True):
                if when is not None and when <= self.now.mono_ms:
                    self.act(node, node.sessions.wake(self.now))

    def equal(self):
        held = [set(node.shelf.wires) for node in self.nodes]
        return all(each == held[0] for each in held)

    def settle(self, seconds=60):
        """Run until all hold the same; how long it took."""
        began = self.now.mono_ms
        while not self.equal():
            assert self.now.mono_ms < began + seconds * 1_000, "still not the same"
            self.run(0.05)
        return (self.now.mono_ms - began) / 1_000

    def _wire(self, one, other, number):
        a, b = self.nodes[one], self.nodes[other]
        self.wires[frozenset((a.peer, b.peer))] = number
        for node, peer in ((a, b.peer), (b, a.peer)):
            self.act(node, node.sessions.peer_up(peer, self.now))

    def _post(self, node, peer, data):
        wire = self.wires.get(frozenset((node.peer, peer)))
        if wire is None or self.losing(data):
            return
        self._count += 1
        at = self.now.mono_ms + self.delay_ms
        item = (at, self._count, wire, node.peer, peer, data)
        heapq.heappush(self._queue, item)

    def _deliver(self):
        _, _, wire, source, target, data = heapq.heappop(self._queue)
        if self.wires.get(frozenset((source, target))) != wire:
            return
        node = self.by_peer[target]
        try:
            self.act(node, node.sessions.arrived(source, data, self.now))
        except RemoteError as error:
            node.strikes.append(Strike(source, error.fault))

    def _pass(self, milliseconds):
        self.now = self.now.later(milliseconds)


def ops_sent(node):
    return sum(len(frame.ops) for frame in node.frames(Ops))
