"""The Python client: the table as methods, over a real socket.

Also what it costs to import, and what it says when no node runs. Knows nothing of the
core.
"""

import contextlib
import inspect
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from operator import attrgetter

import pytest

from nestmate.client import Client, Cord
from nestmate.errors import (
    ConflictError,
    DeniedError,
    NodeError,
    NotFoundError,
    NotRunningError,
    TimedOutError,
    UsageError,
)
from nestmate.operations.agents import Pong
from nestmate.operations.table import OPERATIONS
from nestmate_protocol.directory import requests as directory
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.signals import requests as signals

TASK = TaskId(bytes(32))


@pytest.fixture
def client(door):
    return Client(door.node.home.root)


def test_a_method_takes_arguments_by_place_and_by_name(door, client):
    door.node.answers[signals.DepositTask] = signals.Deposited(TASK)
    made = client.signal.deposit("echo", urgency=0.8, body=["a", 1], lease="1m")
    assert made.task == TASK.text
    (asked,) = door.node.asked
    assert asked.body == b'["a",1]'
    assert (asked.skill, asked.urgency, asked.lease_seconds) == ("echo", 0.8, 60)


def test_what_comes_back_is_of_the_type_the_table_names(door, client):
    answer = directory.Pong(Address(bytes(32)), 1.25)
    door.node.answers[directory.PingAgent] = answer
    pong = client.ping("bob", timeout=2)
    assert pong == Pong(address=Address(bytes(32)).text, milliseconds=1.25)


def test_queries_carry_every_kind_of_value(door, client):
    door.on_loop(door.node.happen, "a b.c&d", "task.done", "peer.up")
    page = client.event.wait(since=0, kinds=["a b*", "task.*"], timeout=0, limit=5)
    assert [event.type for event in page.events] == ["a b.c&d", "task.done"]


def test_a_refusal_is_raised_as_the_error_it_was(door, client):
    door.node.answers[signals.TakeTask] = ConflictError("Somebody holds it.", "Wait.")
    with pytest.raises(ConflictError, match="Somebody holds it") as refusal:
        client.claim.take(skill="echo")
    assert refusal.value.hint == "Wait."


def test_a_misspelt_field_names_its_place_and_what_there_is(client):
    with pytest.raises(UsageError, match="`urgncy`") as refusal:
        client.signal.deposit("echo", urgncy=1)
    assert "urgency" in refusal.value.hint


def test_calling_a_method_wrongly_is_a_type_error_as_in_any_python(client):
    with pytest.raises(TypeError, match="positional"):
        client.ping("bob", "alice")
    with pytest.raises(TypeError, match="twice"):
        client.ping("bob", who="alice")


def test_what_does_not_exist_is_an_attribute_error(client):
    for missing in (lambda: client.nothing, lambda: client.signal.nothing):
        with pytest.raises(AttributeError):
            missing()
    with pytest.raises(NotFoundError):
        client.call("no.such")


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_every_operation_is_a_method_with_a_signature_and_a_sentence(row):
    method = attrgetter(row.name)(Client("/nowhere"))
    signature = inspect.signature(method)
    assert method.__doc__ == row.help
    assert set(signature.parameters) == set(row.request.__struct_fields__)
    assert signature.return_annotation is row.response
    noun = attrgetter(row.noun)(Client("/nowhere")) if row.noun else Client("/nowhere")
    assert row.verb in dir(noun)


def test_the_answer_can_be_had_as_the_json_it_was(client):
    assert client.raw("version").startswith(b'{"version":"')


def test_events_are_followed_as_they_happen(door, client):
    found = []

    def read() -> None:
        found.extend(itertools.islice(client.follow(fields={"timeout": 60}), 3))

    reader = threading.Thread(target=read)
    reader.start()
    door.when(lambda: door.readers() == 1)
    door.on_loop(door.node.happen, "a.one", "a.two")
    door.when(lambda: door.readers() == 1)
    door.on_loop(door.node.happen, "a.three")
    reader.join(60)
    assert [event.seq for event in found] == [1, 2, 3]


