"""The node's figures in the text format of Prometheus.

Pure: figures in, text out. Label values come from closed sets only, never from peers,
so that the number of series stays bounded. This file knows no server.
"""

from collections.abc import Iterable

from nestmate.operations.perform import Meter
from nestmate_protocol.directory.requests import StatusView

Sample = tuple[dict[str, str], float]


def metrics(view: StatusView, meter: Meter, last_seq: int) -> str:
    """Every figure, one family after the other."""
    blank: dict[str, str] = {}
    faults = [({"fault": fault}, float(count)) for fault, count in view.faults]
    runs = [
        ({"operation": name, "outcome": outcome}, float(count))
        for (name, outcome), count in sorted(meter.outcomes.items())
    ]
    spent = [({"operation": n}, took) for n, took in sorted(meter.seconds.items())]
    families = (
        _family("up_seconds", "gauge", "Since start.", [(blank, view.up_seconds)]),
        _family("peers", "gauge", "Connected nodes.", [(blank, view.peers)]),
        _family("contacts", "gauge", "Contacts.", [(blank, view.contacts)]),
        _family("tasks_own", "gauge", "Own open tasks.", [(blank, view.tasks_own)]),
        _family("tasks_sensed", "gauge", "Sensed.", [(blank, view.tasks_sensed)]),
        _family("claims", "gauge", "Leases held.", [(blank, view.claims)]),
        _family("spaces", "gauge", "Spaces taken part in.", [(blank, view.spaces)]),
        _family("events_total", "counter", "Events recorded.", [(blank, last_seq)]),
        _family("faults_total", "counter", "Refused from peers.", faults),
        _family("operations_total", "counter", "Operations run.", runs),
        _family("operation_seconds_total", "counter", "Time spent in them.", spent),
    )
    return "".join(families)


def _family(name: str, kind: str, told: str, samples: Iterable[Sample]) -> str:
    full = f"nestmate_{name}"
    lines = [f"# HELP {full} {told}", f"# TYPE {full} {kind}"]
    lines += [f"{full}{_labels(labels)} {value:g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{key}="{_escape(value)}"' for key, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
