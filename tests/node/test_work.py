"""``nestmate work`` with real commands on real nodes: what they are given and told.

Also what becomes of a task when its command fails, its lease is lost, or its worker
is stopped. Knows nothing of how a task comes to a worker.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WAIT = "1m"
PYTHON = (sys.executable, "-c")


@pytest.fixture
def worker(bob):
    """``worker(skill, *command)`` works at bob's until the test is over."""
    with contextlib.ExitStack() as working:

        def begin(skill: str, *command: str) -> subprocess.Popen[bytes]:
            started = bob.popen(
                *("--json", "work", skill, "--", *command),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            working.enter_context(started)
            working.callback(started.terminate)
            assert told(started, "waiting")["skill"] == skill
            return started

        yield begin


def told(working, what: str) -> dict[str, str]:
    """The next news of that kind; whatever comes before is passed over."""
    for line in working.stdout:
        if (news := json.loads(line))["what"] == what:
            return news
    raise AssertionError((what, working.stderr.read()))


def result_of(nest, task: str):
    """The result of a task of this nest's, once it is there."""
    since = 0
    while True:
        page = nest.ask("event", "wait", *("--since", str(since), "--timeout", WAIT))
        assert page["events"], f"{task} is not done: {nest.ask('signal', 'show', task)}"
        if any((e["type"], e["ref"]) == ("task.done", task) for e in page["events"]):
            return nest.ask("signal", "show", task)["result"]
        since = page["seq"]


def deposit(nest, skill: str, *options: str) -> str:
    return nest.ask("signal", "deposit", skill, "--urgency", "0.9", *options)["task"]


def test_a_command_gets_the_input_as_bytes_and_gives_the_result_back(ada, worker):
    worker("copy", "cat")
    for body, result in (
        ('{"say": ["hi", 1]}', {"say": ["hi", 1]}),
        ("two words", "two words"),
        ('{"base64": "/wA="}', {"base64": "/wA="}),
        ("[1e999]", "[1e999]"),
        (None, None),
    ):
        options = () if body is None else ("--body", body)
        assert result_of(ada, deposit(ada, "copy", *options)) == result


def test_a_command_finds_the_task_and_its_fence_in_its_environment(ada, bob, worker):
    show = "import json, os; print(json.dumps({k: v for k, v in os.environ.items()"
    worker("show", *PYTHON, f"{show} if k.startswith('NESTMATE_')}}))")
    task = deposit(ada, "show")
    assert result_of(ada, task) == {
        "NESTMATE_TASK": task,
        "NESTMATE_GENERATION": "1",
        "NESTMATE_SKILL": "show",
        "NESTMATE_ISSUER": ada.ask("id")["address"],
        "NESTMATE_HOME": str(bob.root),
    }


def test_a_task_whose_command_fails_opens_again_with_the_reason(ada, worker, until):
    working = worker("brittle", "sh", "-c", "echo too brittle >&2; exit 7")
    task = deposit(ada, "brittle")
    assert told(working, "failed")["why"] == "exit code 7: too brittle"
    until(lambda: ada.ask("signal", "show", task)["generation"] == 2)
    shown = ada.ask("signal", "show", task)
    assert shown["reason"].endswith("exit code 7: too brittle")
    assert working.poll() is None


def test_a_result_too_large_to_send_is_a_failure_that_says_so(ada, worker):
    working = worker("flood", "head", "-c", "100000", "/dev/zero")
    task = deposit(ada, "flood")
    assert "larger than" in told(working, "failed")["why"]
    ada.ask("signal", "withdraw", task)


def test_a_lease_is_renewed_for_as_long_as_the_command_runs(ada, worker, tmp_path):
    until_told = f"until test -e {tmp_path}/go; do sleep 0.05; done; echo late"
    working = worker("slow", "sh", "-c", until_told)
    task = deposit(ada, "slow", "--lease", "3s")
    told(working, "took")
    since = ada.client.event.wait(timeout=0).seq
    page = ada.client.event.wait(since=since, timeout=4, kinds=["task.reopened"])
    assert not page.events
    (tmp_path / "go").touch()
    assert result_of(ada, task) == "late\n"
    assert ada.ask("signal", "show", task)["generation"] == 1


STUBBORN = (
    "import os, signal, subprocess, sys, pathlib;"
    "child = subprocess.Popen(['sleep', '600']);"
    "place = pathlib.Path(sys.argv[1]);"
    "(place / 'new').write_text(f'{os.getpid()} {child.pid}');"
    "(place / 'new').rename(place / 'pids');"
    "signal.pause()"
)


def pids_in(place: Path, until) -> list[int]:
    until((place / "pids").exists)
    return [int(word) for word in (place / "pids").read_text().split()]


def all_gone(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def test_a_command_whose_task_was_withdrawn_is_ended_at_once_with_all_it_started(
    ada, worker, tmp_path, until
):
    working = worker("withdrawn", *PYTHON, STUBBORN, str(tmp_path))
    task = deposit(ada, "withdrawn", "--lease", "1h")
    told(working, "took")
    pids = pids_in(tmp_path, until)
    ada.ask("signal", "withdraw", task)
    assert told(working, "lost")["task"] == task
    until(lambda: all_gone(pids))
    assert working.poll() is None


def test_a_command_is_ended_when_its_node_came_back_without_the_lease(
    ada, bob, worker, tmp_path, until
):
    working = worker("orphaned", *PYTHON, STUBBORN, str(tmp_path))
    task = deposit(ada, "orphaned", "--lease", "3s")
    told(working, "took")
    pids = pids_in(tmp_path, until)
    os.kill(bob.pid, signal.SIGKILL)
    assert "No node" in told(working, "unrenewed")["why"]
    until(lambda: ada.client.signal.show(task).generation == 2)
    bob.up()
    assert told(working, "lost")["task"] == task
    until(lambda: all_gone(pids))
    ada.ask("signal", "withdraw", task)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_stopped_ends_its_command_and_gives_the_task_back(
    ada, worker, tmp_path, until, number
):
    skill = f"stopped{number}"
    working = worker(skill, *PYTHON, STUBBORN, str(tmp_path))
    task = deposit(ada, skill, "--lease", "1h")
    told(working, "took")
    pids = pids_in(tmp_path, until)
    working.send_signal(number)
    assert told(working, "released")["task"] == task
    assert working.wait(30) == 0
    until(lambda: all_gone(pids))
    until(lambda: ada.ask("signal", "show", task)["generation"] == 2)
    assert "was stopped" in ada.ask("signal", "show", task)["reason"]


def test_a_worker_without_a_task_ends_at_once_and_leaves_none_claimed(ada, bob, worker):
    working = worker("idle", "cat")
    working.terminate()
    assert told(working, "stopped")
    assert working.wait(30) == 0
    since = bob.client.event.wait(timeout=0).seq
    task = deposit(ada, "idle")
    page = bob.client.event.wait(since=since, timeout=1, kinds=["claim.granted"])
    assert task not in {event.ref for event in page.events}


def test_a_worker_ends_after_as_many_tasks_as_it_was_told(ada, bob):
    command = ("--json", "work", "twice", "--count", "2", "--", "cat")
    with bob.popen(*command, stdout=subprocess.PIPE) as working:
        told(working, "waiting")
        tasks = [deposit(ada, "twice", "--body", body) for body in "abc"]
        assert working.wait(60) == 0
        working.stdout.read()
    open_ = [t for t in tasks if ada.ask("signal", "show", t)["status"] == "open"]
    assert len(open_) == 1


def test_a_worker_waits_for_a_node_that_is_being_restarted(ada, bob, worker):
    worker("patient", "cat")
    bob.ask("restart")
    assert result_of(ada, deposit(ada, "patient", "--body", "5")) == 5
