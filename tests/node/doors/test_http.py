"""The HTTP door: what it answers, what it refuses, and that it ends when told.

Every test goes through a real socket and a real server. Knows nothing of the core.
"""

import contextlib
import json
import os
import queue
import socket
import stat
import threading

import pytest
import trio

from nestmate.doors import http as http_door
from nestmate.doors import unix as unix_door
from nestmate.doors.unix import serve_unix
from nestmate.errors import BusyError, ConflictError, NotFoundError
from nestmate.operations.table import OPERATIONS
from nestmate_protocol.directory.requests import (
    ListPeers,
    PeerViews,
    PingAgent,
    ShowStatus,
    WhoIs,
)
from nestmate_protocol.ids import TaskId
from nestmate_protocol.signals.requests import Deposited, DepositTask, TakeTask

TASK = TaskId(bytes(32))


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    heard = b""
    while mark not in heard:
        chunk = sock.recv(65_536)
        assert chunk, f"closed after {heard!r}"
        heard += chunk
    return heard


def events_in(heard: bytes) -> list[str]:
    lines = heard.decode().splitlines()
    return [line.removeprefix("event: ") for line in lines if line.startswith("event:")]


# --- what it answers ---


def test_callers_that_are_gone_take_no_room(door, monkeypatch):
    monkeypatch.setattr(unix_door, "TALKS_MAX", 4)
    for _ in range(20):
        assert door.call("GET", "/v1/status")[0] == 200


def test_status_is_answered_with_the_keys_scripts_rely_on(door):
    status, headers, said = door.call("GET", "/v1/status")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert said["state"] == "running"
    assert said["peers"] == 1
    assert said["addrs"][0].endswith(f"/p2p/{said['peer_id']}")
    assert "nestmate skill add" in said["next"]


def test_a_deposit_reaches_the_core_in_its_own_terms(door):
    door.node.answers[DepositTask] = Deposited(TASK)
    wish = {"skill": "echo", "urgency": 1, "body": {"say": "hi"}, "lease": "1m"}
    assert door.call("POST", "/v1/signals", wish)[::2] == (200, {"task": TASK.text})
    (asked,) = door.node.asked
    assert asked == DepositTask("echo", 1.0, b'{"say":"hi"}', lease_seconds=60)


def test_queries_are_read_as_text_numbers_and_flags(door):
    door.node.answers[WhoIs] = NotFoundError("Nobody knows a/b.", "Ask for an invite.")
    status, _, said = door.call("GET", "/v1/whois?who=a%2Fb&timeout=2s")
    assert (status, said["code"]) == (404, "not-found")
    assert door.node.asked == [WhoIs("a/b", 2.0)]


def test_one_connection_carries_several_requests(door):
    with contextlib.closing(door.connect()) as sock:
        for _ in range(3):
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in read_until(sock, b'{"status":"ok"}')


def test_the_node_says_whether_it_is_alive_and_whether_it_is_ready(door):
    assert door.call("GET", "/healthz")[0] == 200
    assert door.call("GET", "/readyz")[0] == 200
    door.node.answers[ShowStatus] = ConflictError("no")
    assert door.call("GET", "/readyz")[0] == 409


def test_metrics_count_operations_by_outcome_and_faults_by_cause(door):
    door.call("GET", "/v1/status")
    door.node.answers[PingAgent] = NotFoundError("no")
    door.call("POST", "/v1/ping", {"who": "bob"})
    _, _, text = door.call("GET", "/metrics")
    assert "nestmate_peers 1\n" in text
    assert 'nestmate_faults_total{fault="bad signature"} 3\n' in text
    assert 'nestmate_operations_total{operation="ping",outcome="not-found"} 1' in text
    assert 'nestmate_operations_total{operation="status",outcome="ok"} 1' in text


def test_down_is_answered_before_the_node_stops(door):
    assert door.call("POST", "/v1/down", {})[::2] == (200, {"state": "stopping"})
    assert door.node.stopped


