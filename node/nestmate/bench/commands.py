"""Commands at the shell: help, and a question to a running node, by the wall clock.

The raw twin is a Python that starts and does nothing; they take turns. This file knows
nothing of what the commands do.
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
    """Two figures: ``nestmate --help`` and ``nestmate status``, in seconds."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    ours = [sys.executable, "-m", "nestmate"]
    yield _figure("commands.help", [*ours, "--help"], rounds, HELP_SECONDS_MAX)
    with running_nodes(1) as net:
        status = [*ours, "--home", net.member(1).home, "status"]
        yield _figure("commands.status", status, rounds, COMMAND_SECONDS_MAX)


def _figure(name: str, command: list[str], rounds: int, bound: float) -> Figure:
    pairs = [(seconds_of(python_alone()), seconds_of(command)) for _ in range(rounds)]
    return in_rounds(name, Unit.SECONDS, pairs, at_most(bound, Unit.SECONDS))
