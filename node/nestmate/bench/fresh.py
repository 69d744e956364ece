"""Fresh: a node that holds nothing of a space takes it all from one that holds it.

Two real nodes know each other, and the store of the first is filled while both are at
rest. Then they run again, the second joins the space and takes every op: over libp2p
on loopback, proved, admitted, into LevelDB. Meanwhile a probe in each node's
loop finds out how late the loop comes to whoever knocks. The raw twins are one thread
that only verifies as many signatures, and a loop that has nothing else to do, at the
same time on the same machine. One run, not five rounds. Needs ``/proc``.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final

from nestmate.bench.figures import (
    Figure,
    Unit,
    at_least_share,
    at_most,
    percentile,
)
from nestmate.bench.filling import fill, last_path
from nestmate.bench.homes import POLL_SECONDS, cpu_seconds, running_nodes
from nestmate.bench.lateness import NOTHING, PROGRAM, UP, Noted, folder_of, noted
from nestmate.bench.verifying import seconds_to_verify
from nestmate.errors import NodeError, TimedOutError
from nestmate.testnet.net import Member, start, stop
from nestmate.testnet.processes import spawn

OPS: Final = 30_000
OPS_QUICK: Final = 200
SPACE: Final = "bench"
SHARE_MIN: Final = 50
LAG_MS_MAX: Final = 10
GIVE_UP_SECONDS: Final = 300.0
END_SECONDS_MAX: Final = 10.0
_MS: Final = 1e3


@dataclass(frozen=True, slots=True)
class _Taken:
    """From when until when ops were taken in, and the processor's time of both nodes.

    By the machine's monotonic clock, in seconds.
    """

    began: float
    ended: float
    giver: float
    taker: float


def measure(quick: bool) -> Iterable[Figure]:
    """How fast all is taken in, and how late the loops are meanwhile."""
    ops = OPS_QUICK if quick else OPS
    with running_nodes(2) as net, _folder() as idle:
        giver, taker = net.members
        giver.client.space.create(SPACE)
        invite = giver.client.space.invite(SPACE, "read,write").invite
        for each in net.members:
            stop(each)
        fill([Path(giver.home)], [SPACE], ops)
        raw = seconds_to_verify(ops)
        for each in net.members:
            start(net, each, program=PROGRAM)
        _wait(lambda: taker.client.status().peers > 0)
        with _loop_with_nothing(idle):
            taken = _take(giver, taker, invite, last_path(ops))
        for each in net.members:
            stop(each)
        found = [
            noted(folder, taken.began, taken.ended)
            for folder in (idle, folder_of(taker.home), folder_of(giver.home))
        ]
    yield from _rates(ops, raw, taken)
    yield from _lags(*found)


def _rates(ops: int, raw: float, taken: _Taken) -> Iterable[Figure]:
    target = at_least_share(SHARE_MIN)
    for name, seconds, judged in (
        ("fresh.ops", taken.ended - taken.began, target),
        ("fresh.ops-cpu", taken.taker, target),
        ("fresh.ops-giver-cpu", taken.giver, None),
    ):
        yield Figure(name, Unit.PER_SECOND, ops / raw, ops / seconds, judged)


def _lags(raw: Noted, taker: Noted, giver: Noted) -> Iterable[Figure]:
    target = at_most(LAG_MS_MAX, Unit.MILLISECONDS)
    for name, percent, alone, ours, judged in (
        ("fresh.lag", 99, raw.late, taker.late, target),
        ("fresh.lag-worst", 100, raw.late, taker.late, None),
        ("fresh.lag-cpu", 99, raw.left, taker.left, target),
        ("fresh.lag-giver-cpu", 99, raw.left, giver.left, target),
    ):
        if not alone or not ours:
            raise NodeError("It was over before a probe was due.", "Give it more ops.")
        raw_ms, ours_ms = (percentile(each, percent) * _MS for each in (alone, ours))
        yield Figure(name, Unit.MILLISECONDS, raw_ms, ours_ms, judged)


def _take(giver: Member, taker: Member, invite: str, last: str) -> _Taken:
    """Let the taker join, and wait until it shows what was written last."""
    wanted = giver.client.get(SPACE, last).version
    pids = [_pid(each) for each in (giver, taker)]
    before = [cpu_seconds(pid) for pid in pids]
    began = time.monotonic()
    taker.client.space.join(invite)
    _wait(lambda: _version(taker, last) == wanted)
    ended = time.monotonic()
    used = [cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True)]
    _wait(lambda: taker.client.space.sync(SPACE).equal > 0)
    return _Taken(began, ended, *used)


def _version(member: Member, path: str) -> str:
    try:
        return member.client.get(SPACE, path).version
    except NodeError:  # it is not let in yet, or the path is not there
        return ""


def _pid(member: Member) -> int:
    if member.process is None:
        raise NodeError("The node that was to be watched does not run.")
    return member.process.pid


def _wait(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not fact():
        if time.monotonic() > deadline:
            raise TimedOutError("The nodes did not get so far in time.")
        time.sleep(POLL_SECONDS)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nm-bench-") as name:
        yield Path(name)


@contextmanager
def _loop_with_nothing(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", PROGRAM, "--home", str(folder), "--json", NOTHING]
    process = spawn(command, folder / "log", folder=str(folder))
    try:
        _wait((folder / UP).exists)
        yield
    finally:
        process.tell(SIGTERM)
        if not process.wait_gone(END_SECONDS_MAX):
            process.tell(SIGKILL)
            process.wait_gone(END_SECONDS_MAX)
