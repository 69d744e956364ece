"""The OpenAPI document of the HTTP door, read off the table of operations.

Pure: the same table makes the same document. This file knows no server.
"""

from typing import Any

import msgspec

from nestmate.operations.problems import Problem
from nestmate.operations.row import Operation
from nestmate.operations.table import OPERATIONS

_REF = "#/components/schemas/{name}"
_PROBLEM = {
    "description": "What went wrong, and what to do about it.",
    "content": {
        "application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}
    },
}


def openapi(version: str) -> dict[str, Any]:
    """The whole document; ``version`` is the release of nestmate."""
    types = [kind for row in OPERATIONS for kind in (row.request, row.response)]
    _, schemas = msgspec.json.schema_components([*types, Problem], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for row in OPERATIONS:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, schemas)
    for row in OPERATIONS:
        if row.method == "GET":
            del schemas[row.request.__name__]  # told as parameters instead
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nestmate",
            "version": version,
            "description": "The local door of a node: what the agent at home may ask.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(row: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": row.name,
        "summary": row.help,
        "tags": [row.noun or "node"],
        "responses": {"200": _answer(row), "default": _PROBLEM},
    }
    if row.method == "GET":
        told["parameters"] = _parameters(schemas[row.request.__name__])
        if row.stream:
            told["parameters"].append(_LAST_EVENT_ID)
        return told
    told["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": _REF.format(name=row.request.__name__)}
            }
        },
    }
    return told


_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "As `since`, sent by clients that reconnect to a stream.",
    "schema": {"type": "string"},
}


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": inner.get("description", ""),
            "schema": inner,
        }
        for name, inner in schema["properties"].items()
    ]


def _answer(row: Operation) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name=row.response.__name__)}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if row.stream:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {"description": row.response.__doc__ or "", "content": content}
