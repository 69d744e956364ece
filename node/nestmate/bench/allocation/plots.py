"""Plots: excess over the oracle against load, under faults and with size, as SVG.

Written by hand, because three kinds of plot need no library. Colours say nothing that
words do not; every line and bar has its title beside it. This file measures nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from statistics import fmean
from typing import Final

from nestmate.bench.allocation.goals import Results
from nestmate.bench.allocation.rules import title_of

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 196, 40, 52
PERCENT_MIN: Final = 1.0
COLOURS: Final = (
    *("#0b6e4f", "#b5179e", "#3a0ca3", "#f77f00", "#0077b6"),
    *("#d62828", "#6c757d", "#8d6e63", "#2a9d8f", "#7f5539"),
)
LOADS: Final = {"load05": "0.5", "scale100": "0.7", "load08": "0.8", "load09": "0.9"}
FAULTS: Final = {
    "hubdown": "dispatcher down",
    "kill30": "30 % die",
    "churn": "churn",
    "cut": "cut in halves",
    "wan": "slow, lossy links",
}
SIZES: Final = {
    "team5": "5",
    "team10": "10",
    "scale30": "30",
    "scale100": "100",
    "scale300": "300",
    "scale1000": "1,000",
}
_STYLE: Final = (
    "text{font:12px sans-serif;fill:#222}.t{font-size:14px;font-weight:bold}"
    ".g{stroke:#ddd}.a{stroke:#222}.e{text-anchor:end}.m{text-anchor:middle}"
)


@dataclass(frozen=True, slots=True)
class Chart:
    """Excess in per cent by rule, over places in a row."""

    title: str
    below: str
    places: tuple[str, ...]
    series: Mapping[str, tuple[float | None, ...]]


def charts(results: Results) -> Mapping[str, str]:
    """File names and what goes into them, for whatever there are results of."""
    kinds = {
        "loads.svg": (LOADS, "load", "Excess over the oracle against load"),
        "faults.svg": (FAULTS, "", "Excess over the oracle under faults"),
        "sizes.svg": (SIZES, "agents", "Excess over the oracle against size"),
    }
    drawn: dict[str, str] = {}
    for name, (scenarios, below, title) in kinds.items():
        chart = _chart(results, scenarios, below, title)
        if chart.series:
            lines = _bars(chart) if name == "faults.svg" else _lines(chart)
            drawn[name] = "\n".join(_document(chart, lines)) + "\n"
    return drawn


def _chart(
    results: Results, scenarios: Mapping[str, str], below: str, title: str
) -> Chart:
    played = {s: label for s, label in scenarios.items() if s in results.scenarios()}
    rules = {r: None for s in played for r in results.rules(s) if r != "oracle"}
    series: dict[str, tuple[float | None, ...]] = {}
    for rule in rules:
        ratios = [results.ratios(each, rule, "uwd", "oracle") for each in played]
        series[rule] = tuple(100 * (fmean(r) - 1) if r else None for r in ratios)
    return Chart(title, below, tuple(played.values()), series)


def _document(chart: Chart, drawing: Iterator[str]) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' role="img" aria-label="{escape(chart.title)}">'
    )
    yield f"<style>{_STYLE}</style>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    yield f'<text class="t" x="{LEFT}" y="22">{escape(chart.title)}, %</text>'
    yield from _grid(chart)
    yield from drawing
    yield from _legend(chart)
    yield "</svg>"


def _grid(chart: Chart) -> Iterator[str]:
    """Powers of ten and what lies between, and the names of places."""
    top = _top(chart)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    step = PERCENT_MIN
    while step <= top:
        for factor in (1, 2, 5):
            value = step * factor
            if value <= top:
                y = _y(value, top)
                yield f'<path class="g" d="M{LEFT} {y:.1f}H{right}"/>'
                yield f'<text class="e" x="{LEFT - 6}" y="{y + 4:.1f}">{value:g}</text>'
        step *= 10
    yield f'<path class="a" d="M{LEFT} {bottom}H{right}"/>'
    for place, label in enumerate(chart.places):
        x = _x(place, chart)
        yield f'<text class="m" x="{x:.1f}" y="{bottom + 18}">{escape(label)}</text>'
    middle = (LEFT + right) / 2
    yield f'<text class="m" x="{middle:.1f}" y="{HEIGHT - 12}">{chart.below}</text>'


def _lines(chart: Chart) -> Iterator[str]:
    top = _top(chart)
    for colour, values in zip(_colours(chart), chart.series.values(), strict=True):
        points = [
            (_x(place, chart), _y(value, top))
            for place, value in enumerate(values)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}"/>'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'


def _bars(chart: Chart) -> Iterator[str]:
    top, bottom = _top(chart), HEIGHT - BOTTOM
    room = 0.8 * (WIDTH - LEFT - RIGHT) / len(chart.places)
    width = room / len(chart.series)
    for order, (colour, values) in enumerate(
        zip(_colours(chart), chart.series.values(), strict=True)
    ):
        for place, value in enumerate(values):
            if value is not None:
                x = _x(place, chart) - room / 2 + order * width
                y = _y(value, top)
                yield (
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{0.9 * width:.1f}"'
                    f' height="{bottom - y:.1f}" fill="{colour}"/>'
                )


def _legend(chart: Chart) -> Iterator[str]:
    x = WIDTH - RIGHT + 14
    for order, (colour, rule) in enumerate(
        zip(_colours(chart), chart.series, strict=True)
    ):
        y = TOP + 18 * order
        yield f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 16}" y="{y + 10}">{escape(title_of(rule))}</text>'


def _colours(chart: Chart) -> Sequence[str]:
    return [COLOURS[order % len(COLOURS)] for order in range(len(chart.series))]


def _top(chart: Chart) -> float:
    """The next round value above everything."""
    known = [v for values in chart.series.values() for v in values if v is not None]
    most = max([*known, 10 * PERCENT_MIN])
    power = 10.0 ** floor(log10(most))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= most)


def _x(place: int, chart: Chart) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / len(chart.places)


def _y(value: float, top: float) -> float:
    """On a logarithmic scale; what is below its foot stands on it."""
    share = log10(max(value, PERCENT_MIN) / PERCENT_MIN) / log10(top / PERCENT_MIN)
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share
