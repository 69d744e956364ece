"""Making a home, running its node, and everything a person can get wrong on the way.

Every refusal is a sentence with a way out and the right exit code, and leaves what was
there as it was. Knows nothing of how a node works.
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from nestmate.cli.app import run
from nestmate.cli.arguments import hoist

TASK = "task1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqx5jgjj"
NUMBERS = itertools.count(1)
NOBODY = "nest1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqgdynff"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def refused(said, code: int, *pieces: str) -> None:
    """What was said is a refusal for people: words, no traceback, the right code."""
    assert said.code == code, said
    assert said.out == "", said
    assert "Traceback" not in said.err, said
    assert "bug" not in said.err, said
    assert all(piece in said.err for piece in pieces), said


def what_lies_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a home that may not change, with its mode and bytes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name not in {"log", "run", "store"}
    }


@pytest.fixture(scope="module")
def made(nests):
    """A home that is made once and copied by tests that spoil it."""
    return nests("made").make()


@pytest.fixture
def copy(made, nests):
    nest = nests(f"copy{next(NUMBERS)}")
    shutil.copytree(made.root, nest.root)
    return nest


# --- one life ---


def test_a_node_is_made_started_asked_and_stopped(nests):
    nest = nests("life")
    made = nest.ask("init", "--name", "life")
    assert len(made["recovery"].split()) == 24
    said = nest.run("up", "--detach")
    lines = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert lines[0].split() == ["up", made["address"]]
    assert lines[1].startswith(f"listening {made['listen'][0]}/p2p/12D3KooW")
    assert nest.ask("status")["state"] == "running"
    assert nest.ask("down") == {"state": "stopped"}
    assert not nest.home.pid_file.exists()
    refused(nest.run("status"), 3, "No node runs", "nestmate up")


def test_the_recovery_phrase_is_shown_once_and_written_nowhere(nests):
    nest = nests("words")
    words = nest.ask("init")["recovery"].encode()
    for path in nest.root.rglob("*"):
        assert path.is_dir() or words[:20] not in path.read_bytes()


def test_a_restarted_node_has_another_process_and_the_same_address(nests):
    nest = nests("again").make()
    first = nest.ask("restart")  # also one that does not run
    pid = nest.pid
    second = nest.ask("restart")
    assert second["address"] == first["address"]
    assert second["addrs"] == first["addrs"]
    assert nest.pid != pid


def test_in_the_foreground_a_node_says_where_it_listens_and_ends_on_a_signal(nests):
    nest = nests("front").make()
    for number in (signal.SIGINT, signal.SIGTERM):
        with nest.popen("up", "--json", stdout=-1, stderr=-1) as node:
            status = json.loads(node.stdout.readline())
            assert nest.ask("status")["address"] == status["address"]
            node.send_signal(number)
            out, err = node.communicate(timeout=60)
            assert (node.returncode, out, err) == (0, b"", b"")


def test_a_second_up_says_who_holds_the_home(ada):
    for words in (("up",), ("up", "--detach")):
        refused(ada.run(*words), 1, f"Process {ada.pid} already", "nestmate down")
    assert ada.run("up", "--json").problem["code"] == "busy"
    assert ada.ask("status")["state"] == "running"


def test_a_key_is_not_rotated_under_a_running_node(ada):
    before = what_lies_in(ada.root)
    said = ada.run("key", "rotate", given="abandon " * 24)
    refused(said, 1, f"Process {ada.pid} already")
    assert what_lies_in(ada.root) == before


def test_a_new_key_leaves_the_address_and_wants_the_words(nests):
    nest = nests("keys")
    made = nest.ask("init")
    refused(nest.run("key", "rotate", given="one two"), 2, "24 words, not 2")
    refused(nest.run("key", "rotate", given=b"\xff\n"), 2, "24 words")
    zeros = ("--words-file", "/dev/zero")
    refused(nest.run("key", "rotate", *zeros), 2, "24 words, not 1")
    wrong = "abandon " * 23 + "art"
    refused(nest.run("key", "rotate", given=wrong), 4, "another identity")
    turned = nest.run("key", "rotate", "--json", given=made["recovery"]).json
    assert (turned["address"], turned["position"]) == (made["address"], 1)
    assert nest.up()["address"] == made["address"]


def test_a_sealed_home_opens_with_its_passphrase_only(nests, tmp_path):
    (tmp_path / "right").write_text("open sesame\n")
    (tmp_path / "wrong").write_text("sesame\n")
    nest = nests("sealed").make("--passphrase-file", str(tmp_path / "right"))
    before = what_lies_in(nest.root)
    refused(nest.run("up", "--detach"), 4, "sealed", "--passphrase-file")
    wrong = ("--passphrase-file", str(tmp_path / "wrong"))
    refused(nest.run("up", "--detach", *wrong), 4, "stays closed")
    assert what_lies_in(nest.root) == before
    assert nest.up("--passphrase-file", str(tmp_path / "right"))
    refused(nest.run("restart"), 4, "sealed", "--passphrase-file")
    assert nest.ask("status")["state"] == "running"


# --- settings ---


def test_settings_are_shown_changed_and_refused_by_name(made):
    assert made.ask("config", "get", "preset") == {"preset": "local"}
    assert made.ask("config", "path") == {"path": str(made.home.config)}
    assert made.ask("config", "set", "mdns", "true") == {"mdns": True}
    assert made.ask("config", "set", "limits.connections_max", "200")
    listen = ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"]
    assert made.ask("config", "set", "listen", ", ".join(listen)) == {"listen": listen}
    assert made.ask("config", "get")["limits.connections_max"] == 200
    made.ask("config", "set", "listen", listen[0])


@pytest.mark.parametrize(
    ("words", "piece"),
    [
        (("get", "nix"), "no setting 'nix'"),
        (("set", "nix", "1"), "no setting 'nix'"),
        (("set", "limits.nix", "1"), "no setting"),
        (("set", "mdns", "perhaps"), "mdns"),
        (("set", "limits.connections_max", "many"), "connections_max"),
        (("set", "listen", "here"), "listen[0]"),
        (("set", "preset", "moon"), "preset"),
        (("set", "name", "a\x1b[2J"), "name"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_and_not_written(made, words, piece):
    before = what_lies_in(made.root)
    refused(made.run("config", *words), 2, piece)
    assert what_lies_in(made.root) == before


# --- homes that cannot be used ---


@pytest.mark.parametrize("words", [("up",), ("up", "--detach"), ("key", "rotate")])
def test_where_there_is_no_home_none_is_used_and_none_made(nests, words):
    nest = nests("nowhere")
    refused(nest.run(*words), 2, "There is no home", "nestmate init")
    assert not nest.root.exists()


def spoil_key(nest) -> None:
    (nest.home.identity / "device.key").unlink()


def open_key(nest) -> None:
    (nest.home.identity / "device.key").chmod(0o644)


def open_identity(nest) -> None:
    nest.home.identity.chmod(0o755)


def open_home(nest) -> None:
    nest.root.chmod(0o777)


def scribble_on_key(nest) -> None:
    (nest.home.identity / "device.key").write_bytes(b"mine\n")


def scribble_on_log(nest) -> None:
    (nest.home.identity / "log.cbor").write_bytes(b"\x00" * 100)


def scribble_on_marker(nest) -> None:
    nest.home.marker.write_text("[]")


def remove_marker(nest) -> None:
    nest.home.marker.unlink()


def make_it_newer(nest) -> None:
    nest.home.marker.write_text('{"format": 99}')


def scribble_on_settings(nest) -> None:
    nest.home.config.write_text("listen = what")


def remove_settings(nest) -> None:
    nest.home.config.unlink()


def put_something_else_where_sockets_go(nest) -> None:
    nest.home.run.rmdir()
    nest.home.run.write_text("")


def remove_store(nest) -> None:
    shutil.rmtree(nest.home.store)


@pytest.mark.parametrize(
    ("spoil", "piece"),
    [
        (spoil_key, "device.key cannot be opened"),
        (open_key, "chmod 600"),
        (open_identity, "chmod 700"),
        (open_home, "chmod 700"),
        (scribble_on_key, "device.key is damaged"),
        (scribble_on_log, "log.cbor is damaged"),
        (scribble_on_marker, "home.json is damaged"),
        (remove_marker, "not a home"),
        (make_it_newer, "newer Nestmate"),
        (scribble_on_settings, "not TOML"),
        (remove_settings, "cannot be read"),
    ],
)
def test_a_home_that_is_not_whole_is_refused_and_left_untouched(copy, spoil, piece):
    spoil(copy)
    before = what_lies_in(copy.root)
    refused(copy.run("up", "--detach"), 2, piece)
    assert what_lies_in(copy.root) == before
    doctor = copy.run("doctor", "--json")
    assert doctor.code == 1
    assert piece in json.dumps(doctor.json)
    assert what_lies_in(copy.root) == before


@pytest.mark.parametrize(
    ("spoil", "piece"),
    [
        (put_something_else_where_sockets_go, "run cannot be made"),
        (remove_store, "cannot be locked"),
    ],
)
def test_a_home_that_lacks_a_place_is_refused(copy, spoil, piece):
    spoil(copy)
    refused(copy.run("up"), 2, piece)
    refused(copy.run("up", "--detach"), 2, piece)


def test_a_command_does_not_mind_that_its_streams_are_closed(made):
    for closing, code in ((">&-", 0), ("<&-", 0), ("2>&-", 0)):
        line = f"{sys.executable} -m nestmate config get {closing}"
        done = subprocess.run(["bash", "-c", line], env=made.environ, check=False)
        assert done.returncode == code, closing


def test_a_folder_of_somebody_else_is_not_made_a_home(nests):
    nest = nests("foreign")
    nest.root.mkdir()
    (nest.root / "letter.txt").write_text("dear")
    before = what_lies_in(nest.root)
    refused(nest.run("init"), 2, "holds other files", "--home")
    refused(nest.run("up"), 2, "not a home")
    assert what_lies_in(nest.root) == before


def test_a_home_is_not_made_where_none_can_be(nests):
    nest = nests("anywhere")
    for place in ("/proc/here", f"{os.devnull}/here"):
        refused(nest.run("init", "--home", place), 2, "No home could be made at")
    for words in (("init",), ("up",), ("doctor",)):
        said = nest.run(*words, "--home", f"/tmp/{'x' * 300}")
        assert "File name too long" in said.out + said.err
        assert said.code == 1


def test_a_home_is_not_made_twice(made):
    before = what_lies_in(made.root)
    refused(made.run("init"), 2, "already is a home")
    assert what_lies_in(made.root) == before


def test_a_port_that_is_taken_is_said_to_be(ada, copy):
    taken = ada.ask("status")["addrs"][0].partition("/p2p/")[0]
    said = copy.run("up", "--detach", "--listen", taken)
    refused(said, 1, taken.rpartition("/")[2])


@pytest.mark.parametrize(
    ("words", "piece"),
    [
        (("--listen", "here"), "listen"),
        (("--preset", "moon"), "moon"),
        (("--name", "x" * 65), "name"),
        (("--network", "a b"), "network"),
        (("--passphrase-file", "/nix"), "/nix"),
        (("--passphrase-file", os.devnull), "no passphrase"),
    ],
)
def test_a_home_is_not_made_from_nonsense(nests, words, piece):
    nest = nests("nonsense")
    refused(nest.run("init", *words), 2, piece)
    assert not nest.root.exists()


# --- what nobody can mean ---


@pytest.fixture
def said_here(ada, capsys, monkeypatch):
    """What a command says, without the cost of a process; ada's node is asked."""

    def say(*words: str) -> Said:
        monkeypatch.setenv("NESTMATE_HOME", str(ada.root))
        code = run(hoist(list(words)))
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return say


