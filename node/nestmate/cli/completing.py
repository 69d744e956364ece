"""Live values for shell completion: names, tasks and skills the node knows now.

A completion never complains: where no node answers, there is nothing to offer. This
file knows which operation lists what.
"""

import os

from nestmate.client import Client
from nestmate.errors import NodeError


def values(kind: str) -> list[str]:
    """What could stand where a ``who``, a ``task`` or a ``skill`` is wanted."""
    client = Client(os.environ.get("NESTMATE_HOME"))
    try:
        match kind:
            case "who":
                contacts = client.call("contact.ls", {})["contacts"]
                return [contact["name"] for contact in contacts]
            case "task":
                sensed = client.call("signal.ls", {})["signals"]
                held = client.call("claim.ls", {})["claims"]
                return [each["task"] for each in (*held, *sensed)]
            case _:
                return [each["name"] for each in client.call("skill.ls", {})["skills"]]
    except NodeError:
        return []
