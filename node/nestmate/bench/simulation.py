"""The simulation: a thousand cores hear twenty signals, in processor time.

The raw twin is libsodium verifying each signal once for each node that hears it; the
simulated world may be faster than that, because it opens equal bytes only once. Each
round is a world of its own. This file knows nothing of how signals spread.
"""

import time
from collections.abc import Iterable
from typing import Final

from nestmate.bench.figures import Figure, Unit, at_most, in_rounds
from nestmate.bench.verifying import seconds_to_verify
from nestmate.errors import NodeError
from nestmate_protocol.simulation.crowd import Crowd

SECONDS_MAX: Final = 5
NODES: Final = 1_000
SIGNALS: Final = 20
NODES_QUICK: Final = 30
SIGNALS_QUICK: Final = 3
ROUNDS: Final = 3  # each takes half a minute with the gathering


def measure(quick: bool) -> Iterable[Figure]:
    """One figure: seconds until everybody has sensed every signal."""
    nodes, signals = (NODES_QUICK, SIGNALS_QUICK) if quick else (NODES, SIGNALS)
    rounds = [_round(nodes, signals, seed) for seed in range(1 if quick else ROUNDS)]
    target = at_most(SECONDS_MAX, Unit.SECONDS)
    yield in_rounds("simulation.thousand", Unit.SECONDS, rounds, target)


def _round(nodes: int, signals: int, seed: int) -> tuple[float, float]:
    crowd = Crowd(nodes, signals, seed)
    crowd.gather()
    began = time.process_time()
    echoes = crowd.call()
    seconds = time.process_time() - began
    if not (echoes.complete and echoes.signals == signals):
        raise NodeError("Not every simulated node sensed every signal.")
    return seconds_to_verify(signals * (nodes - 1)), seconds
