"""A testnet of real nodes: what its commands do to the processes, and to no others.

Keeps one rule above all: nothing is signalled or removed that the testnet did not make,
and nothing it made is left behind. Knows nothing of how nodes find each other.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from nestmate.cli.registry import COMMANDS
from nestmate.errors import ConflictError, NotFoundError, UsageError
from nestmate.testnet.net import _edges, make_testnet, open_testnet
from nestmate.testnet.processes import Process, spawn

pytestmark = pytest.mark.slow

NEVER_STARTED = 1  # no process of ours begins in the first ticks of a machine


def processes_in(folder: Path) -> list[int]:
    """Every process that names this folder in its command line, and is no corpse."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


class Bench:
    """``nestmate testnet …`` in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = os.environ | {
            "NESTMATE_TESTNET": str(folder),
            "NESTMATE_HOME": "",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "nestmate", "testnet", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def ask(self, *words: str):
        done = self.run("--json", *words)
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def node(self, number: int):
        return self.ask("status")["nodes"][number - 1]


def a_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="nest-"))


@pytest.fixture
def folder():
    """A place for a testnet, short enough for Unix sockets; nothing stays in it."""
    place = a_folder()
    yield place / "net"
    for pid in processes_in(place):  # a test has failed
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def net():
    """Three nodes that run."""
    place = a_folder()
    net = Bench(place / "net")
    try:
        net.ask("up", "3", "--topology", "ring")
        yield net
    finally:
        net.run("down")
        left = processes_in(place)
        shutil.rmtree(place)
        assert left == []


def test_every_node_of_a_testnet_runs_and_is_connected(net, until):
    assert [row["state"] for row in net.ask("status")["nodes"]] == ["up"] * 3
    until(lambda: all(row["peers"] for row in net.ask("status")["nodes"]))
    assert net.run("status").stdout.startswith("NODE  STATE  PEERS  PID")


def test_a_second_testnet_in_one_folder_is_refused(net):
    before = net.ask("status")
    done = net.run("up", "2")
    assert done.returncode == ConflictError.exit_code
    assert "nestmate testnet down" in done.stderr
    assert [row["pid"] for row in net.ask("status")["nodes"]] == [
        row["pid"] for row in before["nodes"]
    ]


def test_exec_runs_a_command_at_home_of_a_node(net):
    said = net.run("exec", "2", "--", "nestmate", "id", "--json")
    assert json.loads(said.stdout)["address"] == net.node(2)["address"]
    assert net.run("exec", "1", "--", "sh", "-c", "exit 7").returncode == 7
    killed = net.run("exec", "1", "--", "sh", "-c", "kill -9 $$")
    assert killed.returncode == 128 + signal.SIGKILL
    missing = net.run("exec", "1", "--", "no-such-command")
    assert missing.returncode == NotFoundError.exit_code
    assert "Traceback" not in missing.stderr


def test_exec_wants_to_know_where_the_command_begins(net):
    said = net.run("exec", "1", "nestmate", "id")
    assert said.returncode == UsageError.exit_code
    assert "nestmate testnet exec 1 -- nestmate id" in said.stderr


def test_exec_finds_nestmate_where_path_does_not(net):
    net.environ["PATH"], path = "/usr/bin:/bin", net.environ["PATH"]
    try:
        assert net.run("exec", "1", "--", "nestmate", "version").returncode == 0
    finally:
        net.environ["PATH"] = path


def test_a_paused_node_is_frozen_until_it_is_resumed(net):
    net.ask("pause", "3")
    assert net.node(3)["state"] == "paused"
    net.ask("resume", "3")
    row = net.node(3)
    assert row["state"] == "up"
    asked = net.run("exec", "3", "--", "nestmate", "--json", "status")
    assert json.loads(asked.stdout)["address"] == row["address"]


def test_a_killed_node_is_started_again_as_the_same_agent(net, until):
    before = net.node(2)
    net.ask("kill", "2")
    assert net.node(2)["state"] == "down"
    assert net.run("kill", "2").returncode == 3
    assert net.run("exec", "2", "--", "nestmate", "id").returncode == 3
    net.ask("start", "2")
    after = net.node(2)
    assert after["address"] == before["address"]
    assert after["pid"] != before["pid"]
    until(lambda: net.node(2)["peers"])
    assert net.run("start", "2").returncode == ConflictError.exit_code


def test_logs_show_what_a_node_wrote(net):
    assert "up address=" in net.run("logs", "1").stdout
    assert any("up address=" in line for line in net.ask("logs", "1")["lines"])


def test_what_is_not_there_is_said_to_be_missing(net, folder):
    assert net.run("kill", "9").returncode == NotFoundError.exit_code
    gone = Bench(folder).run("status")
    assert gone.returncode == NotFoundError.exit_code
    assert "nestmate testnet up 3" in gone.stderr


def test_down_ends_frozen_nodes_too_and_leaves_nothing(folder):
    net = Bench(folder)
    net.ask("up", "1")
    net.ask("pause", "1")
    assert processes_in(folder)
    assert net.ask("down") == {"stopped": 1}
    assert processes_in(folder) == []
    assert not folder.exists()


def test_down_removes_only_what_up_made(folder):
    net = Bench(folder)
    net.ask("up", "1")
    (folder / "mine").write_text("keep")
    net.ask("down")
    assert [each.name for each in folder.iterdir()] == ["mine"]


def test_a_folder_with_other_things_is_refused_and_left_untouched(folder):
    folder.mkdir(mode=0o755)
    (folder / "thesis.txt").write_text("keep")
    with pytest.raises(UsageError):
        make_testnet(folder, 2)
    assert (folder / "thesis.txt").read_text() == "keep"
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_no_process_behind(folder, until, number):
    net = Bench(folder)
    with subprocess.Popen(
        net.command("up", "5"),  # so many that it is far from over when it is told
        env=net.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        until((folder / "node1" / "run" / "node.pid").exists)
        process.send_signal(number)
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert processes_in(folder) == []
    assert not folder.exists()


def test_a_damaged_file_of_a_testnet_is_a_sentence(folder):
    folder.mkdir()
    (folder / "testnet.json").write_text("{")
    done = Bench(folder).run("down")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_with_the_pid_of_another_is_never_signalled(folder):
    folder.mkdir()
    real = spawn(["sleep", "60"], folder / "log", folder=str(folder))
    stale = Process(real.pid, NEVER_STARTED)
    try:
        assert real.runs
        assert not stale.runs
        assert not stale.tell(signal.SIGKILL)
        assert not stale.tell_group(signal.SIGKILL)
        assert real.runs
    finally:
        assert real.tell_group(signal.SIGKILL)
    assert real.wait_gone(30)
    assert not real.tell(signal.SIGTERM)


def test_a_testnet_is_read_back_as_it_was_written(net):
    read = open_testnet(net.folder)
    assert [member.state for member in read.members] == ["up"] * 3
    assert read.topology == "ring"
    assert read.member(2).number == 2
    with pytest.raises(NotFoundError):
        read.member(4)


@pytest.mark.parametrize("topology", ["star", "ring", "random"])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_topology_reaches_every_node_without_a_detour(topology, count, seed):
    edges = _edges(count, topology, seed)
    assert all(1 <= end <= count and a != b for a, b in edges for end in (a, b))
    reached = {1}
    for _ in range(count):
        reached |= {end for edge in edges if reached & set(edge) for end in edge}
    assert reached == set(range(1, count + 1))
    assert _edges(count, topology, seed) == edges


def test_every_command_of_a_testnet_is_in_the_registry():
    names = {path.removeprefix("testnet ") for path in COMMANDS if "testnet " in path}
    wanted = "up status exec logs kill pause resume start down demo trial"
    assert names == set(wanted.split())


def test_the_demo_holds_every_promise_and_leaves_nothing(folder):
    folder.mkdir()
    net = Bench(folder)
    net.environ["TMPDIR"] = str(folder)
    done = net.run("demo", "--json", "--tasks", "18")
    said = json.loads(done.stdout)
    assert done.returncode == 0, (said, done.stderr)
    assert said["held"]
    assert len(said["checks"]) == 5
    assert processes_in(folder) == []
    assert list(folder.iterdir()) == []
