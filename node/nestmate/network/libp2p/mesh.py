"""GossipSub 1.1 as a pure state machine: who hears what, who is grafted and pruned.

Peers and messages go in with the time in seconds, what to say to whom comes out. The
bearer of a message signs nothing (the policy StrictNoSign), because what it carries is
signed by its author. Everything a peer may make us remember has a bound. This file
knows neither streams nor records.
"""

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from nestmate.network.libp2p.messages import Messages, message_name
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import PeerId

DEGREE: Final = 4
DEGREE_LOW: Final = 3
DEGREE_HIGH: Final = 6
DEGREE_LAZY: Final = 4
FLOOD_MAX: Final = 16
HEARTBEAT_SECONDS: Final = 1.0
FANOUT_SECONDS: Final = 60.0
BACKOFF_SECONDS: Final = 60
BACKOFF_SECONDS_MAX: Final = 600
LEAVE_BACKOFF_SECONDS: Final = 10
TOPICS_PER_PEER_MAX: Final = 128
IDS_TOLD_MAX: Final = 500
IDS_ASKED_MAX: Final = 64
_GOSSIP_SHARE: Final = 0.25


@dataclass(slots=True)
class Saying:
    """What is to be said to one peer."""

    subscriptions: list[tuple[str, bool]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    graft: list[str] = field(default_factory=list)
    prune: list[tuple[str, int]] = field(default_factory=list)
    told: list[tuple[str, list[bytes]]] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)


class Sayings(dict[PeerId, Saying]):
    """What is to be said to whom; a peer's saying appears when it is looked up."""

    def __missing__(self, peer: PeerId) -> Saying:
        self[peer] = Saying()
        return self[peer]


@dataclass(slots=True)
class _Neighbour:
    """What one connected peer listens to, and how much it asked us to ask."""

    topics: set[str] = field(default_factory=set)
    asked: int = 0


@dataclass(slots=True)
class _Fanout:
    """Who gets what we publish on a topic we do not listen to."""

    peers: set[PeerId] = field(default_factory=set)
    until: float = 0.0

    def choose(
        self, listeners: set[PeerId], dice: random.Random, now: float
    ) -> set[PeerId]:
        """Keep to those of last time who still listen, and add some."""
        self.peers &= listeners
        rest = sorted(listeners - self.peers)
        wanted = min(len(rest), DEGREE - len(self.peers))
        self.peers |= set(dice.sample(rest, wanted))
        self.until = now + FANOUT_SECONDS
        return self.peers


