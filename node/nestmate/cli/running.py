"""Commands that start and end the node, and those that work with or without one.

Only ``up`` loads the network, and only in the process that stays. This file knows
nothing of what a node does.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.asking import ask
from nestmate.cli.background import refuse_if_taken, start, stop
from nestmate.cli.homes import home_of, passphrase_file, read_passphrase
from nestmate.cli.human import show_human
from nestmate.cli.output import show_fields, show_json, show_lines
from nestmate.cli.patience import patience
from nestmate.errors import NodeError, NotRunningError
from nestmate.home import Home

_listen = click.option("--listen", multiple=True, help="Listen there, this time only.")


@click.command()
@click.option("--detach", is_flag=True, help="Start in the background and return.")
@click.option(
    "--recover", is_flag=True, help="Rebuild a damaged store from what is whole."
)
@_listen
@passphrase_file
@click.pass_obj
def up(
    arguments: Arguments,
    detach: bool,
    recover: bool,
    listen: tuple[str, ...],
    passphrase_file: Path | None,
) -> None:
    """Run the node of this home, in the foreground unless told to detach."""
    home = home_of(arguments)
    _check(home, passphrase_file)
    refuse_if_taken(home)
    if detach:
        words = ["--recover"] if recover else []
        _start(arguments, home, listen, passphrase_file, words)
        return
    from nestmate.cli.foreground import run_here  # noqa: PLC0415 - loads the network

    run_here(
        home,
        listen,
        read_passphrase(passphrase_file),
        recover=recover,
        ready=partial(_show_up, arguments),
    )


@click.command()
@click.pass_obj
def down(arguments: Arguments) -> None:
    """Stop the node of this home and wait until it is gone."""
    _stop(arguments)
    if arguments.json:
        show_json({"state": "stopped"})
    else:
        show_lines("Stopped.")


@click.command()
@_listen
@passphrase_file
@click.pass_obj
def restart(
    arguments: Arguments, listen: tuple[str, ...], passphrase_file: Path | None
) -> None:
    """Stop the node if it runs, and start it in the background."""
    home = home_of(arguments)
    _check(home, passphrase_file)  # what could not start again must not be stopped
    with suppress(NotRunningError):
        _stop(arguments)
    _start(arguments, home, listen, passphrase_file)


@click.command()
@click.pass_obj
def doctor(arguments: Arguments) -> None:
    """Examine the node, or the home alone where no node runs."""
    try:
        answer = ask(arguments.home, "doctor")
    except NotRunningError:
        import msgspec  # noqa: PLC0415 - as below

        from nestmate.doctor import examine_home  # noqa: PLC0415 - loads cryptography

        findings = examine_home(home_of(arguments))
        answer = {"findings": msgspec.to_builtins(findings)}
    if arguments.json:
        show_json(answer)
    else:
        show_human("doctor", answer)
    if any(finding["severity"] == "error" for finding in answer["findings"]):
        raise click.exceptions.Exit(1)


@click.command()
@click.pass_obj
def version(arguments: Arguments) -> None:
    """Which release this is; with a running node, also what runs there."""
    from importlib.metadata import version as release  # noqa: PLC0415 - slow to load

    answer: dict[str, Any] = {"version": release("nestmate"), "running": None}
    with suppress(NodeError):
        running = ask(arguments.home, "version")
        answer = running | answer | {"running": running["version"]}
    if arguments.json:
        show_json(answer)
    else:
        show_fields(answer)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what your shell needs to complete commands and live values.

    For bash: eval "$(nestmate completion bash)"
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - rare

    from nestmate.cli.app import command_tree  # noqa: PLC0415 - it loads us

    kind = get_completion_class(shell)
    if kind is None:
        raise NodeError(f"Completion for {shell} is not available here.")
    script = kind(command_tree(), {}, "nestmate", "_NESTMATE_COMPLETE").source()
    show_lines(*script.splitlines())


@click.command()
@click.option("--as", "agent", metavar="AGENT", help="In whose name to attach.")
def mcp(agent: str | None) -> None:
    """Attach an MCP host: carry its standard streams to the running node."""


def _check(home: Home, passphrase_file: Path | None) -> None:
    """Raise what stands in the way before anything heavy is loaded."""
    from nestmate.keyfile import load_identity  # noqa: PLC0415 - loads cryptography

    home.read_config()
    load_identity(home.identity, passphrase=read_passphrase(passphrase_file))


def _start(
    arguments: Arguments,
    home: Home,
    listen: tuple[str, ...],
    passphrase: Path | None,
    words: Sequence[str] = (),
) -> None:
    told = [*words]
    for multiaddr in listen:
        told += ["--listen", multiaddr]
    if passphrase is not None:
        told += ["--passphrase-file", str(passphrase.resolve())]
    with patience("Starting…", quiet=arguments.json):
        status = start(home, told)
    _show_up(arguments, status)


def _stop(arguments: Arguments) -> None:
    with patience("Stopping…", quiet=arguments.json):
        stop(home_of(arguments))


def _show_up(arguments: Arguments, status: dict[str, Any]) -> None:
    if arguments.json:
        show_json(status)
    else:
        show_lines(
            f"up        {status['address']}",
            *(f"listening {addr}" for addr in status["addrs"]),
        )
