"""Commands that start and end the node, and those that work with or without one.

Only ``up`` loads the network, and only in the process that stays. This file knows
nothing of what a node does.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.asking import ask
from nestmate.cli.homes import home_of, passphrase_file, read_passphrase
from nestmate.cli.human import show_human
from nestmate.cli.output import show_fields, show_json, show_lines
from nestmate.errors import NodeError, NotRunningError, TimedOutError
from nestmate.home import Home

READY_SECONDS_MAX: Final = 30.0
DOWN_SECONDS_MAX: Final = 15.0
POLL_SECONDS: Final = 0.05
LOG_TAIL_BYTES: Final = 2_048

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
    home.read_config()
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
        ready=lambda card: _show_up(arguments, card),
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
    with suppress(NotRunningError):
        _stop(arguments)
    home = home_of(arguments)
    home.read_config()
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
    """Which release this is; with a running node, also which one runs."""
    from importlib.metadata import version as release  # noqa: PLC0415 - slow to load

    answer: dict[str, Any] = {"version": release("nestmate"), "running": None}
    with suppress(NodeError):
        answer["running"] = ask(arguments.home, "version")["version"]
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
    show_lines(kind(command_tree(), {}, "nestmate", "_NESTMATE_COMPLETE").source())


@click.command()
@click.option("--as", "agent", metavar="AGENT", help="In whose name to attach.")
def mcp(agent: str | None) -> None:
    """Attach an MCP host: carry its standard streams to the running node."""


def _start(
    arguments: Arguments,
    home: Home,
    listen: tuple[str, ...],
    passphrase: Path | None,
    words: Sequence[str] = (),
) -> None:
    command = [
        sys.executable,
        "-m",
        "nestmate",
        "--home",
        str(home.root),
        "--json",
        "up",
        *words,
    ]
    for multiaddr in listen:
        command += ["--listen", multiaddr]
    if passphrase is not None:
        command += ["--passphrase-file", str(passphrase.resolve())]
    home.prepare_run()
    with (home.log / "start.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            cwd=home.root,
            env=os.environ | {"NESTMATE_HOME": str(home.root)},
        )
    _show_up(arguments, _await_ready(home, process))


def _await_ready(home: Home, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            _raise_as_told(home.log / "start.log", process.returncode)
        if _pid_of(home) == process.pid:
            try:
                return ask(str(home.root), "status")
            except NodeError:
                pass  # the door is not open yet
        time.sleep(POLL_SECONDS)
    raise TimedOutError(
        "The node has started but does not answer yet.", f"Look into {home.log_file}."
    )


def _raise_as_told(log: Path, code: int) -> None:
    """Say what the process in the background said before it ended."""
    import json  # noqa: PLC0415 - only on this path

    told = log.read_text(errors="replace")[-LOG_TAIL_BYTES:].strip()
    try:
        problem = json.loads(told.splitlines()[-1])
        sentence, hint = problem["detail"], problem["hint"]
    except (ValueError, KeyError, IndexError, TypeError):
        sentence, hint = "The node ended while it started.", f"It said: {told}"
    error = NodeError(sentence, hint)
    error.exit_code = code  # type: ignore[misc]  # the code of the process, not of the class
    raise error


def _stop(arguments: Arguments) -> None:
    home = home_of(arguments)
    pid = _pid_of(home)
    ask(arguments.home, "down")
    deadline = time.monotonic() + DOWN_SECONDS_MAX
    while home.pid_file.exists() and _pid_of(home) == pid:
        if time.monotonic() > deadline:
            raise TimedOutError(
                f"The node is still stopping (process {pid}).", "Wait a little longer."
            )
        time.sleep(POLL_SECONDS)


def _pid_of(home: Home) -> int | None:
    try:
        return int(home.pid_file.read_text())
    except (OSError, ValueError):
        return None


def _show_up(arguments: Arguments, status: dict[str, Any]) -> None:
    if arguments.json:
        show_json(status)
    else:
        show_lines(
            f"up        {status['address']}",
            *(f"listening {addr}" for addr in status["addrs"]),
        )
