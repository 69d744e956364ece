"""docs/reference/operations.md says of every operation what the table says.

The page is written by this file: NESTMATE_WRITE_PAGES=1 makes the test write it anew
instead of comparing. Knows nothing of how operations are carried out.
"""

import os
from pathlib import Path
from typing import Any

import msgspec

from nestmate.operations.fields import Done
from nestmate.operations.row import Operation
from nestmate.operations.table import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "operations.md"
CHAPTERS = {
    "The node itself": ("status", "version", "doctor", "down"),
    "Agents": ("id", "whois", "ping"),
    "Friends": ("invite", "join", "contact"),
    "Peers": ("peer",),
    "Skills": ("skill",),
    "Signals": ("signal",),
    "Claims": ("claim",),
    "Spaces": ("space",),
    "Documents": (
        *("get", "put", "rm", "ls", "history", "conflicts", "explain"),
        *("log", "schema"),
    ),
    "Blobs": ("blob",),
    "Events": ("event", "event.cursor", "event.dead"),
}
SIMPLE = {"string": "text", "boolean": "true or false", None: "any JSON"}
OPENING = """\
# Operations

Everything an agent can ask of its node, from the one table in
`nestmate/operations/table.py`. Command line, HTTP, MCP and the Python client are
rendered from it: what one can do, the others can. How two of the doors ask is told in
[http.md](http.md) and [python-client.md](python-client.md); what may go wrong in
[errors.md](errors.md).

Some words hold for all of them:

- **WHO** is an address (`nest1…`) or the local name of a contact.
- **Durations** are seconds (`90`, `0.5`) or text (`500ms`, `90s`, `15m`, `24h`, `30d`).
- **Times** are RFC 3339 in UTC.
- **SPACE** is the id of a space (`space1…`), or the name it has here.
- **Documents** (`body`, `result`, `partial`, `value`) are any JSON value or text. Text
  travels as it is, other values as JSON, and bytes that are neither are written
  `{"base64": "…"}`. What comes back reads as it was sent.
- **Scope**: `read` only looks, `act` does something in the agent's name, `own` changes
  whom the node trusts or whether it runs.
- Every key of an answer is always there, `null` where nothing is known. An unknown
  field in a request is refused.
"""
STREAM = """\
Answers one page; ask again with `since` set to `seq` to read on. `lagged` says that
older events were dropped before they were read.
"""


def schemas_of(kind: type) -> dict[str, Any]:
    return msgspec.json.schema_components([kind], ref_template="{name}")[1]


def type_of(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(map(type_of, schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"])
    if "items" in schema:
        return f"list of {type_of(schema['items'])}"
    kind = schema.get("type")
    return SIMPLE.get(kind, kind)


def takes(row: Operation) -> str:
    schema = schemas_of(row.request)[row.request.__name__]
    if not schema["properties"]:
        return "Takes nothing.\n"
    lines = ["| takes | type | |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        kind = type_of(field).replace("number or text", "duration")
        if name in schema.get("required", ()):
            kind += ", required"
        elif field.get("default") not in (None, "", [], ()):
            kind += f", default {msgspec.json.encode(field['default']).decode()}"
        lines.append(f"| `{name}` | {kind} | {field['description']} |")
    return "\n".join(lines) + "\n"


def keys_of(schema: dict[str, Any], title: str) -> str:
    lines = [f"| {title} | type | |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        lines.append(f"| `{name}` | {type_of(field)} | {field['description']} |")
    return "\n".join(lines) + "\n"


class Writer:
    """Writes each type where it is first needed, and later points there."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def answers(self, row: Operation) -> str:
        if row.response is Done:
            return 'Answers `{"done": true}`.\n'
        name, schemas = row.response.__name__, schemas_of(row.response)
        if name in self.told:
            return f"Answers {self.told[name]}.\n"
        self.told[name] = f"as {link(row)} does"
        parts = [keys_of(schemas.pop(name), "answers")]
        for inner, schema in schemas.items():
            if inner in self.told:
                parts.append(f"Each {inner} is {self.told[inner]}.\n")
            else:
                self.told[inner] = f"as each item of {link(row)}"
                parts.append(keys_of(schema, f"each {inner}"))
        return "\n".join(parts)

    def section(self, row: Operation) -> str:
        tool = f"MCP tool `{row.tool}`"
        if row.action:
            tool += f" with `action` `{row.action}`"
        line = f"`{row.method} {row.path}` · {tool} · scope `{row.scope}`"
        codes = ", ".join(
            f"[{kind.code}](errors.md#{kind.code})" for kind in row.errors
        )
        if codes:
            line += f" · may refuse with {codes}"
        parts = [f"### `{row.name}`\n", f"{row.help}\n", f"{line}\n", takes(row)]
        parts += [self.answers(row), *([STREAM] if row.stream else [])]
        return "\n".join(parts)


def link(row: Operation) -> str:
    return f"[`{row.name}`](#{row.name.replace('.', '')})"


def page() -> str:
    writer, parts = Writer(), [OPENING]
    for title, nouns in CHAPTERS.items():
        parts.append(f"## {title}\n")
        parts += [
            writer.section(row) for row in OPERATIONS if (row.noun or row.name) in nouns
        ]
    return "\n".join(parts)


def test_the_page_of_operations_says_what_the_table_says():
    if os.environ.get("NESTMATE_WRITE_PAGES"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "NESTMATE_WRITE_PAGES=1 writes it anew"
    assert page().count("\n### ") == len(OPERATIONS)