class Mesh:
    """One node's view of all topics.

    ``pinned`` are friends, a set that others change: each mesh holds one if it can, so
    that strangers who fill it cannot cut this node off.
    """

    def __init__(
        self, dice: random.Random, pinned: Collection[PeerId] = frozenset()
    ) -> None:
        self._dice = dice
        self._pinned = pinned
        self._neighbours: dict[PeerId, _Neighbour] = {}
        self.topics: dict[str, set[PeerId]] = {}
        self.messages = Messages()
        self._fanout: dict[str, _Fanout] = {}
        self._backoff: dict[tuple[str, PeerId], float] = {}

    def __repr__(self) -> str:
        return f"<Mesh {len(self.topics)} topics, {len(self._neighbours)} neighbours>"

    # --- peers ---

    def add(self, peer: PeerId) -> Sayings:
        """A peer is connected: tell it what we listen to."""
        self._neighbours[peer] = _Neighbour()
        return self.greet(peer)

    def greet(self, peer: PeerId) -> Sayings:
        """Tell a peer all topics we listen to."""
        sayings = Sayings()
        sayings[peer].subscriptions = [(topic, True) for topic in sorted(self.topics)]
        return sayings

    def remove(self, peer: PeerId) -> None:
        """A peer is gone."""
        self._neighbours.pop(peer, None)
        for members in self.topics.values():
            members.discard(peer)
        for fanout in self._fanout.values():
            fanout.peers.discard(peer)

    def subscribe(self, peer: PeerId, topic: str, *, on: bool, now: float) -> Sayings:
        """A peer listens to a topic, or no longer; it may be just whom we need.

        Raises RemoteError for one topic too many.
        """
        sayings = Sayings()
        neighbour = self._neighbours.get(peer)
        if neighbour is None:
            return sayings
        if not on:
            neighbour.topics.discard(topic)
            self.topics.get(topic, set()).discard(peer)
        elif len(neighbour.topics) >= TOPICS_PER_PEER_MAX:
            raise RemoteError(Fault.OVER_LIMIT, "topics of one peer")
        else:
            neighbour.topics.add(topic)
            members = self.topics.get(topic)
            if members is not None and len(members) < DEGREE_LOW:
                self._graft_some(topic, [peer], 1, now, sayings)
        return sayings

    # --- our own topics and messages ---

    def join(self, topic: str, now: float) -> Sayings:
        """Listen to a topic: say so, and graft peers that do."""
        sayings = Sayings()
        if topic in self.topics:
            return sayings
        self.topics[topic] = set()
        for peer in self._neighbours:
            sayings[peer].subscriptions.append((topic, True))
        known = self._fanout.pop(topic, None)
        wanted = sorted(known.peers) if known else []
        self._graft_some(topic, wanted, DEGREE, now, sayings)
        self._fill(topic, now, sayings)
        return sayings

    def leave(self, topic: str, now: float) -> Sayings:
        """Stop listening: say so, and prune everybody."""
        sayings = Sayings()
        if topic not in self.topics:
            return sayings
        for peer in sorted(self.topics.pop(topic)):
            self._backoff[topic, peer] = now + LEAVE_BACKOFF_SECONDS
            sayings[peer].prune.append((topic, LEAVE_BACKOFF_SECONDS))
        for peer in self._neighbours:
            sayings[peer].subscriptions.append((topic, False))
        return sayings

    def publish(self, topic: str, data: bytes, now: float) -> Sayings:
        """Spread a message of our own, to all listeners while they are few."""
        sayings = Sayings()
        name = message_name(data)
        if not self.messages.is_new(name, now):
            return sayings
        listeners = self._listeners(topic)
        if len(listeners) > FLOOD_MAX:
            listeners = self.topics.get(topic) or self._fanout.setdefault(
                topic, _Fanout()
            ).choose(listeners, self._dice, now)
        self.messages.keep(name, topic, data)
        for peer in sorted(listeners):
            sayings[peer].messages.append(name)
        return sayings

    # --- what peers bring ---

    def pass_on(self, peer: PeerId, topic: str, name: bytes, data: bytes) -> Sayings:
        """A good new message came from ``peer``: give it to the rest of the mesh."""
        self.messages.keep(name, topic, data)
        sayings = Sayings()
        for member in sorted(self.topics.get(topic, ())):
            if member != peer:
                sayings[member].messages.append(name)
        return sayings

    def hear_of(self, peer: PeerId, topic: str, names: Iterable[bytes]) -> Sayings:
        """A peer tells what it has: ask for what we never saw, within bounds."""
        sayings = Sayings()
        neighbour = self._neighbours.get(peer)
        if neighbour is None or topic not in self.topics:
            return sayings
        room = IDS_ASKED_MAX - neighbour.asked
        wanted = [name for name in names if name not in self.messages][: max(0, room)]
        if wanted:
            neighbour.asked += len(wanted)
            sayings[peer].asked = wanted
        return sayings

    def serve(self, peer: PeerId, names: Iterable[bytes]) -> Sayings:
        """A peer asks for messages: give what is remembered, each a few times."""
        sayings = Sayings()
        for name in names:
            message = self.messages.get(name)
            if message is not None and peer in self._neighbours and message.serve(peer):
                sayings[peer].messages.append(name)
        return sayings

    def graft(self, peer: PeerId, topic: str, now: float) -> Sayings:
        """A peer wants us in its mesh; unknown topics are passed over in silence."""
        sayings = Sayings()
        members = self.topics.get(topic)
        if members is None or peer not in self._neighbours or peer in members:
            return sayings
        waits = self._backoff.get((topic, peer), 0.0) > now
        full = len(members) >= DEGREE_HIGH and peer not in self._pinned
        if waits or full:
            self._backoff[topic, peer] = now + BACKOFF_SECONDS
            sayings[peer].prune.append((topic, BACKOFF_SECONDS))
        else:
            members.add(peer)
        return sayings

    def prune(self, peer: PeerId, topic: str, seconds: int, now: float) -> None:
        """A peer dropped us from its mesh and wants to be left alone for a while."""
        members = self.topics.get(topic)
        if members is not None and peer in self._neighbours:
            members.discard(peer)
            pause = min(seconds or BACKOFF_SECONDS, BACKOFF_SECONDS_MAX)
            self._backoff[topic, peer] = now + pause

    # --- once a second ---

    def beat(self, now: float) -> Sayings:
        """Mend every mesh, tell some others what there was, and forget the old."""
        sayings = Sayings()
        self._backoff = {key: at for key, at in self._backoff.items() if at > now}
        for neighbour in self._neighbours.values():
            neighbour.asked = 0
        for topic, members in self.topics.items():
            if len(members) < DEGREE_LOW:
                self._fill(topic, now, sayings)
            elif len(members) > DEGREE_HIGH:
                self._thin_out(topic, members, now, sayings)
            if members.isdisjoint(self._pinned):
                friends = sorted(self._listeners(topic).intersection(self._pinned))
                self._graft_some(topic, friends, 1, now, sayings)
            self._gossip(topic, members, sayings)
        for topic in [t for t, each in self._fanout.items() if each.until < now]:
            del self._fanout[topic]
        self.messages.beat(now)
        return sayings

    def _fill(self, topic: str, now: float, sayings: Sayings) -> None:
        candidates = sorted(self._listeners(topic) - self.topics[topic])
        self._dice.shuffle(candidates)
        candidates.sort(key=lambda peer: peer not in self._pinned)
        room = DEGREE - len(self.topics[topic])
        self._graft_some(topic, candidates, room, now, sayings)

    def _graft_some(
        self,
        topic: str,
        candidates: Sequence[PeerId],
        count: int,
        now: float,
        sayings: Sayings,
    ) -> None:
        members = self.topics[topic]
        for peer in candidates:
            if count <= 0:
                break
            if peer in members or self._backoff.get((topic, peer), 0.0) > now:
                continue
            members.add(peer)
            sayings[peer].graft.append(topic)
            count -= 1

    def _thin_out(
        self, topic: str, members: set[PeerId], now: float, sayings: Sayings
    ) -> None:
        rest = sorted(members)
        self._dice.shuffle(rest)
        rest.sort(key=lambda peer: peer in self._pinned)
        for peer in rest[: len(members) - DEGREE]:
            members.discard(peer)
            self._backoff[topic, peer] = now + BACKOFF_SECONDS
            sayings[peer].prune.append((topic, BACKOFF_SECONDS))

    def _gossip(self, topic: str, members: set[PeerId], sayings: Sayings) -> None:
        names = self.messages.lately(topic)
        others = sorted(self._listeners(topic) - members)
        if not names or not others:
            return
        count = max(DEGREE_LAZY, int(len(others) * _GOSSIP_SHARE))
        for peer in self._dice.sample(others, min(count, len(others))):
            told = sayings[peer].told
            room = IDS_TOLD_MAX - sum(len(already) for _, already in told)
            if room > 0:
                told.append((topic, names[-room:]))

    def _listeners(self, topic: str) -> set[PeerId]:
        return {peer for peer, each in self._neighbours.items() if topic in each.topics}
