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

        def begin(
            skill: str, *command: str, options: tuple[str, ...] = ()
        ) -> subprocess.Popen[bytes]:
            started = bob.popen(
                *("--json", "work", skill, *options, "--", *command),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            working.enter_context(started)
            working.callback(started.terminate)
            assert told(started, "waiting")["skill"].startswith(skill)
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


def deposit(nest, skill: str, *options: str, urgency: str = "0.1") -> str:
    """Slow as a rule: whoever always shouts is soon not heard any more."""
    words = ("--urgency", urgency, *options)
    return nest.ask("signal", "deposit", skill, *words)["task"]


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
    told = result_of(ada, task)
    assert Path(told.pop("NESTMATE_PARTIAL")).name == "partial"
    assert told == {
        "NESTMATE_TASK": task,
        "NESTMATE_GENERATION": "1",
        "NESTMATE_SKILL": "show",
        "NESTMATE_ISSUER": ada.ask("id")["address"],
        "NESTMATE_SLOT": "1",
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


def test_a_result_too_large_to_send_goes_as_a_blob(ada, bob, worker):
    working = worker("flood", "head", "-c", "100000", "/dev/zero")
    task = deposit(ada, "flood")
    assert told(working, "done")["task"] == task
    result = ada.client.signal.result(task, timeout=30).result
    assert result["bytes"] == 100_000
    shared = bob.client.blob.show(result["blob"])
    assert shared.agents == [ada.client.id().address]


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
    lost = told(working, "lost")
    assert (lost["task"], lost["why"]) == (task, "its issuer called it off")
    assert all_gone(pids)
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
    assert working.wait(60) == 0
    until(lambda: all_gone(pids))
    until(lambda: ada.ask("signal", "show", task)["generation"] == 2)
    assert "was stopped" in ada.ask("signal", "show", task)["reason"]


def test_a_worker_without_a_task_ends_at_once_and_leaves_none_claimed(ada, bob, worker):
    working = worker("idle", "cat")
    working.terminate()
    assert told(working, "stopped")
    assert working.wait(60) == 0
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


# --- how a command that must stop is ended


DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STUBBORN}"


def test_a_command_deaf_to_term_is_killed_after_its_grace_with_its_children(
    ada, worker, tmp_path, until
):
    words = (*PYTHON, DEAF, str(tmp_path))
    working = worker("deaf", *words, options=("--grace", "0.5"))
    task = deposit(ada, "deaf", "--lease", "1h")
    told(working, "took")
    pids = pids_in(tmp_path, until)
    ada.ask("signal", "withdraw", task)
    assert told(working, "lost")["why"] == "its issuer called it off"
    assert all_gone(pids)
    assert working.poll() is None


def test_a_second_signal_waits_for_no_good_end(ada, worker, tmp_path, until):
    words = (*PYTHON, DEAF, str(tmp_path))
    working = worker("twice-told", *words, options=("--grace", "600"))
    task = deposit(ada, "twice-told", "--lease", "1h")
    told(working, "took")
    pids = pids_in(tmp_path, until)
    working.terminate()
    working.send_signal(signal.SIGINT)  # two of one kind may count as one
    assert working.wait(60) == 0
    assert all_gone(pids)
    ada.ask("signal", "withdraw", task)


def test_what_a_stopped_command_has_achieved_goes_to_the_next_worker(
    ada, worker, tmp_path, until
):
    go_on = "cat $NESTMATE_PARTIAL; echo one > $NESTMATE_PARTIAL"
    line = f"{go_on}; touch {tmp_path}/begun; exec sleep 600"
    working = worker("handover", "sh", "-c", line)
    task = deposit(ada, "handover", "--lease", "1h")
    until((tmp_path / "begun").exists)
    working.terminate()
    assert told(working, "released")["task"] == task
    working.wait(60)
    worker("handover", "sh", "-c", "cat $NESTMATE_PARTIAL; echo two")
    assert result_of(ada, task) == "one\ntwo\n"


# --- several slots, several skills


def wait_for(place: Path) -> str:
    return f"until test -e {place}; do sleep 0.05; done; echo $NESTMATE_SLOT"


def test_a_worker_with_slots_does_so_many_tasks_at_a_time(ada, worker, tmp_path, until):
    options = ("--slots", "3", "--also", "weave=2", "--setup", "0")
    working = worker("spin", "sh", "-c", wait_for(tmp_path / "go"), options=options)
    tasks = [deposit(ada, skill) for skill in ("spin", "weave", "spin", "weave")]
    took = [told(working, "took") for _ in range(3)]
    assert sorted(news["slot"] for news in took) == [1, 2, 3]
    assert len({news["task"] for news in took}) == 3
    (tmp_path / "go").touch()
    assert {result_of(ada, task) for task in tasks} <= {1, 2, 3}


def test_all_slots_of_a_stopped_worker_give_their_tasks_back(ada, worker, until):
    working = worker("plenty", "sleep", "600", options=("--slots", "2"))
    tasks = {deposit(ada, "plenty", "--lease", "1h") for _ in range(2)}
    assert {told(working, "took")["task"] for _ in tasks} == tasks
    working.terminate()
    assert {told(working, "released")["task"] for _ in tasks} == tasks
    assert told(working, "stopped")
    assert working.wait(60) == 0


def test_slots_end_together_after_as_many_tasks_as_they_were_told(ada, bob):
    command = ("--json", "work", "thrice", "--slots", "2", "--count", "3", "--", "cat")
    with bob.popen(*command, stdout=subprocess.PIPE) as working:
        told(working, "waiting")
        tasks = [deposit(ada, "thrice", "--body", body) for body in "abcd"]
        assert working.wait(60) == 0
        working.stdout.read()
    open_ = [t for t in tasks if ada.ask("signal", "show", t)["status"] == "open"]
    assert len(open_) == 1


def test_one_slot_that_loses_its_task_leaves_the_others_alone(ada, worker, tmp_path):
    line = wait_for(tmp_path / "go")
    working = worker("beside", "sh", "-c", line, options=("--slots", "2"))
    gone, stays = (deposit(ada, "beside", "--lease", "1h") for _ in range(2))
    assert {told(working, "took")["task"] for _ in range(2)} == {gone, stays}
    ada.ask("signal", "withdraw", gone)
    assert told(working, "lost")["task"] == gone
    (tmp_path / "go").touch()
    assert told(working, "done")["task"] == stays


# --- making way


def test_a_slow_task_makes_way_for_a_flash_one_and_goes_on_later(
    ada, worker, tmp_path, until
):
    go_on = "read done < $NESTMATE_PARTIAL && echo after $done && exit"
    begin = f"echo step one > $NESTMATE_PARTIAL; touch {tmp_path}/go; exec sleep 600"
    line = f"read body; test $body = flash && exit; {go_on}; {begin}"
    working = worker("yield", "sh", "-c", line, options=("--preempt",))
    first = deposit(ada, "yield", "--lease", "1h", "--body", "slow\n")
    assert told(working, "took")["task"] == first
    until((tmp_path / "go").exists)
    flash = deposit(ada, "yield", "--body", "flash\n", urgency="0.9")
    released = told(working, "released")
    assert released["task"] == first
    assert released["why"] == "it made way for a flash task"
    assert told(working, "took")["task"] == flash
    assert told(working, "done")["task"] == flash
    assert result_of(ada, first) == "after step one\n"


def test_an_exclusive_task_makes_way_for_nothing(ada, worker, tmp_path):
    line = wait_for(tmp_path / "go")
    working = worker("once", "sh", "-c", line, options=("--preempt",))
    first = deposit(ada, "once", "--lease", "1h", "--exclusive")
    assert told(working, "took")["task"] == first
    since = ada.client.event.wait(timeout=0).seq
    flash = deposit(ada, "once", urgency="0.9")
    page = ada.client.event.wait(since=since, timeout=2, kinds=["task.reopened"])
    assert first not in {event.ref for event in page.events}
    (tmp_path / "go").touch()
    assert told(working, "done")["task"] == first
    assert told(working, "done")["task"] == flash
