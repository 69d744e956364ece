"""``nestmate on`` and ``event tail --cursor`` with real commands on a real node.

What commands are given, what becomes of an event whose command fails, and that nothing
is missed whatever dies. Knows nothing of how events are kept.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nestmate_protocol.ids import SpaceId

pytestmark = pytest.mark.slow


@pytest.fixture
def react(ada):
    """``react(*words)`` runs ``nestmate on`` at ada's until the test is over."""
    with contextlib.ExitStack() as running:

        def begin(*words: str) -> subprocess.Popen[bytes]:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            started = ada.popen("--json", "on", *words, **pipes)
            running.enter_context(started)
            running.callback(started.kill)
            assert told(started, "waiting")["cursor"]
            return started

        yield begin


def told(running, what: str) -> dict:
    """The next news of that kind; whatever comes before is passed over."""
    for line in running.stdout:
        if (news := json.loads(line))["what"] == what:
            return news
    raise AssertionError((what, running.stderr.read()))


def happen(nest, skill: str = "x") -> str:
    """One event task.cancelled; the task it is about."""
    task = nest.client.signal.deposit(skill, urgency=0.05).task
    nest.client.signal.withdraw(task)
    return task


ENDED = ("--type", "task.cancelled")


def note(pid: str, place: Path) -> str:
    """A line of shell that leaves a process id in a file, whole."""
    return f"echo {pid} > {place}/new; mv {place}/new {place}/pid"


def pid_in(place: Path) -> int:
    return int((place / "pid").read_text())


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def test_a_command_gets_the_event_and_its_environment(ada, react, tmp_path):
    show = f"cat > {tmp_path}/event; env | grep ^NESTMATE_ | sort > {tmp_path}/env"
    running = react(*ENDED, "--", "sh", "-c", show)
    task = happen(ada)
    seq = told(running, "done")["seq"]
    event = json.loads((tmp_path / "event").read_text())
    assert (event["seq"], event["type"], event["ref"]) == (seq, "task.cancelled", task)
    lines = (tmp_path / "env").read_text().splitlines()
    told_it = dict(line.split("=", 1) for line in lines)
    assert told_it.pop("NESTMATE_PARTIAL")
    assert told_it == {
        "NESTMATE_AUTHOR": event["author"],
        "NESTMATE_EVENT_SEQ": str(seq),
        "NESTMATE_EVENT_TYPE": "task.cancelled",
        "NESTMATE_HOME": str(ada.root),
        "NESTMATE_PATH": "",
        "NESTMATE_REF": task,
        "NESTMATE_SPACE": "",
        "NESTMATE_TRY": "1",
    }


def test_a_change_in_a_space_runs_the_command_below_its_path_only(ada, react):
    ada.ask("space", "create", "shop")
    show = 'echo "$NESTMATE_PATH $NESTMATE_REF" >&2; exit 1'
    words = ("shop", "orders", "--cursor", "orders", "--tries", "1")
    running = react(*words, "--", "sh", "-c", show)
    ada.ask("put", "shop", "elsewhere/1", "5")
    version = ada.ask("put", "shop", "orders/7", '{"item": "pear"}')["version"]
    assert told(running, "failed")["why"] == f"exit code 1: orders/7 {version}"
    (letter,) = ada.client.event.dead.ls("orders").letters
    assert (letter.event.type, letter.event.ref) == ("space.changed", version)
    assert letter.event.author == ada.ask("id")["address"]


def test_a_command_that_fails_is_tried_again_until_it_succeeds(ada, react):
    words = ("--pause", "0.01", "--", "sh", "-c", "echo no >&2; test $NESTMATE_TRY = 3")
    running = react(*ENDED, *words)
    happen(ada)
    for tried in (1, 2):
        failed = told(running, "failed")
        assert (failed["tries"], failed["why"]) == (tried, "exit code 1: no")
    seq = told(running, "done")["seq"]
    (event,) = ada.client.event.find("task.cancelled", limit=1).events
    assert event.seq == seq
    assert not event.dead


def test_what_keeps_failing_is_given_up_and_can_be_tried_again(
    ada, react, tmp_path, until
):
    cursor = ("--cursor", "mend", "--tries", "2", "--pause", "0")
    running = react(*ENDED, *cursor, "--", "test", "-e", f"{tmp_path}/mended")
    first, second = happen(ada), happen(ada)
    lost = [told(running, "gave-up")["seq"] for _ in range(2)]
    letters = ada.client.event.dead.ls("mend").letters
    assert [each.event.ref for each in letters] == [first, second]
    assert [each.tries for each in letters] == [2, 2]
    (tmp_path / "mended").touch()
    ada.ask("event", "dead", "retry", "mend", str(lost[1]))
    assert told(running, "done")["seq"] == lost[1]
    until(lambda: len(ada.client.event.dead.ls("mend").letters) == 1)
    assert ada.client.event.dead.ls("mend").letters[0].event.ref == first