@pytest.mark.parametrize(
    ("words", "code", "piece"),
    [
        (("nix",), 2, "No such command"),
        (("signal", "nix"), 2, "No such command"),
        (("status", "--nix"), 2, "--nix"),
        (("whois",), 2, "WHO"),
        (("--home",), 2, "names no folder"),
        (("status", "--home", ""), 2, "names no folder"),
        (("status", "--home=\udcff"), 2, "UTF-8"),
        (("whois", "a\udcffb"), 2, "UTF-8"),
        (("whois", "nobody-here", "--timeout", "0"), 5, "nobody-here"),
        (("whois", NOBODY, "--timeout", "0"), 5, ""),
        (("whois", NOBODY[:-1]), 2, ""),
        (("ping", "nobody-here"), 5, "nobody-here"),
        (("contact", "show", "nobody-here"), 5, "nobody-here"),
        (("contact", "add", "nest1bad"), 2, "nest1bad"),
        (("contact", "trust", "x", "adored"), 2, "adored"),
        (("peer", "connect", "here"), 2, "here"),
        (("peer", "disconnect", "12D3KooWnix"), 2, ""),
        (("skill", "add", "x" * 65), 2, "name"),
        (("skill", "add", ""), 2, "name"),
        (("skill", "rm", "never-added"), 5, "never-added"),
        (("skill", "add", "a", "--input-schema", "5"), 2, "input_schema"),
        (("signal", "deposit", "echo", "--urgency", "2"), 2, "urgency"),
        (("signal", "deposit", "echo", "--urgency", "nan"), 2, "urgency"),
        (("signal", "deposit", "echo", "--urgency", "high"), 2, "high"),
        (("signal", "deposit", "echo", "--ttl", "soon"), 2, "ttl"),
        (("signal", "deposit", "echo", "--lease", "2h"), 2, "lease"),
        (("signal", "deposit", "echo", "--deadline", "tomorrow"), 2, "deadline"),
        (("signal", "deposit", "echo", "--body", "@/nix"), 2, "/nix"),
        (("signal", "deposit", "echo", "--body", "x" * 20_000), 2, "body"),
        (("signal", "show", TASK), 5, ""),
        (("signal", "show", "task1nix"), 2, "task"),
        (("signal", "withdraw", TASK), 5, ""),
        (("claim", "take"), 2, "task"),
        (("claim", "take", TASK, "--timeout", "0"), 5, ""),
        (("claim", "take", "--skill", "never", "--timeout", "0.1"), 6, ""),
        (("claim", "done", TASK), 5, ""),
        (("claim", "fail", TASK), 2, "reason"),
        (("event", "wait", "--since", "-1"), 2, "since"),
        (("event", "wait", "--timeout", "1000"), 2, "timeout"),
        (("join", "hello"), 2, ""),
        (("join", "nestmate1" + "A" * 200), 2, ""),
        (("invite", "--uses", "0"), 2, "uses"),
        (("invite", "--expires", "1y"), 2, "expires"),
        (("work", "echo", "cat"), 2, "`--`"),
        (("work", "echo", "--"), 2, "COMMAND"),
        (("work", "echo", "--", "no-such-program"), 5, "no-such-program"),
        (("work", "echo", "--setup", "soon", "--", "cat"), 2, "soon"),
        (("work", "echo", "--also", "fly=nan", "--", "cat"), 2, "no speed of fly"),
        (("work", "echo", "--slots", "0", "--", "cat"), 2, "--slots"),
        (("completion", "csh"), 2, "csh"),
        (("simulate", "--nodes", "1"), 2, "nodes"),
        (("simulate", "--scenario", "nix"), 2, "swarm"),
    ],
    ids=str,
)
def test_bad_input_gets_a_sentence_and_its_exit_code(said_here, words, code, piece):
    refused(said_here(*words), code, piece)


