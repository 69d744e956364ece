"""What people are shown of why: the sentence first, and short lines below it."""

import pytest

from nestmate.cli.human import show_human

REASONS = {
    "task": "task1abc",
    "issuer": "nest1ann",
    "prospect": "held",
    "why": "Would be claimed in 3.2 s, if it is still open then.",
    "age_seconds": 6.8,
    "urgency": 1.0,
    "urgency_counted": 0.25,
    "estimate": {
        "size": 10.0,
        "speed": 0.5,
        "speed_source": "declared",
        "setup": 5.0,
        "transfer": 0.0,
        "service": 25.0,
        "reference_speed": 1.0,
        "reference_percentile": 85,
        "good": 10.0,
        "margin": 3.75,
        "loss": 15.0,
        "gives_up": "saw",
        "gives_up_share": 0.4,
        "gives_up_holders": 2,
        "price": 6.3,
        "hold": 21.3,
    },
    "preference": 0.125,
    "rival": {"task": "task1xyz", "preference": 0.5, "ready_seconds": 1.0},
    "trust": 1.0,
    "waiting": 1,
    "idle": 1,
    "room": True,
}
TASK = {
    "task": "task1abc",
    "status": "open",
    "strength": 1.5,
    "why": "Open: told 2 agents; none has claimed it yet.",
    "ready_seconds": None,
    "strength_parts": {
        "weight": 2.0,
        "growth": 1.5,
        "freshness": 0.5,
        "intensity": 0.5,
        "half_life_seconds": 30.0,
        "deposits": [{"agent": "nest1ann", "urgency": 0.5, "age_seconds": 1.0}],
    },
    "telling": {
        "said": 1,
        "again_seconds": 7.5,
        "able": 9,
        "told": 2,
        "listeners": [
            {"agent": "nest1bob", "speed": None, "hold_seconds": 0.0},
            {"agent": "nest1cid", "speed": 0.5, "hold_seconds": 10.0},
        ],
        "topic": False,
    },
    "attempts": [
        {"agent": "nest1bob", "generation": 1, "granted": False, "seconds_ago": 1.5}
    ],
}


@pytest.fixture
def said(capsys):
    def show(name, answer):
        show_human(name, answer)
        return capsys.readouterr().out.splitlines()

    return show


def test_a_claim_is_explained_sentence_first(said):
    lines = said("claim.explain", REASONS)
    assert lines[0] == REASONS["why"]
    assert lines[2:7] == [
        "takes here  25.0 s: 10.0 s of work at speed 0.50 (declared) + 5.0 s set-up",
        "elsewhere   10.0 s at speed 1.00, 85th percentile of known speeds",
        "loss        15.0 s; less than 3.8 s counts as none",
        "gives up    saw, 6.3 s: 40 % of tasks ask for it, 2 set up for it",
        "held until  age 21.3 s; it is 6.8 s now",
    ]
    assert "urgency     1, counted as 0.25" in lines
    assert "preference  0.125, best other 0.500" in lines


def test_a_claim_of_a_task_without_figures_is_explained_too(said):
    answer = REASONS | {"estimate": None, "rival": None, "room": False}
    lines = said("claim.explain", answer)
    assert not [line for line in lines if line.startswith("takes here")]
    assert lines[-1] == "waiting     1 here, 1 idle, and no room for another claim"


def test_what_is_settled_is_explained_without_figures(said):
    lines = said("claim.explain", REASONS | {"prospect": "closed"})
    assert not [line for line in lines if line.startswith("takes here")]


def test_a_task_is_shown_with_whom_it_told_and_who_came(said):
    lines = said("signal.show", TASK)
    assert TASK["why"] in lines
    told = "told        2 of 9 known to be able, not the whole topic; said once"
    assert f"{told}, again in 7.5 s" in lines
    assert lines[-3:] == [
        "            nest1bob, speed unknown: would claim at once, if idle",
        "            nest1cid, speed 0.50: would claim from age 10.0 s on, if idle",
        "claimed by  nest1bob, 1.5 s ago, fence 1: came too late",
    ]


def test_a_task_of_which_only_little_is_known_is_shown_without_reasons(said):
    little = {"why": "", "strength_parts": None, "telling": None, "attempts": []}
    assert said("signal.show", TASK | little) == [
        "task      task1abc",
        "status    open",
        "strength  1.5",
    ]
