"""The doctor: what it finds wrong with homes and nodes, and that it changes nothing.

Knows nothing of how a node works.
"""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from nestmate_protocol.ids import SpaceId

pytestmark = pytest.mark.slow


def findings(nest) -> dict[str, dict[str, str]]:
    """What the doctor says of a home, by code."""
    said = nest.run("doctor", "--json")
    found = said.json["findings"]
    worst = any(each["severity"] == "error" for each in found)
    assert said.code == int(worst), said
    assert all(each["hint"] or each["severity"] == "ok" for each in found), found
    severities = [each["severity"] for each in found]
    assert severities == sorted(
        severities, key=("error", "warning", "note", "ok").index
    )
    return {each["code"]: each for each in found}


def test_a_node_alone_and_well_has_nothing_to_mend(nests):
    nest = nests("well").make()
    nest.up()
    found = findings(nest)
    assert {each["severity"] for each in found.values()} == {"ok", "note"}
    assert set(found) >= {"home", "disk", "store", "loopback", "listen", "no-friends"}


def test_readers_that_gave_events_up_are_named(nests):
    nest = nests("failing").make()
    nest.up()
    nest.client.event.cursor.set("shop")
    nest.client.signal.withdraw(nest.client.signal.deposit("x").task)
    page = nest.client.event.wait(cursor="shop", timeout=60)
    nest.client.event.reject("shop", page.events[0].seq)
    letters = findings(nest)["dead-letters"]
    assert (letters["severity"], "shop" in letters["text"]) == ("note", True)


def test_of_spaces_it_says_what_waits_for_somebody(nests):
    nest = nests("spacious").make()
    nest.up()
    client = nest.client
    client.space.create("own")
    assert findings(nest)["spaces"]["severity"] == "ok"
    other = SpaceId(bytes(32)).text
    assert client.space.join(other, timeout=0).standing == "joining"
    assert findings(nest)["spaces-joining"]["severity"] == "warning"
    assert client.status().spaces == 2


def test_a_friend_that_went_away_is_named_until_it_is_back(nests, until):
    ada, bob = (nests(name).make() for name in ("ada", "bob"))
    ada.up()
    bob.up()
    bob.ask("join", ada.ask("invite")["invite"])
    assert findings(bob)["friends"]["severity"] == "ok"
    ada.ask("down")
    until(lambda: "friends-away" in findings(bob))
    assert "ada" in findings(bob)["friends-away"]["text"]
    ada.up()
    until(lambda: "friends" in findings(bob))


def test_a_home_without_a_node_is_examined_from_outside(nests):
    nest = nests("asleep").make()
    found = findings(nest)
    assert set(found) == {"home", "disk", "not-running"}
    assert "nestmate up" in found["not-running"]["hint"]
    said = nest.run("doctor").out.splitlines()
    assert said[:2] == [
        "note    No node runs on this home.",
        " " * 8 + found["not-running"]["hint"],
    ]


def test_examining_changes_nothing(nests):
    nest = nests("changed").make()
    key = nest.home.identity / "device.key"
    key.chmod(0o640)
    before = [(path, path.stat().st_mode) for path in sorted(nest.root.rglob("*"))]
    assert "chmod 600" in findings(nest)["identity"]["hint"]
    after = [(path, path.stat().st_mode) for path in sorted(nest.root.rglob("*"))]
    assert after == before


def test_a_port_that_is_taken_is_found_before_the_node_is_started(nests):
    nest = nests("taken").make()
    (listen,) = nest.ask("config", "get", "listen")["listen"]
    with socket.create_server(("127.0.0.1", int(listen.rpartition("/")[2]))):
        found = findings(nest)
        assert listen in found["port-taken"]["text"]
    assert "port-taken" not in findings(nest)


def test_where_there_is_no_home_the_doctor_says_how_to_make_one(nests):
    nest = nests("nowhere")
    found = findings(nest)
    assert found["home"]["severity"] == "error"
    assert "nestmate init" in found["home"]["hint"]
    assert not nest.root.exists()


def test_a_process_that_holds_the_home_and_does_not_answer_is_named(nests):
    nest = nests("held").make()
    hold = (
        "import sys, pathlib; from nestmate.store.lock import FolderLock;"
        "lock = FolderLock(pathlib.Path(sys.argv[1])); print(flush=True);"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(nest.home.store)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as holder:
        holder.stdout.readline()
        found = findings(nest)
        assert f"Process {holder.pid}" in found["silent"]["text"]
        holder.stdin.close()


def test_a_node_that_was_killed_is_well_once_it_is_back(nests):
    nest = nests("killed").make()
    nest.up()
    nest.ask("skill", "add", "echo")
    os.kill(nest.pid, signal.SIGKILL)
    nest.up()
    assert findings(nest)["store"]["severity"] == "ok"


def test_examining_a_home_loads_no_network(nests):
    nest = nests("asleep")
    code = (
        "import sys; from nestmate.doctor import examine_home; "
        "from nestmate.home import Home; from pathlib import Path; "
        "examine_home(Home(Path(sys.argv[1]))); print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}", str(nest.root)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"trio", "libp2p", "mcp", "starlette"} & set(json.loads(done.stdout))
