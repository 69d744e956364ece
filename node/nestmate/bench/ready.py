"""Ready: from the start of a node's process to its first answer, imports included.

The raw twin is a Python that loads the node's network and ends. Both by the wall
clock, in turns. The node says itself when it is ready; whether that is true is asked
through its door. This file knows nothing of what a node does until then.
"""

import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Final

from nestmate.bench.figures import ROUNDS, Figure, Unit, at_most, in_rounds
from nestmate.bench.homes import empty_home, python_alone, seconds_of
from nestmate.client import Client
from nestmate.errors import NodeError

READY_SECONDS_MAX: Final = 3.0
END_SECONDS_MAX: Final = 15.0
LOADING: Final = "import nestmate.network.libp2p.network"


def measure(quick: bool) -> Iterable[Figure]:
    """Two figures: until ready, and the loading of the network beside bare Python."""
    rounds = 1 if quick else ROUNDS
    loading = [sys.executable, "-c", LOADING]
    with empty_home() as home:
        pairs = [(seconds_of(loading)[0], _seconds(home)) for _ in range(rounds)]
    target = at_most(READY_SECONDS_MAX, Unit.SECONDS)
    yield in_rounds("ready.node", Unit.SECONDS, pairs, target)
    pairs = [
        (seconds_of(python_alone())[0], seconds_of(loading)[0]) for _ in range(rounds)
    ]
    yield in_rounds("ready.imports", Unit.SECONDS, pairs)


def _seconds(home: str) -> float:
    command = [sys.executable, "-m", "nestmate", "--home", home, "--json", "up"]
    began = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - ourselves
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            said = process.stdout.readline() if process.stdout else b""
            seconds = time.perf_counter() - began
            if not said or not Client(home).is_ready():
                raise NodeError("The node that was measured did not get ready.")
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
    return seconds
