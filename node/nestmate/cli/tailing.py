"""Commands that follow what happens: NDJSON for scripts, a line each for people.

A page is asked for again and again from the last number seen, so nothing is missed
between two pages; with a cursor it is acked once it is shown. This file knows no event.
"""

from collections.abc import Callable, Mapping
from typing import Any

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.asking import ask
from nestmate.cli.human import event_line
from nestmate.cli.output import show_json, show_lines

PAGE_SECONDS = 25.0

_since = click.option("--since", type=int, help="Begin after this number.")


@click.command()
@click.option("--skill", default="", help="Only this skill.")
@_since
@click.pass_obj
def signals(arguments: Arguments, skill: str, since: int | None) -> None:
    """What happens to signals and tasks, as it happens, until interrupted."""
    _follow(arguments, "signal.tail", {"skill": skill}, since)


@click.command()
@click.option("--type", "kinds", multiple=True, help="Only these, such as task.*.")
@click.option("--space", default="", help="Only this space.")
@click.option("--path", default="", help="Only what concerns this path or below it.")
@click.option("--author", default="", help="Only this agent's doing.")
@_since
@click.option(
    "--cursor",
    default="",
    help="Go on where this cursor is, made if it is not there, and move it along.",
)
@click.pass_obj
def events(arguments: Arguments, /, since: int | None, **wanted: Any) -> None:
    """Everything that happens at this node, as it happens, until interrupted.

    With a cursor, what was not shown comes again, also after a crash.
    """
    cursor, wanted["kinds"] = wanted["cursor"], list(wanted["kinds"])
    if cursor:
        there = ask(arguments.home, "event.cursor.ls")["cursors"]
        if cursor not in {each["cursor"] for each in there}:
            ask(arguments.home, "event.cursor.set", {**wanted, "start": since})
        since = None
    _follow(arguments, "event.wait", wanted, since)


def _follow(
    arguments: Arguments, name: str, filters: Mapping[str, Any], since: int | None
) -> None:
    show: Callable[[Any], None] = (
        show_json if arguments.json else lambda event: show_lines(event_line(event))
    )
    while True:
        page = ask(
            arguments.home, name, {**filters, "since": since, "timeout": PAGE_SECONDS}
        )
        if page["lagged"]:
            show(
                {
                    "seq": page["seq"],
                    "type": "lagged",
                    "at": "",
                    "ref": None,
                    "details": {},
                }
            )
        for event in page["events"]:
            show(event)
        if filters.get("cursor"):
            acked = {"cursor": filters["cursor"], "seq": page["seq"]}
            ask(arguments.home, "event.ack", acked)
        since = page["seq"]
