"""Parameters: every figure of the signals rule that could be another, in one place.

Each was chosen by measurement; what it costs to choose otherwise stands in
``docs/reference/signals-parameters.md``. All are local: nodes with other figures still
understand each other. What both sides must agree on stands in ``limits`` and ``levels``
instead. This file knows figures and nothing of how they are used.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Final

NEVER: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Rule:
    """One setting of the rule; times are ms unless their names say otherwise.

    ``topic_repeat_*`` says with which repetition a signal of that level goes to the
    whole topic although there are able agents left to be told: 0 is the first saying.
    """

    kappa: float = 1.0
    margin: float = 0.15
    price_setups: float = 24.0
    demand_tasks: int = 32
    reference_percentile: int = 85
    reference_percentile_flash: int = 90
    reach_min: int = 8
    reach_told_max: int = 128
    trail_exponent: int = 6
    trail_weight_min: float = 1 / 256
    trail_weight_max: float = 256.0
    explore_one_in: int = 8
    flash_reach: int = 2
    topic_repeat_flash: int = 2
    topic_repeat_alert: int = NEVER
    topic_repeat_slow: int = NEVER
    reinforce_ms_min: int = 8_000
    reinforce_size_share: float = 0.4
    ageing_services: int = 5
    service_seconds_prior: float = 20.0
    services_remembered: int = 64
    speed_doublings_max: float = 6.0
    digest_ms: int = 1_000
    reserve_hold_seconds: float = 1.0
    failed_pause_ms: int = 8_000
    failed_retries_max: int = 5
    testimony_ms_min: int = 15_000
    testimony_ms_max: int = 900_000
    silent_ms: int = 2_000
    silence_weight: float = 1e-9
    settle_ms: int = 1_000
    back_off_ms: int = 1_000
    overdue_leases_flash: int = 3
    overdue_leases_alert: int = 8
    overdue_leases_slow: int = 20
    return_ms: int = 5_000
    credit_cap_signals: int = 60
    credit_mean_cents: int = 245
    credit_asks: int = 32
    credit_shares: int = 4
    credit_least_signals: float = 3.75
    credit_strangers: int = 16
    credit_known_trust: float = 0.75
    credit_window_ms: int = 600_000
    urgency_by_rank: bool = False
    rank_tasks: int = 40
    rank_usual_tasks: int = 20

    def reach(self, able: int, repeats: int) -> int:
        """How many more agents hear of a task: F, doubled by every repetition."""
        return max(self.reach_min, ceil(sqrt(able))) << min(repeats, 16)


RULE: Final = Rule()
