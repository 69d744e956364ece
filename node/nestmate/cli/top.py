"""The command `top`: signals, claims, spaces, peers and credit of a node at a glance.

On a terminal the view is drawn anew every few seconds until interrupted; ``--once``
shows it once, and ``--json`` gives one document per view. It asks what other commands
ask, and knows nothing else of the node.
"""

import sys
import time
from typing import Any, Final

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.asking import ask
from nestmate.cli.human import show_human
from nestmate.cli.output import show_json, show_lines

EVERY_SECONDS: Final = 2.0
ROWS: Final = 10
_CLEAR: Final = "\x1b[H\x1b[2J"
_PARTS: Final = (
    ("signals", "signal.ls"),
    ("authors", "signal.authors"),
    ("claims", "claim.ls"),
    ("spaces", "space.ls"),
    ("peers", "peer.ls"),
)
_LIMITED: Final = frozenset(("signal.ls", "signal.authors"))


@click.command()
@click.option("--once", is_flag=True, help="Show it once and end.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=EVERY_SECONDS,
    show_default=True,
    help="Seconds from one view to the next.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 1_000),
    default=ROWS,
    show_default=True,
    help="How many signals and authors at most.",
)
@click.pass_obj
def top(arguments: Arguments, once: bool, every: float, rows: int) -> None:
    """Signals, claims, spaces, peers and credit at a glance, live."""
    clears = not once and not arguments.json and sys.stdout.isatty()
    while True:
        view = _view(arguments.home, rows)
        if clears:
            sys.stdout.write(_CLEAR)
        if arguments.json:
            show_json(view)
        else:
            _show(view)
        if once:
            return
        time.sleep(every)


def _view(home: str | None, rows: int) -> dict[str, Any]:
    """Everything that is shown, as one document."""
    view: dict[str, Any] = {"status": ask(home, "status")}
    for key, name in _PARTS:
        fields = {"limit": rows} if name in _LIMITED else {}
        view[key] = ask(home, name, fields)[key]
    return view


def _show(view: dict[str, Any]) -> None:
    status = view["status"]
    show_lines(f"{status['address']}  {status['state']}, {status['peers']} peers")
    for key, name in _PARTS:
        show_lines("", f"{key.capitalize()} ({len(view[key])})")
        show_human(name, {key: view[key]})
