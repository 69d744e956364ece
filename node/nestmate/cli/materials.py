"""Materials: what a command is given of its task besides words in its environment.

The task's body comes on standard input; without one, the results the task takes. They
also lie in a file for as long as the command runs. This file runs no command.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nestmate.cli.documents import bytes_of


def given_of(claim: Mapping[str, Any]) -> bytes:
    """The body, or else the one result the task takes, or else all of them."""
    results = [each["result"] for each in claim["inputs"]]
    if claim["body"] is not None or not results:
        return bytes_of(claim["body"])
    return bytes_of(results[0] if len(results) == 1 else results)


@contextmanager
def inputs_of(claim: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The environment that names the file of results; nothing without any."""
    if not claim["inputs"]:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="nestmate-") as folder:
        inputs = Path(folder) / "inputs.json"
        inputs.write_text(json.dumps(claim["inputs"]))
        yield {"NESTMATE_INPUTS": str(inputs)}
