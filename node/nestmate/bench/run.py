"""Which benches there are, and how their figures are shown.

Each bench is loaded when it runs, because some load the whole network. This file
measures nothing.
"""

import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from nestmate.bench.figures import Figure
from nestmate.errors import NotFoundError

Bench = Callable[[bool], Iterable[Figure]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One bench: what it measures, and where its ``measure`` is."""

    tells: str
    module: str


BENCHES: Final = {
    "ingest": Entry("signals opened, verified and merged", "nestmate.bench.ingest"),
    "durable": Entry(
        "records signed and written so that they outlive a power cut",
        "nestmate.bench.durable",
    ),
    "events": Entry(
        "events recorded, and read again from the store", "nestmate.bench.events"
    ),
    "spaces": Entry("ops of a space taken in, read, revoked", "nestmate.bench.spaces"),
    "sync": Entry(
        "two replicas that find out in what they differ", "nestmate.bench.sync"
    ),
    "blobs": Entry("a blob from one store into another", "nestmate.bench.blobs"),
    "simulation": Entry(
        "a thousand nodes that hear twenty signals", "nestmate.bench.simulation"
    ),
    "commands": Entry("commands at the shell", "nestmate.bench.commands"),
    "ready": Entry(
        "from the start of the process to the first answer", "nestmate.bench.ready"
    ),
    "idle": Entry("what a node costs that has nothing to do", "nestmate.bench.idle"),
    "converged": Entry(
        "from four nodes that wrote apart to four that hold the same",
        "nestmate.bench.converged",
    ),
    "fresh": Entry(
        "a node that takes a whole space from another, and how late its loop is",
        "nestmate.bench.fresh",
    ),
    "million": Entry(
        "two nodes with two spaces of a million ops each", "nestmate.bench.million"
    ),
    "sensed": Entry(
        "from a deposit to its being sensed, over five real nodes",
        "nestmate.bench.sensed",
    ),
}
_HEADINGS: Final = ("FIGURE", "RAW", "OURS", "RATIO", "TARGET", "")
_VERDICTS: Final = {True: "held", False: "MISSED", None: ""}
_DIGITS: Final = 3


def run_bench(name: str | None, *, quick: bool, as_json: bool) -> None:
    """Run one bench or all, and print what they find.

    ``quick`` takes small sizes and judges nothing. Raises NotFoundError for a name
    there is not.
    """
    if name is not None and name not in BENCHES:
        raise NotFoundError(
            f"There is no bench {name!r}.", f"There are: {', '.join(BENCHES)}."
        )
    rows: list[dict[str, Any]] = []
    for each in [name] if name is not None else BENCHES:
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"{each}: {BENCHES[each].tells} …\n")
        measure: Bench = import_module(BENCHES[each].module).measure
        rows += [figure.as_dict(judged=not quick) for figure in measure(quick)]
    document = {**_machine(), "quick": quick, "figures": rows}
    lines = [json.dumps(document)] if as_json else _lines(rows)
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def _lines(rows: Iterable[dict[str, Any]]) -> list[str]:
    cells = [_HEADINGS]
    for row in rows:
        ratio = row["ratio"]
        cells.append(
            (
                row["name"],
                _shown(row["raw"], row["unit"]),
                _shown(row["ours"], row["unit"]),
                "" if ratio is None else f"{ratio:.2f}",
                row["target"],
                _VERDICTS[row["held"]],
            )
        )
    widths = [max(len(line[at]) for line in cells) for at in range(len(_HEADINGS))]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in cells
    ]


def _shown(value: float, unit: str) -> str:
    """A value with three digits that count, so that nothing looks more exact."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    places = max(0, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f} {unit}"
