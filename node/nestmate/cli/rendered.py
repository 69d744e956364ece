"""Commands rendered from the table of operations: fields become arguments and options.

A field taken by position becomes an argument, every other an option; text becomes
whatever type the request declares. ``@FILE`` reads a JSON field from a file, ``@-``
from standard input. This file knows how fields become words, not what any operation
means.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.asking import ask
from nestmate.cli.documents import document_of
from nestmate.cli.human import show_human
from nestmate.cli.output import show_json
from nestmate.cli.patience import patience
from nestmate.errors import UsageError
from nestmate.operations.parameters import Parameter, parameters
from nestmate.operations.row import Operation
from nestmate.operations.table import BY_NAME

FILE_BYTES_MAX: Final = 1024 * 1024
_WAITS: Final = {
    "join": "Connecting to your friend's node…",
    "ping": "Trying to reach it…",
    "peer.connect": "Dialling…",
    "whois": "Asking the network…",
    "skill.find": "Asking the network…",
    "claim.take": "Waiting for a task…",
    "signal.result": "Waiting for the result…",
    "space.join": "Waiting for a member to let this node in…",
    "event.wait": "Waiting for something to happen…",
}


def render(path: str, help_line: str) -> click.Command:
    """The command of one operation; ``signal ls`` renders ``signal.ls``."""
    operation = BY_NAME[path.replace(" ", ".")]
    fields = parameters(operation)

    @click.pass_obj
    def call(arguments: Arguments, /, **values: Any) -> None:
        payload = {
            each.name: _given(arguments, operation, each, values)
            for each in fields
            if values[each.name] not in (None, ())
        }
        wait = _WAITS.get(operation.name, "Waiting for the node…")
        with patience(wait, quiet=arguments.json):
            answer = ask(arguments.home, operation.name, payload)
        if arguments.json:
            show_json(answer)
        else:
            show_human(operation.name, answer)

    return click.Command(
        name=operation.verb,
        callback=call,
        params=[_parameter(operation, each) for each in fields],
        help=operation.help,
        short_help=help_line,
    )


def _parameter(operation: Operation, field: Parameter) -> click.Parameter:
    complete = _completion(field)
    if field.positional:
        return click.Argument(
            [field.name],
            required=field.required,
            type=_type(field),
            shell_complete=complete,
        )
    text = field.help
    if not field.required and field.default not in (None, "", (), False):
        text += f" [default: {field.default}]"
    return click.Option(
        [f"--{option_name(operation, field)}", field.name],
        required=field.required,
        is_flag=field.kind == "flag",
        default=False if field.kind == "flag" else None,
        multiple=field.kind == "texts",
        type=None if field.kind == "flag" else _type(field),
        help=text,
        shell_complete=complete,
    )


def option_name(operation: Operation, field: Parameter) -> str:
    """The option a field becomes; some read better under another name."""
    return _OPTION_NAMES.get((operation.name, field.name), field.name).replace("_", "-")


_OPTION_NAMES = {
    ("invite", "grants"): "grant",
    ("skill.add", "input_schema"): "input-schema",
    ("event.wait", "kinds"): "type",
    ("event.find", "kinds"): "type",
    ("event.cursor.set", "kinds"): "type",
    ("signal.deposit", "inputs"): "input",
    ("signal.deposit", "delegates"): "delegate",
    ("blob.put", "spaces"): "space",
    ("blob.put", "agents"): "with",
    ("blob.get", "spaces"): "space",
    ("blob.get", "agents"): "from",
    ("blob.share", "spaces"): "space",
    ("blob.share", "agents"): "with",
}


def _type(field: Parameter) -> click.ParamType[Any]:
    match field.kind:
        case "number":
            return click.FLOAT
        case "integer":
            return click.INT
        case "choice":
            return click.Choice(field.choices)
        case _:
            return click.STRING


def _given(
    arguments: Arguments, operation: Operation, field: Parameter, values: Any
) -> Any:
    """The JSON value a word stands for, or a reference to what is too large."""
    value = values[field.name]
    if field.kind != "json" or not value.startswith("@"):
        return _read(field, value)
    from nestmate.cli import parcels  # noqa: PLC0415 - only for a file

    limit = parcels.LIMITS.get((operation.name, field.name))
    if limit is None:
        return _read(field, value)
    asker = partial(ask, arguments.home)
    wish = parcels.audience(asker, operation.name, values)
    with opened(value[1:]) as file:
        return parcels.carried(asker, file, value[1:], limit, wish)


def _read(field: Parameter, value: Any) -> Any:
    """The JSON value a word stands for."""
    if field.kind == "json":
        return read_document(value)
    return list(value) if field.kind == "texts" else value


def read_document(word: str) -> Any:
    """The document a word stands for; ``@FILE`` reads a file, ``@-`` what comes in."""
    if not word.startswith("@"):
        return document_of(word.encode())
    with opened(word[1:]) as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise UsageError(f"{word[1:]} is larger than {FILE_BYTES_MAX} bytes.")
    return document_of(data)


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """A file to be read, or standard input for ``-``; UsageError if it cannot be."""
    try:
        if name == "-":
            file: IO[bytes] = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
        else:
            file = Path(name).open("rb")  # noqa: SIM115 - closed below
        with file:
            yield file
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{name} cannot be read: {why}.",
            "Write @FILE with a file that is there. A text that begins with @ is "
            "written as JSON, in double quotes.",
        ) from error


def _completion(field: Parameter) -> Any:
    if field.kind not in {"who", "task", "skill", "space"}:
        return None

    def complete(_ctx: click.Context, _param: click.Parameter, start: str) -> list[str]:
        from nestmate.cli.completing import values  # noqa: PLC0415 - only on a tab

        return [value for value in values(field.kind) if value.startswith(start)]

    return complete
