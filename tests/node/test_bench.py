"""The benchmarks, at small sizes: that they run, and what their figures look like.

Nothing here judges a speed, because machines differ and this one is busy testing.
Knows nothing of what is measured.
"""

import json
import re
from pathlib import Path

import pytest

from nestmate.bench import BENCHES, run_bench
from nestmate.bench.figures import (
    Figure,
    Unit,
    at_least_share,
    at_most,
    at_most_more,
    in_rounds,
    percentile,
)
from nestmate.errors import NotFoundError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks.md"
KEYS = {"name", "unit", "raw", "ours", "ratio", "target", "held"}
PROCESSES = {"commands", "converged", "fresh", "million", "ready", "idle", "sensed"}


def figures_of(name: str, capsys) -> list[dict]:
    run_bench(name, quick=True, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["quick"]
    assert document["cores"] >= 1
    return document["figures"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in PROCESSES else [])
        for name in BENCHES
    ],
)
def test_a_bench_tells_of_raw_and_ours_and_judges_nothing_when_quick(name, capsys):
    figures = figures_of(name, capsys)
    assert figures
    for figure in figures:
        assert set(figure) == KEYS
        assert figure["name"].startswith(f"{name}.")
        assert figure["unit"] in {unit.value for unit in Unit}
        assert figure["raw"] >= 0
        assert figure["ours"] >= 0
        assert figure["held"] is None
    headings = re.findall(r"^### `(.+)`$", PAGE.read_text(), flags=re.MULTILINE)
    assert {figure["name"] for figure in figures} <= set(headings)


def test_a_bench_for_people_is_a_table(capsys):
    run_bench("ingest", quick=True, as_json=False)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["FIGURE", "RAW", "OURS", "RATIO", "TARGET"]
    assert re.match(
        r"ingest\.signals  [\d,]+ /s +[\d,]+ /s +\d\.\d\d +≥ 60 % of raw", row
    )


def test_a_bench_there_is_not_is_named_with_those_there_are():
    with pytest.raises(NotFoundError) as refused:
        run_bench("speed", quick=True, as_json=False)
    assert all(name in refused.value.hint for name in BENCHES)


@pytest.mark.parametrize(
    ("target", "raw", "ours", "held"),
    [
        (at_least_share(60), 100, 60, True),
        (at_least_share(60), 100, 59, False),
        (at_most(50, Unit.MILLISECONDS), 1, 50, True),
        (at_most(50, Unit.MILLISECONDS), 1, 51, False),
        (at_most_more(1, Unit.MILLISECONDS), 4, 5, True),
        (at_most_more(1, Unit.MILLISECONDS), 4, 5.1, False),
    ],
)
def test_a_target_is_held_up_to_its_bound(target, raw, ours, held):
    figure = Figure("x", Unit.SECONDS, raw, ours, target)
    assert figure.as_dict(judged=True)["held"] is held
    assert figure.as_dict(judged=False)["held"] is None


def test_a_figure_of_rounds_shows_medians_and_the_median_of_ratios():
    figure = in_rounds("x", Unit.SECONDS, [(1, 2), (10, 10), (4, 12)])
    assert (figure.raw, figure.ours, figure.ratio) == (4, 10, 2)


def test_a_percentile_is_a_value_that_was_measured():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0, 50, 99, 100)] == [1, 3, 5, 5]
