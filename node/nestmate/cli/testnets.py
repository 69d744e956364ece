"""Commands for real nodes on this machine.

This file knows how to start, stop and show them, not what they do.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.output import show_json, show_lines, show_table
from nestmate.errors import NodeError, NotFoundError, UsageError
from nestmate.home import HOME_VARIABLE, Home
from nestmate.testnet.net import (
    Member,
    Testnet,
    Topology,
    folder_of,
    make_testnet,
    open_testnet,
    take_down,
    tell,
)
from nestmate.testnet.net import (
    start as start_member,
)

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_LINES = 50
SIGNALLED = 128  # what a shell adds to the number of the signal a command died of

_dir = click.option("--dir", "folder", help="Where the testnet lies.")
_number = click.argument("number", type=click.IntRange(1), metavar="K")


@click.command()
@click.argument("count", type=click.IntRange(1), metavar="N")
@click.option(
    "--topology",
    type=click.Choice(["star", "ring", "random"]),
    default="star",
    help="Who invites whom. [default: star]",
)
@click.option("--seed", type=int, default=1, help="For a random topology.")
@_dir
@click.pass_obj
def up(
    arguments: Arguments, count: int, topology: Topology, seed: int, folder: str | None
) -> None:
    """Start N real nodes that know each other only through invites."""
    net = make_testnet(folder_of(folder), count, topology, seed)
    _show(arguments, net)


@click.command()
@_dir
@click.pass_obj
def status(arguments: Arguments, folder: str | None) -> None:
    """Which nodes run, and how many others each is connected to."""
    _show(arguments, open_testnet(folder_of(folder)))


@click.command()
@_number
@_dir
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_obj
def execute(
    arguments: Arguments, number: int, folder: str | None, command: tuple[str, ...]
) -> None:
    """Run COMMAND with NESTMATE_HOME set to the home of node K.

    Write `--` before COMMAND. Its exit code becomes that of this command.
    """
    if not arguments.divided:
        raise UsageError(
            "Nothing says where your command begins.",
            f"Write `--` before it: nestmate testnet exec {number} -- "
            f"{' '.join(command)}",
        )
    member = open_testnet(folder_of(folder)).member(number)
    paths = [os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
    environment = os.environ | {
        HOME_VARIABLE: member.home,
        "PATH": os.pathsep.join(paths),  # so that `nestmate` is found in any case
    }
    try:
        done = subprocess.run(  # noqa: S603 - what the user asked for
            command, env=environment, check=False
        )
    except OSError as error:
        raise NotFoundError(f"{command[0]}: {error.strerror}.") from error
    ended = done.returncode
    raise click.exceptions.Exit(ended if ended >= 0 else SIGNALLED - ended)


@click.command()
@_number
@_dir
@click.pass_obj
def logs(arguments: Arguments, number: int, folder: str | None) -> None:
    """What node K wrote into its log last."""
    member = open_testnet(folder_of(folder)).member(number)
    log = Home(Path(member.home)).log_file
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = text.splitlines()[-LOG_LINES:]
    if arguments.json:
        show_json({"node": number, "lines": lines})
    else:
        show_lines(*lines)


def _signalling(kind: signal.Signals, done: str, help_line: str) -> click.Command:
    @click.command(help=help_line)
    @_number
    @_dir
    @click.pass_obj
    def send(arguments: Arguments, number: int, folder: str | None) -> None:
        member = open_testnet(folder_of(folder)).member(number)
        tell(member, kind)
        _say(arguments, member, done)

    return send


kill = _signalling(signal.SIGKILL, "killed", "End node K at once, without warning.")
pause = _signalling(signal.SIGSTOP, "paused", "Freeze node K.")
resume = _signalling(signal.SIGCONT, "resumed", "Let a frozen node K go on.")


@click.command()
@_number
@_dir
@click.pass_obj
def start(arguments: Arguments, number: int, folder: str | None) -> None:
    """Start node K again."""
    net = open_testnet(folder_of(folder))
    member = net.member(number)
    start_member(net, member)
    _say(arguments, member, "started")


@click.command()
@_dir
@click.pass_obj
def down(arguments: Arguments, folder: str | None) -> None:
    """Stop all nodes and remove what they left."""
    net = open_testnet(folder_of(folder))
    take_down(net)
    if arguments.json:
        show_json({"stopped": len(net.members)})
    else:
        show_lines(f"Stopped {len(net.members)} nodes.")


@click.command()
@click.option("--nodes", type=click.IntRange(5, 16), default=5, help="[default: 5]")
@click.option("--tasks", type=click.IntRange(18, 120), default=30, help="[default: 30]")
@click.pass_obj
def demo(arguments: Arguments, nodes: int, tasks: int) -> None:
    """Five nodes, thirty tasks, one death, one restart, and a verdict."""
    from nestmate.testnet.demo import run_demo  # noqa: PLC0415 - threads and tables

    if not run_demo(nodes, tasks, as_json=arguments.json):
        raise click.exceptions.Exit(1)


@click.command()
@click.option("--nodes", type=click.IntRange(6, 64), default=20, help="[default: 20]")
@click.option(
    "--tasks", type=click.IntRange(24, 1000), default=200, help="[default: 200]"
)
@click.option(
    "--kills",
    type=click.IntRange(0, 12),
    default=3,
    help="How many workers are killed at work. [default: 3]",
)
@click.option(
    "--cut",
    type=click.FloatRange(2, 120),
    default=20.0,
    help="For how many seconds the net is cut in halves. [default: 20]",
)
@click.option(
    "--lease",
    type=click.FloatRange(1, 600),
    help="For how many seconds a worker may be silent. [default: 10 more than the cut]",
)
@click.option("--seed", type=int, default=1, help="For everything left to chance.")
@click.pass_obj
def trial(  # noqa: PLR0917 - click hands options over by name
    arguments: Arguments,
    nodes: int,
    tasks: int,
    kills: int,
    cut: float,
    lease: float | None,
    seed: int,
) -> None:
    """Twenty nodes, two hundred tasks, three deaths, a partition, and a verdict."""
    from nestmate.testnet.plan import Plan  # noqa: PLC0415 - as below
    from nestmate.testnet.trial import run_trial  # noqa: PLC0415 - threads and tables

    plan = Plan(nodes, tasks, kills, cut, seed, lease or 0.0)
    if not run_trial(plan, as_json=arguments.json):
        raise click.exceptions.Exit(1)


def _say(arguments: Arguments, member: Member, done: str) -> None:
    if arguments.json:
        show_json({"node": member.number, "state": done})
    else:
        show_lines(f"Node {member.number} {done}.")


def _show(arguments: Arguments, net: Testnet) -> None:
    rows = [_row(member) for member in net.members]
    if arguments.json:
        show_json({"dir": str(net.folder), "topology": net.topology, "nodes": rows})
        return
    cells: list[Callable[[dict[str, Any]], object]] = [
        lambda row: row["node"],
        lambda row: row["state"],
        lambda row: row["peers"],
        lambda row: row["pid"] or "",
        lambda row: row["address"],
    ]
    show_table(
        ("NODE", "STATE", "PEERS", "PID", "ADDRESS"),
        [[str(cell(row)) for cell in cells] for row in rows],
        empty="No nodes.",
    )


def _row(member: Member) -> dict[str, Any]:
    state: str = member.state
    peers = 0
    if state == "up":
        try:
            peers = member.client.status().peers
        except NodeError:
            state = "silent"
    return {
        "node": member.number,
        "state": state,
        "peers": peers,
        "pid": member.process.pid if member.process and state != "down" else None,
        "address": member.address,
        "home": member.home,
    }