def test_what_is_refused_in_a_process_of_its_own_is_refused_the_same_way(ada):
    refused(ada.run("whois", "nobody-here", "--timeout", "0"), 5, "nobody-here")
    refused(ada.run("whois", "a\udcffb"), 2, "UTF-8")
    refused(ada.run("mcp", "--nix"), 2, "--as")
    refused(ada.run("mcp", "--as", "x" * 65), 2, "--as")
    refused(ada.run("mcp", NESTMATE_HOME="/nix"), 3, "No node runs")


def test_with_json_a_refusal_is_a_problem_document(ada):
    said = ada.run("signal", "show", TASK, "--json")
    assert set(said.problem) == {"type", "title", "detail", "hint", "code", "status"}
    assert (said.code, said.problem["code"], said.out) == (5, "not-found", "")
    assert ada.run("nix", "--json").problem["code"] == "invalid"


# --- invites ---


@pytest.fixture(scope="module")
def guest(nests):
    """A node that has no friends yet."""
    nest = nests("guest").make()
    nest.up()
    return nest


def test_an_invite_works_as_often_as_it_says_and_not_for_its_maker(nests, ada, guest):
    invite = ada.ask("invite", "--uses", "1")["invite"]
    refused(ada.run("join", invite), 2, "own")
    assert guest.ask("join", invite)["name"] == "ada"
    late = nests("late").make()
    late.up()
    refused(late.run("join", invite), 4, "used")


def test_an_invite_that_expired_or_was_changed_is_refused_with_the_reason(
    ada, guest, until
):
    invite = ada.ask("invite", "--expires", "1s")["invite"]
    over = time.time() + 1.1
    guest.run("contact", "rm", "ada")  # a friend need not be invited again
    changed = invite[:60] + ("A" if invite[60] != "A" else "B") + invite[61:]
    refused(guest.run("join", changed), 2)
    until(lambda: time.time() > over)
    refused(guest.run("join", invite), 4, "expired")


def test_an_invite_of_another_network_is_refused(nests, ada):
    nest = nests("other").make("--network", "elsewhere")
    nest.up()
    refused(nest.run("join", ada.ask("invite")["invite"]), 2, "network")
