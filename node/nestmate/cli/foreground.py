"""Runs the node in this very process; loaded by ``up`` alone, because it is heavy.

Ready is told once, with the answer of the ``status`` operation, as every door gives
it. This file knows nothing of what a node does.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import trio

from nestmate.config import format_config, parse_config
from nestmate.daemon import run_daemon
from nestmate.home import Home
from nestmate.node.assembly import Node
from nestmate.operations.perform import Caller, perform


def run_here(
    home: Home,
    listen: tuple[str, ...],
    passphrase: str | None,
    *,
    recover: bool,
    ready: Callable[[dict[str, Any]], None],
) -> None:
    """Run until a signal or ``down``; ``listen`` replaces the setting this time."""
    config = home.read_config()
    if listen:
        config = parse_config(format_config(replace(config, listen=listen)))

    async def tell(node: Node) -> None:
        status = await perform(node, "status", {}, Caller("cli"))
        ready(msgspec.to_builtins(status))

    async def main() -> None:
        await run_daemon(
            home, config, passphrase=passphrase, recover=recover, ready=tell
        )

    trio.run(main)
