"""Commands about blobs that read or write a file; the others are rendered.

This file knows no operation but those it asks for.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.asking import ask
from nestmate.cli.documents import bytes_of
from nestmate.cli.output import show_json, show_lines
from nestmate.cli.parcels import Ask, fetch, pieces, referred, store
from nestmate.cli.patience import patience
from nestmate.cli.rendered import opened, render

_FETCHING = "Fetching…"


@click.command()
@click.argument("file")
@click.option("--space", "spaces", multiple=True, help="Members of it may have it.")
@click.option("--with", "agents", multiple=True, help="This agent may have it.")
@click.option("--public", is_flag=True, help="Anybody who knows its hash may.")
@click.option("--media", default="", help="What it is; else the file's name tells.")
@click.option("--sealed", is_flag=True, help="Seal it, as is done for a private space.")
@click.pass_obj
def put(arguments: Arguments, /, file: str, **wish: Any) -> None:
    """Keep a file under its hash; - is standard input. Prints the hash.

    Below it stands the key of a sealed file, without which nobody can read it. Nobody
    else may have it unless a space, an agent or --public is named.
    """
    import mimetypes  # noqa: PLC0415 - no other command needs it

    wish["media"] = wish["media"] or mimetypes.guess_type(file)[0] or ""
    with opened(file) as source, patience("Sending…", quiet=arguments.json):
        stored = store(_asker(arguments), source, wish)
    if arguments.json:
        show_json(stored)
    else:
        show_lines(stored["blob"], *([stored["key"]] if stored["key"] else []))


@click.command()
@click.argument("blob")
@click.option("--to", default="", help="Write it to this file.")
@click.option("--space", "spaces", multiple=True, help="Ask the members of this space.")
@click.option("--from", "agents", multiple=True, help="Ask this agent.")
@click.option(
    "--timeout", default="10s", help="How long to wait for each next part at most."
)
@click.option("--offset", type=int, default=0, help="Begin at this byte.")
@click.option("--key", default="", help="The key of a sealed blob.")
@click.pass_obj
def get(arguments: Arguments, /, to: str, offset: int, **wish: Any) -> None:
    """Fetch a blob into a file, or to standard output.

    Ended before it is done, it goes on where it was when it is run again. Without a
    space and an agent, everybody connected is asked. A sealed blob comes as it is
    without its key, and can be given to others so.
    """
    if arguments.json and not to:
        show_json(ask(arguments.home, "blob.get", {**wish, "offset": offset}))
        return
    _take_out(arguments, wish, to, offset)


def _take_out(
    arguments: Arguments, wish: dict[str, Any], to: str, offset: int = 0
) -> None:
    asker = _asker(arguments)
    if to:
        with patience(_FETCHING, quiet=arguments.json):
            size, sealed = fetch(asker, wish, Path(to))
        _say_written(arguments, wish["blob"], size, to, " (sealed)" if sealed else "")
        return
    for piece in pieces(asker, wish, offset):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _say_written(
    arguments: Arguments, blob: str | None, size: int, to: str, how: str = ""
) -> None:
    if arguments.json:
        show_json({"blob": blob, "bytes": size, "to": to})
    else:
        show_lines(f"{size} bytes in {to}{how}")


def _document() -> click.Command:
    """``get``, as rendered, which can write to a file besides."""
    command = render("get", "")
    show = command.callback

    @click.pass_obj
    def call(arguments: Arguments, /, to: str, timeout: str, **values: Any) -> None:
        if not to:
            if show is not None:
                show(**values)
            return
        given = {key: value for key, value in values.items() if value is not None}
        document = ask(arguments.home, "get", given)["value"]
        told = referred(document)
        if told is not None:
            wish = {**told, "spaces": [values["space"]], "timeout": timeout}
            _take_out(arguments, wish, to)
            return
        data = bytes_of(document)
        Path(to).write_bytes(data)
        _say_written(arguments, None, len(data), to)

    command.callback = call
    options: list[click.Parameter] = [
        click.Option(["--to"], default="", help="Write the value, or the blob it "
                     "refers to, to this file."),
        click.Option(["--timeout"], default="10s", help="How long to wait for each "
                     "next part of a blob at most."),
    ]  # fmt: skip
    command.params += options
    return command


def _asker(arguments: Arguments) -> Ask:
    return partial(ask, arguments.home)


document = _document()
