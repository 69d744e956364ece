"""A village: whole cores on one clock, joined by a pump that carries effects to inputs.

Dials, frames, topics and a DHT behave as a good network would, at once and in order; a
test takes nodes down, moves them, cuts wires and lets time pass. Nothing here knows
what the bytes mean.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256, shake_256
from itertools import count

import pytest

from nestmate_protocol.clocks import Moment
from nestmate_protocol.core import Core, Identity, Settings
from nestmate_protocol.directory.topics import network_id
from nestmate_protocol.effects import (
    Announce,
    Dial,
    Effect,
    Find,
    HangUp,
    Join,
    Leave,
    Notify,
    Pin,
    Provide,
    Publish,
    Reply,
    Resolve,
    Save,
    Send,
    Strike,
)
from nestmate_protocol.friends.requests import CreateInvite, JoinInvite
from nestmate_protocol.identity.log import begin_log, rotate_log
from nestmate_protocol.ids import Address, PeerId
from nestmate_protocol.inputs import (
    Arrived,
    Ask,
    Dialled,
    Found,
    Heard,
    Input,
    Listening,
    PeerDown,
    PeerUp,
    Request,
    Resolved,
    Wakeup,
)
from nestmate_protocol.keys import (
    SigningKey,
    host_peer,
    recovery_key,
    rotation_key,
)
from nestmate_protocol.records import make_frame, open_frame

START = Moment(1_800_000_000_000, 5_000_000)
PATIENCE_SECONDS = 60.0


class Disk:
    """A reader of what was saved."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.pairs.get(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(key for key in self.pairs if key.startswith(prefix))
        for key in reversed(keys) if reverse else keys:
            if start is None or (key <= start if reverse else key >= start):
                yield key, self.pairs[key]

    def keys(self, low: bytes, high: bytes) -> Iterator[bytes]:
        return iter(sorted(key for key in self.pairs if low <= key < high))

    def write(self, save: Save) -> None:
        for key, value in save.writes:
            if value is None:
                self.pairs.pop(key, None)
            else:
                self.pairs[key] = value


@dataclass
class Home:
    """One node: its identity, its disk, where it listens, and all that it did."""

    name: str
    village: "Village"
    network: str = "main"
    settings: Settings = field(default_factory=Settings)
    disk: Disk = field(default_factory=Disk)
    boots: int = 0
    up: bool = False
    topics: set[str] = field(default_factory=set)
    pinned: set[PeerId] = field(default_factory=set)
    replies: dict[int, object] = field(default_factory=dict)
    done: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device_seed = sha256(b"device of " + self.name.encode()).digest()
        self.recovery_seed = sha256(b"recovery of " + self.name.encode()).digest()
        self.rotations = 1
        self.log = begin_log(
            self.key,
            rotation_key(self.recovery_seed, 1).public,
            recovery_key(self.recovery_seed).public,
            self.device_seed[:16],
        )

    @property
    def key(self) -> SigningKey:
        return SigningKey(self.device_seed)

    @property
    def peer(self) -> PeerId:
        return host_peer(self.device_seed)

    @property
    def address(self) -> Address:
        return self.log.address

    @property
    def multiaddr(self) -> str:
        return f"/ip4/127.0.0.1/tcp/{self.port}"

    def rotate(self) -> None:
        """A new device takes over, as after a theft; the node must be down."""
        signer = rotation_key(self.recovery_seed, self.rotations)
        self.rotations += 1
        self.device_seed = sha256(self.device_seed).digest()
        following = rotation_key(self.recovery_seed, self.rotations)
        self.log = rotate_log(self.log, signer, [self.key.public], following.public)

    def boot(self) -> None:
        self.boots += 1
        self.topics.clear()
        draws = count()
        self.core = Core(
            Identity(
                self.key, self.log, self.peer, self.name, network_id(self.network)
            ),
            self.settings,
            lambda n: shake_256(
                f"{self.name}{self.boots}{next(draws)}".encode()
            ).digest(n),
            sha256(f"{self.name}{self.boots}".encode()).digest()[:16],
            self.disk,
        )

    def events(self, kind: str) -> list[Notify]:
        return [e for e in self.done if isinstance(e, Notify) and e.kind == kind]

    def did(self, kind: type) -> list[Effect]:
        return [effect for effect in self.done if isinstance(effect, kind)]

    def feed(self, item: Input) -> list[Effect]:
        """One input by hand; what follows is carried out as well."""
        effects = self.village.give(self, item)
        self.village.settle()
        return effects

    def ask(self, body: Request, seconds: float = PATIENCE_SECONDS) -> object:
        """The answer, waited for in the village's time."""
        request = self.village.ask(self, body)
        end = self.village.now.mono_ms + round(seconds * 1_000)
        while request not in self.replies and self.village.now.mono_ms < end:
            self.village.wait(0.1)
        return self.replies.get(request)


