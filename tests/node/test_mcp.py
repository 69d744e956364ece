"""MCP as agents' hosts speak it, through ``nestmate mcp``, in both eras of the wire.

The library's own client attaches; an agent asks for help and another gives it. Also
that no host, whatever it sends or does not read, can hurt the node. Knows nothing of
how a node works.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
import trio
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError

from nestmate.doors.tools import RESOURCES
from nestmate.operations.table import OPERATIONS, TOOLS

pytestmark = [
    pytest.mark.slow,
    # The handshake era is old by now and the client says so; hosts still speak it.
    pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning"),
]

ERAS = pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
HOT = "nestmate://signals/hot"
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
FLOOD_BYTES = 50_000_000


@asynccontextmanager
async def host(nest, era: str, **options):
    """A host's client at a nest's node, through the pipe."""
    pipe = StdioServerParameters(
        command=sys.executable,
        args=["-m", "nestmate", "mcp", "--as", "tester"],
        env=nest.environ,
    )
    with trio.fail_after(180):
        async with Client(pipe, mode=era, **options) as client:
            yield client


async def call(client, tool: str, **arguments):
    """What a tool answers, if it succeeds."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    assert json.loads(answer.content[0].text) == answer.structured_content
    return answer.structured_content


@ERAS
async def test_a_host_sees_fifteen_tools_that_carry_every_operation(ada, era):
    async with host(ada, era) as client:
        tools = (await client.list_tools()).tools
    assert tuple(tool.name for tool in tools) == TOOLS
    assert len(tools) <= 15
    for tool in tools:
        rows = [row for row in OPERATIONS if row.tool == tool.name]
        actions = tool.input_schema["properties"].get("action", {}).get("enum", [""])
        assert actions == [row.action for row in rows]
        assert tool.description.endswith(".")
        assert tool.annotations.read_only_hint == all(r.scope == "read" for r in rows)


@ERAS
async def test_agents_ask_and_help_each_other(ada, bob, era):
    skill = f"shout-{era}"
    async with host(ada, era) as asker, host(bob, era) as worker:
        await call(worker, "skill", action="add", name=skill)
        since = (await call(asker, "events_wait", timeout=0))["seq"]
        wish = {"skill": skill, "urgency": 0.9, "body": {"say": "hi"}}
        task = (await call(asker, "signal_deposit", **wish))["task"]
        claim = await call(worker, "claim_take", skill=skill, timeout="60s")
        assert (claim["task"], claim["body"]) == (task, {"say": "hi"})
        assert (await call(worker, "claim", action="ls"))["claims"]
        await call(worker, "claim", action="renew", task=task)
        await call(worker, "claim_done", task=task, result={"said": "HI"})
        wait = {"since": since, "kinds": ["task.done"], "timeout": 60}
        (event,) = (await call(asker, "events_wait", **wait))["events"]
        assert event["ref"] == task
        shown = await call(asker, "signal", action="show", task=task)
        assert (shown["status"], shown["result"]) == ("done", {"said": "HI"})


@ERAS
async def test_what_cannot_be_done_is_told_as_a_problem_and_not_as_a_crash(ada, era):
    async with host(ada, era) as client:
        for tool, arguments, code in (
            ("signal_deposit", {"skill": "echo", "urgency": 7}, "invalid"),
            ("signal_deposit", {"skil": "echo"}, "invalid"),
            ("signal", {"action": "fly"}, "invalid"),
            ("signal", {}, "invalid"),
            ("fly", {}, "invalid"),
            (
                "agent",
                {"action": "whois", "who": "nobody-here", "timeout": 0},
                "not-found",
            ),
            ("claim_take", {"skill": "never", "timeout": 0.1}, "timed-out"),
        ):
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error
            assert answer.structured_content["code"] == code
            assert set(answer.structured_content) >= {"title", "detail", "hint"}


