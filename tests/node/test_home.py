"""Homes: where they are, how one comes about, and which ones are refused.

Knows nothing of what nodes do in them.
"""

import json
import os
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nestmate import home as home_module
from nestmate import initialise as initialise_module
from nestmate.config import FRIENDS, LOCAL, read_config
from nestmate.errors import HomeError
from nestmate.home import SOCKET_PATH_BYTES_MAX, Home
from nestmate.initialise import initialise
from nestmate.keyfile import load_identity


@pytest.fixture
def home(tmp_home):
    return initialise(Home(tmp_home), LOCAL).home


def tree(root):
    return [(path, path.read_bytes()) for path in walk(root) if path.is_file()]


def walk(root):
    return sorted(root.rglob("*"))


# --- where ---


def test_a_home_is_the_option_else_the_variable_else_the_usual_folder(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/data")
    environ = {"NESTMATE_HOME": "/from/variable"}
    assert Home.resolve("/from/option", environ).root == Path("/from/option")
    assert Home.resolve(None, environ).root == Path("/from/variable")
    assert Home.resolve(None, {}).root == Path("/somewhere/data/nestmate")
    assert Home.resolve("relative", {}).root == Path.cwd() / "relative"


def test_sockets_of_a_deep_home_find_a_short_place_of_their_own(tmp_path):
    deep, deeper = (Home(tmp_path / ("x" * size)) for size in (150, 151))
    for home in (deep, deeper):
        for path in (home.api_socket, home.mcp_socket):
            assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX
    assert deep.api_socket != deeper.api_socket
    assert deep.api_socket == Home(deep.root).api_socket
    assert Home(Path("/short")).api_socket == Path("/short/run/api.sock")


def test_the_short_place_of_sockets_is_closed_to_others(tmp_path, monkeypatch):
    monkeypatch.setattr(home_module, "SOCKET_FOLDER", tmp_path / "sockets")
    home = initialise(Home(tmp_path / ("x" * 150)), LOCAL).home
    home.prepare_run()
    assert (tmp_path / "sockets").stat().st_mode & 0o777 == 0o700
    (tmp_path / "sockets").chmod(0o777)
    with pytest.raises(HomeError, match="entered by others"):
        home.prepare_run()


# --- how one comes about ---


def test_a_new_home_has_everything_and_lets_nobody_else_in(tmp_home):
    new = initialise(Home(tmp_home), LOCAL)
    new.home.check()
    assert new.home.read_config() == new.config
    assert load_identity(new.home.identity).address == new.identity.address
    assert len(new.words) == 24
    for path in (tmp_home, *walk(tmp_home)):
        assert path.stat().st_mode & 0o077 == 0


def test_the_recovery_phrase_is_written_nowhere(tmp_home):
    new = initialise(Home(tmp_home), LOCAL)
    assert " ".join(new.words) not in repr(new)
    files = b"".join(content for _, content in tree(tmp_home))
    assert len([word for word in new.words if word.encode() in files]) < 12


def test_a_free_port_is_chosen_once_and_kept(tmp_home):
    (listen,) = initialise(Home(tmp_home), LOCAL).config.listen
    port = int(listen.removeprefix("/ip4/127.0.0.1/tcp/"))
    assert 20_000 <= port < 32_000
    assert read_config(Home(tmp_home).config).listen == (listen,)
    with closing(socket.create_server(("127.0.0.1", port))):
        pass


def test_a_port_in_use_is_not_chosen(tmp_home, monkeypatch):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(initialise_module, "_PORT_LOW", taken)
        monkeypatch.setattr(initialise_module, "_PORT_HIGH", taken + 1)
        with pytest.raises(HomeError, match="No free port"):
            initialise(Home(tmp_home), LOCAL)
    assert not tmp_home.exists()


def test_a_named_port_stays_as_it_is(tmp_home):
    listen = ("/ip4/127.0.0.1/tcp/4101",)
    new = initialise(Home(tmp_home), replace(FRIENDS, listen=listen))
    assert new.config.listen == listen


def test_an_empty_folder_becomes_a_home_and_is_closed(tmp_path):
    tmp_path.chmod(0o755)
    initialise(Home(tmp_path), LOCAL).home.check()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_home_is_not_made_twice(home):
    before = tree(home.root)
    with pytest.raises(HomeError, match="already is a home"):
        initialise(home, LOCAL)
    assert tree(home.root) == before


def test_a_folder_with_other_files_is_left_untouched(tmp_path):
    (tmp_path / "thesis.txt").write_text("my work")
    with pytest.raises(HomeError, match="other files"):
        initialise(Home(tmp_path), LOCAL)
    with pytest.raises(HomeError, match="is a file"):
        initialise(Home(tmp_path / "thesis.txt"), LOCAL)
    assert tree(tmp_path) == [(tmp_path / "thesis.txt", b"my work")]


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_left_of_a_home_that_could_not_be_made(tmp_path, there, monkeypatch):
    root = tmp_path / "home"
    if there:
        root.mkdir()

    def refuse(self, made_by):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Home, "mark", refuse)
    with pytest.raises(HomeError, match="No space left"):
        initialise(Home(root), LOCAL)
    assert root.exists() is there
    assert walk(tmp_path) == ([root] if there else [])


# --- which are refused ---


def test_a_missing_home_is_refused_with_the_way_to_one(tmp_path):
    with pytest.raises(HomeError) as refusal:
        Home(tmp_path / "none").check()
    assert "nestmate init" in refusal.value.hint
    assert refusal.value.exit_code == 2


def test_a_folder_that_is_no_home_is_refused(tmp_path):
    with pytest.raises(HomeError, match="not a home"):
        Home(tmp_path).read_config()
    assert walk(tmp_path) == []


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        ('{"format": 2}', "newer Nestmate"),
        ("", "damaged"),
        ("[]", "damaged"),
        ('{"format": "x"}', "damaged"),
        ("{" * 9_999, "damaged"),
    ],
)
def test_a_newer_or_damaged_home_is_refused_and_left_untouched(home, marker, sentence):
    home.marker.write_text(marker)
    before = tree(home.root)
    with pytest.raises(HomeError, match=sentence):
        home.check()
    assert tree(home.root) == before


def test_the_marker_says_format_and_maker(home):
    marker = json.loads(home.marker.read_text())
    assert marker["format"] == 1
    assert marker["made_by"]


def test_a_home_others_may_write_to_is_refused_with_the_way_to_close_it(home):
    home.root.chmod(0o770)
    with pytest.raises(HomeError) as refusal:
        home.check()
    assert refusal.value.hint == f"Close it with: chmod 700 {home.root}"
