"""One seed is one run: the same trace again, whatever Python's hash seed is."""

import os
import subprocess
import sys

import pytest

from nestmate_protocol.simulation import run
from nestmate_protocol.simulation.crowd import Crowd

PROGRAM = """
import sys
from nestmate_protocol.simulation import run
for scenario in ("swarm", "hostile", "crashes"):
    print(run(scenario, 4, int(sys.argv[1])).trace_hash)
"""


def traces_under(hash_seed, seed):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_seed_gives_one_trace_under_both_hash_seeds(seed):
    traces = traces_under("0", seed)
    assert traces == traces_under("1", seed)
    assert traces == [
        run(s, 4, seed).trace_hash for s in ("swarm", "hostile", "crashes")
    ]


@pytest.mark.parametrize("scenario", ["calm", "swarm"])
def test_other_seeds_give_other_traces(scenario, seed):
    traces = {run(scenario, 3, seed + number).trace_hash for number in range(3)}
    assert len(traces) == 3


def test_a_crowd_replays_as_well(seed):
    traces = []
    for _ in range(2):
        crowd = Crowd(20, 3, seed)
        crowd.gather()
        traces.append(crowd.call().trace_hash)
    assert traces[0] == traces[1]