@dataclass
class Village:
    """Some homes, one clock, and the wires between them."""

    now: Moment = START
    homes: dict[str, Home] = field(default_factory=dict)
    wires: set[frozenset[PeerId]] = field(default_factory=set)
    cuts: set[frozenset[str]] = field(default_factory=set)
    queue: deque[tuple[Home, Input]] = field(default_factory=deque)
    provided: dict[bytes, dict[PeerId, tuple[str, ...]]] = field(default_factory=dict)
    presences: dict[Address, bytes] = field(default_factory=dict)
    has_dht: bool = True
    lost: Callable[[Send], bool] = lambda _: False
    ports: Iterator[int] = field(default_factory=lambda: count(4001))
    requests: Iterator[int] = field(default_factory=lambda: count(1))

    def add(self, *names: str, **options: object) -> list[Home]:
        """New homes, all of them up and strangers to each other."""
        for name in names:
            home = self.homes[name] = Home(name, self, **options)
            self.start(home)
        return [self.homes[name] for name in names]

    def start(self, home: Home, port: int = 0) -> None:
        """Bring a node up, on a port it never had before unless one is named."""
        home.port = port or next(self.ports)
        home.boot()
        home.up = True
        home.feed(Listening((home.multiaddr,)))

    def stop(self, home: Home) -> None:
        """Take a node down, as a power cut would."""
        home.up = False
        for wire in [w for w in self.wires if home.peer in w]:
            self.unwire(wire)
        self.settle()

    def restart(self, home: Home) -> None:
        """Take a node down and bring it up where it was."""
        self.stop(home)
        self.start(home, home.port)

    def move(self, home: Home) -> None:
        """Take a node down and bring it up elsewhere."""
        self.stop(home)
        self.start(home)

    def cut(self, one: Home, other: Home) -> None:
        """Nothing passes between two homes until ``mend``."""
        self.cuts.add(frozenset((one.name, other.name)))
        self.unwire(frozenset((one.peer, other.peer)))
        self.settle()

    def turn_wall_clocks(self, hours: float) -> None:
        """Move all wall clocks; monotonic clocks know nothing of it."""
        wall_ms = self.now.wall_ms + round(hours * 3_600_000)
        self.now = Moment(wall_ms, self.now.mono_ms)

    def mend(self) -> None:
        self.cuts.clear()

    def befriend(self, inviter: Home, joiner: Home) -> object:
        line = inviter.ask(CreateInvite()).invite
        return joiner.ask(JoinInvite(line))

    def connected(self, one: Home, other: Home) -> bool:
        return frozenset((one.peer, other.peer)) in self.wires

    def at(self, peer: PeerId) -> Home | None:
        return next((h for h in self.homes.values() if h.up and h.peer == peer), None)

    def ask(self, home: Home, body: Request) -> int:
        """Put a request without waiting for its answer."""
        request = next(self.requests)
        home.feed(Ask(request, body))
        return request

    def give(self, home: Home, item: Input) -> list[Effect]:
        done = []
        for effects in home.core.steps(item, self.now):
            done += effects
            for effect in effects:
                self.carry_out(home, effect)
        home.done += done
        return done

    def settle(self) -> None:
        """Deliver everything that is on its way."""
        while self.queue:
            home, item = self.queue.popleft()
            if home.up:
                self.give(home, item)

    def wait(self, seconds: float) -> None:
        """Let time pass, waking everyone when they asked to be."""
        end = self.now.mono_ms + round(seconds * 1_000)
        self.settle()
        for _ in range(100_000):
            woken = [h.core.next_wakeup() for h in self.homes.values() if h.up]
            due = min([t for t in woken if t is not None and t <= end], default=end)
            self.now = self.now.later(max(0, due - self.now.mono_ms))
            for home in [h for h in self.homes.values() if h.up]:
                wakeup = home.core.next_wakeup()
                if wakeup is not None and wakeup <= self.now.mono_ms:
                    self.give(home, Wakeup())
            self.settle()
            if due == end:
                return
        raise AssertionError("somebody wants to be woken again and again")

    def carry_out(self, home: Home, effect: Effect) -> None:
        match effect:
            case Save():
                home.disk.write(effect)
            case Reply(request, response):
                assert request not in home.replies, "answered twice"
                home.replies[request] = response
            case Dial(peer, multiaddrs):
                self.dial(home, peer, multiaddrs)
            case HangUp(peer):
                self.unwire(frozenset((home.peer, peer)))
            case Send(peer, channel, data):
                if frozenset((home.peer, peer)) in self.wires and not self.lost(effect):
                    self.queue.append(
                        (self.at(peer), Arrived(home.peer, channel, data))
                    )
            case Publish(topic, record, age_ms):
                self.publish(home, topic, record, age_ms)
            case Join(topic):
                home.topics.add(topic)
            case Leave(topic):
                home.topics.discard(topic)
            case Pin(peer, pinned):
                (home.pinned.add if pinned else home.pinned.discard)(peer)
            case Provide() | Find() | Announce() | Resolve():
                self.look_up(home, effect)
            case Notify() | Strike():
                pass

    def dial(self, home: Home, peer: PeerId, multiaddrs: tuple[str, ...]) -> None:
        other = self.at(peer)
        near = other is not None and other.multiaddr in multiaddrs
        if near and frozenset((home.name, other.name)) not in self.cuts:
            wire = frozenset((home.peer, peer))
            if wire not in self.wires:
                self.wires.add(wire)
                self.queue.append((home, PeerUp(peer, other.multiaddr, inbound=False)))
                back = "/ip4/127.0.0.1/tcp/50000"
                self.queue.append((other, PeerUp(home.peer, back, inbound=True)))
            self.queue.append((home, Dialled(peer, connected=True)))
        else:
            self.queue.append((home, Dialled(peer, connected=False)))

    def unwire(self, wire: frozenset[PeerId]) -> None:
        if wire in self.wires:
            self.wires.discard(wire)
            one, other = sorted(wire)
            for here, there in ((one, other), (other, one)):
                if home := self.at(here):
                    self.queue.append((home, PeerDown(there)))

    def publish(self, home: Home, topic: str, record: bytes, age_ms: int) -> None:
        """Flood a record over the wires between homes that carry the topic."""
        reached, edge = {home.peer}, [home]
        for here in edge:
            for other in self.homes.values():
                wired = frozenset((here.peer, other.peer)) in self.wires
                if wired and topic in other.topics and other.peer not in reached:
                    reached.add(other.peer)
                    edge.append(other)
                    frame = make_frame([(record, age_ms)])
                    records = open_frame(frame, network_id(home.network))
                    self.queue.append((other, Heard(here.peer, topic, records)))

    def look_up(self, home: Home, effect: Effect) -> None:
        match effect:
            case Provide(key):
                peers = self.provided.setdefault(key, {})
                peers[home.peer] = (home.multiaddr,)
            case Announce(address, record):
                self.presences[address] = record
            case Find(key):
                found = self.provided.get(key, {}) if self.has_dht else {}
                self.queue.append((home, Found(key, tuple(found.items()))))
            case Resolve(address):
                record = self.presences.get(address) if self.has_dht else None
                self.queue.append((home, Resolved(address, record)))


@pytest.fixture
def village() -> Village:
    """An empty village; ``village.add("ann", "bob")`` builds homes."""
    return Village()
