"""The command line, as processes on real nodes: what it prints and how it ends.

Also that every kind of bad input ends in a sentence, a hint and the right exit code,
and that nothing is touched that was refused. Knows nothing of how a node works.
"""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nestmate.cli.app import command_tree
from nestmate.cli.registry import COMMANDS, GROUPS
from nestmate.operations.parameters import parameters
from nestmate.operations.table import BY_NAME, OPERATIONS

HEAVY = {"trio", "libp2p", "mcp", "starlette", "hypercorn", "rich", "asyncio", "nacl"}
# Where the hand-written command has another name than the operation it asks.
TAILS = {"event.wait": "event tail", "signal.tail": "signal tail"}

pytestmark = pytest.mark.slow


# --- the tree ---


def test_every_operation_has_a_command_and_the_registry_knows_no_other():
    operations = {TAILS.get(row.name, row.name.replace(".", " ")) for row in OPERATIONS}
    rendered = {path for path, entry in COMMANDS.items() if not entry.made_by}
    assert operations <= set(COMMANDS)
    assert rendered <= {row.name.replace(".", " ") for row in OPERATIONS}
    groups = {path.rpartition(" ")[0] for path in COMMANDS if " " in path}
    groups |= {path.partition(" ")[0] for path in groups}
    assert groups == set(GROUPS)


def commands_of(tree: click.Group, path: str = ""):
    for name in tree.list_commands(None):
        command = tree.get_command(None, name)
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_command_can_be_made_and_says_what_it_does():
    made = dict(commands_of(command_tree()))
    assert list(made) == sorted(COMMANDS, key=list(COMMANDS).index)
    for path, command in made.items():
        assert COMMANDS[path].help.endswith("."), path
        assert command.help.split("\n")[0].endswith("."), path
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, (path, option)


def test_a_rendered_command_takes_every_field_of_its_operation():
    made = dict(commands_of(command_tree()))
    for path, entry in COMMANDS.items():
        if not entry.made_by:
            fields = {item.name for item in parameters(BY_NAME[path.replace(" ", ".")])}
            assert {option.name for option in made[path].params} == fields


# --- what it loads ---


def modules_after(nest, *words: str) -> set[str]:
    code = (
        "import sys; from nestmate.cli import main; sys.argv = sys.argv[0:1] + "
        f"{list(words)!r}\ntry: main()\nexcept SystemExit: pass\n"
        "print(*{m.partition('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=nest.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("signal", "deposit", "echo"),
        ("contact", "ls"),
        ("config", "get"),
        ("down", "--help"),
        ("version", "--json"),
        ("doctor", "--help"),
    ],
    ids=" ".join,
)
def test_an_ordinary_command_loads_nothing_heavy(ada, words):
    loaded = modules_after(ada, *words)
    assert "click" in loaded
    assert not loaded & HEAVY


def test_the_pipe_for_hosts_does_not_even_load_click(nests):
    loaded = modules_after(nests("nobody"), "mcp")
    assert not loaded & {*HEAVY, "click", "msgspec"}


def test_a_node_loads_mcp_only_when_a_host_comes(nests):
    nest = nests("idle").make()
    nest.up()
    nest.ask("status")
    maps = Path(f"/proc/{nest.pid}/maps")
    assert "pydantic_core" not in maps.read_text()
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
    assert '"result"' in nest.run("mcp", given=ping).out
    assert "pydantic_core" in maps.read_text()


# --- what it prints ---

KEYS = {
    "id": {"address", "short", "peer_id", "addrs"},
    "status": {"state", "address", "addrs", "peers", "next"},
    "invite": {"invite"},
    "doctor": {"findings"},
    "claim ls": {"claims"},
    "skill find echo --timeout 0": {"results"},
    "signal deposit echo": {"task"},
    "contact ls": {"contacts"},
    "peer ls": {"peers"},
    "event wait --timeout 0": {"events", "seq", "lagged"},
    "version": {"version", "running"},
    "config get": {"preset", "listen", "limits.connections_max"},
    "config path": {"path"},
}


@pytest.mark.parametrize("line", KEYS)
def test_scripts_find_the_keys_they_rely_on(ada, line):
    said = ada.run(*line.split(), "--json")
    assert said.code == 0, said
    assert said.err == ""
    assert said.out.count("\n") == 1
    assert set(said.json) >= KEYS[line]


def test_a_task_shows_the_keys_scripts_rely_on(ada):
    task = ada.ask("signal", "deposit", "echo", "--body", '{"say": ["hi", 1]}')["task"]
    shown = ada.ask("signal", "show", task)
    assert set(shown) >= {
        *("task", "status", "urgency", "strength", "age_seconds", "holder"),
        *("generation", "result"),
    }
    assert (shown["status"], shown["body"]) == ("open", {"say": ["hi", 1]})


def test_findings_and_results_show_the_keys_scripts_rely_on(ada, bob):
    bob.ask("skill", "add", "count")
    (finding, *_) = ada.ask("doctor")["findings"]
    assert set(finding) == {"code", "severity", "text", "hint"}
    (result,) = ada.ask("skill", "find", "count")["results"]
    assert set(result) >= {"address", "name", "skill"}
    assert (result["name"], result["skill"]) == ("bob", "count")


