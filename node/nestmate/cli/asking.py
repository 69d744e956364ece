"""How commands ask the node: one operation, its answer as the JSON the node sent.

This file knows no operation.
"""

import json
from collections.abc import Mapping
from typing import Any

from nestmate.client import Client, Cord


def ask(
    home: str | None,
    name: str,
    fields: Mapping[str, object] | None = None,
    cord: Cord | None = None,
) -> dict[str, Any]:
    """The answer to one operation; NodeError says what stood in the way."""
    raw = Client(home, kind="cli").raw(name, fields, cord)
    answer: dict[str, Any] = json.loads(raw)
    return answer
