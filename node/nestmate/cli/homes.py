"""Commands on a home itself, for which no node needs to run.

Making one, giving its agent a new key, reading and changing its settings. This file
knows nothing of running nodes but whether one holds the home.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.output import show_json, show_lines
from nestmate.config import (
    PRESETS,
    Config,
    Preset,
    format_config,
    parse_config,
    write_config,
)
from nestmate.errors import HomeError, UsageError
from nestmate.home import Home

PASSPHRASE_CHARS_MAX = 1_024
WORDS_CHARS_MAX = 1_024
WORDS_PER_LINE = 6

passphrase_file = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="Seal the device key with the passphrase in this file's first line.",
)


def home_of(arguments: Arguments) -> Home:
    """The home a command line means."""
    return Home.resolve(arguments.home, os.environ)


def read_passphrase(path: Path | None) -> str | None:
    """The first line of a file; UsageError if there is none."""
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline(PASSPHRASE_CHARS_MAX).rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The passphrase in {path} cannot be read: {_why(error)}."
        ) from error
    if not line:
        raise UsageError(
            f"{path} holds no passphrase.", "Write it into its first line."
        )
    return line


@click.command()
@click.option("--name", default="", help="What this agent proposes to be called.")
@click.option(
    "--preset",
    type=click.Choice([preset.value for preset in Preset]),
    default=Preset.LOCAL.value,
    help="How far the node reaches out of the box. [default: local]",
)
@click.option("--listen", multiple=True, help="Listen at this multiaddr instead.")
@click.option(
    "--network", default="", help="Which network to be part of. [default: main]"
)
@passphrase_file
@click.pass_obj
def init(  # noqa: PLR0917 - click hands options over by name
    arguments: Arguments,
    name: str,
    preset: str,
    listen: tuple[str, ...],
    network: str,
    passphrase_file: Path | None,
) -> None:
    """Make a home; prints the address and, once, the recovery phrase."""
    from nestmate.initialise import initialise  # noqa: PLC0415 - loads cryptography

    config = PRESETS[Preset(preset)]
    config = replace(config, name=name)
    if listen:
        config = replace(config, listen=listen)
    if network:
        config = replace(config, network=network)
    _check(config)
    home = home_of(arguments)
    made = initialise(home, config, passphrase=read_passphrase(passphrase_file))
    address = made.identity.address.text
    if arguments.json:
        show_json(
            {
                "address": address,
                "home": str(home.root),
                "listen": list(made.config.listen),
                "recovery": " ".join(made.words),
            }
        )
        return
    words = [
        "  " + " ".join(made.words[at : at + WORDS_PER_LINE])
        for at in range(0, len(made.words), WORDS_PER_LINE)
    ]
    show_lines(
        f"address   {address}",
        f"home      {home.root}",
        "",
        "Recovery phrase. Write it down now: it is shown once and kept nowhere.",
        *words,
    )


@click.command()
@click.option(
    "--words-file",
    type=click.Path(path_type=Path),
    help="Read the recovery phrase from this file instead of standard input.",
)
@passphrase_file
@click.pass_obj
def rotate(
    arguments: Arguments, words_file: Path | None, passphrase_file: Path | None
) -> None:
    """Give this agent a new device key; its address stays.

    Takes the 24 words of the recovery phrase. The node must not run.
    """
    from nestmate.keyfile import rotate_identity  # noqa: PLC0415 - loads cryptography

    home = home_of(arguments)
    home.check()
    text = _words(words_file)
    with _held(home):
        identity = rotate_identity(
            home.identity,
            text.split(),
            passphrase=read_passphrase(passphrase_file),
        )
    answer = {
        "address": identity.address.text,
        "device": identity.key.public.text,
        "position": identity.log.position,
    }
    if arguments.json:
        show_json(answer)
    else:
        show_lines(f"address   {answer['address']}", f"device    {answer['device']}")


@contextmanager
def _held(home: Home) -> Iterator[None]:
    from nestmate.store.lock import FolderLock  # noqa: PLC0415 - only here

    lock = FolderLock(home.store)
    try:
        yield
    finally:
        lock.release()


def _words(path: Path | None) -> str:
    try:
        if path is not None:
            with path.open(encoding="utf-8") as file:
                return file.read(WORDS_CHARS_MAX)
        if sys.stdin.isatty():
            sys.stderr.write("Recovery phrase: ")
            sys.stderr.flush()
        return sys.stdin.readline(WORDS_CHARS_MAX)
    except (OSError, UnicodeDecodeError) as error:
        where = "on standard input" if path is None else f"in {path}"
        raise UsageError(
            f"The words {where} cannot be read: {_why(error)}.",
            "Give the 24 words that `nestmate init` showed, in plain text.",
        ) from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return getattr(error, "strerror", None) or "this is not text"


@click.command()
@click.argument("setting", required=False)
@click.pass_obj
def config_get(arguments: Arguments, setting: str | None) -> None:
    """Show one SETTING, or all of them."""
    values = _flat(home_of(arguments).read_config())
    if setting is not None:
        values = {setting: _known(values, setting)}
    if arguments.json:
        show_json(values)
    elif setting is not None:
        show_lines(_shown(values[setting]))
    else:
        show_lines(*(f"{name} = {_shown(value)}" for name, value in values.items()))


@click.command()
@click.argument("setting")
@click.argument("value")
@click.pass_obj
def config_set(arguments: Arguments, setting: str, value: str) -> None:
    """Change one SETTING to VALUE (lists take commas), from the next start on."""
    home = home_of(arguments)
    config = home.read_config()
    old = _known(_flat(config), setting)
    new: Any = value
    match old:
        case bool():
            new = {"true": True, "false": False}.get(value.lower(), value)
        case int():
            new = int(value) if value.isdecimal() else value
        case list():
            new = [part.strip() for part in value.split(",") if part.strip()]
    table, _, field = setting.rpartition(".")
    if table:
        changed = replace(config, limits=replace(config.limits, **{field: new}))
    else:
        fresh: dict[str, Any] = {field: tuple(new) if isinstance(new, list) else new}
        changed = replace(config, **fresh)
    _check(changed)
    write_config(home.config, changed)
    if arguments.json:
        show_json({setting: new})
    else:
        show_lines(f"{setting} = {_shown(new)}", "Takes effect at the next start.")


@click.command()
@click.pass_obj
def config_path(arguments: Arguments) -> None:
    """Where the settings of this home lie."""
    path = home_of(arguments).config
    if arguments.json:
        show_json({"path": str(path)})
    else:
        show_lines(str(path))


def _check(config: Config) -> None:
    """Raise UsageError for settings that could not be read back."""
    for name, value in _flat(config).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.isprintable():
                raise UsageError(
                    f"The setting {name} is {text[:40]!r}, which cannot be printed.",
                    "Leave such characters away.",
                )
    try:
        parse_config(format_config(config))
    except HomeError as error:
        raise UsageError(f"The setting {error}", error.hint) from error


def _flat(config: Config) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if each.name == "limits":
            values |= {
                f"limits.{inner.name}": getattr(value, inner.name)
                for inner in fields(value)
            }
        else:
            values[each.name] = list(value) if isinstance(value, tuple) else value
    return values


def _known(values: dict[str, Any], setting: str) -> Any:
    if setting not in values:
        raise UsageError(
            f"There is no setting {setting!r}.",
            f"The settings are: {', '.join(values)}.",
        )
    return values[setting]


def _shown(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(value)
    return str(value)
