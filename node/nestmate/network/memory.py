"""The network inside one process: the twin of libp2p for tests of everything above.

A ``Switchboard`` joins ``MemoryNetwork``s the way wires join machines; a test may make
it slow, lossy, cut it in two, or freeze a node. Streams are reliable and ordered,
gossip may lose frames, and what travels is judged exactly as the libp2p twin judges
it. Nothing here opens a socket or knows what the bytes mean.
"""

import hashlib
import itertools
import random
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager

import trio

from nestmate.network.base import Counters, NetworkInput, NetworkOptions
from nestmate.network.presence import judged_presence, newest_presence
from nestmate_protocol.effects import Channel
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import Address, PeerId
from nestmate_protocol.inputs import (
    Arrived,
    Dialled,
    Found,
    Heard,
    Listening,
    PeerDown,
    PeerUp,
    Resolved,
)
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import FRAME_BYTES_MAX, STRIKES_MAX
from nestmate_protocol.records import open_frame

_FIRST_PORT = 20_000
_SEEN_MAX = 4_096


class Switchboard:
    """Wires between memory networks, with switches for what wires do wrong.

    ``latency_seconds`` holds for one way and one hop; ``loss`` is the share of gossip
    frames that a hop loses.
    """

    def __init__(
        self, seed: int = 0, latency_seconds: float = 0.0, loss: float = 0.0
    ) -> None:
        self.latency_seconds = latency_seconds
        self.loss = loss
        self._plugs: dict[str, _Plug] = {}
        self._dice = random.Random(seed)  # noqa: S311 - losses, not secrets
        self._ports = itertools.count(_FIRST_PORT)
        self._side: dict[PeerId, int] = {}
        self._frozen: set[PeerId] = set()

    def __repr__(self) -> str:
        return f"<Switchboard of {len(self._plugs)}>"

    async def part(self, *groups: Collection[PeerId]) -> None:
        """Cut all wires between these groups; who is in none stays with the first."""
        self._side = {peer: side for side, group in enumerate(groups) for peer in group}
        await self._drop_broken_links()

    async def heal(self) -> None:
        """Mend all wires and wake whoever was frozen; nobody is connected by that."""
        await trio.lowlevel.checkpoint()
        self._side.clear()
        self._frozen.clear()

    async def freeze(self, peer: PeerId) -> None:
        """Stop one node as SIGSTOP would; the others notice that it is gone."""
        self._frozen.add(peer)
        await self._drop_broken_links()

    def joins(self, one: PeerId, other: PeerId) -> bool:
        """Whether anything can pass between two nodes now."""
        if one in self._frozen or other in self._frozen:
            return False
        return self._side.get(one, 0) == self._side.get(other, 0)

    def loses(self) -> bool:
        """Throw the dice for one gossip frame on one hop."""
        return self.loss > 0 and self._dice.random() < self.loss

    async def travel(self) -> None:
        """Take as long as one hop takes."""
        await trio.sleep(self.latency_seconds)

    def plug_in(self, plug: "_Plug", wanted: str) -> str:
        """Give a plug the address it wants, with a port if it left that open."""
        head, _, port = wanted.rpartition("/")
        while port == "0" or f"{head}/{port}" in self._plugs:
            port = str(next(self._ports))
        self._plugs[f"{head}/{port}"] = plug
        return f"{head}/{port}"

    def pull_out(self, plug: "_Plug") -> None:
        """Forget a plug and its addresses."""
        for multiaddr in [at for at, who in self._plugs.items() if who is plug]:
            del self._plugs[multiaddr]

    def at(self, multiaddr: str) -> "_Plug | None":
        """Who listens at an address."""
        return self._plugs.get(multiaddr)

    async def _drop_broken_links(self) -> None:
        for plug in dict.fromkeys(self._plugs.values()):
            for peer in sorted(plug.links):
                if not self.joins(plug.peer, peer):
                    await plug.lose(peer)


