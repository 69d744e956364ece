"""Idle: memory and processor of a node that has nothing to do, beside libp2p alone.

The raw twin is our libp2p network in a process of its own, with neither core nor store
nor doors. Memory is what is resident, read from /proc at the end of the watch; the
processor's share is what the process used of one core while it was watched.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any, Final

from nestmate.bench.bare import bare_networks
from nestmate.bench.figures import Figure, Unit, at_most
from nestmate.bench.homes import cpu_seconds, resident_mebibytes, running_nodes
from nestmate.errors import NodeError

RSS_MEBIBYTES_MAX: Final = 110
RSS_GREETED_MEBIBYTES_MAX: Final = 140
CPU_PERCENT_MAX: Final = 0.5
SETTLE_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 30.0
WATCH_SECONDS_QUICK: Final = 0.3


def measure(quick: bool) -> Iterable[Figure]:
    """Resident memory, the same once an MCP host came, and the share of one core."""
    settle, watch = (
        (0.0, WATCH_SECONDS_QUICK) if quick else (SETTLE_SECONDS, WATCH_SECONDS)
    )
    with running_nodes(1) as net, bare_networks(1) as bare:
        node = net.member(1).process
        if node is None:
            raise NodeError("The node that was to be watched does not run.")
        time.sleep(settle)
        pids = (bare[0].pid, node.pid)
        before = [cpu_seconds(pid) for pid in pids]
        began = time.monotonic()
        time.sleep(watch)
        seconds = time.monotonic() - began
        raw, ours = (
            100 * (cpu_seconds(pid) - was) / seconds
            for pid, was in zip(pids, before, strict=True)
        )
        memory = [resident_mebibytes(pid) for pid in pids]
        _greet_as_host(net.member(1).home)
        greeted = resident_mebibytes(node.pid)
    rss = at_most(RSS_MEBIBYTES_MAX, Unit.MEBIBYTES)
    yield Figure("idle.memory", Unit.MEBIBYTES, memory[0], memory[1], rss)
    rss = at_most(RSS_GREETED_MEBIBYTES_MAX, Unit.MEBIBYTES)
    yield Figure("idle.memory-greeted", Unit.MEBIBYTES, memory[0], greeted, rss)
    yield Figure(
        "idle.cpu", Unit.PERCENT, raw, ours, at_most(CPU_PERCENT_MAX, Unit.PERCENT)
    )


def _greet_as_host(home: str) -> None:
    """Come as an MCP host does, ask which tools there are, and go."""
    client = {"name": "bench", "version": "0"}
    version = {"protocolVersion": "2025-11-25", "capabilities": {}}
    said: list[dict[str, Any]] = [
        {"id": 0, "method": "initialize", "params": version | {"clientInfo": client}},
        {"method": "notifications/initialized"},
        {"id": 1, "method": "tools/list"},
    ]
    command = [sys.executable, "-m", "nestmate", "--home", home, "mcp"]
    with subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as host:
        if host.stdin is None or host.stdout is None:
            raise NodeError("The pipe of an MCP host has no ends.")
        for each in said:
            host.stdin.write(json.dumps({"jsonrpc": "2.0", **each}).encode() + b"\n")
        host.stdin.flush()
        answers = [json.loads(host.stdout.readline()) for _ in range(2)]
        host.stdin.close()
    if not all("result" in answer for answer in answers):
        raise NodeError(f"The node did not answer an MCP host: {answers}.")
