"""Runs the node in this very process; loaded by ``up`` alone, because it is heavy.

Ready is told once, with the answer of the ``status`` operation, as every door gives
it. What stands in the way comes out as the one error it is, however many tasks it
passed through. This file knows nothing of what a node does.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import trio

from nestmate.config import format_config, parse_config
from nestmate.daemon import run_daemon
from nestmate.errors import NodeError
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
        with suppress(BrokenPipeError):  # nobody reads where it listens
            ready(msgspec.to_builtins(status))

    async def main() -> None:
        await run_daemon(
            home, config, passphrase=passphrase, recover=recover, ready=tell
        )

    try:
        trio.run(main)
    except BaseExceptionGroup as group:
        known, rest = group.split((NodeError, KeyboardInterrupt))
        if known is None or rest is not None:
            raise
        raise _first(known) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
