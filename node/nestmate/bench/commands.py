"""Commands at the shell: help, and a question to a running node.

The raw twin is a Python that starts and does nothing; they take turns. Targets are
about the clock on the wall; the processor's time beside it tells how much of that was
waiting for a busy machine. This file knows nothing of what the commands do.
"""

import sys
from collections.abc import Iterable
from typing import Final

from nestmate.bench.figures import Figure, Unit, at_most, in_rounds
from nestmate.bench.homes import python_alone, running_nodes, seconds_of

HELP_SECONDS_MAX: Final = 0.15
COMMAND_SECONDS_MAX: Final = 0.2
ROUNDS: Final = 11
ROUNDS_QUICK: Final = 1


def measure(quick: bool) -> Iterable[Figure]:
    """Four figures: ``nestmate --help`` and ``nestmate status``, in seconds."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    ours = [sys.executable, "-m", "nestmate"]
    yield from _figures("commands.help", [*ours, "--help"], rounds, HELP_SECONDS_MAX)
    with running_nodes(1) as net:
        status = [*ours, "--home", net.member(1).home, "status"]
        yield from _figures("commands.status", status, rounds, COMMAND_SECONDS_MAX)


def _figures(
    name: str, command: list[str], rounds: int, bound: float
) -> Iterable[Figure]:
    pairs = [(seconds_of(python_alone()), seconds_of(command)) for _ in range(rounds)]
    wall = [(raw[0], ours[0]) for raw, ours in pairs]
    used = [(raw[1], ours[1]) for raw, ours in pairs]
    yield in_rounds(name, Unit.SECONDS, wall, at_most(bound, Unit.SECONDS))
    yield in_rounds(f"{name}-cpu", Unit.SECONDS, used)
