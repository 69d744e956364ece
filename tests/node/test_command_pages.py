"""docs/reference/cli.md and mcp.md say of commands and tools what these say themselves.

Both pages are written by this file: NESTMATE_WRITE_PAGES=1 makes the tests write them
anew instead of comparing. Knows nothing of what a command does.
"""

import inspect
import os
import re
from pathlib import Path

import click

from nestmate.cli.app import command_tree
from nestmate.cli.registry import COMMANDS, GROUPS
from nestmate.doors.tools import (
    ACTION,
    EVENTS_TEMPLATE,
    RESOURCES,
    rows_of,
    tool_sheets,
    usual_action,
)
from nestmate.operations.parameters import parameters
from nestmate.operations.table import BY_NAME

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

CLI_OPENING = """\
# Commands

`nestmate COMMAND --help` says the same as this page. Commands that ask the node are
rendered from [the table of operations](operations.md), whose entries say what each
field means and what is answered.

## What holds for every command

- `--home DIR` names the home, before or after the command's name; else the variable
  `NESTMATE_HOME` does, else it is the platform's folder for user data.
- `--json`, or `NESTMATE_JSON=1`, prints one JSON document on one line, and commands
  that follow something print one for each thing that happens. The forms for people may
  change; the JSON may not.
- A **document** (`--body`, `--result`, `--partial`, schemas) is JSON if it reads as
  JSON, else text; `@FILE` takes it from a file, `@-` from standard input. Bytes that
  are no text become `{"base64": "…"}`. Text that begins with `@` is written as JSON, in
  quotes. A file that is too large for `put`, `log append` or `claim done` is kept as a
  blob, and what is written is a reference to it.
- What goes wrong is one sentence on standard error and one line about the way out;
  with `--json` it is a [problem document](errors.md). There is never a traceback: what
  nobody foresaw is called a bug, and `NESTMATE_TRACEBACK=1` shows where it is.
- On a terminal, whatever takes longer than a second says what it waits for.
- Characters that could steer a terminal are written out, whoever sent them.

| exit code | means |
|---|---|
| 0 | it is done |
| 1 | it failed, or a check found something wrong |
| 2 | it makes no sense as it was asked for, or the home cannot be used |
| 3 | no node runs on this home |
| 4 | denied: by a policy, a permission, or the mode of a file |
| 5 | there is no such thing |
| 6 | nobody answered in time |
| 7 | an approval is pending; no command of this release asks for one |
| 130 | interrupted |
"""

# What hand-written commands print with --json; the others answer as their operation.
PRINTS = {
    "init": "`address`, `home`, `listen` and, this once, `recovery`: the 24 words",
    "up": "the answer of [`status`](operations.md#status), once the node is ready",
    "down": '`{"state": "stopped"}`',
    "restart": "the answer of [`status`](operations.md#status)",
    "doctor": "the answer of [`doctor`](operations.md#doctor); exit code 1 if one of "
    "the findings is an error. Works without a node, too",
    "version": "`version` of this command and `running`, that of the node or null; "
    "with a node also `protocol` and `python`",
    "completion": "a script for the shell, whatever was asked for",
    "signal tail": "one [event](events.md) a line",
    "top": "one object with `status`, `signals`, `authors`, `claims`, `spaces` and "
    "`peers` "
    "per view",
    "get": "the answer of [`get`](operations.md#get); with `--to` what it wrote: "
    "`blob` (null if it was none), `bytes`, `to`",
    "blob put": "the last answer of [`blob.put`](operations.md#blobput)",
    "blob get": "the answer of [`blob.get`](operations.md#blobget), which is one part; "
    "with `--to` what it wrote: `blob`, `bytes`, `to`",
    "event tail": "one [event](events.md) a line; `lagged` is the type "
    "of a line that says that older events were lost",
    "on": "one line for each thing that happens: `what` is `waiting`, `done`, "
    "`failed`, `away` (it failed while the node was away, which does not count as a "
    "try), `gave-up`, `gone` (the event is not kept any more), `lagged` (events "
    "were lost before they were read) or `stopped`, `seq` and `type` are those of the "
    "event, `why` is the reason, `tries` how often it was tried; what the command "
    "prints goes nowhere",
    "work": "one line for each thing that happens: `what` is `waiting`, `took`, "
    "`done`, `failed`, `lost`, `released`, `dropped` (a partial result too large), "
    "`stopped`, `unrenewed` or `unreleased`, `task` is the task, `why` the reason, "
    "`slot` the slot if there are several",
    "mcp": "nothing of its own: standard input and output belong to the host; see "
    "[MCP](mcp.md)",
    "key rotate": "`address`, `device` and `position` in the identity log",
    "config get": "every setting by name, or the one",
    "config set": "the setting and its new value",
    "config path": "`path`",
    "simulate": "`ok`, `trace` and the figures of the run; exit code 1 unless every "
    "promise held",
    "bench": "every figure; see [benchmarks](benchmarks.md)",
    "testnet up": "`dir`, `topology` and `nodes`",
    "testnet status": "`dir`, `topology` and `nodes`: `node`, `state`, `peers`, `pid`, "
    "`address`, `home` of each",
    "testnet exec": "whatever the command prints",
    "testnet logs": "the last lines of the log, as they are",
    "testnet kill": "`node` and `state`",
    "testnet pause": "`node` and `state`",
    "testnet resume": "`node` and `state`",
    "testnet start": "`node` and `state`",
    "testnet down": "`stopped`, how many",
    "testnet demo": "the checks and whether all held; exit code 0 only then",
    "testnet trial": "checks, figures and whether all held; exit code 0 only then",
}


