"""Shipping boards in the bench's worlds: repeatable, watched, and told the truth.

What they are worth is judged by the goals, not here. Knows no rule of signals.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from nestmate.bench.allocation.boards import Boards
from nestmate.bench.allocation.cores import GATHER_SECONDS, Cores
from nestmate.bench.allocation.scoring import score
from nestmate.bench.allocation.seats import Seat, make_person
from nestmate.bench.allocation.stage import Stage
from nestmate.bench.allocation.watching import Watcher
from nestmate.bench.allocation.worlds import Terms, make_world
from nestmate_protocol.effects import Notify
from nestmate_protocol.ids import TaskId
from nestmate_protocol.simulation.dice import Dice

FAULTS = {
    "calm": {},
    "deaths": {"killed": 0.3},
    "churn": {"up_seconds": 120.0, "down_seconds": 10.0},
    "cut": {"cut": (0.4, 0.6), "exclusive": 0.3},
    "stop": {"stopped": (0.4, 0.6)},
}
OF_TIME = ("cpu_seconds", "ms_per_record")
TASK = TaskId(bytes(32))


@pytest.mark.parametrize("name", FAULTS)
def test_boards_keep_what_must_be_kept_whatever_goes_wrong(name, play):
    boards = Boards()
    stage, found = play(boards, **FAULTS[name])
    assert boards.watcher.broken == []
    assert found.exclusive_twice == 0
    assert found.lost == 0 or FAULTS[name].get("killed")
    assert stage.crew.starts.sum() >= stage.world.terms.tasks - found.lost


def test_boards_play_the_same_game_twice_to_the_last_byte(play):
    tallies = []
    for _ in range(2):
        boards = Boards()
        play(boards, **FAULTS["churn"])
        tally = boards.carrier.tally
        tallies.append((dict(tally.records), tally.bytes, dict(boards.rejected)))
    assert tallies[0] == tallies[1]


def test_it_is_no_matter_who_verifies(play):
    trusting, strict = (play(Boards(strict=each))[1] for each in (False, True))
    assert repr(trusting) == repr(strict)


def said_by(*hash_seeds):
    """What the bench prints in processes of its own, which run at the same time."""
    words = ["team10", "--tasks=20", "--seeds=1", "--rules=signals", "--json"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "nestmate.bench.allocation", *words],
            env={**os.environ, "PYTHONHASHSEED": each},
            stdout=subprocess.PIPE,
        )
        for each in hash_seeds
    ]
    for process in processes:
        row = json.loads(process.communicate()[0])
        yield {key: value for key, value in row.items() if key not in OF_TIME}


def test_another_process_with_another_hash_seed_finds_the_same():
    first, second = said_by("0", "1")
    assert first == second
    assert first["delivered"] > 0


def test_whole_cores_do_in_the_same_world_what_boards_do():
    terms = Terms(agents=12, tasks=80, load=0.6)
    found = []
    for rule, start in ((Boards(), 0.0), (Cores(), -GATHER_SECONDS)):
        stage = Stage(make_world(terms, 1), rule, start)
        halftime = stage.run()
        found.append(score(stage, halftime, rule.figures()))
        assert rule.watcher.broken == []
    boards, cores = found
    assert cores.uwd == pytest.approx(boards.uwd, rel=0.3)
    assert cores.extra["records"] == pytest.approx(boards.extra["records"], rel=0.3)


def nobody(_, __):
    return ()


def test_clocks_of_machines_are_wrong_by_up_to_an_hour_and_run_apart():
    seats = [Seat(n, Dice(1).fork(f"seat {n}"), nobody) for n in range(20)]
    for seat in seats:
        seat.boot(0.0)
    wall = [seat.moment(0.0).wall_ms for seat in seats]
    passed = [s.moment(1e6).mono_ms - s.moment(0.0).mono_ms for s in seats]
    assert 3_600_000 < np.ptp(wall) <= 7_200_000
    assert 1e9 - 1e5 <= min(passed) < max(passed) <= 1e9 + 1e5


def test_a_board_wakes_no_earlier_than_it_asked():
    seat = Seat(0, Dice(3), nobody)
    seat.boot(0.0)
    for due_ms in range(1, 2_000, 7):
        due = seat._clock.world_ms(seat.moment(0.0).mono_ms + due_ms) / 1_000
        assert seat.moment(due).mono_ms >= seat.moment(0.0).mono_ms + due_ms


def told(kind, generation, holder="somebody"):
    details = {"generation": generation, "holder": holder}
    return Notify(kind, TASK, make_person(Dice(1)).address, details)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([("task.granted", 1), ("task.granted", 1)], "one fence was given twice"),
        ([("task.granted", 2), ("task.reopened", 1)], "a generation fell"),
        ([("task.done", 1), ("task.done", 1)], "a task ended twice"),
    ],
)
def test_the_watcher_sees_what_must_not_be(events, words):
    watcher = Watcher()
    for kind, generation in events:
        assert watcher.broken == []
        watcher.told(told(kind, generation))
    assert [each.partition(":")[0] for each in watcher.broken] == [words]
