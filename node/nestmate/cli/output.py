"""What a command prints: JSON for scripts, a few plain lines or a table for people.

JSON is the contract and goes out as it came; the human form may change. Text from
others was stripped of control characters before it came here. This file knows no
command.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from nestmate.errors import NodeError

_GAP = "  "


def show_json(document: Any) -> None:
    """One JSON document, on one line."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def show_lines(*lines: str) -> None:
    """Plain lines."""
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()


def show_error(error: NodeError, *, as_json: bool) -> int:
    """The sentence and the way out on stderr; returns the exit code."""
    if as_json:
        import msgspec  # noqa: PLC0415 - only where JSON is wanted

        from nestmate.operations.problems import problem_of  # noqa: PLC0415 - as above

        show = msgspec.json.encode(problem_of(error)).decode()
        sys.stderr.write(show + "\n")
    else:
        hint = f"\n{error.hint}" if error.hint else ""
        sys.stderr.write(f"{error}{hint}\n")
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
