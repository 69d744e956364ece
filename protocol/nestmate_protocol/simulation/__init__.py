"""The simulation: many cores in one seeded, lossy, partitioned and hostile world."""

from nestmate_protocol.simulation.convergence import judge_many
from nestmate_protocol.simulation.report import Report
from nestmate_protocol.simulation.scenarios import SCENARIOS
from nestmate_protocol.simulation.stage import run
from nestmate_protocol.simulation.twins import EngineTwin

__all__ = ["SCENARIOS", "EngineTwin", "Report", "judge_many", "run"]