@ERAS
async def test_resources_read_as_their_operations_answer(ada, bob, era):
    async with host(ada, era) as client:
        listed = (await client.list_resources()).resources
        assert [each.uri for each in listed] == [sheet.uri for sheet in RESOURCES]
        read = await client.read_resource("nestmate://id")
        told, asked = json.loads(read.contents[0].text), ada.ask("id")
        assert told | {"last_seen": ""} == asked | {"last_seen": ""}
        read = await client.read_resource("nestmate://peers")
        assert json.loads(read.contents[0].text)["peers"][0]["name"] == "bob"
        (template,) = (await client.list_resource_templates()).resource_templates
        read = await client.read_resource(template.uri_template.format(since=0))
        assert json.loads(read.contents[0].text)["events"][0]["seq"] == 1
        for uri in ("nestmate://nix", "nestmate://events/-1", "nestmate://events/x"):
            with pytest.raises(MCPError):
                await client.read_resource(uri)


async def test_a_host_of_the_handshake_era_hears_of_what_it_subscribed_to(ada):
    heard, more = trio.open_memory_channel(100)

    async def hear(message) -> None:
        heard.send_nowait(message)

    async with host(ada, "legacy", message_handler=hear) as client:
        await client.subscribe_resource(HOT)
        await call(client, "signal_deposit", skill="echo")
        ada.ask("signal", "deposit", "echo")
        await call(client, "signal", action="withdraw", task=await own_task(client))
        assert (await more.receive()).params.uri == HOT
        await client.unsubscribe_resource(HOT)
        with pytest.raises(MCPError):
            await client.subscribe_resource("nestmate://nix")


async def own_task(client) -> str:
    signals = (await call(client, "signal", action="ls"))["signals"]
    return next(each["task"] for each in signals if each["own"])


async def test_a_host_of_the_later_era_hears_of_what_it_subscribed_to(ada):
    wish = {"resource_subscriptions": [HOT]}
    async with (
        host(ada, "2026-07-28") as client,
        client.listen(**wish) as changes,
    ):
        await call(client, "signal_deposit", skill="echo")
        await call(client, "signal", action="withdraw", task=await own_task(client))
        async for change in changes:
            assert change.uri == HOT
            break


# --- hosts that misbehave ---


class RawHost:
    """A host that writes what it likes onto the node's socket."""

    def __init__(self, nest, preamble: bytes = b'{"agent":""}\n') -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(os.fspath(nest.home.mcp_socket))
        self.socket.sendall(preamble)
        self.lines = self.socket.makefile("rb")

    def close(self) -> None:
        self.lines.close()
        self.socket.close()

    def say(self, method: str, number: int | None = None, **params) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        if number is not None:
            message["id"] = number
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def hello(self) -> "RawHost":
        self.say("initialize", 0, **HELLO)
        assert self.heard()["id"] == 0
        self.say("notifications/initialized")
        return self

    def call(self, number: int, tool: str, **arguments) -> None:
        self.say("tools/call", number, name=tool, arguments=arguments)

    def heard(self):
        return json.loads(self.lines.readline())


@pytest.fixture
def raw(ada):
    """A host of the handshake era with bare hands."""
    with closing(RawHost(ada)) as host_:
        yield host_.hello()


def trouble_at(nest) -> str:
    """What a node has met that it should not have; it still serves others."""
    with closing(RawHost(nest)) as other:
        other.hello().call(1, "status", action="doctor")
        found = other.heard()["result"]["structuredContent"]["findings"]
    log = nest.home.log_file.read_text()
    bugs = [each["text"] for each in found if each["code"] == "bugs"]
    return " ".join([*bugs, log if "Traceback" in log else ""]).strip()


def test_garbage_is_answered_as_garbage_and_costs_nobody_else(ada, raw):
    raw.socket.sendall(b"\xff\xfe\x00\n[]\n{}\n\n5\n" + b"[" * 10_000 + b"\n")
    assert {raw.heard()["error"]["code"] for _ in range(5)} == {-32700}
    raw.say("no/such/method", 1)
    assert raw.heard()["error"]["code"] == -32601
    raw.say("tools/call", 2, name=5)
    assert raw.heard()["error"]["code"] == -32602
    raw.say("ping", 3)
    assert raw.heard() == {"jsonrpc": "2.0", "id": 3, "result": {}}
    assert trouble_at(ada) == ""


