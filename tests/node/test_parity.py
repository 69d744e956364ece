"""Every operation of the table, on every door, against real nodes.

A scene for each operation makes what has to be there and says what to ask. The same
question then goes through the command line, HTTP, MCP and the Python client, and each
answer must be what the table names, key by key. Knows nothing of how an operation is
carried out.
"""

import contextlib
import http.client
import itertools
import json
import os
import socket
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
import pytest

from nestmate.cli.rendered import option_name
from nestmate.client import Client
from nestmate.doors.tools import ACTION
from nestmate.operations.parameters import Parameter, parameters
from nestmate.operations.row import Operation
from nestmate.operations.table import OPERATIONS
from nestmate_protocol.ids import Address

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


class Nodes:
    """Two friends' nodes, and one that may be stopped."""

    def __init__(self, ada, bob, spare) -> None:
        self.ada = ada.client
        self.bob = bob.client
        self.nests = {"down": spare}
        self.asked = ada
        self._numbers = itertools.count(1)

    def new(self, word: str = "thing") -> str:
        return f"{word}-{next(self._numbers)}"

    def nest_for(self, row: Operation):
        return self.nests.get(row.name, self.asked)


class AgentScenes(Nodes):
    """Of the node, of agents, friends and peers."""

    def nothing(self) -> Answer:
        return {}

    status = version = doctor = contact_ls = peer_ls = nothing

    def down(self) -> Answer:
        if not self.nests["down"].home.pid_file.exists():
            self.nests["down"].up()
        return {}

    def id(self) -> Answer:
        return {"card": True}

    def whois(self) -> Answer:
        return {"who": "bob", "timeout": "30s"}

    def ping(self) -> Answer:
        return {"who": "bob", "timeout": 30}

    def invite(self) -> Answer:
        return {"uses": 2, "expires": "1h", "grants": ["see"]}

    def join(self) -> Answer:
        with contextlib.suppress(Exception):
            self.ada.contact.rm("bob")
        return {"invite": self.bob.invite().invite, "timeout": "30s"}

    def contact(self) -> str:
        name = self.new("friend")
        self.ada.contact.add(Address(os.urandom(32)).text, name)
        return name

    def contact_add(self) -> Answer:
        return {"address": Address(os.urandom(32)).text, "name": self.new("friend")}

    def contact_show(self) -> Answer:
        return {"who": "bob"}

    def contact_rename(self) -> Answer:
        return {"who": self.contact(), "name": self.new("pal")}

    def contact_trust(self) -> Answer:
        return {"who": self.contact(), "trust": "trusted"}

    def contact_block(self) -> Answer:
        return {"who": self.contact()}

    contact_rm = contact_block

    def peer_connect(self) -> Answer:
        return {"multiaddr": self.bob.id().addrs[0], "timeout": 30}

    def peer_disconnect(self) -> Answer:
        self.ada.peer.connect(self.bob.id().addrs[0])
        return {"peer": self.bob.id().peer_id}


class SignalScenes(Nodes):
    """Of skills and signals."""

    skill_ls = AgentScenes.nothing

    def skill_add(self) -> Answer:
        schema = {"type": "object"}
        text = {"description": "does things", "price": "0.05 USDC"}
        return {"name": self.new(), "input_schema": schema, **text}

    def skill_rm(self) -> Answer:
        name = self.new()
        self.ada.skill.add(name)
        return {"name": name}

    def skill_find(self) -> Answer:
        self.bob.skill.add("found")
        return {"name": "found", "limit": 3, "timeout": "30s"}

    def signal_deposit(self) -> Answer:
        times = {"size": "2s", "ttl": "1h", "lease": "1m", "half_life": 60}
        more = {"deadline": "15m", "exclusive": True, "key": self.new()}
        what = {"skill": self.new(), "urgency": 0.25, "body": {"say": ["hi"]}}
        apart = {"inputs": [self.kept_task], "share": True, "apart": "poll"}
        return what | times | more | apart

    def own_task(self) -> str:
        return self.ada.signal.deposit(self.new()).task

    @cached_property
    def kept_task(self) -> str:
        """One that is not spent; nobody may deposit too many too fast."""
        return self.own_task()

    def signal_ls(self) -> Answer:
        assert self.kept_task
        return {"skill": "", "min_strength": 0.0, "limit": 2}

    def signal_authors(self) -> Answer:
        return {"limit": 2}

    def signal_show(self) -> Answer:
        return {"task": self.kept_task}

    @cached_property
    def done_task(self) -> str:
        task = self.ada.signal.deposit(self.new("fine"), urgency=0.9).task
        skill = self.ada.signal.show(task).skill
        self.bob.claim.take(skill=skill, timeout=60)
        self.bob.claim.done(task, result={"all": 1}, timeout=60)
        return task

    def signal_result(self) -> Answer:
        return {"task": self.done_task, "issuer": self.ada.id().address, "timeout": 30}

    signal_reinforce = signal_show

    def signal_withdraw(self) -> Answer:
        return {"task": self.own_task()}

    def signal_tail(self) -> Answer:
        since = self.ada.event.wait(timeout=0).seq
        self.ada.signal.withdraw(self.own_task())
        return {"since": since, "timeout": 30}


