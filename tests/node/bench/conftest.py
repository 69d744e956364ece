"""What tests of the allocation bench share: small worlds, played to their end.

Where numpy and scipy are not there, these tests are left out.
Knows no rule.
"""

from importlib.util import find_spec

import pytest

MISSING = find_spec("scipy") is None
collect_ignore_glob = ["test_allocation_*"] if MISSING else []


@pytest.fixture
def play():
    """``play(rule, seed=1, **terms)``: the stage and the score of a small world."""
    from nestmate.bench.allocation.scoring import score
    from nestmate.bench.allocation.stage import Stage
    from nestmate.bench.allocation.worlds import Terms, make_world

    small = {"agents": 12, "tasks": 50, "load": 0.6, "drain_seconds": 600.0}

    def to_its_end(rule, seed=1, **terms):
        stage = Stage(make_world(Terms(**{**small, **terms}), seed), rule)
        halftime = stage.run()
        own = rule.figures() if hasattr(rule, "figures") else None
        return stage, score(stage, halftime, own)

    return to_its_end
