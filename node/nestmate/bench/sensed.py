"""Sensed: from an urgent deposit at one node to its being sensed at four others.

Both ends are doors: the deposit is an HTTP request, and whoever senses waits by long
poll, so that everything in between counts. The raw twin is gossip alone: five bare
networks, as connected as the nodes are, and a message as long. Every pair of a deposit
and a node that sensed it is one sample.
"""

import queue
import threading
import time
from collections.abc import Iterable
from itertools import count
from typing import Final

from nestmate.bench.bare import bare_networks, deliveries, warm_up
from nestmate.bench.figures import Figure, Unit, at_most, percentile
from nestmate.bench.homes import running_nodes
from nestmate.errors import NodeError, TimedOutError
from nestmate.testnet.net import Member, Testnet

NODES: Final = 5
NODES_QUICK: Final = 2
DEPOSITS: Final = 75  # fifteen of each node: an author's pace allows no more at once
DEPOSITS_QUICK: Final = 2
P50_MS_MAX: Final = 50
URGENCY: Final = 0.95
SKILL: Final = "bench"
SENSED_SECONDS_MAX: Final = 5.0
WARM_SECONDS_MAX: Final = 30.0
WARM_TRY_SECONDS: Final = 1.0
_MS: Final = 1_000.0

Sensed = tuple[str, float]


def measure(quick: bool) -> Iterable[Figure]:
    """Three figures: median, 99th percentile, and the share that arrived at all."""
    nodes, deposits = (NODES_QUICK, DEPOSITS_QUICK) if quick else (NODES, DEPOSITS)
    expected = deposits * (nodes - 1)
    raw = _samples_raw(nodes, deposits)
    ours = _samples_ours(nodes, deposits)
    if not raw or not ours:
        raise NodeError("Nothing that was called out was ever heard.")
    for name, percent, target in (
        ("sensed.p50", 50, at_most(P50_MS_MAX, Unit.MILLISECONDS)),
        ("sensed.p99", 99, None),
    ):
        yield Figure(
            name,
            Unit.MILLISECONDS,
            percentile(raw, percent) * _MS,
            percentile(ours, percent) * _MS,
            target,
        )
    shares = 100 * len(raw) / expected, 100 * len(ours) / expected
    yield Figure("sensed.share", Unit.PERCENT, *shares)


def _samples_raw(nodes: int, messages: int) -> list[float]:
    with bare_networks(nodes) as networks:
        warm_up(networks)
        return [
            seconds
            for number in range(messages)
            for seconds in deliveries(networks, number % nodes, number)
        ]


def _samples_ours(nodes: int, deposits: int) -> list[float]:
    with running_nodes(nodes) as net:
        news: queue.Queue[Sensed] = queue.Queue()
        for member in net.members:
            member.client.skill.add(SKILL)
            threading.Thread(target=_listen, args=(member, news), daemon=True).start()
        _warm_up(net, news)
        samples: list[float] = []
        for number in range(deposits):
            samples += _deposit(net, number % nodes, news, SENSED_SECONDS_MAX)
        return samples


def _listen(member: Member, news: "queue.Queue[Sensed]") -> None:
    """Tell of every signal a node senses, until the node is gone."""
    try:
        for event in member.client.follow(fields={"kinds": ["signal.sensed"]}):
            news.put((event.ref or "", time.perf_counter()))
    except NodeError:
        return


def _warm_up(net: Testnet, news: "queue.Queue[Sensed]") -> None:
    """Deposit until everybody senses it: topics are joined and everybody listens."""
    deadline = time.monotonic() + WARM_SECONDS_MAX
    for attempt in count():
        others = len(net.members) - 1
        turn = attempt % len(net.members)
        if len(_deposit(net, turn, news, WARM_TRY_SECONDS)) == others:
            return
        if time.monotonic() > deadline:
            raise TimedOutError("The nodes do not sense each other's signals.")


def _deposit(
    net: Testnet, turn: int, news: "queue.Queue[Sensed]", seconds_max: float
) -> list[float]:
    """How long one deposit took to be sensed at each other node, in seconds."""
    depositor = net.members[turn].client
    began = time.perf_counter()
    task = depositor.signal.deposit(SKILL, urgency=URGENCY).task
    samples: list[float] = []
    while len(samples) < len(net.members) - 1:
        left = began + seconds_max - time.perf_counter()
        try:
            ref, at = news.get(timeout=max(0.0, left))
        except queue.Empty:
            break
        if ref == task:
            samples.append(at - began)
    return samples
