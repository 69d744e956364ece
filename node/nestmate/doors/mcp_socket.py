"""The socket agents' hosts attach to through ``nestmate mcp``.

What speaks MCP costs half a second and thirty megabytes to load, so it is loaded when
the first host comes, in a thread, and never where none comes. The first line names
the agent. This file does not speak MCP.
"""

import json
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import trio

from nestmate.doors.unix import Starting, serve_unix
from nestmate.operations.perform import Caller

if TYPE_CHECKING:
    from nestmate.node.assembly import Node

PREAMBLE_BYTES_MAX = 1_024
PREAMBLE_SECONDS_MAX = 10.0
AGENT_CHARS_MAX = 64


async def serve_mcp(
    node: "Node", *, task_status: Starting = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve the home's MCP socket until cancelled; started once it listens."""
    loading = trio.Lock()
    await serve_unix(
        node.home.mcp_socket, partial(_talk, node, loading), task_status=task_status
    )


async def _talk(
    node: "Node", loading: trio.Lock, stream: trio.SocketStream, uid: int
) -> None:
    with trio.move_on_after(PREAMBLE_SECONDS_MAX) as waiting:
        line, rest = await _first_line(stream)
    if waiting.cancelled_caught or line is None:
        return
    caller = Caller("mcp", uid=uid, agent=_agent(line))
    async with loading:
        door: Any = await trio.to_thread.run_sync(import_module, "nestmate.doors.mcp")
    await door.converse(node, stream, rest, caller)


async def _first_line(stream: trio.SocketStream) -> tuple[bytes | None, bytes]:
    buffer = b""
    while b"\n" not in buffer:
        chunk = await stream.receive_some(PREAMBLE_BYTES_MAX)
        buffer += chunk
        if not chunk or len(buffer) > PREAMBLE_BYTES_MAX:
            return None, b""
    line, _, rest = buffer.partition(b"\n")
    return line, rest


def _agent(line: bytes) -> str:
    try:
        agent = json.loads(line)["agent"]
    except (ValueError, KeyError, TypeError):
        return ""
    return agent[:AGENT_CHARS_MAX] if isinstance(agent, str) else ""
