"""A thousand nodes hear twenty calls: everybody, once, at a cost that grows evenly.

The CPU time is printed and not judged, because machines differ, and because here a
signature is proved once for all nodes; what is judged is that ten times the nodes cost
about ten times the work. `nestmate bench` measures the time.
"""

import time

import pytest

from nestmate_protocol.simulation.crowd import Crowd

pytestmark = pytest.mark.slow
NODES = 1_000
SIGNALS = 20


@pytest.fixture(scope="module")
def crowds():
    """Echoes and seconds (gathering, calling) of a small crowd and of a big one."""
    measured = {}
    for nodes in (NODES // 10, NODES):
        start = time.process_time()
        crowd = Crowd(nodes, SIGNALS)
        crowd.gather()
        gathered = time.process_time()
        echoes = crowd.call()
        seconds = gathered - start, time.process_time() - gathered
        measured[nodes] = echoes, seconds
    return measured


def test_a_thousand_nodes_all_sense_all_twenty_calls(crowds, figure):
    echoes, (gathering, calling) = crowds[NODES]
    figure(
        f"{NODES} nodes x {SIGNALS} signals: {calling:.1f} s,"
        f" and {gathering:.1f} s to gather; {echoes.events} events"
    )
    assert echoes.signals == SIGNALS
    assert echoes.complete


def test_ten_times_the_nodes_take_about_ten_times_the_work(crowds):
    few, many = crowds[NODES // 10][0], crowds[NODES][0]
    assert few.complete
    assert many.events < 15 * few.events
    assert many.copies < 15 * few.copies
