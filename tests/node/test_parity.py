"""Every operation of the table, on every door, against real nodes.

A scene for each operation makes what has to be there and says what to ask. The same
question then goes through the command line, HTTP, MCP and the Python client, and each
answer must be what the table names, key by key. Knows nothing of how an operation is
carried out.
"""

import base64
import contextlib
import http.client
import json
import os
import socket
from operator import attrgetter
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from nestmate.cli.rendered import option_name
from nestmate.client import Client
from nestmate.doors.tools import ACTION
from nestmate.operations.parameters import Parameter, parameters
from nestmate.operations.row import Operation
from nestmate.operations.table import OPERATIONS

from .scenes import (
    AgentScenes,
    BlobScenes,
    ClaimScenes,
    DocumentScenes,
    EventScenes,
    SignalScenes,
)

pytestmark = pytest.mark.slow

ROWS = pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
Answer = dict[str, Any]
PATIENCE_SECONDS = 60


# --- the doors ---


class ByCommand:
    """The command line, as a script uses it."""

    def __init__(self, nest) -> None:
        self.nest = nest

    def ask(self, row: Operation, fields: Answer) -> Answer:
        if row.name == "signal.tail":
            return self.first_event(fields)
        if row.name == "blob.put":
            return self.put_file(fields)
        words = row.name.split(".")
        for item in parameters(row):
            words += self.words_for(row, item, fields.get(item.name))
        answer = self.nest.ask(*words)
        if row.name == "version":
            assert answer.pop("running") == answer["version"]
        if row.name == "down":  # the command waits until it is so
            assert answer == {"state": "stopped"}
            return {"state": "stopping"}
        return answer

    def words_for(self, row: Operation, item: Parameter, value: Any) -> list[str]:
        if value in (None, ()):
            return []
        option = [] if item.positional else [f"--{option_name(row, item)}"]
        if item.kind == "flag":
            return option if value else []
        if item.kind == "texts":
            return [word for each in value for word in (*option, each)]
        return [*option, value if isinstance(value, str) else json.dumps(value)]

    def put_file(self, fields: Answer) -> Answer:
        file = self.nest.root / "parcel"
        file.write_bytes(base64.b64decode(fields["data"]["base64"]))
        words = ["blob", "put", str(file), "--media", fields["media"], "--public"]
        shared = ["--space", *fields["spaces"], "--with", *fields["agents"]]
        return self.nest.ask(*words, *shared)

    def first_event(self, fields: Answer) -> Answer:
        words = ("--json", "signal", "tail", "--since", str(fields["since"]))
        with self.nest.popen(*words, stdout=-1) as tail:
            event = json.loads(tail.stdout.readline())
            tail.terminate()
        return {"events": [event], "seq": event["seq"], "lagged": False}


class ByHttp:
    """HTTP over the socket in the home, as any program can."""

    def __init__(self, nest) -> None:
        self.nest = nest

    def ask(self, row: Operation, fields: Answer) -> Answer:
        target, body = row.path, None
        if row.method == "GET":
            target += f"?{urlencode(self.query(fields), doseq=True)}"
        else:
            body = json.dumps(fields).encode()
        with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
            connection.sock = socket_to(self.nest.home.api_socket)
            connection.request(
                row.method, target, body, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            said = json.loads(answer.read())
        assert answer.status == 200, said
        return said

    def query(self, fields: Answer) -> Answer:
        return {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in fields.items()
        }


class ByMcp:
    """MCP's tools, as an agent's host calls them."""

    def __init__(self, nest) -> None:
        self.nest = nest

    def ask(self, row: Operation, fields: Answer) -> Answer:
        arguments = fields | ({ACTION: row.action} if row.action else {})
        with contextlib.closing(socket_to(self.nest.home.mcp_socket)) as sock:
            sock.sendall(b'{"agent":"parity"}\n')
            with sock.makefile("rwb") as lines:
                version = {"protocolVersion": "2025-11-25", "capabilities": {}}
                client = {"clientInfo": {"name": "parity", "version": "1"}}
                self.call(lines, "initialize", version | client)
                call = {"name": row.tool, "arguments": arguments}
                said = self.call(lines, "tools/call", call)
        assert not said["isError"], said
        assert json.loads(said["content"][0]["text"]) == said["structuredContent"]
        return said["structuredContent"]

    def call(self, lines, method: str, params: Answer) -> Answer:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        lines.write(json.dumps(message).encode() + b"\n")
        lines.flush()
        return json.loads(lines.readline())["result"]


class ByPython:
    """The Python client, positional arguments by place."""

    def __init__(self, nest) -> None:
        self.client = Client(nest.root)

    def ask(self, row: Operation, fields: Answer) -> Answer:
        placed = [fields[name] for name in row.arguments if name in fields]
        rest = {key: it for key, it in fields.items() if key not in row.arguments}
        answer = attrgetter(row.name)(self.client)(*placed, **rest)
        assert type(answer) is row.response
        return msgspec.to_builtins(answer)


DOORS = (ByCommand, ByHttp, ByMcp, ByPython)


def socket_to(path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE_SECONDS)
    sock.connect(os.fspath(path))
    return sock


# --- the scenes ---


class Stage(
    AgentScenes, SignalScenes, ClaimScenes, DocumentScenes, BlobScenes, EventScenes
):
    """A scene for each operation: makes what it needs, and returns what to ask with.

    A scene's name is the operation's, with an underscore for the dot.
    """

    def fields_for(self, row: Operation) -> Answer:
        return getattr(self, row.name.replace(".", "_"))()


@pytest.fixture(scope="module")
def stage(nests, ada, bob):
    return Stage(ada, bob, nests("spare").make())


def test_every_operation_has_its_scene_and_asks_with_all_it_may(stage):
    for row in OPERATIONS:
        assert hasattr(Stage, row.name.replace(".", "_")), row.name


@ROWS
def test_an_operation_is_answered_in_the_same_shape_on_every_door(stage, row, until):
    for door in DOORS:
        fields = stage.fields_for(row)
        assert set(fields) <= set(row.request.__struct_fields__)
        nest = stage.nest_for(row)
        answer = door(nest).ask(row, fields)
        told = msgspec.to_builtins(msgspec.convert(answer, row.response))
        assert told == answer, door.__name__
        if row.name == "down":
            until(lambda: not nest.home.pid_file.exists())  # noqa: B023 - asked now