def test_a_message_that_is_too_large_is_refused_and_the_next_is_served(ada, raw):
    raw.call(1, "signal_deposit", skill="echo", body="x" * 1_000_000)
    refusal = raw.heard()["result"]
    assert refusal["isError"]
    assert "bytes" in refusal["structuredContent"]["detail"]
    raw.say("ping", 2, filler="x" * 5_000_000)
    assert raw.heard()["error"]["code"] == -32600
    raw.say("ping", 3)
    assert raw.heard()["id"] == 3


@pytest.mark.parametrize(
    "preamble", [b"", b"hello\n", b"[]\n", b'{"agent":5}\n', b"x" * 5_000 + b"\n"]
)
def test_a_host_that_does_not_say_in_whose_name_it_comes_is_let_go(ada, preamble):
    with closing(RawHost(ada, preamble)) as nobody:
        nobody.socket.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):  # it let go before it had read all
            assert nobody.lines.read() == b""
    assert trouble_at(ada) == ""


def test_a_host_that_does_not_read_holds_up_only_itself(ada, raw):
    raw.socket.setblocking(False)
    line, sent = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n', 0
    with suppress(BlockingIOError):
        while sent < FLOOD_BYTES:
            sent += raw.socket.send(line)
    assert sent < FLOOD_BYTES
    assert trouble_at(ada) == ""


def test_a_host_that_asks_too_much_at_once_is_told_and_can_still_cancel(raw):
    for number in range(1, 101):
        raw.call(number, "events_wait", timeout=60, kinds=["never"])
    refused = {raw.heard()["id"] for _ in range(36)}
    assert refused == set(range(65, 101))
    for number in range(1, 65):
        raw.say("notifications/cancelled", requestId=number)
    raw.say("ping", 200)
    assert raw.heard() == {"jsonrpc": "2.0", "id": 200, "result": {}}


def test_a_host_that_has_said_all_still_gets_its_answers(ada, raw):
    raw.call(1, "events_wait", timeout=0.3, kinds=["never"])
    raw.socket.shutdown(socket.SHUT_WR)
    assert raw.heard()["id"] == 1
    assert raw.lines.read() == b""


def open_files(nest) -> int:
    return len(list(Path(f"/proc/{nest.pid}/fd").iterdir()))


def test_a_host_that_dies_leaves_nothing_open(ada, until):
    before = open_files(ada)
    for _ in range(5):
        with closing(RawHost(ada)) as dying:
            dying.hello().call(1, "events_wait", timeout=60, kinds=["never"])
    until(lambda: open_files(ada) <= before)
    assert trouble_at(ada) == ""


# --- the pipe ---


def test_the_pipe_carries_both_ways_at_once(ada):
    """A host that writes everything before it reads anything does not hang."""
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}
    asks = [
        {"jsonrpc": "2.0", "id": number, "method": "tools/list"}
        for number in range(1, 41)
    ]
    lines = "".join(json.dumps(each) + "\n" for each in [hello, *asks])
    said = ada.run("mcp", given=lines.rstrip())
    assert (said.code, said.err) == (0, "")
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert sorted(each["id"] for each in answers) == list(range(41))
    assert len(said.out) > 200_000


def test_the_pipe_ends_when_nobody_reads_it(ada):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with ada.popen("mcp", **pipes) as pipe:
        pipe.stdout.close()
        assert pipe.wait(60) == 0
        pipe.stdin.close()


@pytest.mark.parametrize("leave", ["down", "kill"])
def test_when_the_node_goes_away_the_host_is_told(nests, leave):
    nest = nests(leave).make()
    nest.up()
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with nest.popen("mcp", **pipes) as pipe:
        pipe.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        pipe.stdin.flush()
        assert json.loads(pipe.stdout.readline())["id"] == 1
        if leave == "down":
            nest.ask("down")
        else:
            os.kill(nest.pid, signal.SIGKILL)
        assert pipe.wait(60) == 3
        assert b"The node went away" in pipe.stderr.read()
