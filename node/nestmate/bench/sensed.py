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
DEPOSITS: Final = 75  # fifteen of each node: an author's pace allows no more at once
DEPOSITS_QUICK: Final = 2
P50_MS_MAX: Final = 50
URGENCY: Final = 0.95
SKILL: Final = "bench"
SENSED_SECONDS_MAX: Final = 5.0
WARM_SECONDS_MAX: Final = 30.0
_MS: Final = 1_000.0

Sensed = tuple[str, float]


def measure(quick: bool) -> Iterable[Figure]:
    """Three figures: median, 99th percentile, and the share that arrived at all."""
    deposits = DEPOSITS_QUICK if quick else DEPOSITS
    expected = deposits * (NODES - 1)
    raw = _samples_raw(deposits)
    ours = _samples_ours(deposits)
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


def _samples_raw(messages: int) -> list[float]:
    with bare_networks(NODES) as networks:
        warm_up(networks)
        return [
            seconds
            for number in range(messages)
            for seconds in deliveries(networks, number % NODES, number)
        ]


def _samples_ours(deposits: int) -> list[float]:
    with running_nodes(NODES) as net:
        news: queue.Queue[Sensed] = queue.Queue()
        for member in net.members:
            member.client.skill.add(SKILL)
            threading.Thread(target=_listen, args=(member, news), daemon=True).start()
        _warm_up(net, news)
        samples: list[float] = []
        for number in range(deposits):
            depositor = net.members[number % NODES]
            samples += _deposit(depositor, news, SENSED_SECONDS_MAX)
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
        depositor = net.members[attempt % NODES]
        if len(_deposit(depositor, news, seconds_max=1.0)) == NODES - 1:
            return
        if time.monotonic() > deadline:
            raise TimedOutError("The nodes do not sense each other's signals.")


def _deposit(
    depositor: Member, news: "queue.Queue[Sensed]", seconds_max: float
) -> list[float]:
    """How long one deposit took to be sensed at each other node, in seconds."""
    began = time.perf_counter()
    task = depositor.client.signal.deposit(SKILL, urgency=URGENCY).task
    samples: list[float] = []
    while len(samples) < NODES - 1:
        try:
            ref, at = news.get(
                timeout=max(0.0, began + seconds_max - time.perf_counter())
            )
        except queue.Empty:
            break
        if ref == task:
            samples.append(at - began)
    return samples
