"""Bare networks as raw twins: our libp2p network alone, each in its own process.

All of them are connected to each other and share one topic. What one hears comes back
here with the moment it was heard. This file knows nothing of what is compared.
"""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

from nestmate.errors import NodeError, TimedOutError

ANSWER_SECONDS_MAX: Final = 30.0
WARM_SECONDS: Final = 1.0
END_SECONDS_MAX: Final = 10.0
_MODULE: Final = "nestmate.bench.bare_node"
_NANOSECONDS: Final = 1e9

Said = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Bare:
    """One bare network: its process, who it is and where."""

    pid: int
    peer: str
    multiaddrs: list[str]
    input: IO[bytes]
    said: "queue.Queue[Said]"

    def tell(self, what: dict[str, Any]) -> None:
        """Give it an order."""
        self.input.write(json.dumps(what).encode() + b"\n")
        self.input.flush()


@contextmanager
def bare_networks(count: int) -> Iterator[list[Bare]]:
    """So many bare networks, all connected to each other; ended when left."""
    said: queue.Queue[Said] = queue.Queue()
    with ExitStack() as stack:
        inputs: dict[int, tuple[int, IO[bytes]]] = {}
        for number in range(count):
            process = stack.enter_context(_process())
            if process.stdin is None or process.stdout is None:
                raise NodeError("A bare network has no pipes.")
            inputs[number] = process.pid, process.stdin
            reading = threading.Thread(
                target=_read, args=(number, process.stdout, said), daemon=True
            )
            reading.start()
        born = _gather(said, lambda _, what: "peer" in what, count)
        networks = [
            Bare(pid, born[number]["peer"], born[number]["multiaddrs"], file, said)
            for number, (pid, file) in inputs.items()
        ]
        for number, network in enumerate(networks):
            for other in networks[:number]:
                network.tell({"dial": [other.peer, other.multiaddrs]})
                _gather(said, lambda _, what: "up" in what, 2)
        yield networks


def warm_up(networks: list[Bare]) -> None:
    """Publish until one message of each network has reached all others."""
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    number = 1 << 20
    for sender in range(len(networks)):
        while True:
            number += 1
            if len(deliveries(networks, sender, number)) == len(networks) - 1:
                break
            if time.monotonic() > deadline:
                raise TimedOutError("The bare networks do not hear each other.")


def deliveries(networks: list[Bare], sender: int, number: int) -> list[float]:
    """How long a message took to each of the others, in seconds; lost ones lack."""
    said = networks[0].said
    networks[sender].tell({"publish": number})
    published: int | None = None
    heard: list[int] = []
    deadline = time.monotonic() + WARM_SECONDS
    while published is None or len(heard) < len(networks) - 1:
        try:
            _, what = said.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if what.get("published") == number:
            published = what["at"]
        elif what.get("heard") == number:
            heard.append(what["at"])
    return [(at - (published or at)) / _NANOSECONDS for at in heard]


@contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", _MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _read(number: int, output: IO[bytes], said: "queue.Queue[Said]") -> None:
    with output:
        for line in output:
            said.put((number, json.loads(line)))


def _gather(said: "queue.Queue[Said]", wanted: Any, count: int) -> dict[int, Any]:
    """What ``count`` networks said that was waited for, by their number."""
    found: dict[int, Any] = {}
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while len(found) < count:
        try:
            number, what = said.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimedOutError("A bare network did not answer in time.") from None
        if wanted(number, what):
            found[number] = what
    return found
