"""Million: two real nodes that share two spaces of a million ops each.

Both nodes are made, joined and stopped as a person would do it. Then their stores are
filled: every op is signed once, admitted by the engine of the first and its rows are
written to both, as if the second had heard them all. What is measured afterwards goes
through the nodes' own doors. ``NESTMATE_BENCH_OPS`` is how many ops a space gets
instead. One run, not five rounds. Needs ``/proc``.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from nestmate.bench.figures import Figure, Unit
from nestmate.bench.filling import fill, path_of
from nestmate.bench.homes import (
    POLL_SECONDS,
    cpu_seconds,
    resident_mebibytes,
    running_nodes,
)
from nestmate.errors import NodeError, TimedOutError, UsageError
from nestmate.home import Home
from nestmate.store.leveldb import open_leveldb
from nestmate.testnet.net import Member, Testnet, start, stop

OPS: Final = 1_000_000
OPS_QUICK: Final = 200
OPS_VARIABLE: Final = "NESTMATE_BENCH_OPS"
SPACES: Final = ("one", "two")
TIMES: Final = 5
GIVE_UP_SECONDS: Final = 300.0
_MS: Final = 1e3
_MEBIBYTE: Final = 1 << 20


def measure(quick: bool) -> Iterable[Figure]:
    """Filling, restart, reads and writes of one node, and the two in comparison."""
    count = OPS_QUICK if quick else _ops()
    with running_nodes(2) as net:
        _share(net)
        empty = resident_mebibytes(_pid(net.member(1)))
        for each in net.members:
            stop(each)
        homes = [Path(each.home) for each in net.members]
        filled = fill(homes, SPACES, count)
        rate = filled.ops / filled.seconds
        yield Figure("million.fill", Unit.PER_SECOND, 0, rate)
        store = Home(Path(net.member(1).home)).store
        yield Figure(
            "million.disk",
            Unit.MEBIBYTES,
            filled.octets / _MEBIBYTE,
            sum(each.stat().st_size for each in store.rglob("*") if each.is_file())
            / _MEBIBYTE,
        )
        yield from _alone(net, empty)
        yield from _together(net)


def _ops() -> int:
    text = os.environ.get(OPS_VARIABLE, str(OPS))
    if not text.isdecimal() or not int(text):
        raise UsageError(f"{OPS_VARIABLE} is {text!r}.", "Give a whole number.")
    return int(text)


# --- before


def _share(net: Testnet) -> None:
    """Both nodes are members of both spaces, and hold the same."""
    first, second = net.members
    for name in SPACES:
        first.client.space.create(name)
        second.client.space.join(first.client.space.invite(name, "read,write").invite)
        _wait(partial(_is_equal, second, name))
        _wait(partial(_is_equal, first, name))


def _is_equal(member: Member, space: str) -> bool:
    if member.client.space.show(space).standing != "member":
        return False
    return bool(member.client.space.sync(space).equal)


def _wait(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not fact():
        if time.monotonic() > deadline:
            raise TimedOutError("The nodes did not come to hold the same.")
        time.sleep(POLL_SECONDS)


def _pid(member: Member) -> int:
    if member.process is None:
        raise NodeError("The node that was to be watched does not run.")
    return member.process.pid


# --- what is measured of one node


def _alone(net: Testnet, empty_mebibytes: float) -> Iterable[Figure]:
    """The first node starts again with all that, and is asked."""
    member = net.member(1)
    raw = _seconds_to_open(Home(Path(member.home)).store)
    ready = _seconds(lambda: start(net, member))
    yield Figure("million.ready", Unit.SECONDS, raw, ready)
    get = _seconds(lambda: member.client.get(SPACES[0], path_of(0))) * _MS
    again = _median_ms(lambda n: member.client.get(SPACES[0], path_of(n)))
    yield Figure("million.get", Unit.MILLISECONDS, again, get)
    ready_mebibytes = resident_mebibytes(_pid(member))
    yield Figure(
        "million.memory-ready", Unit.MEBIBYTES, empty_mebibytes, ready_mebibytes
    )
    put = _median_ms(lambda n: member.client.put(SPACES[0], f"new/{n}", {"n": n}))
    yield Figure("million.put", Unit.MILLISECONDS, 0, put)
    show = _seconds(partial(member.client.space.show, SPACES[1]))
    yield Figure("million.show", Unit.SECONDS, 0, show)
    unchanged = _median_ms(lambda _: member.client.space.show(SPACES[1]))
    changed = _median_ms(partial(_shown_after_a_put, member))
    yield Figure("million.show-again", Unit.MILLISECONDS, unchanged, changed)
    used = resident_mebibytes(_pid(member))
    yield Figure("million.memory", Unit.MEBIBYTES, empty_mebibytes, used)


def _shown_after_a_put(member: Member, number: int) -> None:
    member.client.put(SPACES[1], f"new/{number}", number)
    member.client.space.show(SPACES[1])


def _seconds_to_open(store: Path) -> float:
    began = time.perf_counter()
    open_leveldb(store).close()
    return time.perf_counter() - began


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _median_ms(work: Callable[[int], object]) -> float:
    took = [_seconds(partial(work, number)) for number in range(1, TIMES + 1)]
    return statistics.median(took) * _MS


# --- what is measured of both


def _together(net: Testnet) -> Iterable[Figure]:
    """The second node comes, lacks the few last writes, and then nothing."""
    first, second = net.members
    start(net, second)
    met = _seconds(lambda: _wait(lambda: _are_equal(first)))
    yield Figure("million.met", Unit.SECONDS, 0, met)
    pids = [_pid(each) for each in net.members]
    before = sum(map(cpu_seconds, pids))
    same = _median_ms(lambda _: first.client.space.sync(SPACES[0]))
    used = (sum(map(cpu_seconds, pids)) - before) / TIMES * _MS
    yield Figure("million.same", Unit.MILLISECONDS, 0, same)
    yield Figure("million.same-cpu", Unit.MILLISECONDS, 0, used)
    heard = _median_ms(lambda n: _passed_on(first, second, n))
    yield Figure("million.heard", Unit.MILLISECONDS, 0, heard)
    states = {each.client.space.show(SPACES[0]).state for each in net.members}
    if len(states) != 1:
        raise NodeError("The nodes that were compared hold different states.")


def _are_equal(member: Member) -> bool:
    return all(member.client.space.sync(name).equal for name in SPACES)


def _passed_on(first: Member, second: Member, number: int) -> None:
    """One write at the first, until the second shows it."""
    path = f"heard/{number}"
    version = first.client.put(SPACES[0], path, number).version

    def is_there() -> bool:
        found = second.client.ls(SPACES[0], path).documents
        return any(each.version == version for each in found)

    _wait(is_there)
