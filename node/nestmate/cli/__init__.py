"""The command line: the same verbs as every door, for hands and scripts.

``nestmate mcp`` is a bare pipe and is handled before anything is loaded; everything
else goes through ``app``. Nothing here imports the network or any protocol of agents.
"""

import sys


def main() -> None:
    """Entry of the ``nestmate`` command."""
    from nestmate.cli.arguments import hoist  # noqa: PLC0415 - first things first

    arguments = hoist(sys.argv[1:])
    if "mcp" in arguments.words[:1] and not arguments.asks_for_help:
        from nestmate.cli.pipe import run_pipe  # noqa: PLC0415 - nothing else needed

        sys.exit(run_pipe(arguments))
    from nestmate.cli.app import run  # noqa: PLC0415 - click costs fifty milliseconds

    sys.exit(run(arguments))
