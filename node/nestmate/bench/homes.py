"""Homes for benches: one node or five, made and ended as people would do it.

Also what a process takes up, as the kernel tells it. This file makes no figures.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nestmate.errors import NodeError, TimedOutError
from nestmate.testnet.net import Testnet, make_testnet, run_nestmate, take_down
from nestmate.testnet.processes import ending_in_order

MEET_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05
_UTIME, _STIME, _RSS = 11, 12, 21  # of what follows the name in stat; see proc(5)


@contextmanager
def running_nodes(count: int) -> Iterator[Testnet]:
    """So many nodes that are all connected to each other."""
    with ending_in_order(), _folder() as folder:
        net = make_testnet(folder / "net", count)
        try:
            deadline = time.monotonic() + MEET_SECONDS_MAX
            while any(each.client.status().peers < count - 1 for each in net.members):
                if time.monotonic() > deadline:
                    raise TimedOutError("The nodes did not find each other in time.")
                time.sleep(POLL_SECONDS)
            yield net
        finally:
            take_down(net)


@contextmanager
def empty_home() -> Iterator[str]:
    """A home in which no node runs."""
    with _folder() as folder:
        home = folder / "home"
        run_nestmate(str(home), "init")
        yield str(home)


def seconds_of(command: Sequence[str]) -> tuple[float, float]:
    """How long a command takes by the clock on the wall, and of the processor's time.

    No other child of this process may end meanwhile.
    """
    used, began = _used_by_children(), time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - our own
    return time.perf_counter() - began, _used_by_children() - used


def python_alone() -> list[str]:
    """The command of a Python that does nothing."""
    return [sys.executable, "-c", "pass"]


def cpu_seconds(pid: int) -> float:
    """How much of the processor's time a running process has used; needs /proc."""
    stat = _stat(pid)
    return (int(stat[_UTIME]) + int(stat[_STIME])) / os.sysconf("SC_CLK_TCK")


def resident_mebibytes(pid: int) -> float:
    """How much memory of a running process is resident; needs /proc."""
    return int(_stat(pid)[_RSS]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NodeError(f"Process {pid} cannot be watched: {error.strerror}.") from None
    return text.rpartition(")")[2].split()


def _used_by_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(
        prefix="nm-bench-", ignore_cleanup_errors=True
    ) as name:
        yield Path(name)
