"""The host: every connection of this node, who is at its other end, and its streams.

A connection that has proved who it is says what it speaks; only a node of our network
is *up*, anything else is closed. With its last connection a peer is *down*. Protocols
register an entrance and a watcher; this file knows neither what they do nor how a
connection came about.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import trio

from nestmate.network.base import Counters, NetworkInput, NetworkOptions
from nestmate.network.libp2p.addresses import (
    Place,
)
from nestmate.network.libp2p.bans import Bans
from nestmate.network.libp2p.guard import (
    SENT_SHARE,
    Budgets,
    InboundLimiter,
    count_fault,
)
from nestmate.network.libp2p.health import watch
from nestmate.network.libp2p.secure import SecureChannel
from nestmate.network.libp2p.wire import GoneError, agree, propose
from nestmate.network.libp2p.yamux import Muxer, Stream
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import PeerId

NEGOTIATE_SECONDS_MAX: Final = 5.0
INTRODUCE_SECONDS_MAX: Final = 5.0
CONNECTIONS_PER_PEER_MAX: Final = 2
PROBE_SECONDS: Final = 2.0
_ACCEPT_PAUSE_SECONDS: Final = 0.1
_REPORT_SECONDS: Final = 60.0

_log = logging.getLogger("nestmate.network")


@dataclass(slots=True, eq=False)
class Connection:
    """One secured and multiplexed connection.

    ``group`` is what limits count as its IP address, empty if they do not count it;
    ``speaks`` and ``places`` are what its other end says of itself. It is ``settled``
    once that is known or cannot be, and ``announced`` once the node knows of the peer.
    """

    peer: PeerId
    place: Place
    inbound: bool
    group: str
    muxer: Muxer = field(init=False, repr=False)
    speaks: frozenset[str] = frozenset()
    places: tuple[Place, ...] = ()
    settled: trio.Event = field(default_factory=trio.Event)
    announced: trio.Event = field(default_factory=trio.Event)


Entrance = Callable[[Connection, Stream], Awaitable[None]]
Tell = Callable[[NetworkInput], Awaitable[None]]


class Watcher(Protocol):
    """Whoever wants to know which peers are up."""

    def peer_is_up(self, connection: Connection) -> None:
        """The first connection with a peer stands."""
        ...

    def peer_is_down(self, peer: PeerId) -> None:
        """The last connection with a peer is gone."""
        ...


class Host:
    """This node's end of all its connections."""

    def __init__(
        self, options: NetworkOptions, counters: Counters, peer: PeerId
    ) -> None:
        self.options = options
        self.counters = counters
        self.bans = Bans(options.kept)
        self.peer = peer
        self.budgets = Budgets()
        self.allowances = Budgets(SENT_SHARE)
        self.limiter = InboundLimiter(options, counters)
        self.places: tuple[Place, ...] = ()
        self.pinned: set[PeerId] = set()
        self.entrances: dict[str, Entrance] = {}
        self.open_entrances: frozenset[str] = frozenset()
        self.watchers: list[Watcher] = []
        self.introduce: Callable[[Connection], Awaitable[bool]] | None = None
        self._connections: dict[PeerId, list[Connection]] = {}
        self._total = 0
        self._report_after = float("-inf")

    def __repr__(self) -> str:
        return f"<Host {self.peer.short}, {len(self._connections)} peers>"

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Everybody who is up."""
        return tuple(self._connections)

    def connection(self, peer: PeerId) -> Connection | None:
        """The newest connection with a peer that is up."""
        connections = self._connections.get(peer)
        return connections[-1] if connections else None

    async def open_stream(
        self, peer: PeerId, protocols: Sequence[str]
    ) -> tuple[Stream, str]:
        """A new stream to a peer that is up, and the protocol agreed on.

        Raises GoneError if the peer is not there, RemoteError if it speaks none.
        """
        connection = self.connection(peer)
        if connection is None:
            raise GoneError("not connected")
        return await self.open_stream_on(connection, protocols)

    async def open_stream_on(
        self, connection: Connection, protocols: Sequence[str]
    ) -> tuple[Stream, str]:
        """As ``open_stream``, on a connection that may not be up yet."""
        with trio.move_on_after(NEGOTIATE_SECONDS_MAX):
            stream = await connection.muxer.open()
            try:
                return stream, await propose(stream, protocols)
            except BaseException:
                stream.reset()
                raise
        raise GoneError("no answer")

    def hang_up(self, peer: PeerId) -> None:
        """Close every connection with a peer."""
        for connection in tuple(self._connections.get(peer, ())):
            connection.muxer.stop()

    def blame(self, peer: PeerId, fault: Fault) -> None:
        """Count a fault against a peer; too many shut the door to it."""
        count_fault(self.counters, fault)
        if not self.bans.strike_peer(peer, fault):
            return
        self.counters.bans += 1
        for connection in self._connections.get(peer, ()):
            if connection.group and peer not in self.pinned:
                self.bans.shut_address(connection.group)
        self.hang_up(peer)

    # --- a connection's life ---

    async def serve(self, connection: Connection, channel: SecureChannel) -> None:
        """See a connection through to its end, if it is welcome at all."""
        try:
            if self._welcomes(connection):
                await self._live(connection, channel)
        except Exception:  # noqa: BLE001 - one peer must not cost the node
            self.blame(connection.peer, Fault.OVER_LIMIT)
            self.report(f"a connection of {connection.peer.short}")
        finally:
            connection.settled.set()
            channel.close()

    def _welcomes(self, connection: Connection) -> bool:
        peer = connection.peer
        if peer == self.peer or self.bans.bars_peer(peer):
            return False
        pinned = peer in self.pinned
        if connection.inbound:
            if not self.budgets.of(peer).arrivals.take():
                self.blame(peer, Fault.OVER_LIMIT)
                return False
            if not self.limiter.has_room_for(pinned=pinned):
                self.counters.dropped += 1
                return False
        return pinned or self._total < self.options.connections_max

    async def _live(self, connection: Connection, channel: SecureChannel) -> None:
        connection.muxer = Muxer(
            channel,
            dialler=not connection.inbound,
            welcome=partial(self._welcome, connection),
        )
        self._total += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._get_to_know, connection)
                nursery.start_soon(watch, connection.muxer, self.options.ping_seconds)
                try:
                    await connection.muxer.run()
                except RemoteError as error:
                    self.blame(connection.peer, error.fault)
                nursery.cancel_scope.cancel()
        finally:
            self._total -= 1
            self._lose(connection)

    async def _get_to_know(self, connection: Connection) -> None:
        """Ask who it is; whoever is not of our network has no business here."""
        ours = False
        with trio.move_on_after(INTRODUCE_SECONDS_MAX):
            try:
                ours = self.introduce is None or await self.introduce(connection)
            except GoneError:
                pass
            except RemoteError as error:
                self.blame(connection.peer, error.fault)
        barred = self.bans.bars_peer(connection.peer)
        if not ours or barred or connection.muxer.closed.is_set():
            connection.muxer.stop()
            return
        others = self._connections.setdefault(connection.peer, [])
        others.append(connection)
        if len(others) == 1:
            self._tell_up(connection)
        else:
            connection.announced = others[0].announced
        connection.settled.set()
        if len(others) > CONNECTIONS_PER_PEER_MAX:
            others[0].muxer.stop()
        elif len(others) > 1:
            await self._probe(others[0])

    async def _probe(self, older: Connection) -> None:
        """A peer that connects again may have restarted: see if it was reborn."""
        with trio.move_on_after(PROBE_SECONDS):
            try:
                if await older.muxer.ping():
                    return
            except GoneError:
                pass
        older.muxer.stop()
        heir = self.connection(older.peer)
        if heir is not None and heir is not older:
            self._tell_down(older.peer)
            self._tell_up(heir)

    def _lose(self, connection: Connection) -> None:
        others = self._connections.get(connection.peer, [])
        if connection in others:
            others.remove(connection)
            if not others:
                del self._connections[connection.peer]
                self._tell_down(connection.peer)

    def _tell_up(self, connection: Connection) -> None:
        for watcher in self.watchers:
            watcher.peer_is_up(connection)

    def _tell_down(self, peer: PeerId) -> None:
        for watcher in self.watchers:
            watcher.peer_is_down(peer)

    def report(self, what: str) -> None:
        """Count a failure nobody foresaw, and log it at most once a minute."""
        self.counters.dropped += 1
        now = trio.current_time()
        if now >= self._report_after:
            self._report_after = now + _REPORT_SECONDS
            _log.exception("unforeseen: %s", what)

    async def _welcome(self, connection: Connection, stream: Stream) -> None:
        """Serve one stream that came in; nothing it causes may leave this function."""
        try:
            with trio.fail_after(NEGOTIATE_SECONDS_MAX):
                protocol = await agree(stream, self.entrances)
            if protocol not in self.open_entrances:
                await connection.settled.wait()
                await connection.announced.wait()
            await self.entrances[protocol](connection, stream)
        except (GoneError, trio.TooSlowError):
            stream.reset()
        except RemoteError as error:
            stream.reset()
            self.blame(connection.peer, error.fault)
        except Exception:  # noqa: BLE001 - one stream must not cost the node
            stream.reset()
            self.blame(connection.peer, Fault.OVER_LIMIT)
            self.report(f"a stream of {connection.peer.short}")
        finally:
            stream.close()
