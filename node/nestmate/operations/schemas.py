"""JSON Schemas of documents: which one counts at a path, and what does not fit it.

A schema is itself a document, below ``.schema/``; the one set nearest above a path
counts there. Its id is the hash of its content, so that a hand-off can name what it
agrees to. This is the only importer of jsonschema, and loads it when there is a schema:
to read a document none is needed.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from nestmate.errors import UsageError
from nestmate.operations.forms import plain

ROOT = ".schema"
SCHEMA_BYTES_MAX = 12 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a document does not fit its schema, and how."""

    at: str
    what: str


def place_of(prefix: str) -> str:
    """Where the schema of a prefix stands."""
    return f"{ROOT}/{prefix}" if prefix else ROOT


def schema_bytes(schema: dict[str, Any] | bool) -> bytes:
    """The one way a schema is written down; UsageError if it is no schema."""
    if isinstance(schema, dict):
        import jsonschema  # noqa: PLC0415 - a quarter of a second where none is set

        kind = jsonschema.validators.validator_for(
            schema, default=jsonschema.Draft202012Validator
        )
        try:
            kind.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise UsageError(
                f"This is no JSON Schema: {plain(error.message)[:200]} at "
                f"{error.json_path}.",
                "See json-schema.org; references to other documents are not followed.",
            ) from None
    data = msgspec.json.encode(schema, order="sorted")
    if len(data) > SCHEMA_BYTES_MAX:
        raise UsageError(
            f"The schema has {len(data)} bytes.",
            f"Keep it within {SCHEMA_BYTES_MAX}, or set several below finer paths.",
        )
    return data


def schema_id(data: bytes) -> str:
    """The hash of a schema's content, in hex."""
    return sha256(data).hexdigest()


def fault_of(document: Any, schema: Any) -> Fault | None:
    """The first thing at which a document does not fit; None if it fits.

    A foreign schema that is none, or refers elsewhere, fits everything: it cannot be
    what anybody agreed to.
    """
    if schema is True or not isinstance(schema, dict | bool):
        return None
    if schema is False:
        return Fault("$", "nothing may stand here")
    import jsonschema  # noqa: PLC0415 - as above

    kind = jsonschema.validators.validator_for(
        schema, default=jsonschema.Draft202012Validator
    )
    try:
        kind.check_schema(schema)
        error = jsonschema.exceptions.best_match(kind(schema).iter_errors(document))
    except (jsonschema.SchemaError, jsonschema.RefResolutionError, RecursionError):
        return None
    return None if error is None else Fault(error.json_path, plain(error.message)[:200])
