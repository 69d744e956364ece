"""The human form of why: a sentence first, then what it was worked out from.

Takes answers as JSON values and gives lines. This form may change at any time; scripts
use ``--json``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nestmate.cli.output import show_fields, show_lines

Answer = Mapping[str, Any]

_MORE: Final = ("why", "ready_seconds", "strength_parts", "telling", "attempts")
_SETTLED: Final = ("closed", "gone", "finished", "confirmed")
_WIDTH: Final = 12


def show_reasons(answer: Answer) -> None:
    """Why a node claims a task or not."""
    show_lines(answer["why"])
    show_lines(*(_row(label, text) for label, text in _reasons(answer)))


def show_task(answer: Answer) -> None:
    """One task, and why it stands where it stands."""
    show_fields({key: it for key, it in answer.items() if key not in _MORE})
    if answer["why"]:
        show_lines("", answer["why"])
    show_lines(*(_row(label, text) for label, text in _task(answer)))


def _reasons(answer: Answer) -> Iterator[tuple[str, str]]:
    yield "task", answer["task"]
    found = answer["estimate"]
    if found and answer["prospect"] not in _SETTLED:
        yield from _figures(found, answer["age_seconds"])
    asked, counted = answer["urgency"], answer["urgency_counted"]
    as_counted = "" if asked == counted else f", counted as {counted:g}"
    yield "urgency", f"{asked:g}{as_counted}"
    rival = answer["rival"]
    beside = f", best other {rival['preference']:.3f}" if rival else ""
    yield "preference", f"{answer['preference']:.3f}{beside}"
    yield "trust", f"{answer['trust']:g} in {answer['issuer']}"
    full = "" if answer["room"] else ", and no room for another claim"
    yield "waiting", f"{answer['waiting']} here, {answer['idle']} idle{full}"


def _figures(found: Answer, age: float) -> Iterator[tuple[str, str]]:
    named = (("setup", "set-up"), ("transfer", "transfer"))
    extra = "".join(
        f" + {found[key]:.1f} s {name}" for key, name in named if found[key]
    )
    speed = f"at speed {found['speed']:.2f} ({found['speed_source']})"
    work = f"{found['size']:.1f} s of work {speed}"
    yield "takes here", f"{found['service']:.1f} s: {work}{extra}"
    percentile = f"{found['reference_percentile']}th percentile of known speeds"
    good = f"at speed {found['reference_speed']:.2f}, {percentile}"
    yield "elsewhere", f"{found['good']:.1f} s {good}"
    margin = f"less than {found['margin']:.1f} s counts as none"
    yield "loss", f"{found['loss']:.1f} s; {margin}"
    if found["price"]:
        share, holders = found["gives_up_share"], found["gives_up_holders"]
        asked = f"{100 * share:.0f} % of tasks ask for it, {holders} set up for it"
        yield "gives up", f"{found['gives_up']}, {found['price']:.1f} s: {asked}"
    yield "held until", f"age {found['hold']:.1f} s; it is {age:.1f} s now"


def _task(answer: Answer) -> Iterator[tuple[str, str]]:
    if parts := answer["strength_parts"]:
        yield from _strength(answer["strength"], parts)
    if telling := answer["telling"]:
        yield from _telling(telling)
    for each in answer["attempts"]:
        what = "was given it" if each["granted"] else "came too late"
        when = f"{each['seconds_ago']:.1f} s ago, fence {each['generation']}"
        yield "claimed by", f"{each['agent']}, {when}: {what}"


def _strength(strength: float, parts: Answer) -> Iterator[tuple[str, str]]:
    factors = " x ".join(
        f"{name} {parts[name]:.2f}" for name in ("weight", "growth", "freshness")
    )
    fading = f"half-life {parts['half_life_seconds']:.0f} s"
    yield "strength", f"{strength:.2f} of {factors}; {fading}"
    for each in parts["deposits"]:
        age = f"{each['age_seconds']:.1f} s ago"
        yield "needed by", f"{each['agent']}, urgency {each['urgency']:g}, {age}"


def _telling(telling: Answer) -> Iterator[tuple[str, str]]:
    topic = "and the whole topic" if telling["topic"] else "not the whole topic"
    agents = f"{telling['told']} of {telling['able']} known to be able, {topic}"
    again = telling["again_seconds"]
    times = "once" if telling["said"] == 1 else f"{telling['said']} times"
    then = "" if again is None else f", again in {again:.1f} s"
    yield "told", f"{agents}; said {times}{then}"
    for each in telling["listeners"]:
        speed, hold = each["speed"], each["hold_seconds"]
        known = "unknown" if speed is None else f"{speed:.2f}"
        when = f"from age {hold:.1f} s on" if hold else "at once"
        yield "", f"{each['agent']}, speed {known}: would claim {when}, if idle"


def _row(label: str, text: str) -> str:
    return f"{label.ljust(_WIDTH)}{text}"
