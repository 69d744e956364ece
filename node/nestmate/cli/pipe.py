"""``nestmate mcp``: a pipe between a host's standard streams and the running node.

The node speaks MCP; this process only carries bytes, so a host attaches in
milliseconds and the store has one owner. One line before the first byte names the
agent. This file knows nothing of MCP, and loads the standard library only.
"""

import json
import os
import selectors
import socket
import sys

from nestmate.cli.arguments import Arguments

CHUNK_BYTES = 65_536
_NOT_RUNNING = 3
_USAGE = 2


def run_pipe(arguments: Arguments) -> int:
    """Carry bytes until either side ends; returns the exit code."""
    agent = _agent(arguments.words[1:])
    if agent is None:
        sys.stderr.write("usage: nestmate mcp [--as AGENT]\n")
        return _USAGE
    from nestmate.home import Home  # noqa: PLC0415 - after the words are understood

    path = Home.resolve(arguments.home, os.environ).mcp_socket
    with socket.socket(socket.AF_UNIX) as node:
        try:
            node.connect(os.fspath(path))
        except OSError:
            sys.stderr.write("No node is running here. Start it with `nestmate up`.\n")
            return _NOT_RUNNING
        node.sendall(json.dumps({"agent": agent}).encode() + b"\n")
        _carry(node)
    return 0


def _agent(words: tuple[str, ...]) -> str | None:
    match words:
        case ():
            return ""
        case ("--as", name):
            return name
        case (word,) if word.startswith("--as="):
            return word.removeprefix("--as=")
    return None


def _carry(node: socket.socket) -> None:
    stdin, stdout = sys.stdin.fileno(), sys.stdout.fileno()
    with selectors.DefaultSelector() as ready:
        ready.register(stdin, selectors.EVENT_READ)
        ready.register(node, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is node:
                    data = node.recv(CHUNK_BYTES)
                    if not data:
                        return
                    while data:
                        data = data[os.write(stdout, data) :]
                elif data := os.read(stdin, CHUNK_BYTES):
                    node.sendall(data)
                else:
                    ready.unregister(stdin)
                    node.shutdown(socket.SHUT_WR)
