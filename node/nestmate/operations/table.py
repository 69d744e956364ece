"""The one table of operations: every door and the client are rendered from it.

The order is stable, because hosts cache the order of tools. This file knows neither
the node nor any door, and loading it loads neither.
"""

from collections.abc import Mapping
from types import MappingProxyType

from nestmate.operations import (
    agents,
    claims,
    events,
    friends,
    peers,
    signals,
    skills,
    status,
)
from nestmate.operations.row import Operation

OPERATIONS: tuple[Operation, ...] = (
    *status.ROWS,
    *agents.ROWS,
    *friends.ROWS_JOINING,
    *friends.ROWS_CONTACTS,
    *peers.ROWS,
    *skills.ROWS,
    signals.ROW_DEPOSIT,
    *signals.ROWS,
    claims.ROW_TAKE,
    claims.ROW_DONE,
    *claims.ROWS,
    *events.ROWS,
)

BY_NAME: Mapping[str, Operation] = MappingProxyType(
    {operation.name: operation for operation in OPERATIONS}
)

TOOLS: tuple[str, ...] = tuple(dict.fromkeys(row.tool for row in OPERATIONS))
