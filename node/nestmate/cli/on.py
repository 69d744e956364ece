"""``nestmate on``: runs a command on every change, at least once, whatever dies.

Reads what the user wants, makes the cursor that remembers how far it has come, and lets
the reaction run. This file knows nothing of how events are read or commands run.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, Final

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.homes import home_of
from nestmate.cli.job import GRACE_SECONDS, check_command
from nestmate.cli.line import Line
from nestmate.cli.output import teller
from nestmate.cli.reacting import Order, Reaction
from nestmate.errors import UsageError
from nestmate.operations.forms import seconds

JOBS_MAX: Final = 32
TRIES: Final = 5
PAUSE_MAX: Final = 3_600
CHANGES: Final = ("space.changed",)
_NAME_CHARS: Final = 40


@click.command()
@click.argument("space", required=False)
@click.argument("prefix", required=False)
@click.option(
    "--type",
    "kinds",
    multiple=True,
    metavar="GLOB",
    help="React to these types of event, such as task.*. [default: space.changed]",
)
@click.option("--author", default="", help="Only to this agent's doing.")
@click.option("--cursor", help="The name of the cursor; left out, one of its own.")
@click.option("--since", type=click.IntRange(0), help="Where a new cursor begins.")
@click.option(
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    default=1,
    help="How many events at a time; one keeps their order. [default: 1]",
)
@click.option(
    "--tries",
    type=click.IntRange(1),
    default=TRIES,
    help=f"After so many failures an event is given up. [default: {TRIES}]",
)
@click.option(
    "--pause",
    default="1s",
    metavar="DURATION",
    help="Before the second try; twice as long before each further. [default: 1s]",
)
@click.option("--once", is_flag=True, help="End once all there is has been dealt with.")
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=GRACE_SECONDS,
    help="Seconds a command has to end well when it must stop. "
    f"[default: {GRACE_SECONDS:g}]",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def on(arguments: Arguments, /, **options: Any) -> None:
    """Run COMMAND on every change in SPACE below PREFIX, until interrupted.

    Write `--` before COMMAND. It finds the event as JSON on standard input, and
    NESTMATE_EVENT_SEQ, NESTMATE_EVENT_TYPE, NESTMATE_SPACE, NESTMATE_PATH,
    NESTMATE_REF, NESTMATE_AUTHOR, NESTMATE_TRY and NESTMATE_HOME in its environment.
    An event is done when COMMAND has succeeded; what was not done comes again, after a
    crash of whatever kind. If it keeps failing, the event becomes a dead letter. What
    COMMAND prints is printed once it has ended, except with --json.
    """
    space, prefix, command = _parted(arguments, options)
    kinds = list(options["kinds"] or CHANGES)
    home = os.fspath(home_of(arguments).root)
    author = options["author"]
    wanted = {"kinds": kinds, "space": space, "path": prefix, "author": author}
    order = Order(
        home,
        options["cursor"] or _cursor_of(wanted, command),
        command,
        jobs=options["jobs"],
        tries=options["tries"],
        pause_seconds=seconds(options["pause"], "pause", 0, PAUSE_MAX),
        grace_seconds=options["grace"],
        once=options["once"],
        shows_output=not arguments.json,
    )
    line = Line(home, teller(as_json=arguments.json))
    made = {"cursor": order.cursor, "start": options["since"], **wanted}
    cursor = line.ask("event.cursor.set", made)
    line.tell(what="waiting", cursor=order.cursor, seq=cursor["seq"])
    Reaction(order, line).run()


def _parted(
    arguments: Arguments, options: dict[str, Any]
) -> tuple[str, str, tuple[str, ...]]:
    """The space, the prefix and the command, which begins behind ``--``."""
    given = (options["space"], options["prefix"], *options["command"])
    words = [word for word in given if word is not None]
    behind = len(arguments.words)
    if arguments.divided:
        behind -= arguments.words.index("--") + 1
    command = tuple(words[len(words) - behind :])
    if not arguments.divided or not command:
        raise UsageError(
            "Nothing says where your command begins.",
            "Write `--` before it: nestmate on SPACE PREFIX -- COMMAND",
        )
    check_command(command)
    places = words[: len(words) - behind]
    if not places and not options["kinds"]:
        raise UsageError(
            "Nothing says what to react to.",
            "Name a space, and a path in it, or with --type a type of event.",
        )
    if len(places) > len(("space", "prefix")):
        raise UsageError(f"{places[2]!r} is one word too many before `--`.")
    space, prefix, *_ = (*places, "", "")
    return space, prefix, command


def _cursor_of(wanted: dict[str, Any], command: tuple[str, ...]) -> str:
    """A name that the same words always lead to, and others do not."""
    text = json.dumps([wanted, command], ensure_ascii=False, sort_keys=True)
    mark = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9._-]", "-", Path(command[0]).name)[:_NAME_CHARS]
    return f"on-{name}-{mark}"
