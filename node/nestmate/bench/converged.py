"""Converged: what nodes wrote while each was alone, until all of them hold the same.

Four real nodes share a space. One after the other runs alone and is written to through
its own door; then all of them run, and the clock counts from the moment the last one
answers until every state hash is equal. The raw twin is the same number of ops, opened
and verified one after the other by one thread: nobody can agree on what was not read.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from nestmate.bench.figures import Figure, Unit, at_most
from nestmate.bench.homes import POLL_SECONDS, running_nodes
from nestmate.errors import TimedOutError
from nestmate.operations.spaces import Space
from nestmate.testnet.net import Member, Testnet, start, stop
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.ops import (
    NO_SPACE,
    Lane,
    Mutation,
    Place,
    Type,
    open_op,
    sign_op,
)

NODES: Final = 4
NODES_QUICK: Final = 2
OPS: Final = 10_000
OPS_QUICK: Final = 20
SECONDS_MAX: Final = 10
GIVE_UP_SECONDS: Final = 300.0
WRITERS: Final = 4
LOOK_SECONDS: Final = 0.25  # a state hash reads all that is live
SPACE: Final = "bench"
NOTE: Final = "x" * 40


def measure(quick: bool) -> Iterable[Figure]:
    """Seconds until all hold the same, ops written per second, and ops agreed on."""
    nodes, ops = (NODES_QUICK, OPS_QUICK) if quick else (NODES, OPS)
    raw = _seconds_to_read(ops)
    with running_nodes(nodes) as net:
        _share(net)
        wrote = _write_apart(net, ops // nodes)
        settled = _seconds_to_agree(net)
    target = at_most(SECONDS_MAX, Unit.SECONDS)
    yield Figure("converged.seconds", Unit.SECONDS, raw, settled, target)
    yield Figure("converged.writes", Unit.PER_SECOND, ops / raw, ops / wrote)
    yield Figure("converged.rate", Unit.PER_SECOND, ops / raw, ops / settled)


def _share(net: Testnet) -> None:
    """All nodes are members of one space."""
    first, *others = net.members
    first.client.space.create(SPACE)
    invite = first.client.space.invite(SPACE, "read,write").invite
    for each in others:
        each.client.space.join(invite)
    _wait(lambda: all(_shown(each).standing == "member" for each in others))


def _shown(member: Member) -> Space:
    return member.client.space.show(SPACE)


def _write_apart(net: Testnet, ops: int) -> float:
    """So many writes at each node while it runs alone; how long they took together."""
    for each in net.members:
        stop(each)
    took = 0.0
    for each in net.members:
        start(net, each)
        began = time.perf_counter()
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(partial(_put, each), range(ops)))
        took += time.perf_counter() - began
        stop(each)
    return took


def _put(member: Member, number: int) -> None:
    path = f"node{member.number}/{number}"
    member.client.put(SPACE, path, {"number": number, "note": NOTE})


def _seconds_to_agree(net: Testnet) -> float:
    with ThreadPoolExecutor(NODES) as pool:
        list(pool.map(partial(start, net), net.members))
    began = time.perf_counter()
    _wait(lambda: len({_shown(each).state for each in net.members}) == 1, LOOK_SECONDS)
    return time.perf_counter() - began


def _wait(fact: Callable[[], bool], pause_seconds: float = POLL_SECONDS) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not fact():
        if time.monotonic() > deadline:
            raise TimedOutError("The nodes did not come to hold the same.")
        time.sleep(pause_seconds)


def _seconds_to_read(count: int) -> float:
    """How long one thread takes to open and verify so many ops of that kind."""
    key, network = SigningKey(bytes(32)), NetworkId(bytes(32))
    place = Place(NO_SPACE, Lane.DATA, 0, None, 1 << 40, None, bytes(16))
    written = Mutation(Type.REGISTER, 0, "node1/1000")
    value = b'{"number":1000,"note":"' + NOTE.encode() + b'"}'
    data = sign_op(key, network, place, [written], [value]).data
    began = time.process_time()
    for _ in range(count):
        open_op(data, network)
    return time.process_time() - began
