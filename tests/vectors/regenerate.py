"""Golden vectors: the exact bytes of every record kind, for us and for other languages.

Run it to write the files anew; then read the diff, because every changed byte breaks
the wire for somebody. A subject adds its kinds in a module of its own beside this one,
named ``kinds_SUBJECT.py``, with a ``VECTORS`` registry. This file knows no kind.
"""

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from nestmate_protocol.codec import Value
from nestmate_protocol.records import IDENTITY_KINDS, NO_NETWORK, Record

FOLDER = Path(__file__).parent

Inputs = Mapping[str, object]
"""What it takes to make the record again; bytes are written as hex."""

Vector = tuple[str, Inputs, Record]
"""A sentence on what is shown, the inputs, and the record they make.

The inputs must hold ``seed`` (of the signing key) and ``network`` (32 bytes).
"""


def registry() -> dict[str, Callable[[], Vector]]:
    """Every vector by its name, which is also the name of its file."""
    found: dict[str, Callable[[], Vector]] = {}
    for path in sorted(FOLDER.glob("kinds_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if twice := found.keys() & module.VECTORS.keys():
            raise LookupError(f"{path.name} makes {sorted(twice)} again")
        found |= module.VECTORS
    return found


def rendered(make: Callable[[], Vector]) -> str:
    """The text of one vector's file."""
    comment, inputs, record = make()
    network = NO_NETWORK.raw if record.kind in IDENTITY_KINDS else inputs["network"]
    parts = {
        "comment": comment,
        "inputs": {
            **{name: readable(value) for name, value in inputs.items()},
            "kind": str(record.kind),
            "external_aad": readable(
                b"nestmate/1/" + record.kind.encode() + b"\0" + network
            ),
            "payload": diagnostic(record.fields.body),
        },
        "hex": record.data.hex(),
        "id": record.id.raw.hex(),
    }
    return json.dumps(parts, indent=2, ensure_ascii=False) + "\n"


def readable(value: object) -> object:
    """Bytes as hex, at any depth; everything else as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [readable(each) for each in value]
    return value


def diagnostic(value: Value) -> str:
    """CBOR diagnostic notation (RFC 8949 section 8)."""
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    if isinstance(value, list):
        return f"[{', '.join(map(diagnostic, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{diagnostic(key)}: {diagnostic(value[key])}" for key in value)
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    for name, make in registry().items():
        (FOLDER / f"{name}.json").write_text(rendered(make))