def test_home_and_json_may_stand_anywhere_and_come_from_the_environment(ada):
    home, bare = str(ada.root), {"NESTMATE_HOME": ""}
    for words in (
        ("--home", home, "--json", "id"),
        ("id", f"--home={home}", "--json"),
        ("contact", "--json", "ls", "--home", home),
    ):
        assert ada.run(*words, **bare).json
    assert ada.run("id", NESTMATE_JSON="1").json["address"]


def test_an_invite_for_people_is_one_line_and_nothing_else(ada):
    said = ada.run("invite", "--uses", "2")
    assert said.out.startswith("nestmate1")
    assert said.out.count("\n") == 1


def test_a_document_is_read_from_a_file_and_comes_back_as_it_was(ada, tmp_path):
    (tmp_path / "body").write_bytes(b"\xff\x00")
    for word, body in (
        (f"@{tmp_path}/body", {"base64": "/wA="}),
        ("5", 5),
        ('"5"', "5"),
        ("NaN", "NaN"),
        ("[" * 5_000, "[" * 5_000),
        ("caf\u00e9 \u202e", "caf\u00e9 \u202e"),
    ):
        task = ada.ask("signal", "deposit", "echo", "--body", word)["task"]
        assert ada.client.signal.show(task).body == body


def test_a_document_goes_into_a_space_by_a_pipe_and_comes_out_as_it_was(ada):
    ada.client.space.create("desk")
    words = "two lines\nof it"
    version = ada.run("put", "desk", "note", "@-", given=words).out.strip()
    said = ada.run("get", "desk", "note")
    assert (said.out, version in said.err) == (words + "\n", True)
    ada.run("put", "desk", "note", "other")
    assert ada.run("get", "desk", "note", "--version", version).out == said.out


def test_nothing_that_others_wrote_can_steer_a_terminal(ada):
    nasty = "\x1b[2J\u009b31m \u202e"
    task = ada.ask("signal", "deposit", "echo", "--body", json.dumps(nasty))["task"]
    for words in (("signal", "show", task), ("signal", "show", task, "--json")):
        said = ada.run(*words)
        assert not set(said.out) & set("\x1b\u009b\u202e"), said
    assert said.json["body"] == nasty


def test_output_that_nobody_reads_is_not_complained_about(ada):
    pipe = f"{sys.executable} -m nestmate event wait --since 0 --timeout 0 | true"
    done = subprocess.run(
        ["bash", "-c", pipe], env=ada.environ, capture_output=True, check=True
    )
    assert done.stderr == b""


def test_a_tail_gives_one_document_a_line_as_it_happens(ada):
    since = str(ada.client.event.wait(timeout=0).seq)
    tail = ada.popen(
        *("--json", "signal", "tail", "--since", since), stdout=subprocess.PIPE
    )
    with tail:
        task = ada.ask("signal", "deposit", "echo")["task"]
        ada.ask("signal", "withdraw", task)
        event = json.loads(tail.stdout.readline())
        tail.terminate()
    assert set(event) == {"seq", "type", "at", "author", "ref", "details"}
    assert (event["type"], event["ref"]) == ("task.cancelled", task)


def on_a_terminal(nest, *words: str) -> str:
    """What a command that fails says to a person who sits at a terminal."""
    ours, theirs = pty.openpty()
    with nest.popen(*words, stdin=theirs, stdout=theirs, stderr=theirs) as command:
        os.close(theirs)
        heard = b""
        with contextlib.suppress(OSError):  # how a terminal says that it was left
            while chunk := os.read(ours, 4096):
                heard += chunk
        os.close(ours)
    assert command.returncode == 6
    return heard.decode()


def test_whoever_waits_at_a_terminal_for_more_than_a_second_is_told_for_what(ada):
    words = ("claim", "take", "--skill", "never", "--timeout", "1.5")
    said = on_a_terminal(ada, *words)
    assert "Waiting for a task" in said
    assert said.index("Waiting") < said.rindex("\x1b[K") < said.index("No ")
    assert "Waiting" not in on_a_terminal(ada, *words, "--json")
    assert "Waiting" not in ada.run(*words).err


# --- completion ---


def completions(nest, line: str, shell: str = "bash") -> list[str]:
    words = line.split(" ")
    cursor = words[-1] if shell == "fish" else str(len(words) - 1)
    said = nest.run(
        _NESTMATE_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=cursor
    )
    assert (said.code, said.err) == (0, ""), said
    rows = said.out.split("\n")
    if shell == "zsh":
        return rows[1::3]
    return [row.partition(",")[2].partition("\t")[0] for row in rows if row]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_options_and_live_values(ada, bob, shell, until):
    """Of what takes longer than a second nothing is shown: then one asks again."""
    assert "deposit" in completions(ada, "nestmate signal dep", shell)
    assert completions(ada, "nestmate signal deposit x --urg", shell) == ["--urgency"]
    until(lambda: completions(ada, "nestmate ping bo", shell) == ["bob"])
    line = f"nestmate --json --home {bob.root} contact trust a"
    until(lambda: completions(ada, line, shell) == ["ada"])
    task = ada.ask("signal", "deposit", "echo")["task"]
    until(lambda: task in completions(ada, "nestmate signal withdraw task1", shell))


def test_completion_is_silent_where_no_node_runs(nests):
    assert completions(nests("silent"), "nestmate ping bo") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(nests, shell):
    said = nests("any").run("completion", shell)
    assert said.code == 0
    assert f"_NESTMATE_COMPLETE={shell}_complete" in said.out
