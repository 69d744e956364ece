"""A door on a Unix socket, with a node behind it whose answers the test decides.

Keeps the rule that the door is real and only the node is a fake: Hypercorn listens on
a socket, the event feed is the node's own. Knows nothing of the core.
"""

import contextlib
import http.client
import json
import os
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from nestmate.doors.http import serve_http
from nestmate.home import Home
from nestmate.node.cursors import Cursors
from nestmate.node.events import EventFeed, Retention
from nestmate.operations.perform import Meter
from nestmate.store.memory import MemoryDisk
from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.requests import ShowStatus, StatusView
from nestmate_protocol.effects import Notify, Save
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.signals.requests import ListSignals, TaskViews

PATIENCE_SECONDS = 60


class FakeNode:
    """Answers each kind of request with what the test has laid out for it."""

    KEPT: ClassVar[Retention] = Retention(events_max=2_000)

    def __init__(self, home: Home) -> None:
        self.home = home
        self.store = MemoryDisk().open()
        self.events = EventFeed(self.store, self.KEPT)
        self.cursors = Cursors(self.store, 0)
        self.asked: list[object] = []
        self.answers: dict[type, object] = {
            ShowStatus: status_view(),
            ListSignals: TaskViews(()),
        }
        self.stopped = False
        self.store_trouble = ""
        self.waiting = 0

    async def ask(self, request: object) -> object:
        self.asked.append(request)
        answer = self.answers[type(request)]
        if answer is Door.WAIT:
            self.waiting += 1
            try:
                await trio.sleep_forever()
            finally:
                self.waiting -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        self.stopped = True

    async def keep(self, make: Callable[[], Sequence[Save | Notify]]) -> None:
        effects = make()
        for effect in effects:
            if isinstance(effect, Save):
                self.store.write(effect.writes, durable=True)
        self.tell(each for each in effects if isinstance(each, Notify))

    def happen(self, *kinds: str, **details: Any) -> None:
        self.tell(Notify(kind, details=details) for kind in kinds)

    def tell(self, notices: Iterable[Notify]) -> None:
        writes = self.events.record(notices, Moment(1_700_000_000_123, 0))
        self.store.write(writes, durable=False)
        self.events.tell()


def status_view(**changes: Any) -> StatusView:
    figures = {
        "address": Address(bytes(32)),
        "peer": PeerId(bytes(32)),
        "network": NetworkId(bytes(32)),
        "multiaddrs": ("/ip4/127.0.0.1/tcp/4001",),
        "peers": 1,
        "contacts": 1,
        "skills": (),
        "tasks_own": 0,
        "tasks_sensed": 0,
        "claims": 0,
        "spaces": 2,
        "up_seconds": 1.5,
        "faults": (("bad signature", 3),),
    }
    return StatusView(**(figures | changes))


@dataclass
class Door:
    """The door as a test sees it: a node to prepare, and a socket to call."""

    WAIT: ClassVar[object] = object()

    node: FakeNode
    path: Path
    when: Callable[[Callable[[], object]], None]
    meter: Meter = field(default_factory=Meter)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    token: trio.lowlevel.TrioToken | None = None
    thread: threading.Thread | None = None

    def open(self) -> None:
        started = threading.Event()
        self.thread = threading.Thread(target=trio.run, args=(self._serve, started))
        self.thread.start()
        self.when(lambda: started.is_set() or not self.thread.is_alive())
        assert started.is_set()

    async def _serve(self, started: threading.Event) -> None:
        self.token = trio.lowlevel.current_trio_token()
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(serve_http, self.node, meter=self.meter))
                started.set()

    def shut(self) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            self.on_loop(self.scope.cancel)
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()

    def on_loop(self, what: Callable[..., Any], *args: Any, **named: Any) -> Any:
        call = partial(what, *args, **named)
        return trio.from_thread.run_sync(call, trio_token=self.token)

    def readers(self) -> int:
        """How many wait for the next event."""
        return self.on_loop(lambda: self.node.events._news.statistics().tasks_waiting)

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE_SECONDS)
        sock.connect(os.fspath(self.path))
        return sock

    def call(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and decoded body of one request over a new connection."""
        told = {"Host": "localhost"}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            told["Content-Type"] = "application/json"
        with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
            connection.sock = self.connect()
            with contextlib.suppress(BrokenPipeError):  # refused before all was sent
                connection.request(method, target, data, told | (headers or {}))
            answer = connection.getresponse()
            raw, kind = answer.read(), answer.headers.get("Content-Type", "")
            said = json.loads(raw) if "json" in kind else raw.decode()
            return answer.status, dict(answer.headers), said

    def stream(self, target: str, **headers: str) -> socket.socket:
        """A connection that has asked for Server-Sent Events."""
        sock = self.connect()
        lines = [f"GET {target} HTTP/1.1", "Host: localhost"]
        lines += ["Accept: text/event-stream"]
        lines += [
            f"{name.replace('_', '-')}: {value}" for name, value in headers.items()
        ]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        return sock


@pytest.fixture(name="status_view")
def make_status_view():
    return status_view


@pytest.fixture
def fake_node(tmp_home):
    home = Home(tmp_home)
    home.run.mkdir(parents=True)
    return FakeNode(home)


@pytest.fixture
def door(fake_node, until):
    """The HTTP door of a fake node, served in a thread of its own."""
    door = Door(fake_node, fake_node.home.api_socket, until)
    door.open()
    yield door
    door.shut()
    assert not door.path.exists()
