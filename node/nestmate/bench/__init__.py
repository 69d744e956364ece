"""Benchmarks: what this machine can do at best, and beside it what Nestmate does.

Each bench measures its raw twin in the same run and tells of ratios, because figures
of different machines, or of different hours on one, say little.
"""

from nestmate.bench.run import BENCHES, run_bench

__all__ = ["BENCHES", "run_bench"]