def test_the_openapi_document_names_every_operation_and_resolves(door):
    _, _, document = door.call("GET", "/openapi.json")
    told = {
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
    }
    assert told == {row.name for row in OPERATIONS}
    schemas = document["components"]["schemas"]
    for name in _references(document):
        assert name.removeprefix("#/components/schemas/") in schemas


def _references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _references(each)


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_every_operation_has_a_route_that_answers_json(door, row):
    body = None if row.method == "GET" else {"nonsense": 1}
    query = "?nonsense=1" if row.method == "GET" else ""
    status, headers, said = door.call(row.method, row.path + query, body)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert "nonsense" in said["detail"]


# --- what it refuses ---


def test_a_refusal_is_a_problem_with_code_and_hint(door):
    door.node.answers[TakeTask] = ConflictError("Somebody holds it.", "Take another.")
    status, headers, said = door.call("POST", "/v1/claims", {"skill": "echo"})
    assert (status, headers["content-type"]) == (409, "application/problem+json")
    assert said == {
        "type": "urn:nestmate:problem:conflict",
        "title": "Somebody else was first",
        "detail": "Somebody holds it.",
        "hint": "Take another.",
        "code": "conflict",
        "status": 409,
    }


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("DELETE", "/v1/status", 405),
        ("POST", "/v1/status", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/status/", 404),
        ("GET", "/v1/whois", 400),
        ("GET", "/v1/whois?who=a&who=b", 400),
        ("GET", "/v1/signals?limit=many", 400),
        ("GET", "/v1/events?since=-1", 400),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_a_problem(door, method, target, status):
    got, headers, said = door.call(method, target)
    assert (got, said["status"]) == (status, status)
    assert headers["content-type"] == "application/problem+json"
    assert said["hint"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "["}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_web_page_of_another_origin_gets_nothing(door, headers, status):
    for method, target in (("GET", "/v1/status"), ("POST", "/v1/down")):
        body = {} if method == "POST" else None
        got, told, said = door.call(method, target, body, headers)
        assert (got, said["code"]) == (status, "denied")
        assert "access-control-allow-origin" not in told
    assert not door.node.asked
    assert not door.node.stopped


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:4000", "Origin": "http://localhost:4000"},
        {"Host": "127.0.0.1"},
        {"Host": "[::1]:80"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_programs_and_pages_of_the_node_itself_are_let_in(door, headers):
    assert door.call("GET", "/v1/status", None, headers)[0] == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"]
)
def test_a_body_must_say_that_it_is_json(door, kind):
    status, _, said = door.call("POST", "/v1/down", b"{}", {"Content-Type": kind})
    assert (status, said["code"]) == (415, "invalid")
    assert not door.node.stopped


def test_a_body_beyond_its_bound_is_refused_unread(door):
    huge = b" " * (http_door.BODY_BYTES_MAX + 1)
    status, _, said = door.call("POST", "/v1/down", huge)
    assert (status, said["code"]) == (413, "invalid")


@pytest.mark.parametrize(
    "garbage", [b"\x00\xff\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /\xff HTTP/1.1\r\n"]
)
def test_garbage_costs_its_own_connection_only(door, garbage):
    with contextlib.closing(door.connect()) as sock:
        sock.sendall(garbage)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65_536):
            continue
    assert door.call("GET", "/healthz")[0] == 200