class EventScenes(Nodes):
    """Of events, their readers and what these gave up."""

    FILTERS: ClassVar[Answer] = {"kinds": ["task.*"], "space": "s", "path": "p"}

    def event_wait(self) -> Answer:
        wish = {"since": 0, "timeout": "30s", "kinds": ["peer.*"], "limit": 3}
        return wish | {"cursor": self.cursor(), "author": "bob"}

    def event_find(self) -> Answer:
        times = {"after": "24h", "before": "0s", "limit": 2}
        return {"query": "peer.*", "author": "bob", **self.FILTERS, **times}

    def cursor(self) -> str:
        return self.ada.event.cursor.set(self.new("cursor"), start=0).cursor

    def event_cursor_set(self) -> Answer:
        where = {"cursor": self.new("cursor"), "seq": 1, "start": 0}
        return where | self.FILTERS | {"author": "bob"}

    event_cursor_ls = AgentScenes.nothing

    def event_cursor_rm(self) -> Answer:
        return {"cursor": self.cursor()}

    def event_ack(self) -> Answer:
        return {"cursor": self.cursor(), "seq": 1}

    def event_reject(self) -> Answer:
        return {"cursor": self.cursor(), "seq": 1, "reason": "no", "tries": 2}

    def event_dead_rm(self) -> Answer:
        cursor = self.cursor()
        self.ada.event.reject(cursor, 1)
        return {"cursor": cursor, "seq": 1}

    event_dead_retry = event_dead_rm

    def event_dead_ls(self) -> Answer:
        return {"cursor": self.event_dead_rm()["cursor"]}


class ClaimScenes(Nodes):
    """Of claims."""

    def offered(self) -> str:
        """A skill of ada's, for which bob has a task."""
        skill = self.new()
        self.ada.skill.add(skill)
        self.bob.signal.deposit(skill, urgency=0.9, lease="5m", body=["do", "it"])
        return skill

    def claim_take(self) -> Answer:
        skill, also = self.offered(), [self.new(), f"{self.new()}=0.5"]
        wish = {"skill": skill, "also": also, "speed": 1.5, "min_urgency": 0.5}
        return wish | {"setup": "1h", "context": skill, "timeout": 60}

    def held(self) -> str:
        return self.ada.claim.take(skill=self.offered(), timeout=60).task

    @cached_property
    def kept_claim(self) -> str:
        """One that is neither finished nor given back."""
        return self.held()

    def claim_ls(self) -> Answer:
        assert self.kept_claim
        return {}

    def claim_explain(self) -> Answer:
        return {"task": self.kept_claim}

    def claim_renew(self) -> Answer:
        return {"task": self.kept_claim}

    def claim_release(self) -> Answer:
        return {"task": self.held(), "reason": "tired", "partial": {"half": 1}}

    def claim_done(self) -> Answer:
        return {"task": self.held(), "result": {"all": [1, 2]}, "timeout": "30s"}

    def claim_fail(self) -> Answer:
        return {"task": self.held(), "reason": "too hard"}


class Stage(AgentScenes, SignalScenes, ClaimScenes, EventScenes):
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
