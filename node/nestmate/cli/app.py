"""The command tree: found by name, loaded one command at a time, one way to fail.

Whatever goes wrong ends in a sentence, a hint and an exit code; a traceback is never
shown. This file knows how commands are found and how they fail, not what they do.
"""

import os
import sys
from importlib import import_module
from typing import Any

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.output import prepare_streams, show_error
from nestmate.cli.registry import COMMANDS, GROUPS
from nestmate.errors import NodeError, UsageError
from nestmate_protocol.errors import LocalError

_INTERRUPTED = 130
SETTINGS = {"help_option_names": ["-h", "--help"]}
EPILOG = (
    "Every command takes --home DIR (or NESTMATE_HOME) and --json (or "
    "NESTMATE_JSON=1). Exit codes: 0 ok, 1 failure, 2 usage, 3 node not running, "
    "4 denied, 5 not found, 6 timed out, 7 approval pending."
)


class Commands(click.Group):
    """A group that loads a command only when it runs."""

    def __init__(self, path: str, help_line: str, **settings: Any) -> None:
        super().__init__(
            name=path.rpartition(" ")[2] or None,
            help=help_line,
            context_settings=SETTINGS,
            **settings,
        )
        self.path = path

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Names in the order of the registry."""
        prefix = f"{self.path} " if self.path else ""
        heads = [
            path.removeprefix(prefix).partition(" ")[0]
            for path in COMMANDS
            if path.startswith(prefix)
        ]
        return list(dict.fromkeys(heads))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """The command of that name, loaded now."""
        path = f"{self.path} {cmd_name}".strip()
        if path in GROUPS:
            return Commands(path, GROUPS[path])
        entry = COMMANDS.get(path)
        if entry is None:
            return None
        if not entry.made_by:
            from nestmate.cli.rendered import render  # noqa: PLC0415 - loads the table

            return render(path, entry.help)
        module, _, function = entry.made_by.partition(":")
        made: click.Command = getattr(import_module(f"nestmate.cli.{module}"), function)
        made.name = cmd_name
        made.help = made.help or entry.help
        made.short_help = entry.help
        return made

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """One line each, from the registry, without loading anything."""
        prefix = f"{self.path} " if self.path else ""
        rows = [(name, _line(prefix + name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _line(path: str) -> str:
    return GROUPS[path] if path in GROUPS else COMMANDS[path].help


def command_tree() -> Commands:
    """The whole ``nestmate`` command."""
    return Commands(
        "", "The coordination layer for agents, with no centre.", epilog=EPILOG
    )


def run(arguments: Arguments) -> int:
    """Run one command line; returns its exit code."""
    prepare_streams()
    if trouble := arguments.trouble():
        return show_error(UsageError(trouble), as_json=arguments.json)
    if "_NESTMATE_COMPLETE" in os.environ:
        from nestmate.cli.completing import prepare_line  # noqa: PLC0415 - on a tab

        prepare_line()
    try:
        code = command_tree().main(
            list(arguments.words), "nestmate", standalone_mode=False, obj=arguments
        )
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.NoArgsIsHelpError as asked:
        sys.stdout.write(asked.format_message() + "\n")
        return UsageError.exit_code
    except click.UsageError as mistake:
        return show_error(_usage(mistake), as_json=arguments.json)
    except click.ClickException as mistake:
        mine = UsageError(mistake.format_message())
        return show_error(mine, as_json=arguments.json)
    except click.Abort:
        return _INTERRUPTED
    except NodeError as error:
        return show_error(error, as_json=arguments.json)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        refusal = NodeError(f"{where}{error.strerror or error}.")
        return show_error(refusal, as_json=arguments.json)
    except LocalError as error:  # what the protocol wing refuses its own caller
        mine = UsageError(str(error), error.hint)
        return show_error(mine, as_json=arguments.json)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code if isinstance(code, int) else 0


def _usage(mistake: click.UsageError) -> UsageError:
    hint = ""
    if mistake.ctx is not None:
        hint = f"See `{mistake.ctx.command_path} --help`."
    return UsageError(mistake.format_message(), hint)
