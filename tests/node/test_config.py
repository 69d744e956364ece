"""Settings: presets, the file a person edits, and the refusals that name a field.

Knows nothing of what a node does with a setting.
"""

from dataclasses import fields, replace

import pytest

from nestmate.config import (
    FRIENDS,
    INTERNET,
    LOCAL,
    PRESETS,
    Config,
    Limits,
    LogLevel,
    Preset,
    Sense,
    format_config,
    parse_config,
    read_config,
    write_config,
)
from nestmate.errors import HomeError

UNUSUAL = Config(
    preset=Preset.FRIENDS,
    name='Zoë "the\\ant"',
    network="lab-2",
    listen=("/ip4/10.0.0.1/tcp/4101", "/ip6/::1/tcp/4101"),
    announce=("/dns4/node.example.org/tcp/4101",),
    mdns=True,
    sense=Sense.ALL,
    log_level=LogLevel.DEBUG,
    limits=Limits(64, 32, 2, 1 << 20),
)
WRONG = {
    "nmae = 'x'": "there is no setting nmae",
    "limits.connexions = 1": "there is no setting limits.connexions",
    "limits = 3": "limits is 3",
    "preset = 'public'": "preset is 'public'",
    "preset = 3": "preset is 3",
    "mdns = 'yes'": "mdns is 'yes'",
    "name = 7": "name is 7",
    "name = '\\u001b[2J'": None,
    'name = "\\u001b[2J"': "name is",
    f"name = '{'x' * 65}'": "name is",
    "network = 'No Way'": "network is 'No Way'",
    "listen = '/ip4/127.0.0.1/tcp/1'": "listen is",
    "listen = [3]": r"listen\[0\] is 3",
    "listen = ['/ip4/127.0.0.1/tcp/1', 'x']": r"listen\[1\] is 'x'",
    "listen = ['/ip4/127.0.0.1/tcp/70000']": r"listen\[0\] is",
    "listen = ['/ip4/127.0.0.1/udp/1/quic-v1']": r"listen\[0\] is",
    f"listen = {['/ip4/127.0.0.1/tcp/1'] * 17}": "listen is",
    "announce = ['/p2p/x']": r"announce\[0\] is",
    "log_level = 'loud'": "log_level is 'loud'",
    "limits.connections_max = true": "limits.connections_max is True",
    "limits.connections_max = 1.5": "limits.connections_max is 1.5",
    "limits.connections_max = 1": "limits.connections_max is 1",
    "limits.connections_in_max = 128": "limits.connections_in_max is 128",
    "limits.log_bytes_max = 1": "limits.log_bytes_max is 1",
    "name = ": "not TOML",
}


def test_an_empty_file_means_the_preset_local():
    assert parse_config("") == LOCAL == Config()


@pytest.mark.parametrize("preset", list(Preset))
def test_a_file_that_names_a_preset_means_all_of_it(preset):
    assert parse_config(f"preset = '{preset}'") == PRESETS[preset]
    assert PRESETS[preset].preset is preset


def test_a_file_overrides_single_settings_of_its_preset():
    config = parse_config("preset = 'internet'\n[limits]\nlog_bytes_max = 100_000")
    assert config == replace(
        INTERNET, limits=replace(INTERNET.limits, log_bytes_max=100_000)
    )


def test_only_the_local_preset_stays_on_loopback_and_counts_it_not():
    assert all("/127.0.0.1/" in each for each in LOCAL.listen)
    assert not LOCAL.loopback_is_one_ip
    for config in (FRIENDS, INTERNET):
        assert config.loopback_is_one_ip
        assert not any("/127.0.0.1/" in each for each in config.listen)


@pytest.mark.parametrize("config", [*PRESETS.values(), UNUSUAL])
def test_what_is_written_is_read_again(tmp_path, config):
    write_config(tmp_path / "config.toml", config)
    assert read_config(tmp_path / "config.toml") == config
    assert (tmp_path / "config.toml").stat().st_mode & 0o777 == 0o600


def test_every_setting_is_written_with_a_comment_above_it():
    lines = format_config(LOCAL).splitlines()
    names = [each.name for each in (*fields(Config), *fields(Limits))]
    for name in set(names) - {"limits"}:
        (place,) = (n for n, line in enumerate(lines) if line.startswith(f"{name} = "))
        assert lines[place - 1].startswith("# ")


@pytest.mark.parametrize(("text", "sentence"), WRONG.items())
def test_a_wrong_setting_is_refused_by_its_path(text, sentence):
    if sentence is None:
        assert parse_config(text).name == "\\u001b[2J"
        return
    with pytest.raises(HomeError, match=f"^(this is )?{sentence}") as refusal:
        parse_config(text)
    assert refusal.value.hint
    assert refusal.value.exit_code == 2


def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path):
    path = tmp_path / "config.toml"
    with pytest.raises(HomeError, match="No such file"):
        read_config(path)
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(HomeError, match="UTF-8"):
        read_config(path)
    path.write_bytes(b"#" * 70_000)
    with pytest.raises(HomeError, match="too large"):
        read_config(path)
    path.write_text("colour = 'red'")
    with pytest.raises(HomeError, match=f"{path}: there is no setting colour"):
        read_config(path)


def test_settings_that_could_not_be_read_back_are_not_written(tmp_path):
    path = tmp_path / "config.toml"
    write_config(path, LOCAL)
    with pytest.raises(HomeError):
        write_config(path, replace(LOCAL, network="No Way"))
    assert read_config(path) == LOCAL
