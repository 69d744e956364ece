"""The one table of operations: every door and the client are rendered from it.

Rows name their types and what carries them out as text, so that a command can show
what there is without loading any of it. The order is stable, because hosts cache the
order of tools. This file knows neither the node nor any door.
"""

from collections.abc import Mapping
from types import MappingProxyType

from nestmate.operations.row import Operation
from nestmate.operations.rows import (
    agents,
    blobs,
    events,
    friends,
    peers,
    signals,
    spaces,
)

OPERATIONS: tuple[Operation, ...] = (
    *agents.ROWS,
    *friends.ROWS,
    *peers.ROWS,
    *signals.ROWS,
    *spaces.ROWS,
    *blobs.ROWS,
    *events.ROWS,
)

BY_NAME: Mapping[str, Operation] = MappingProxyType(
    {operation.name: operation for operation in OPERATIONS}
)

TOOLS: tuple[str, ...] = tuple(dict.fromkeys(row.tool for row in OPERATIONS))
