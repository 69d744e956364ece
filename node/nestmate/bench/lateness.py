"""Lateness: how long a trio loop keeps somebody waiting who asks it for a wake-up.

A probe is due at moments a fixed period apart. Whoever comes late for several of them
is late for each, so that a long stall counts with every moment that fell into it, as
it would for whoever knocks at any time. Run as a program this is a node of a home, or
a loop with nothing else in it, that writes down at its end how late its probe was, and
how long each pass of the loop took of the processor's time.
This file knows nothing of what keeps a loop busy.
"""

import signal
import sys
import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from nestmate.home import Home

if TYPE_CHECKING:
    from nestmate.node.assembly import Node

PROGRAM: Final = "nestmate.bench.lateness"
NOTHING: Final = "nothing"
"""The command that asks for a loop with nothing in it."""
UP: Final = "up"
"""The file that says that such a loop runs, and ends in order on SIGTERM."""
PERIOD_SECONDS: Final = 0.002
SAMPLES_MAX: Final = 1_000_000
STEP_SECONDS: Final = 0.000_1
_LATE: Final = "late"
_PASSES: Final = "passes"


class Passes(trio.abc.Instrument):
    """Notes when a pass of the loop ended, and how much of the processor it took.

    A pass is all that is done between two looks at what the world has to say. Unlike
    what a probe notes it does not grow with whatever else this machine is busy with.
    """

    def __init__(self) -> None:
        self.noted = array("d")
        self._began = time.thread_time()

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the port's
        """A pass begins."""
        self._began = time.thread_time()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the port's
        """It has ended."""
        if len(self.noted) < 2 * SAMPLES_MAX:
            self.noted.extend((time.monotonic(), time.thread_time() - self._began))


class Probe:
    """Notes when it was due, by the machine's monotonic clock, and how late it came."""

    def __init__(self) -> None:
        self.noted = array("d")

    def __repr__(self) -> str:
        return f"<Probe {len(self.noted) // 2} samples>"

    async def run(self) -> None:
        """Ask for wake-ups until cancelled."""
        due = time.monotonic() + PERIOD_SECONDS
        while len(self.noted) < 2 * SAMPLES_MAX:
            await trio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            while due <= now:
                self.noted.extend((due, now - due))
                due += PERIOD_SECONDS


@dataclass(frozen=True, slots=True)
class Noted:
    """What was noted between two moments, in seconds.

    ``late`` is of the probe; ``left`` of the processor's time: how much was left of
    the pass of the loop at moments a fixed period of that time apart.
    """

    late: list[float]
    left: list[float]


def noted(folder: Path, began: float, ended: float) -> Noted:
    """What a program that has ended wrote down there."""
    late = _read(folder / _LATE, began, ended)
    left: list[float] = []
    for took in _read(folder / _PASSES, began, ended):
        left += [took - at * STEP_SECONDS for at in range(ceil(took / STEP_SECONDS))]
    return Noted(late, left)


def _read(file: Path, began: float, ended: float) -> list[float]:
    found = array("d")
    found.frombytes(file.read_bytes())
    pairs = zip(found[::2], found[1::2], strict=True)
    return [seconds for at, seconds in pairs if began <= at <= ended]


def _save(pairs: "array[float]", file: Path) -> None:
    file.write_bytes(pairs.tobytes())


def folder_of(home: str) -> Path:
    """Where the node of a home writes it down."""
    return Home(Path(home)).log


async def _watched(main: Callable[[], Awaitable[None]], folder: Path) -> None:
    probe, passes = Probe(), Passes()
    trio.lowlevel.add_instrument(passes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe.run)
        await main()
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(passes)
    _save(probe.noted, folder / _LATE)
    _save(passes.noted, folder / _PASSES)


async def _run_node(home: Home) -> None:
    from nestmate.daemon import run_daemon  # noqa: PLC0415 - loads the network

    async def ready(_: "Node") -> None:
        await trio.lowlevel.checkpoint()

    config = home.read_config()
    await run_daemon(home, config, passphrase=None, recover=False, ready=ready)


async def _run_nothing(folder: Path) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        (folder / UP).touch()
        async for _ in signals:
            return


def _run(home: str, command: str) -> None:
    """Both are called as ``nestmate`` itself is: by a home and a command."""
    if command == NOTHING:
        folder = Path(home)
        trio.run(_watched, lambda: _run_nothing(folder), folder)
    else:
        trio.run(_watched, lambda: _run_node(Home(Path(home))), folder_of(home))


if __name__ == "__main__":
    _, _, _home, _, _command = sys.argv  # --home HOME --json COMMAND
    _run(_home, _command)
