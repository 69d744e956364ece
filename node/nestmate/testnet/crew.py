"""Work of the demo: which skills there are, what real command does each, and the proof.

Every skill is done by an ordinary program of the system with a little waiting before
it, so that work takes long enough to be interrupted. ``answer`` computes the same
result another way. This file knows nothing of nodes.
"""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nestmate.home import Home
from nestmate.testnet.processes import Process, spawn, undisturbed

DISMISS_SECONDS_MAX: Final = 8.0


@dataclass(frozen=True, slots=True)
class Craft:
    """A skill, the shell line that does it, and how to check what it says."""

    skill: str
    line: str
    answer: Callable[[str], str]


CRAFTS: tuple[Craft, ...] = (
    Craft(
        "fingerprint",
        "sleep 2; sha256sum | cut -d ' ' -f 1",
        lambda text: hashlib.sha256(text.encode()).hexdigest(),
    ),
    Craft(
        "word-count",
        "sleep 2; wc -w",
        lambda text: str(len(text.split())),
    ),
    Craft(
        "sort-lines",
        "sleep 2; LC_ALL=C sort",
        lambda text: "\n".join(sorted(text.splitlines())),
    ),
)


@dataclass(frozen=True, slots=True)
class Hand:
    """One ``nestmate work`` process at one node."""

    node: int
    skill: str
    process: Process


def hire(node: int, home: str, craft: Craft) -> Hand:
    """Start a worker of a craft at a node's home."""
    return engage(node, home, craft.skill, ("sh", "-c", craft.line))


def engage(node: int, home: str, skill: str, command: Sequence[str]) -> Hand:
    """Start a worker at a node's home that runs a command on each task of a skill.

    What it leaves when it is killed lies in the home, which goes with the testnet.
    """
    place = Home(Path(home))
    words = [sys.executable, "-m", "nestmate", "--home", home, "work", skill]
    process = spawn(
        [*words, "--", *command],
        place.log / f"work-{skill}.log",
        folder=home,
        environment=os.environ | {"TMPDIR": str(place.run)},
    )
    return Hand(node, skill, process)


def dismiss(hands: Sequence[Hand]) -> None:
    """Let workers give back what they hold, and see them off."""
    with undisturbed():
        for hand in hands:
            hand.process.tell_group(signal.SIGTERM)
            hand.process.tell_group(signal.SIGCONT)
        deadline = time.monotonic() + DISMISS_SECONDS_MAX
        for hand in hands:
            if not hand.process.wait_gone(max(0.0, deadline - time.monotonic())):
                hand.process.tell_group(signal.SIGKILL)
                hand.process.wait_gone(1.0)


def same(craft: Craft, text: str, result: object) -> bool:
    """Whether a result says what the craft's own check says."""
    return str(result).strip() == craft.answer(text).strip()