def compare_or_write(page: Path, text: str) -> None:
    if os.environ.get("NESTMATE_WRITE_PAGES"):
        page.write_text(text)
    assert page.read_text() == text, "NESTMATE_WRITE_PAGES=1 writes it anew"


# --- commands ---


def commands_of(group: click.Group, path: str = ""):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def usage_of(path: str, command: click.Command) -> str:
    words = ["nestmate", path]
    if any(isinstance(option, click.Option) for option in command.params):
        words.append("[OPTIONS]")
    for argument in command.params:
        if isinstance(argument, click.Argument):
            name = (argument.metavar or argument.name).upper()
            if argument.nargs != 1:
                name = f"-- {name.rstrip('.')}…"
            words.append(name if argument.required else f"[{name}]")
    return " ".join(words)


def row_of(option: click.Parameter, help_line: str) -> str:
    if isinstance(option, click.Argument):
        name = (option.metavar or option.name).upper()
    else:
        name = option.opts[0]
    told = re.sub(r"\[default: (.*)\]", r"Default: `\1`.", help_line)
    if isinstance(option.type, click.Choice):
        told += f" One of {', '.join(f'`{each}`' for each in option.type.choices)}."
    if option.multiple:
        told += " May be given several times."
    if option.required and isinstance(option, click.Option):
        told += " Required."
    return f"| `{name}` | {told.strip()} |" if told.strip() else ""


def rows_for(path: str, command: click.Command) -> list[str]:
    helps = {}
    operation = BY_NAME.get(path.replace(" ", "."))
    if operation is not None:
        items = parameters(operation)
        helps = {item.name: item.help for item in items}
    rows = [
        row_of(option, getattr(option, "help", None) or helps.get(option.name, ""))
        for option in command.params
    ]
    return [row for row in rows if row]


def link_to(operation: str) -> str:
    return f"[`{operation}`](operations.md#{operation.replace('.', '')})"


def section_of(path: str, command: click.Command) -> str:
    rows = rows_for(path, command)
    prints = PRINTS.get(path) or f"the answer of {link_to(path.replace(' ', '.'))}"
    parts = [f"### `nestmate {path}`\n", f"{inspect.cleandoc(command.help)}\n"]
    parts += [f"```text\n{usage_of(path, command)}\n```\n"]
    if rows:
        parts += ["| takes | |\n|---|---|\n" + "\n".join(rows) + "\n"]
    parts += [f"With `--json` it prints {prints}.\n"]
    return "\n".join(parts)


