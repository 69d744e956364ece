"""``nestmate mcp``: a pipe between a host's standard streams and the running node.

The node speaks MCP; this process only carries bytes, so a host attaches in
milliseconds and the store has one owner. One line before the first byte names the
agent. Each direction has a thread of its own, so that a host slow to read can still
write. This file knows nothing of MCP, and loads the standard library only.
"""

import json
import os
import select
import socket
import threading

from nestmate.cli.arguments import Arguments
from nestmate.errors import DeniedError, NodeError, NotRunningError, UsageError

CHUNK_BYTES = 65_536
AGENT_CHARS_MAX = 64
_STDIN, _STDOUT = 0, 1
_INTERRUPTED = 130


def run_pipe(arguments: Arguments) -> int:
    """Carry bytes until either side ends; returns the exit code."""
    try:
        _run(arguments)
    except NodeError as error:
        from nestmate.cli.output import show_error  # noqa: PLC0415 - when it fails

        return show_error(error, as_json=arguments.json)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _run(arguments: Arguments) -> None:
    agent = _agent(arguments.words[1:])
    if trouble := arguments.trouble():
        raise UsageError(trouble)
    from nestmate.home import Home  # noqa: PLC0415 - after the words are understood

    home = Home.resolve(arguments.home, os.environ)
    with socket.socket(socket.AF_UNIX) as node:
        try:
            node.connect(os.fspath(home.mcp_socket))
            node.sendall(json.dumps({"agent": agent}).encode() + b"\n")
        except PermissionError as error:
            raise DeniedError(
                f"{home.mcp_socket} belongs to somebody else.",
                "Run this as the user of the node.",
            ) from error
        except OSError as error:
            raise NotRunningError(
                f"No node runs in {home.root}.",
                "Start it with `nestmate up`, or name another home with --home.",
            ) from error
        _carry(node)


def _agent(words: tuple[str, ...]) -> str:
    match words:
        case ():
            return ""
        case ("--as", name) if 0 < len(name) <= AGENT_CHARS_MAX:
            return name
        case (word,) if 0 < len(word.removeprefix("--as=")) <= AGENT_CHARS_MAX:
            if word.startswith("--as="):
                return word.removeprefix("--as=")
    raise UsageError(
        "nestmate mcp takes nothing but --as AGENT.",
        f"A name of an agent has 1 to {AGENT_CHARS_MAX} characters.",
    )


def _carry(node: socket.socket) -> None:
    """Both ways until the node has said all; NotRunningError if it went away first."""
    said_all = threading.Event()
    threading.Thread(target=_to_node, args=(node, said_all), daemon=True).start()
    ready = select.poll()
    ready.register(node, select.POLLIN)
    ready.register(_STDOUT, 0)  # tells when nobody reads any longer
    try:
        while True:
            happened = dict(ready.poll())
            if happened.get(_STDOUT):
                return
            data = node.recv(CHUNK_BYTES)
            if not data:
                break
            while data:
                data = data[os.write(_STDOUT, data) :]
    except BrokenPipeError:
        return
    except ConnectionResetError:
        pass  # as if the node had closed in order
    if not said_all.is_set():
        raise NotRunningError(
            "The node went away.", "Start it again with `nestmate up`."
        )


def _to_node(node: socket.socket, said_all: threading.Event) -> None:
    try:
        while data := os.read(_STDIN, CHUNK_BYTES):
            node.sendall(data)
        said_all.set()
        node.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other direction finds out
