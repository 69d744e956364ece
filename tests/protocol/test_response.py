"""The response rule: hold back as long as it would cost, then take the best."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestmate_protocol.ids import Address
from nestmate_protocol.limits import SPEEDS_KNOWN_MAX
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.response import (
    Speeds,
    hold_seconds,
    loss_seconds,
    preference,
    price_seconds,
    service_seconds,
)

SECONDS = st.floats(0.01, 1_000)
SPEED = st.floats(0.05, 20)
ANN, BOB = Address(b"\x01" * 32), Address(b"\x02" * 32)


def learned(*pairs):
    speeds = Speeds()
    for agent, size, measured in pairs:
        speeds.learn(agent, "dig", size, measured)
    return speeds


def test_service_is_size_over_speed_and_what_comes_on_top():
    assert service_seconds(20, 2, setup=4, transfer=1) == 15


@given(SECONDS, SPEED, SPEED)
def test_an_agent_as_good_as_the_reference_never_holds_back(size, speed, slower):
    reference = min(speed, slower)
    assert loss_seconds(service_seconds(size, speed), size, reference) == 0


@given(SECONDS, SPEED, SPEED)
def test_a_loss_counts_only_from_the_margin_on(size, speed, reference):
    service = service_seconds(size, speed)
    loss = loss_seconds(service, size, reference)
    assert loss == 0 or RULE.margin * service <= loss <= service


@given(SECONDS, SPEED, SPEED, st.floats(0, 5_000))
def test_holding_back_costs_at_most_twice_the_best(size, speed, reference, wait):
    """Ski rental: a better agent comes free after an unknown wait."""
    service = service_seconds(size, speed)
    best = min(service, service_seconds(size, reference))
    hold = hold_seconds(loss_seconds(service, size, reference))
    ours = wait + best if wait < hold else hold + service
    optimum = min(service, wait + best)
    assert ours <= max(2, 1 / (1 - RULE.margin)) * optimum * (1 + 1e-9)


def test_giving_up_what_many_others_hold_costs_less_and_what_is_wanted_more():
    few, many = price_seconds(10, 0.25, 1, 1), price_seconds(10, 0.25, 5, 1)
    assert few == 5 * many == RULE.price_setups * 10 * 0.5
    assert price_seconds(10, 0.5, 1, 1) > few > price_seconds(10, 0.25, 1, 16)
    assert price_seconds(10, 0, 1, 1) == price_seconds(0, 0.5, 1, 1) == 0


@given(st.floats(0.01, 1), st.floats(0.1, 100))
def test_where_holders_are_as_the_root_of_demand_all_prices_are_alike(share, setup):
    """The square root law: there the mean wait for a holder is shortest."""
    holders = 100 * share**0.5
    price = price_seconds(setup, share, holders, 1)
    assert price == pytest.approx(RULE.price_setups * setup / 100)


def test_the_hold_is_the_loss_itself():
    assert hold_seconds(7.5) == RULE.kappa * 7.5 == 7.5


@given(st.floats(1, 245), st.floats(0, 1e5), st.floats(1, 1e4), SECONDS)
def test_urgent_old_and_short_tasks_are_preferred(urgency, age, ageing, service):
    here = preference(urgency, 1.0, age, ageing, service)
    assert preference(urgency * 2, 1.0, age, ageing, service) > here
    assert preference(urgency, 1.0, age + ageing, ageing, service) > here
    assert preference(urgency, 1.0, age, ageing, service * 2) < here
    assert preference(urgency, 0.5, age, ageing, service) == pytest.approx(here / 2)


def test_an_unknown_agent_is_taken_for_an_average_one():
    speeds = Speeds()
    assert speeds.speed(ANN, "dig") == 1
    assert speeds.reference("dig") == 1
    assert speeds.ageing_seconds == 100


def test_receipts_teach_the_geometric_mean_with_one_observation_of_one():
    speeds = learned((ANN, 16, 4), (ANN, 16, 1))
    assert speeds.speed(ANN, "dig") == pytest.approx((1 * 4 * 16) ** (1 / 3))
    assert speeds.speed(ANN, "fly") == 1
    assert speeds.speed(BOB, "dig") == 1


def test_one_absurd_receipt_moves_a_speed_only_so_far():
    assert learned((ANN, 245, 0.0)).speed(ANN, "dig") == 8
    assert learned((ANN, 1, 1e9)).speed(ANN, "dig") == 1 / 8


def test_the_reference_is_the_eighty_fifth_percentile_of_known_speeds():
    speeds = Speeds()
    for number in range(21):
        agent = Address(bytes([number]) * 32)
        speeds.learn(agent, "dig", 2.0 ** (2 * number / 10), 1)
    assert speeds.reference("dig") == pytest.approx(2 ** (17 / 10))


@given(st.lists(st.tuples(st.sampled_from((ANN, BOB)), SECONDS, SECONDS), max_size=9))
def test_the_reference_lies_among_the_known_speeds(receipts):
    speeds = learned(*receipts)
    known = [speeds.speed(agent, "dig") for agent, _, _ in receipts] or [1]
    assert min(known) <= speeds.reference("dig") * (1 + 1e-9)
    assert speeds.reference("dig") <= max(known) * (1 + 1e-9)


@given(st.lists(SECONDS, max_size=200))
def test_ageing_is_five_of_the_latest_mean_services(times):
    speeds = learned(*((ANN, 1, measured) for measured in times))
    assert 5 * min([20, *times]) <= speeds.ageing_seconds * (1 + 1e-9) or (
        speeds.ageing_seconds == 1
    )
    assert speeds.ageing_seconds <= 5 * max([20, *times]) * (1 + 1e-9)


def test_only_so_many_speeds_are_remembered():
    speeds = Speeds()
    for number in range(SPEEDS_KNOWN_MAX + 5):
        speeds.learn(Address(number.to_bytes(32)), "dig", 4, 1)
    assert speeds.speed(Address((4).to_bytes(32)), "dig") == 1
    assert speeds.speed(Address((5).to_bytes(32)), "dig") == 2


def test_whoever_is_forgotten_is_named_so_that_the_disk_can_forget_too():
    speeds = Speeds()
    for number in range(SPEEDS_KNOWN_MAX - 1):
        assert speeds.learn(Address(number.to_bytes(32)), "dig", 4, 1) == []
    speeds.learn(ANN, "dig", 4, 1)
    assert speeds.learn(BOB, "dig", 4, 1) == [("dig", Address((0).to_bytes(32)))]
    assert len(list(speeds._known)) == SPEEDS_KNOWN_MAX