def test_a_follower_that_lost_events_is_told_so(door, client):
    for _ in range(5):
        door.on_loop(door.node.happen, *["a.b"] * (door.node.KEPT.events_max // 4))
    with pytest.raises(NodeError, match="lost"):
        next(client.follow(fields={"since": 1}))


def ended_by(door, client, end) -> NodeError:
    """What a call that waits for a task raises when its cord is used."""
    door.node.answers[signals.TakeTask] = door.WAIT
    cord, raised = Cord(), []

    def take() -> None:
        try:
            client.raw("claim.take", {"skill": "echo", "timeout": 300}, cord)
        except NodeError as error:
            raised.append(error)

    caller = threading.Thread(target=take)
    caller.start()
    door.when(lambda: door.node.waiting == 1)
    end(cord)
    caller.join(30)
    door.when(lambda: door.node.waiting == 0)
    return raised[0]


@pytest.mark.parametrize("end", [Cord.pull, Cord.cut])
def test_a_call_that_waits_can_be_ended_by_another_thread(door, client, end):
    assert isinstance(ended_by(door, client, end), NodeError)


def test_a_call_whose_cord_is_pulled_already_does_not_begin(door, client):
    cord = Cord()
    cord.pull()
    with pytest.raises(NotRunningError, match="before it began"):
        client.raw("claim.take", {"skill": "echo"}, cord)
    assert door.node.asked == []


def test_a_cord_pulled_after_the_answer_does_no_harm(client):
    cord = Cord()
    assert client.raw("version", {}, cord)
    cord.pull()
    assert client.raw("version")


def test_several_threads_may_share_a_client(door, client):
    said = []
    ask = lambda: said.append(client.status().peers)  # noqa: E731 - a thread's whole work
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [1] * 8


def test_no_node_is_an_error_that_says_how_to_start_one(tmp_home):
    client = Client(tmp_home)
    assert not client.is_ready()
    with pytest.raises(NotRunningError, match="No node runs") as refusal:
        client.status()
    assert "nestmate up" in refusal.value.hint
    assert refusal.value.exit_code == 3


def test_a_node_that_ends_before_it_answers_counts_as_not_running(tmp_home):
    client = Client(tmp_home)
    client.home.run.mkdir(parents=True)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(os.fspath(client.home.api_socket))
        listener.listen()

        def answer_nothing() -> None:
            listener.accept()[0].close()

        hang_up = threading.Thread(target=answer_nothing)
        hang_up.start()
        with pytest.raises(NotRunningError, match="went away"):
            client.status()
        hang_up.join()


def test_a_body_the_door_refuses_unread_still_says_why(client):
    with pytest.raises(UsageError, match="exceeds"):
        client.signal.deposit("echo", body="x" * 300_000)


def test_the_home_comes_from_the_environment_if_not_named(door, client):
    assert Client().home == client.home
    assert Client().is_ready()
    assert repr(Client()) == f"<Client {client.home.root}>"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_denied_with_a_sentence(door, client):
    for folder in door.path.parents[:3]:
        folder.chmod(0o755)
    code = (
        "import http.client, msgspec, os, nestmate.home;"
        "from nestmate.client import Client;"
        f"os.setuid(65534); Client({os.fspath(client.home.root)!r}).status()"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert DeniedError.__name__ in said.stderr


def test_importing_the_client_loads_neither_network_nor_server():
    code = "import nestmate.client, sys; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"trio", "libp2p", "starlette", "mcp", "click", "msgspec", "http.client"}
    assert not heavy & set(said.stdout.split())


@pytest.mark.parametrize("timeout", [0.2, "200ms"])
def test_a_node_that_is_silent_is_given_up_after_the_wait_it_was_told(
    door, client, monkeypatch, timeout
):
    monkeypatch.setattr("nestmate.client.PATIENCE_SECONDS", 0.1)
    door.node.answers[directory.PingAgent] = door.WAIT
    began = time.monotonic()
    with pytest.raises(TimedOutError, match="did not answer"):
        client.ping("bob", timeout=timeout)
    assert time.monotonic() - began >= 0.3