class _Plug:
    """What one node shows to the others: its links, topics and kept records."""

    def __init__(self, options: NetworkOptions, board: Switchboard) -> None:
        self.options = options
        self.peer = PeerId(SigningKey(options.host_seed).public.raw)
        self.counters = Counters()
        self.multiaddrs: tuple[str, ...] = ()
        self.links: dict[PeerId, _Plug] = {}
        self.topics: set[str] = set()
        self.provided: set[bytes] = set()
        self.presences: dict[Address, bytes] = {}
        self.strikes: dict[PeerId, int] = {}
        self.inbox: trio.MemorySendChannel[NetworkInput] | None = None
        self._board = board
        self._seen: dict[bytes, None] = {}

    async def tell(self, item: NetworkInput) -> None:
        """Put one input into the inbox; a node that left hears nothing any more."""
        if self.inbox is not None:
            try:
                await self.inbox.send(item)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.inbox = None

    def welcomes(self, other: "_Plug") -> bool:
        """Whether both may talk: same network, mended wire, nobody banned."""
        return (
            other is not self
            and other.options.network == self.options.network
            and self._board.joins(self.peer, other.peer)
            and not self.bans(other.peer)
            and not other.bans(self.peer)
        )

    def bans(self, peer: PeerId) -> bool:
        """Whether a peer has struck out here."""
        return self.strikes.get(peer, 0) >= STRIKES_MAX

    async def lose(self, peer: PeerId) -> None:
        """End the connection with a peer at both ends."""
        other = self.links.pop(peer, None)
        if other is not None:
            other.links.pop(self.peer, None)
            await self.tell(PeerDown(peer))
            await other.tell(PeerDown(self.peer))

    def count(self, fault: Fault) -> None:
        """Count what was refused."""
        self.counters.faults[fault] = self.counters.faults.get(fault, 0) + 1

    def sees(self, frame: bytes) -> bool:
        """Whether a gossip frame is new here."""
        name = hashlib.sha256(frame).digest()
        fresh = name not in self._seen
        self._seen[name] = None
        if len(self._seen) > _SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        return fresh

    async def pass_on(self, topic: str, frame: bytes) -> "list[_Plug]":
        """Give a frame to the neighbours; returns those to whom it was new and good."""
        neighbours = [
            other
            for _, other in sorted(self.links.items())
            if topic in other.topics and self._board.joins(self.peer, other.peer)
        ]
        return [
            other
            for other in neighbours
            if not self._board.loses() and await other.hear(self.peer, topic, frame)
        ]

    async def hear(self, peer: PeerId, topic: str, frame: bytes) -> bool:
        """Judge a frame that a neighbour passes on; False drops it."""
        if not self.sees(frame):
            return False
        try:
            records = open_frame(frame, self.options.network)
        except RemoteError as error:
            self.count(error.fault)
            self.strikes[peer] = self.strikes.get(peer, 0) + 1
            return False
        await self.tell(Heard(peer, topic, records))
        return True

    def reachable(self) -> "Iterator[_Plug]":
        """Everybody who can be reached over others, nearest first."""
        met = {self.peer}
        edge: list[_Plug] = [self]
        while edge:
            plug = edge.pop(0)
            for peer, other in sorted(plug.links.items()):
                if peer not in met and self._board.joins(plug.peer, peer):
                    met.add(peer)
                    edge.append(other)
                    yield other


