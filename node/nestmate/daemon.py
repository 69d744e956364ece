"""The process behind ``nestmate up``: one node and its doors, until told to end.

It takes the home's lock before anything else, opens the doors once the node runs, and
ends in order on a signal or on ``nestmate down``. This file decides nothing about
what the node does.
"""

import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from logging.handlers import RotatingFileHandler

import trio

from nestmate.config import Config
from nestmate.doors.http import serve_http
from nestmate.doors.mcp_socket import serve_mcp
from nestmate.home import Home
from nestmate.keyfile import load_identity
from nestmate.node.assembly import Node, open_node
from nestmate.operations.perform import Meter
from nestmate.store.leveldb import open_leveldb

_log = logging.getLogger("nestmate")
_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


async def run_daemon(
    home: Home,
    config: Config,
    *,
    passphrase: str | None,
    recover: bool,
    ready: Callable[[Node], Awaitable[None]],
) -> None:
    """Run the node of a home until a signal or ``down``; ``ready`` is told once.

    ``recover`` rebuilds a damaged store from what can be proved whole.
    Raises HomeError, DeniedError or BusyError before anything is changed.
    """
    identity = load_identity(home.identity, passphrase=passphrase)
    home.prepare_run()
    store = open_leveldb(home.store, recover=recover)
    with _log_file(home, config), _pid_file(home):
        async with (
            open_node(home, config, identity, store) as node,
            trio.open_nursery() as nursery,
        ):
            meter = Meter()
            await nursery.start(partial(serve_http, node, meter=meter))
            await nursery.start(partial(serve_mcp, node, meter=meter))
            nursery.start_soon(_stop_on_signal, node)
            _log.info(
                "up address=%s peer=%s lost_batches=%d",
                identity.address.short,
                identity.peer.short,
                node.boot.lost_batches,
            )
            await ready(node)
            _settle_down()
            await node.stopping.wait()
            nursery.cancel_scope.cancel()
        _log.info("down address=%s", identity.address.short)


def _settle_down() -> None:
    """Let the collector of garbage pass over what is there for good from now on.

    Going through all the modules takes it some fifty milliseconds each time, and for
    so long nobody is answered.
    """
    gc.collect()
    gc.freeze()


async def _stop_on_signal(node: Node) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            node.stop()


@contextmanager
def _pid_file(home: Home) -> Iterator[None]:
    home.pid_file.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        home.pid_file.unlink(missing_ok=True)


@contextmanager
def _log_file(home: Home, config: Config) -> Iterator[None]:
    file = RotatingFileHandler(
        home.log_file,
        maxBytes=config.limits.log_bytes_max // 2,
        backupCount=1,
    )
    file.setFormatter(logging.Formatter(_FORMAT))
    _log.addHandler(file)
    _log.setLevel(config.log_level.upper())
    try:
        yield
    finally:
        _log.removeHandler(file)
        file.close()
