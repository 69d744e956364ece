"""Goals, scenarios, tables and plots of the allocation bench, on results made by hand.

Knows nothing of how results come about.
"""

import xml.etree.ElementTree as ET

import pytest

from nestmate.bench.allocation import morley, run
from nestmate.bench.allocation.goals import Results, judge, read_goals
from nestmate.bench.allocation.plots import charts
from nestmate.bench.allocation.report import from_line, tables, to_line
from nestmate.bench.allocation.rules import PUBLISHED_TITLES, RULES, Row
from nestmate.bench.allocation.scenarios import (
    parse_scenario,
    quick,
    read_scenario,
    scenario_names,
)
from nestmate.errors import NotFoundError, UsageError

ROWS = [
    Row("load08", "oracle", 1, {"uwd": 10.0, "flash_p50": 5.0}),
    Row("load08", "oracle", 2, {"uwd": 20.0, "flash_p50": 5.0}),
    Row("load08", "signals", 1, {"uwd": 11.0, "flash_p50": 6.0}),
    Row("load08", "signals", 2, {"uwd": 26.0, "flash_p50": 6.0}),
    Row("load05", "oracle", 1, {"uwd": 8.0}),
    Row("load05", "signals", 1, {"uwd": 9.0}),
]
RESULTS = Results(ROWS)
# Rules a goal asks for and nobody plays yet; such a goal is missed.
AWAITED = {"signals16"} - set(RULES)


def bound(**words):
    entry = ", ".join(f"{key} = {value!r}" for key, value in words.items())
    return read_goals(f"[A1]\nbounds = [{{ {entry} }}]\n")[0]


def test_a_ratio_is_the_mean_of_the_seeds_own_ratios():
    near = bound(scenario="load08", figure="uwd", over="oracle", at_most=1.21)
    verdict = judge(near, RESULTS)
    assert verdict.value == pytest.approx((1.1 + 1.3) / 2)
    assert verdict.held


def test_two_scenarios_are_compared_by_their_means():
    more = bound(scenario="load08", figure="uwd", than="load05", at_least=2)
    verdict = judge(more, RESULTS)
    assert verdict.value == pytest.approx(18.5 / 9)
    assert verdict.held


def test_what_was_not_run_is_missed():
    verdict = judge(bound(scenario="cut", figure="uwd", at_most=1), RESULTS)
    assert verdict.value is None
    assert not verdict.held


def test_a_bound_has_one_side():
    with pytest.raises(ValueError, match="no bound, or two"):
        bound(scenario="cut", figure="uwd")


def test_every_goal_is_about_a_scenario_and_rules_that_are_there():
    for each in read_goals():
        scenario = read_scenario(each.scenario)
        assert each.rule in {*scenario.rules, *AWAITED}, each
        assert each.over in ("", *scenario.rules), each
        assert each.than in ("", *scenario_names()), each


def test_every_scenario_can_be_read_and_names_rules_there_are():
    assert len(scenario_names()) > 30
    for name in scenario_names():
        scenario = read_scenario(name)
        assert set(scenario.rules) <= {*RULES, *PUBLISHED_TITLES}, name
        assert scenario.seeds, name


def test_a_scenario_that_says_something_strange_is_refused():
    with pytest.raises(UsageError, match="wind"):
        parse_scenario("x", 'says = ""\nseeds = 1\nrules = []\nwind = 3\n')
    with pytest.raises(UsageError, match="colour"):
        parse_scenario("x", 'says=""\nseeds=1\nrules=[]\n[terms]\ncolour=1\n')
    with pytest.raises(NotFoundError, match="There is no scenario 'no'"):
        read_scenario("no")


def test_a_first_look_is_small():
    small = quick(read_scenario("load08"))
    assert small.seeds == (1, 2)
    assert small.terms.tasks == 1_000
    assert set(small.rules) == {"oracle", "signals"}


def test_a_run_is_the_same_after_it_was_written_down():
    row = Row("cut", "signals", 3, {"uwd": 12.5, "lost": 0.0})
    assert from_line(to_line(row)) == row
    nothing = to_line(Row("cut", "oracle", 1, {"uwd_liars": float("nan")}))
    assert "NaN" not in nothing


def test_tables_show_excess_over_the_oracle():
    text = "\n".join(tables(RESULTS))
    assert "### load08" in text
    assert "| signals | +20.0 ± 19.6 % | 18.5 |" in text


def test_plots_are_well_formed_and_name_their_rules():
    drawn = charts(RESULTS)
    assert set(drawn) == {"loads.svg"}
    for text in drawn.values():
        ET.fromstring(text)
        assert ">signals<" in text


def test_results_of_earlier_can_be_judged_again(tmp_path, capsys):
    lines = tmp_path / "results.jsonl"
    lines.write_text("".join(f"{to_line(row)}\n" for row in ROWS))
    assert run.main(["--results", str(lines), "--check"]) == 1
    said = capsys.readouterr().out
    assert "| A1 | uwd of signals in load08 / of oracle | ≤ 1.25 | 1.2 | held |" in said
    assert "not run | **missed**" in said
    run.main(["--results", str(lines), "--check", "--quick"])
    assert "not run" not in capsys.readouterr().out


def test_an_unknown_scenario_is_told_apart_from_a_missed_goal(capsys):
    assert run.main(["nowhere"]) == 2
    assert "There is no scenario 'nowhere'." in capsys.readouterr().err


@pytest.mark.parametrize("problem", range(1, 7))
@pytest.mark.parametrize("minute", [0, 299, 300, 699, 700, 999])
def test_half_of_all_trucks_have_the_leading_colours(problem, minute):
    odds = morley.colour_odds(problem, minute)
    assert odds.sum() == pytest.approx(1)
    assert odds[odds > 0.1].sum() == pytest.approx(0.5)


def test_booths_paint_trucks_and_flush_between_colours():
    found = morley.paint(3, 1, trucks=25)
    assert 15 <= found["done"] <= 25
    assert 0 < found["setups"] <= 25
    assert found["cycle"] >= 3
    assert morley.paint(3, 1, trucks=25) == found