def test_what_was_not_done_comes_again_after_a_crash(ada, react, tmp_path, until):
    words = (*ENDED, "--cursor", "crash", "--")
    running = react(*words, "sh", "-c", f"{note('$$', tmp_path)}; exec sleep 600")
    tasks = [happen(ada) for _ in range(3)]
    until((tmp_path / "pid").exists)
    running.kill()
    os.kill(pid_in(tmp_path), signal.SIGKILL)  # nobody else ends it then
    running = react(*words, "sh", "-c", f"echo $NESTMATE_REF >> {tmp_path}/done")
    for _ in tasks:
        told(running, "done")
    assert (tmp_path / "done").read_text().split() == tasks


def test_neither_events_nor_cursors_nor_letters_are_lost_when_the_node_is_killed(
    ada, react
):
    client = ada.client
    running = react(*ENDED, "--cursor", "kept", "--tries", "1", "--", "false")
    task = happen(ada)
    told(running, "gave-up")
    os.kill(ada.pid, signal.SIGKILL)
    ada.up()
    later = happen(ada)
    told(running, "gave-up")
    letters = client.event.dead.ls("kept").letters
    assert [each.event.ref for each in letters] == [task, later]
    (event,) = client.event.find("task.cancelled", limit=1).events
    assert event.dead == ["kept"]


def test_a_failure_while_the_node_was_away_does_not_count_as_a_try(
    ada, react, tmp_path
):
    asks = f"until test -e {tmp_path}/go; do sleep 0.02; done; exec $0 -m nestmate id"
    on = react("--tries", "1", *ENDED, "--", "sh", "-c", asks, sys.executable)
    happen(ada)
    ada.ask("down")
    (tmp_path / "go").touch()
    away = told(on, "away")
    ada.up()
    assert told(on, "done")["seq"] == away["seq"]


def test_what_is_stopped_ends_its_command_with_all_it_started(
    ada, react, tmp_path, until
):
    line = f"sleep 600 & {note('$!', tmp_path)}; wait"
    running = react(*ENDED, "--cursor", "stop", "--", "sh", "-c", line)
    happen(ada)
    until((tmp_path / "pid").exists)
    running.terminate()
    assert told(running, "stopped")["cursor"] == "stop"
    assert running.wait(60) == 0
    assert not is_alive(pid_in(tmp_path))
    (event,) = ada.client.event.find("task.cancelled", limit=1).events
    assert "stop" in event.waiting


def test_several_events_are_dealt_with_at_a_time(ada, react, tmp_path):
    meet = f"touch {tmp_path}/$NESTMATE_EVENT_SEQ; cd {tmp_path}; "
    meet += "until test $(ls | wc -l) = 3; do sleep 0.02; done"
    running = react(*ENDED, "--jobs", "3", "--", "sh", "-c", meet)
    for _ in range(3):
        happen(ada)
    assert len({told(running, "done")["seq"] for _ in range(3)}) == 3


def test_once_ends_when_all_there_is_has_been_dealt_with(ada):
    since = str(ada.client.event.wait(timeout=0).seq)
    tasks = [happen(ada) for _ in range(3)]
    words = (*ENDED, "--once", "--since", since)
    show = ("--", "sh", "-c", "echo $NESTMATE_REF")
    said = ada.run("on", *words, *show)
    assert (said.code, said.out.split()) == (0, tasks)
    assert (again := ada.run("on", *words, *show)).out == ""
    assert again.code == 0
    said = ada.run("on", *words, "--tries", "1", "--", "false")
    assert said.code == 1
    assert "Given up: 3" in said.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("shop",), "Nothing says where your command begins"),
        (("--", "cat"), "Nothing says what to react to"),
        (("a", "b", "c", "--", "cat"), "'c' is one word too many"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_way_out(ada, words, complaint):
    said = ada.run("on", *words)
    assert said.code == 2
    assert complaint in said.err


def test_the_words_before_the_command_are_a_space_and_a_path(ada):
    ada.ask("event", "cursor", "set", "shop")
    space = SpaceId(bytes(32)).text
    said = ada.run("on", space, "p/q", "--cursor", "shop", "--once", "--", "cat", "-n")
    assert said.code == 0, said
    (cursor,) = (c for c in ada.client.event.cursor.ls().cursors if c.cursor == "shop")
    assert (cursor.kinds, cursor.space, cursor.path) == (
        ["space.changed"],
        space,
        "p/q",
    )


def test_a_tail_with_a_cursor_goes_on_where_it_was(ada, until):
    words = ("--json", "event", "tail", "--cursor", "tail", "--type", "task.cancelled")
    since = str(ada.client.event.wait(timeout=0).seq)
    tasks = [happen(ada) for _ in range(2)]
    with ada.popen(*words, "--since", since, stdout=subprocess.PIPE) as tail:
        shown = [json.loads(tail.stdout.readline())["ref"] for _ in tasks]
        until(lambda: ada.client.event.find("task.cancelled", limit=1).events[0].seen)
        tail.terminate()
    assert shown == tasks
    tasks = [happen(ada) for _ in range(2)]
    with ada.popen(*words, stdout=subprocess.PIPE) as tail:
        shown = [json.loads(tail.stdout.readline())["ref"] for _ in tasks]
        tail.terminate()
    assert shown == tasks
