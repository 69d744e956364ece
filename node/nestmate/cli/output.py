"""What a command prints: JSON for scripts, a few plain lines or a table for people.

JSON is the contract; the human form may change. Neither can disturb a terminal,
whatever others put into it: characters that steer one are written out. This file
knows no command.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from nestmate.errors import NodeError

_GAP = "  "
# Controls, and what turns the direction of text around. A tab does no harm, and JSON
# writes out the first thirty-two by itself.
_STEERING = {
    code: f"\\u{code:04x}"
    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        *(0x61C, 0x200E, 0x200F),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
    )
    if code != ord("\t")
}


def prepare_streams() -> None:
    """Let no command fail for a stream that is closed, or for its encoding."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - for good
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show_json(document: Any) -> None:
    """One JSON document, on one line."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(document, ensure_ascii=encoding != "utf-8")
    sys.stdout.write(text.translate(_STEERING) + "\n")
    sys.stdout.flush()


def show_lines(*lines: str) -> None:
    """Plain lines."""
    sys.stdout.write("".join(line.translate(_STEERING) + "\n" for line in lines))
    sys.stdout.flush()


def show_notes(*lines: str) -> None:
    """Plain lines for people beside what a command prints, on standard error."""
    sys.stderr.write("".join(line.translate(_STEERING) + "\n" for line in lines))
    sys.stderr.flush()


def show_error(error: NodeError, *, as_json: bool) -> int:
    """The sentence and the way out on stderr; returns the exit code."""
    if as_json:
        import msgspec  # noqa: PLC0415 - only where JSON is wanted

        from nestmate.operations.problems import problem_of  # noqa: PLC0415 - as above

        lines = [msgspec.json.encode(problem_of(error)).decode()]
    else:
        lines = [line[:1].upper() + line[1:] for line in (str(error), error.hint)]
    text = "".join(line.translate(_STEERING) + "\n" for line in lines if line)
    sys.stderr.write(text)
    return error.exit_code


def show_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str
) -> None:
    """Columns under headings; ``empty`` is said where there is nothing to show."""
    if not rows:
        show_lines(empty)
        return
    table = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    show_lines(
        *(
            _GAP.join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            for row in table
        )
    )


def show_fields(document: Mapping[str, Any]) -> None:
    """One line for each key that says something."""
    width = max((len(key) for key in document), default=0)
    for key, value in document.items():
        if value is None or value in ("", [], {}):
            continue
        first, *rest = _lines(value)
        show_lines(f"{key.replace('_', ' ').ljust(width)}{_GAP}{first}")
        show_lines(*(" " * width + _GAP + line for line in rest))


def _lines(value: Any) -> list[str]:
    match value:
        case bool():
            return ["yes" if value else "no"]
        case str():
            return value.splitlines() or [""]
        case float():
            return [f"{value:g}"]
        case list() if all(isinstance(item, str) for item in value):
            return list(value)
    return [json.dumps(value, ensure_ascii=False)]


def teller(*, as_json: bool) -> Callable[[Mapping[str, Any]], None]:
    """What tells of the news of a worker: JSON on stdout, or words on stderr."""
    if as_json:
        return show_json

    def tell(news: Mapping[str, Any]) -> None:
        rest = " ".join(f"{k}={v}" for k, v in news.items() if k != "what")
        line = f"{news['what']} {rest}".translate(_STEERING)
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    return tell
