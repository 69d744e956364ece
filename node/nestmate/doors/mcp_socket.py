"""The socket agents' hosts attach to through ``nestmate mcp``.

What speaks MCP costs half a second and thirty megabytes to load, so it is loaded when
the first host comes, in a thread, and never where none comes. The first line names
the agent. This file does not speak MCP.
"""

import json
import logging
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import trio

from nestmate.doors.unix import Starting, serve_unix
from nestmate.operations.perform import Caller, Meter

if TYPE_CHECKING:
    from nestmate.node.assembly import Node

_log = logging.getLogger("nestmate.doors")

PREAMBLE_BYTES_MAX = 1_024
PREAMBLE_SECONDS_MAX = 10.0
AGENT_CHARS_MAX = 64


async def serve_mcp(
    node: "Node",
    *,
    meter: Meter | None = None,
    task_status: Starting = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the home's MCP socket until cancelled; started once it listens."""
    talk = partial(_talk, node, meter or Meter(), trio.Lock())
    await serve_unix(node.home.mcp_socket, talk, task_status=task_status)


async def _talk(
    node: "Node",
    meter: Meter,
    loading: trio.Lock,
    stream: trio.SocketStream,
    uid: int,
) -> None:
    line, rest = b"", b""
    with trio.move_on_after(PREAMBLE_SECONDS_MAX):
        line, rest = await _first_line(stream)
    agent = _agent(line)
    if agent is None:
        _log.info("a host did not say in whose name it comes")
        return
    async with loading:
        door: Any = await trio.to_thread.run_sync(import_module, "nestmate.doors.mcp")
    caller = Caller("mcp", uid=uid, agent=agent)
    await door.converse(node, stream, rest, caller, meter)


async def _first_line(stream: trio.SocketStream) -> tuple[bytes, bytes]:
    """The first line and what came with it; an empty line if there was none."""
    line, end, rest = b"", b"", b""
    while not end:
        chunk = await stream.receive_some(PREAMBLE_BYTES_MAX)
        line, end, rest = (line + chunk).partition(b"\n")
        if not chunk or len(line) > PREAMBLE_BYTES_MAX:
            return b"", b""
    return line, rest


def _agent(line: bytes) -> str | None:
    """The agent a first line names, "" for nobody in particular; None if it is none."""
    try:
        agent = json.loads(line)["agent"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(agent, str) or len(agent) > AGENT_CHARS_MAX:
        return None
    return agent
