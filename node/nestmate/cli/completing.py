"""Shell completion: the words before the cursor, and values the node knows now.

A completion never complains and never makes anybody wait: where no node answers at
once, there is nothing to offer. This file knows which operation lists what.
"""

import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from nestmate.cli.arguments import hoist
from nestmate.cli.asking import ask
from nestmate.errors import NodeError, TimedOutError
from nestmate.home import HOME_VARIABLE

COMPLETE_VARIABLE = "_NESTMATE_COMPLETE"
PATIENCE_SECONDS = 1.0
_WORDS, _CURSOR = "COMP_WORDS", "COMP_CWORD"


def prepare_line() -> None:
    """Take ``--home`` and ``--json`` out of the line that is being completed.

    The shell says which words there are and where the cursor is: at a number, or, as
    fish does, at a text.
    """
    words, cursor = _split(os.environ.get(_WORDS, "")), os.environ.get(_CURSOR, "")
    by_number = not os.environ[COMPLETE_VARIABLE].startswith("fish")
    end = int(cursor or 0) if by_number else len(words) - bool(cursor)
    arguments = hoist(words[1:end])
    unfinished = words[end] if end < len(words) else ""
    if arguments.home:
        os.environ[HOME_VARIABLE] = arguments.home
    kept = ["nestmate", *arguments.words]
    if by_number:
        os.environ[_CURSOR] = str(len(kept))
    os.environ[_WORDS] = shlex.join([*kept, unfinished] if unfinished else kept)


def values(kind: str) -> list[str]:
    """What could stand where a value of one ``kind`` of field is wanted."""
    home = os.environ.get(HOME_VARIABLE)
    try:
        with _impatience():
            match kind:
                case "who":
                    contacts = ask(home, "contact.ls")["contacts"]
                    return [contact["name"] for contact in contacts]
                case "task":
                    sensed = ask(home, "signal.ls")["signals"]
                    held = ask(home, "claim.ls")["claims"]
                    return [each["task"] for each in (*held, *sensed)]
                case "space":
                    return [each["name"] for each in ask(home, "space.ls")["spaces"]]
                case _:
                    return [each["name"] for each in ask(home, "skill.ls")["skills"]]
    except NodeError:
        return []


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quote is still open
        return line.split()


@contextmanager
def _impatience() -> Iterator[None]:
    """Raise TimedOutError inside once a second has passed."""

    def ring(_number: int, _frame: object) -> None:
        raise TimedOutError("The node does not answer at once.")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