class MemoryNetwork:
    """One node's end of a ``Switchboard``; obeys the network port."""

    def __init__(self, options: NetworkOptions, switchboard: Switchboard) -> None:
        self._board = switchboard
        self._plug = _Plug(options, switchboard)
        self._network = options.network
        self.counters = self._plug.counters
        self.pinned: set[PeerId] = set()
        self._struck_out = trio.Event()

    def __repr__(self) -> str:
        return f"<MemoryNetwork {self.peer.short}, {len(self._plug.links)} links>"

    @property
    def peer(self) -> PeerId:
        """Our own peer id."""
        return self._plug.peer

    @property
    def multiaddrs(self) -> tuple[str, ...]:
        """Where we can be reached, without ``/p2p``."""
        return self._plug.options.announce or self._plug.multiaddrs

    @asynccontextmanager
    async def running(
        self, inbox: trio.MemorySendChannel[NetworkInput]
    ) -> AsyncIterator[None]:
        """Be reachable until left."""
        plug = self._plug
        plug.inbox = inbox
        plug.multiaddrs = tuple(
            self._board.plug_in(plug, wanted) for wanted in plug.options.listen
        )
        try:
            await plug.tell(Listening(self.multiaddrs))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._show_the_door)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._board.pull_out(plug)
            plug.inbox = None
            with trio.move_on_after(1) as farewell:
                farewell.shield = True
                for peer in sorted(plug.links):
                    await plug.lose(peer)
            plug.links.clear()
            plug.topics.clear()

    async def _show_the_door(self) -> None:
        while True:
            await self._struck_out.wait()
            self._struck_out = trio.Event()
            for peer in sorted(self._plug.links):
                if self._plug.bans(peer):
                    await self._plug.lose(peer)

    async def dial(self, peer: PeerId, multiaddrs: Sequence[str]) -> None:
        """Try the addresses in order; tells ``Dialled`` in the end."""
        for multiaddr in multiaddrs:
            if peer in self._plug.links:
                break
            await self._board.travel()
            other = self._board.at(multiaddr)
            if other and other.peer == peer and self._plug.welcomes(other):
                self._plug.links[peer] = other
                other.links[self.peer] = self._plug
                await self._plug.tell(PeerUp(peer, multiaddr, inbound=False))
                await other.tell(PeerUp(self.peer, self.multiaddrs[0], inbound=True))
        await self._plug.tell(Dialled(peer, peer in self._plug.links))

    async def hang_up(self, peer: PeerId) -> None:
        """Close the connection with a peer."""
        await self._plug.lose(peer)

    async def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Hand one frame over; False if it is too long or the peer is gone."""
        await self._board.travel()
        other = self._plug.links.get(peer)
        if len(data) > FRAME_BYTES_MAX or other is None:
            return False
        await other.tell(Arrived(self.peer, channel, data))
        return True

    async def publish(self, topic: str, frame: bytes) -> None:
        """Flood one frame over everybody who listens to the topic."""
        self._plug.sees(frame)
        carriers = [self._plug]
        while carriers:
            await self._board.travel()
            carriers = [
                heard
                for carrier in carriers
                for heard in await carrier.pass_on(topic, frame)
            ]

    async def join(self, topic: str) -> None:
        """Listen to a topic and carry it."""
        await trio.lowlevel.checkpoint()
        self._plug.topics.add(topic)

    async def leave(self, topic: str) -> None:
        """Stop listening."""
        await trio.lowlevel.checkpoint()
        self._plug.topics.discard(topic)

    async def provide(self, key: bytes) -> None:
        """Announce a key."""
        await self._board.travel()
        self._plug.provided.add(key)

    async def find(self, key: bytes) -> None:
        """Ask everybody who can be reached for a key."""
        await self._board.travel()
        found = [
            (other.peer, other.options.announce or other.multiaddrs)
            for other in self._plug.reachable()
            if key in other.provided
        ]
        await self._plug.tell(Found(key, tuple(found)))

    async def announce(self, address: Address, record: bytes) -> None:
        """Keep a presence record where others look for it."""
        await self._board.travel()
        try:
            judged_presence(address, record, self._network)
        except RemoteError as error:
            self._plug.count(error.fault)
            return
        for other in (self._plug, *self._plug.reachable()):
            known = other.presences.get(address)
            both = (record,) if known is None else (known, record)
            best = newest_presence(address, both, self._network)
            other.presences[address] = best.data if best else record

    async def resolve(self, address: Address) -> None:
        """Look a presence record up."""
        await self._board.travel()
        known = [
            other.presences[address]
            for other in (self._plug, *self._plug.reachable())
            if address in other.presences
        ]
        best = newest_presence(address, known, self._network)
        await self._plug.tell(Resolved(address, best.data if best else None))

    def pin(self, peer: PeerId, *, pinned: bool) -> None:
        """Remember a friend."""
        (self.pinned.add if pinned else self.pinned.discard)(peer)

    def strike(self, peer: PeerId, fault: Fault) -> None:
        """Count a fault; STRIKES_MAX of them close the door until the process ends."""
        plug = self._plug
        plug.count(fault)
        plug.strikes[peer] = plug.strikes.get(peer, 0) + 1
        if plug.strikes[peer] == STRIKES_MAX:
            plug.counters.bans += 1
            self._struck_out.set()

    def keep(self) -> bytes:
        """Nothing: in memory bans end with the process."""
        return b""