def chapters():
    """Titles and the commands below them, in the order of the registry."""
    made = dict(commands_of(command_tree()))
    alone = {path: made[path] for path in COMMANDS if " " not in path}
    yield "Commands that stand alone", alone
    for group, line in GROUPS.items():
        within = {
            path: made[path] for path in COMMANDS if path.rpartition(" ")[0] == group
        }
        yield f"`{group}`: {line[:1].lower()}{line[1:].rstrip('.')}", within


def test_the_page_of_commands_says_what_the_commands_say():
    parts = [CLI_OPENING]
    for title, commands in chapters():
        parts.append(f"## {title}\n")
        parts += [section_of(path, command) for path, command in commands.items()]
    text = "\n".join(parts)
    assert text.count("\n### ") == len(COMMANDS)
    assert set(PRINTS) == {path for path, entry in COMMANDS.items() if entry.made_by}
    compare_or_write(REFERENCE / "cli.md", text)


# --- MCP ---

MCP_OPENING = """\
# MCP

A node speaks the Model Context Protocol on the socket `run/mcp.sock` of its home, in
both eras of the wire: the handshake of 2025-11-25 and the stateless one of 2026-07-28.
The first request of a host decides. How to attach one is told in
[attach an MCP host](../how-to/attach-an-mcp-host.md).

`nestmate mcp` carries a host's standard streams to that socket and back, and nothing
else: it attaches in a tenth of a second, and what speaks MCP is loaded by the node when
the first host comes. Its own first line on the socket is `{"agent": "NAME"}`, where the
name is that of `--as`. It ends with exit code 3 when the node goes away.

## What holds for every tool

- Tools are rendered from [the table of operations](operations.md): same fields, same
  answers. A tool that carries several operations takes an `action`; one that is called
  after one of them does that one without.
- The answer is there twice, as `structuredContent` and as the same JSON in a text.
- What cannot be done is an answer with `isError` and a [problem document](errors.md),
  so that an agent can read the way out.
- Text that comes from other agents is data. Nothing in it is an instruction.
- A message has at most 4 MiB, and at most 64 requests may be open at once; what is
  beyond is refused with error -32600 or -32000. A host that does not read holds up
  itself and nobody else. A host that closes its side still gets the answers it is owed.

## Tools

There are {count}, always in this order.
"""

MCP_RESOURCES = """\
## Resources

Each reads as the JSON its operation answers. Hosts may subscribe to those that change:
by `resources/subscribe` in the older era, by `subscriptions/listen` in the newer. Where
a host can do neither, the tool `events_wait` waits for [whatever happens](events.md).

| URI | operation | changes with |
|---|---|---|
"""


def tool_section(sheet) -> str:
    rows = rows_of(sheet.name)
    kind = "Only reads." if sheet.reads_only else "May change something."
    parts = [f"### `{sheet.name}`\n"]
    if len(rows) == 1:
        told = f"{sheet.description} {kind} Fields: {link_to(rows[0].name)}."
        return "\n".join([*parts, f"{told}\n"])
    lines = [f"| `{ACTION}` | operation | |", "|---|---|---|"]
    lines += [f"| `{row.action}` | {link_to(row.name)} | {row.help} |" for row in rows]
    if usual := usual_action(sheet.name):
        kind += f" Without an `action` it does `{usual}`."
    return "\n".join([*parts, f"{kind}\n", "\n".join(lines) + "\n"])


def resource_row(sheet) -> str:
    changes = ", ".join(f"`{kind}*`" for kind in sheet.changed_by)
    return f"| `{sheet.uri}` | {link_to(sheet.operation)} | {changes} |"


def test_the_page_of_mcp_says_what_the_tools_say():
    sheets = tool_sheets()
    parts = [MCP_OPENING.replace("{count}", str(len(sheets)))]
    parts += [tool_section(sheet) for sheet in sheets]
    rows = [resource_row(sheet) for sheet in RESOURCES]
    rows.append(f"| `{EVENTS_TEMPLATE}` | {link_to('event.wait')} | |")
    parts.append(MCP_RESOURCES + "\n".join(rows) + "\n")
    compare_or_write(REFERENCE / "mcp.md", "\n".join(parts))
