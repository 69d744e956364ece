"""The trial: its plan, what the commands write down, and a verdict that can be bad.

Each test of the verdict breaks one thing in a trial that went well, and that line and
no other must say so. At the end a small trial is held with real nodes. Knows nothing
of how nodes do their work.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nestmate.testnet import chore
from nestmate.testnet.crew import CRAFTS, same
from nestmate.testnet.journals import Journals, Run
from nestmate.testnet.ledger import Cut, Death, Errand, Ledger
from nestmate.testnet.plan import Plan
from nestmate.testnet.stage import Stage

(LOST, RIGHT, TWICE, PASSED, SILENT, WORKED, JOINED, AGREED, OVERTOOK) = range(9)
ASKERS, HALVES = (1, 2), ((1, 3, 5), (2, 4, 6))


@pytest.fixture
def ledger():
    """Sixty tasks done once each; node 3 died at the first, the cut was silent."""
    ledger = Ledger(kills=1)
    for at in range(60):
        level = ("slow", "alert", "flash")[at % 3]
        errand = Errand(ASKERS[at % 2], CRAFTS[0], level, "text", 1.0, f"t{at}", at)
        errand.ends, errand.right, errand.holder = 1, True, 4
        ledger.errands[errand.task] = errand
        began = at + (1.0 if level == "flash" else 5.0)
        ledger.runs.append(Run(5 + at % 2, errand.task, 1, 100 + at, began, began + 1))
    first = ledger.errands["t0"]
    first.fence = 2
    ledger.deaths.append(Death(3, first, 1, 6.0))
    ledger.runs[0] = Run(3, "t0", 1, 100, 5.0)
    ledger.runs.append(Run(6, "t0", 2, 200, 21.0, 22.0))
    ledger.cut = Cut(HALVES, began=30.0, before_seconds=30.0, before_bytes=9_000)
    ledger.cut.healed, ledger.cut.looks, ledger.cut.divided = 50.0, 9, 2
    ledger.cut.joined, ledger.cut.met, ledger.cut.agreed = 1.0, 2.0, 3.0
    return ledger


def broken(ledger) -> set[int]:
    return {at for at, (_, held, _) in enumerate(ledger.verdict()) if not held}


def test_a_trial_that_went_well_breaks_nothing(ledger):
    assert broken(ledger) == set()


def never_done(ledger):
    ledger.errands["t7"].ends = 0


def told_twice(ledger):
    ledger.errands["t7"].ends = 2


def wrong(ledger):
    ledger.errands["t7"].right = False


def nothing_asked(ledger):
    ledger.errands.clear()
    ledger.runs.clear()
    ledger.deaths.clear()
    ledger.kills = 0


def run_twice(ledger):
    ledger.runs += [Run(6, f"t{at}", 1, 300, at + 2, at + 9) for at in (1, 7)]


def nobody_took_over(ledger):
    ledger.runs.pop()


def same_fence(ledger):
    ledger.errands["t0"].fence = 1


def nobody_died(ledger):
    ledger.deaths.clear()


def leaked(ledger):
    ledger.cut.crossed_bytes = 1


def went_around(ledger):
    ledger.cut.ways_around = ("udp 0.0.0.0:5353",)


def never_looked(ledger):
    ledger.cut.looks = 0


def silent_before(ledger):
    ledger.cut.before_bytes = 0


def half_idle(ledger):
    ledger.runs = [run for run in ledger.runs if run.node != 5]


def no_cut(ledger):
    ledger.cut = None


def apart(ledger):
    ledger.cut.joined = None


def late(ledger):
    ledger.cut.joined = 100.0


def at_odds(ledger):
    ledger.cut.agreed = None


def urgent_last(ledger):
    ledger.runs = [
        replace(run, began=run.began + 9) if int(run.task[1:]) % 3 == 2 else run
        for run in ledger.runs
    ]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (never_done, {LOST}),
        (told_twice, {LOST}),
        (wrong, {RIGHT}),
        (nothing_asked, {LOST, RIGHT, TWICE, WORKED, OVERTOOK}),
        (run_twice, {TWICE}),
        (nobody_took_over, {PASSED}),
        (same_fence, {PASSED}),
        (nobody_died, {PASSED}),
        (leaked, {SILENT}),
        (went_around, {SILENT}),
        (never_looked, {SILENT}),
        (silent_before, {SILENT}),
        (half_idle, {WORKED}),
        (no_cut, {SILENT, WORKED, JOINED, AGREED}),
        (apart, {JOINED}),
        (late, {JOINED}),
        (at_odds, {AGREED}),
        (urgent_last, {OVERTOOK}),
    ],
)
def test_what_is_broken_is_found_and_nothing_else(ledger, spoil, found):
    spoil(ledger)
    assert broken(ledger) == found


def test_a_command_that_was_cut_short_is_no_second_end(ledger):
    ledger.runs += [Run(6, "t7", 2, 300, 9.0), Run(6, "t9", 2, 301, 9.0)]
    assert broken(ledger) == set()


def test_two_in_a_hundred_may_run_twice_and_the_cause_is_told(ledger):
    ledger.runs.append(Run(5, "t31", 1, 300, 36.0, 60.0))
    _, held, figure = ledger.verdict()[TWICE]
    assert (held, figure) == (True, "1 of 60 (1.7%, 1 over the cut)")
    ledger.runs.append(Run(4, "t0", 3, 301, 61.0, 62.0))
    _, held, figure = ledger.verdict()[TWICE]
    assert (held, figure) == (
        False,
        "2 of 60 (3.3%, 1 after a death, 1 over the cut)",
    )


def test_a_bad_trial_and_its_figures_are_told_to_programs_as_well(ledger, capsys):
    leaked(ledger)
    figures = [("seed", "7")]
    assert not Stage(as_json=True).verdict(ledger.verdict(), 1.0, "", figures)
    said = json.loads(capsys.readouterr().out)
    assert not said["held"]
    assert [at for at, each in enumerate(said["checks"]) if not each["held"]] == [4]
    assert said["figures"] == {"seed": "7"}


# --- the plan ---


@pytest.mark.parametrize("nodes", [6, 7, 10, 20, 64])
def test_every_node_is_in_one_half_and_every_craft_and_asker_in_both(nodes, seed):
    plan = Plan(nodes, 200, 3, 20.0, seed)
    one, other = (set(half) for half in plan.halves)
    assert one | other == set(range(1, nodes + 1))
    assert not one & other
    assert abs(len(one) - len(other)) <= 2
    for half in (one, other):
        crafts = {each.craft for each in plan.workers if each.node in half}
        assert crafts == {each.craft for each in plan.workers}
        assert half & set(plan.askers)


@pytest.mark.parametrize("tasks", [24, 25, 200, 1000])
def test_all_tasks_are_asked_for_and_every_level_in_every_part(tasks, seed):
    plan = Plan(20, tasks, 3, 20.0, seed)
    parts = plan.wishes()
    assert sum(len(part) for part in parts) == tasks
    levels = [wish.level for part in parts for wish in part]
    assert levels.count("flash") == round(0.2 * tasks)
    assert {wish.asker for wish in parts[1]} == set(plan.askers)
    assert all(wish.seconds > 0 for part in parts for wish in part)


def test_a_plan_follows_from_its_seed():
    plan = Plan(20, 200, 3, 20.0, 1)
    assert plan.wishes() == Plan(20, 200, 3, 20.0, 1).wishes()
    assert plan.halves != Plan(20, 200, 3, 20.0, 2).halves
    assert plan.lease > plan.cut_seconds
    assert replace(plan, lease_seconds=5.0).lease == 5.0
    assert [replace(plan, kills=n).kills_by_part for n in (0, 1, 3, 5)] == [
        (0, 0, 0),
        (1, 0, 0),
        (1, 1, 1),
        (2, 2, 1),
    ]


# --- what commands write down ---


def do(journal: Path, skill: str, text: str, task: str = "task1") -> str:
    told = {"NESTMATE_TASK": task, "NESTMATE_GENERATION": "2", "NESTMATE_SKILL": skill}
    done = subprocess.run(
        [sys.executable, "-I", "-S", chore.__file__, str(journal)],
        input=f"0.01\n{text}",
        env=os.environ | told,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("craft", CRAFTS, ids=lambda craft: craft.skill)
def test_a_command_does_what_its_skill_says_and_writes_it_down(tmp_path, craft):
    text = "b a\nd c\n"
    journals = Journals(tmp_path)
    assert same(craft, text, do(journals.path(3), craft.skill, text))
    (run,) = journals.all([3, 4])
    assert (run.node, run.task, run.fence) == (3, "task1", 2)
    assert 0 < run.began < run.ended


def test_a_command_that_was_killed_has_begun_and_not_ended(tmp_path):
    journals = Journals(tmp_path)
    do(journals.path(1), "word-count", "a", "taskA")
    do(journals.path(1), "word-count", "a", "taskB")
    lines = journals.path(1).read_text().splitlines(keepends=True)
    journals.path(1).write_text("".join(lines[:-1]) + lines[-1][:9])
    first, second = journals.of(1)
    assert first.ended
    assert not second.ended


# --- with real nodes ---


@pytest.mark.slow
def test_a_small_trial_holds_every_promise_and_leaves_nothing(tmp_path):
    words = "--nodes 6 --tasks 48 --kills 1 --cut 6 --lease 9"
    command = [sys.executable, "-m", "nestmate", "--json", "testnet", "trial"]
    done = subprocess.run(
        [*command, *words.split()],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=180,
    )
    said = json.loads(done.stdout)
    bad = {at for at, each in enumerate(said["checks"]) if not each["held"]}
    assert bad <= {TWICE}, (said, done.stderr)  # one of so few is two in a hundred
    assert int(said["checks"][TWICE]["figure"].split()[0]) <= 3
    assert (len(said["checks"]), said["failure"]) == (9, "")
    assert said["figures"]["strangers at the switchboard"] == "0"
    assert done.returncode == (1 if bad else 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_interrupted_trial_leaves_nothing_either(tmp_path, until):
    command = [sys.executable, "-m", "nestmate", "testnet", "trial", "--nodes", "6"]
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
        until(lambda: list(tmp_path.glob("nm-*/net/node2/run/node.pid")))
        pids = [int(p.read_text()) for p in tmp_path.glob("nm-*/net/*/run/node.pid")]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=240)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
