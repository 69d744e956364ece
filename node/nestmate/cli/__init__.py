"""The command line: the same verbs as every door, for hands and scripts.

``nestmate mcp`` is a bare pipe and is handled before anything is loaded; everything
else goes through ``app``. What nobody foresaw ends in a sentence too, never in a
traceback. Nothing here imports the network or any protocol of agents.
"""

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nestmate.cli.arguments import Arguments

TRACEBACK_VARIABLE = "NESTMATE_TRACEBACK"


def main() -> None:
    """Entry of the ``nestmate`` command."""
    from nestmate.cli.arguments import hoist  # noqa: PLC0415 - first things first

    arguments = hoist(sys.argv[1:])
    _tell_of_bugs(arguments)
    if "mcp" in arguments.words[:1] and not arguments.asks_for_help:
        from nestmate.cli.pipe import run_pipe  # noqa: PLC0415 - nothing else needed

        sys.exit(run_pipe(arguments))
    from nestmate.cli.app import run  # noqa: PLC0415 - click costs fifty milliseconds

    sys.exit(run(arguments))


def _tell_of_bugs(arguments: "Arguments") -> None:
    """Say what went wrong in a sentence; the traceback is there for who asks."""

    def tell(
        kind: type[BaseException], bug: BaseException, trace: TracebackType | None
    ) -> None:
        if os.environ.get(TRACEBACK_VARIABLE):
            sys.__excepthook__(kind, bug, trace)
        from nestmate.cli.output import show_error  # noqa: PLC0415 - rarely needed
        from nestmate.errors import NodeError  # noqa: PLC0415 - as above

        error = NodeError(
            f"This is a bug in nestmate: {bug!r}",
            f"Run it again with {TRACEBACK_VARIABLE}=1 and report what it says.",
        )
        show_error(error, as_json=arguments.json)

    sys.excepthook = tell