def test_a_websocket_is_turned_away_at_the_door(door):
    with contextlib.closing(door.connect()) as sock:
        sock.sendall(
            b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b" 403 " in read_until(sock, b"\r\n")


def test_a_bug_costs_one_request_and_tells_so(door, caplog):
    door.node.answers[ListPeers] = PeerViews(peers=(None,))
    status, _, said = door.call("GET", "/v1/peers")
    assert (status, said["code"]) == (500, "failed")
    assert "bug in nestmate" in said["detail"]
    assert door.call("GET", "/healthz")[0] == 200


# --- events ---


def test_a_long_poll_answers_at_once_with_what_was_missed(door):
    door.on_loop(door.node.happen, "peer.up", "task.done", "peer.down")
    _, _, page = door.call("GET", "/v1/events?since=0&timeout=20s&kinds=peer.*")
    assert [event["type"] for event in page["events"]] == ["peer.up", "peer.down"]
    assert (page["seq"], page["lagged"]) == (3, False)
    assert page["events"][0]["at"] == "2023-11-14T22:13:20.123Z"


def test_a_long_poll_waits_for_the_next_event_and_no_longer(door):
    with contextlib.closing(door.connect()) as sock:
        sock.sendall(b"GET /v1/events?timeout=20 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        door.when(lambda: door.readers() == 1)
        door.on_loop(door.node.happen, "peer.up")
        assert b'"type":"peer.up"' in read_until(sock, b"}]")


def test_a_long_poll_ends_empty_when_time_is_up(door):
    _, _, page = door.call("GET", "/v1/events?timeout=0.05")
    assert page == {"events": [], "seq": 0, "lagged": False}


def test_a_page_holds_no_more_than_asked_for_and_none_is_skipped(door):
    door.on_loop(door.node.happen, *["a.b"] * 5)
    since, seen = 0, []
    while len(seen) < 5:
        target = f"/v1/events?since={since}&limit=2&timeout=0"
        page = door.call("GET", target)[2]
        seen += [event["seq"] for event in page["events"]]
        since = page["seq"]
    assert seen == [1, 2, 3, 4, 5]


def test_a_reader_that_was_away_too_long_is_told_so(door):
    for _ in range(5):
        door.on_loop(door.node.happen, *["a.b"] * (door.node.KEPT.events_max // 4))
    page = door.call("GET", "/v1/events?since=1&limit=1&timeout=0")[2]
    assert page["lagged"] is True
    assert page["events"][0]["seq"] == 501


def test_a_reader_from_another_life_of_the_node_is_told_so(door):
    page = door.call("GET", "/v1/events?since=99&timeout=20")[2]
    assert page == {"events": [], "seq": 0, "lagged": True}


def test_a_stream_begins_with_hello_and_carries_events_as_they_happen(door):
    with contextlib.closing(door.stream("/v1/events")) as sock:
        assert events_in(read_until(sock, b"}\n\n")) == ["hello"]
        door.on_loop(door.node.happen, "task.done", skill="echo")
        heard = read_until(sock, b"}\n\n")
    assert events_in(heard) == ["task.done"]
    assert b"id: 1\n" in heard
    data = next(line for line in heard.split(b"\n") if line.startswith(b"data: "))
    assert json.loads(data[6:])["details"] == {"skill": "echo"}


def test_a_stream_goes_on_after_the_last_event_that_was_read(door):
    door.on_loop(door.node.happen, "a.one", "a.two", "a.three")
    with contextlib.closing(door.stream("/v1/events", Last_Event_ID="1")) as sock:
        heard = read_until(sock, b"event: a.three")
    assert events_in(heard) == ["hello", "a.two", "a.three"]


def test_a_stream_with_a_cursor_begins_after_what_was_acked(door):
    for target, body in (
        ("/v1/events/cursors", {"cursor": "c", "start": 0, "kinds": ["b.*"]}),
        ("/v1/events/ack", {"cursor": "c", "seq": 2}),
    ):
        door.on_loop(door.node.happen, "b.one", "a.two", "b.three")
        assert door.call("POST", target, body)[0] == 200
    with contextlib.closing(door.stream("/v1/events?cursor=c")) as sock:
        heard = read_until(sock, b"id: 6")
    assert events_in(heard) == ["hello", "b.three", "b.one", "b.three"]
    assert b'data: {"seq":2}' in heard


def test_a_stream_says_when_events_were_lost_to_it(door):
    for _ in range(5):
        door.on_loop(door.node.happen, *["a.b"] * (door.node.KEPT.events_max // 4))
    with contextlib.closing(door.stream("/v1/events?since=1")) as sock:
        heard = read_until(sock, b"event: a.b")
    assert events_in(heard)[:3] == ["hello", "lagged", "a.b"]


def test_a_stream_that_cannot_begin_is_refused_with_a_problem(door):
    for number in ("x", "9" * 40):
        with contextlib.closing(
            door.stream("/v1/events", Last_Event_ID=number)
        ) as sock:
            assert b" 400 " in read_until(sock, b"\r\n")


def test_the_tail_of_signals_is_a_stream_of_its_kinds_only(door):
    door.on_loop(door.node.happen, "peer.up", "signal.sensed", "task.done")
    with contextlib.closing(door.stream("/v1/signals/tail?since=0")) as sock:
        heard = read_until(sock, b"event: task.done")
    assert events_in(heard) == ["hello", "signal.sensed", "task.done"]


# --- comings and goings ---


def test_a_request_is_left_when_its_caller_goes_away(door):
    door.node.answers[TakeTask] = door.WAIT
    with contextlib.closing(door.connect()) as sock:
        body = b'{"skill":"echo","timeout":300}'
        sock.sendall(
            b"POST /v1/claims HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        door.when(lambda: door.node.waiting == 1)
    door.when(lambda: door.node.waiting == 0)


def test_readers_that_leave_leave_nothing_behind(door):
    socks = [door.stream("/v1/events") for _ in range(20)]
    for sock in socks:
        read_until(sock, b"event: hello")
    door.when(lambda: door.readers() == 20)
    for sock in socks:
        sock.close()
    door.when(lambda: door.readers() == 0)


def test_a_reader_that_does_not_read_does_not_keep_the_door_from_shutting(door):
    with contextlib.closing(door.stream("/v1/events")) as sock:
        read_until(sock, b"event: hello")
        for _ in range(64):
            door.on_loop(door.node.happen, *["a.b"] * 64, text="x" * 4_000)
        door.when(lambda: door.readers() == 0)
        door.shut()
    assert not door.path.exists()


def test_only_this_user_may_enter(door):
    assert stat.S_IMODE(door.path.stat().st_mode) == 0o600


async def test_another_user_is_turned_away_by_the_kernels_word(tmp_path):
    talks = []

    async def talk(stream, uid):
        talks.append(uid)
        await stream.send_all(b"welcome")

    for users, heard in ((frozenset({12_345}), b""), (None, b"welcome")):
        path = tmp_path / "a.sock"
        async with trio.open_nursery() as nursery:
            serve = lambda **told: serve_unix(path, talk, users=users, **told)  # noqa: B023, E731 - started at once
            await nursery.start(serve)
            async with await trio.open_unix_socket(os.fspath(path)) as stream:
                assert await stream.receive_some(100) == heard
            nursery.cancel_scope.cancel()
    assert talks == [os.geteuid()]


async def test_a_socket_left_by_a_crash_is_taken_over_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "a.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(os.fspath(path))

    async def talk(stream, _uid):
        await stream.receive_some(1)

    async with trio.open_nursery() as nursery:
        await nursery.start(lambda **told: serve_unix(path, talk, **told))
        with pytest.raises(BusyError, match="Another node"):
            await serve_unix(path, talk)
        nursery.cancel_scope.cancel()
    assert not path.exists()


def test_what_is_no_socket_is_not_removed(tmp_path):
    path = tmp_path / "a.sock"
    path.write_text("precious")
    found: queue.Queue[BaseException] = queue.Queue()

    async def serve() -> None:
        try:
            await serve_unix(path, None)
        except BusyError as error:
            found.put(error)

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    thread.join()
    assert isinstance(found.get_nowait(), BusyError)
    assert path.read_text() == "precious"
