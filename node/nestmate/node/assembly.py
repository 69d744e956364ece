"""A node put together: home, identity, store, core and network become one thing.

``open_node`` is the only place that knows all the parts; what it yields is what the
operations see. What the network wants to remember across restarts is kept in the
store now and then, and at the end.
"""

import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import trio

from nestmate.config import Config, Sense, Urgency
from nestmate.errors import StoreError
from nestmate.home import Home
from nestmate.keyfile import LocalIdentity
from nestmate.network.base import Network, NetworkOptions
from nestmate.node.cursors import Cursors
from nestmate.node.events import EventFeed, Retention
from nestmate.node.shell import Shell
from nestmate.store.ahead import Ahead
from nestmate.store.base import BootReport, KeyValue
from nestmate_protocol.clocks import Moment
from nestmate_protocol.core import Core, Identity, Settings
from nestmate_protocol.directory.topics import network_id
from nestmate_protocol.effects import Notify, Save
from nestmate_protocol.inputs import Request

NETWORK_KEY = b"n/kept"
NETWORK_KEPT_EVERY_SECONDS = 60.0
VOUCH_EVERY_SECONDS = 1.0


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> Moment:
        """Unix time and monotonic time, in milliseconds."""
        return Moment(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)


@dataclass(slots=True)
class Node:
    """A running node as its doors see it; ``started`` is when it came up."""

    home: Home
    config: Config
    identity: LocalIdentity
    boot: BootReport
    started: Moment
    shell: Shell
    cursors: Cursors
    stopping: trio.Event = field(default_factory=trio.Event)

    @property
    def events(self) -> EventFeed:
        """What happened here."""
        return self.shell.events

    @property
    def network(self) -> Network:
        """The network, for its figures."""
        return self.shell.network

    @property
    def store_trouble(self) -> str:
        """Why the disk takes no writes, as a sentence; empty if it does."""
        return self.shell.store_trouble

    async def ask(self, request: Request) -> object:
        """Put one request to the core; raises the NodeError its refusal stands for."""
        return await self.shell.ask(request)

    async def keep(self, make: Callable[[], Sequence[Save | Notify]]) -> None:
        """Write and tell what the node itself has to; see the shell."""
        await self.shell.keep(make)

    def stop(self) -> None:
        """Ask whoever runs this node to end it; returns at once."""
        self.stopping.set()


@asynccontextmanager
async def open_node(
    home: Home, config: Config, identity: LocalIdentity, store: KeyValue
) -> AsyncIterator[Node]:
    """Run a node until left; the store is closed at the end, whatever happens."""
    clock = SystemClock()
    with closing(store):
        network = _network(config, identity, store.get(NETWORK_KEY) or b"")
        ahead = Ahead(store)
        core = Core(
            Identity(
                device=identity.key,
                log=identity.log,
                peer=identity.peer,
                called=config.name,
                network=network_id(config.network),
            ),
            Settings(
                carry=config.sense is Sense.ALL,
                urgency_by_rank=config.urgency is Urgency.RANK,
            ),
            os.urandom,
            store.report.incarnation,
            ahead,
        )
        limits = config.limits
        retention = Retention(limits.events_max, limits.events_bytes_max)
        shell = Shell(core, store, network, clock, ahead, retention=retention)
        started = clock.now()
        async with shell.running(), trio.open_nursery() as nursery:
            nursery.start_soon(_keep_network, network, store)
            nursery.start_soon(_vouch, store)
            cursors = Cursors(store, shell.events.last_seq)
            yield Node(home, config, identity, store.report, started, shell, cursors)
            nursery.cancel_scope.cancel()
        _keep_once(network, store)


def _network(config: Config, identity: LocalIdentity, kept: bytes) -> Network:
    from nestmate.network.libp2p.network import (  # noqa: PLC0415 - a second to load
        Libp2pNetwork,
    )

    return Libp2pNetwork(
        NetworkOptions(
            host_seed=identity.host_seed,
            network=network_id(config.network),
            listen=config.listen,
            announce=config.announce,
            loopback_is_one_ip=config.loopback_is_one_ip,
            mdns=config.mdns,
            connections_max=config.limits.connections_max,
            connections_in_max=config.limits.connections_in_max,
            connections_per_ip_max=config.limits.connections_per_ip_max,
            kept=kept,
        )
    )


async def _keep_network(network: Network, store: KeyValue) -> None:
    while True:
        await trio.sleep(NETWORK_KEPT_EVERY_SECONDS)
        _keep_once(network, store)


async def _vouch(store: KeyValue) -> None:
    while True:
        await trio.sleep(VOUCH_EVERY_SECONDS)
        store.vouch()


def _keep_once(network: Network, store: KeyValue) -> None:
    kept = network.keep()
    if kept != store.get(NETWORK_KEY):
        try:
            store.write([(NETWORK_KEY, kept)], durable=False)
        except StoreError:
            return  # the loop tells of a full disk; bans are not worth a second word
