"""Live values for shell completion: names, tasks and skills the node knows now.

A completion never complains: where no node answers, there is nothing to offer. This
file knows which operation lists what.
"""

import os

from nestmate.cli.asking import ask
from nestmate.errors import NodeError


def values(kind: str) -> list[str]:
    """What could stand where a ``who``, a ``task`` or a ``skill`` is wanted."""
    home = os.environ.get("NESTMATE_HOME")
    try:
        match kind:
            case "who":
                contacts = ask(home, "contact.ls")["contacts"]
                return [contact["name"] for contact in contacts]
            case "task":
                sensed = ask(home, "signal.ls")["signals"]
                held = ask(home, "claim.ls")["claims"]
                return [each["task"] for each in (*held, *sensed)]
            case _:
                return [each["name"] for each in ask(home, "skill.ls")["skills"]]
    except NodeError:
        return []
