"""One run of a command: how it ends, with all it started, however it behaves."""

import os
import sys
import time
from pathlib import Path

import pytest

from nestmate.cli.job import Job

pytestmark = pytest.mark.slow

DEAF = "trap '' TERM"
FAR = "sleep 600"


def shell(line: str, **options: object) -> Job:
    return Job(("sh", "-c", line), b"", {}, **options)


def living(group: int) -> list[int]:
    """Members of a process group that are not just waiting to be buried."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_bytes().rpartition(b")")[2].split()[:3]
        except OSError:
            continue
        if int(of) == group and state not in {b"Z", b"X"}:
            found.append(int(stat.parent.name))
    return found


def group_of(job: Job, until, members: int) -> int:
    group = int(repr(job).strip("<>").split()[1])
    until(lambda: len(living(group)) == members)
    return group


def test_a_command_that_listens_ends_long_before_its_grace_is_over(until):
    with shell(f"{FAR}; {FAR}", grace_seconds=60) as job:
        group = group_of(job, until, 2)
        began = time.monotonic()
        job.end()
    assert time.monotonic() - began < 30
    assert not living(group)


def test_a_command_that_ignores_term_is_killed_when_its_grace_is_over(until):
    with shell(f"{DEAF}; {FAR}; {FAR}", grace_seconds=0.3) as job:
        group = group_of(job, until, 2)
        began = time.monotonic()
        job.end()
        assert time.monotonic() - began >= 0.3
        assert job.wait(0) == -9
    assert not living(group)


def test_children_that_outlive_their_command_have_the_same_grace(until, tmp_path):
    told = f"trap 'touch {tmp_path}/well; exit' TERM; while :; do sleep 0.05; done"
    with shell(f"({told}) & ({DEAF}; {FAR}) & wait", grace_seconds=3) as job:
        group = int(repr(job).strip("<>").split()[1])
        until(lambda: len(living(group)) >= 4)
        job.end()
    assert (tmp_path / "well").exists()
    assert not living(group)


def test_what_a_command_leaves_running_ends_when_it_is_over(until):
    with shell(f"({DEAF}; {FAR}) & echo done", grace_seconds=0.3) as job:
        assert job.wait(60) == 0
        group = int(repr(job).strip("<>").split()[1])
        assert living(group)
        assert job.output(99) == b"done\n"
    assert not living(group)


def test_whoever_is_in_a_hurry_waits_for_no_good_end(until):
    with shell(f"{DEAF}; {FAR}; {FAR}", grace_seconds=600) as job:
        group = group_of(job, until, 2)
        job.end(lambda: True)
    assert not living(group)


def test_a_command_that_is_stopped_in_its_sleep_is_ended_too(until):
    with shell("kill -STOP $$; echo never", grace_seconds=0.2) as job:
        group = group_of(job, until, 1)
    assert not living(group)


def test_nothing_is_left_running_when_waiting_for_the_end_goes_wrong(until):
    def break_off() -> bool:
        raise KeyboardInterrupt

    with shell(f"{DEAF}; {FAR}; {FAR}", grace_seconds=600) as job:
        group = group_of(job, until, 2)
        with pytest.raises(KeyboardInterrupt):
            job.end(break_off)
        assert not living(group)


def test_a_partial_result_comes_in_a_file_and_goes_out_in_it():
    count = "read n < $NESTMATE_PARTIAL; echo $((n + 1)) > $NESTMATE_PARTIAL"
    with shell(count, partial=b"41\n") as job:
        assert job.wait(60) == 0
        assert job.partial(99) == b"42\n"
        assert job.partial(2) is None


@pytest.mark.parametrize("line", ["rm $NESTMATE_PARTIAL", "rm -r $(dirname $F)"])
def test_without_the_file_there_is_no_partial_result(line):
    with shell(f"F=$NESTMATE_PARTIAL; {line}", partial=b"old") as job:
        assert job.wait(60) == 0
        assert job.partial(99) == b""


def test_a_partial_result_nobody_could_read_to_its_end_is_none():
    line = "rm $NESTMATE_PARTIAL; mkfifo $NESTMATE_PARTIAL"
    with shell(line, partial=b"old") as job:
        assert job.wait(60) == 0
        assert job.partial(99) == b""


def test_the_folder_of_a_run_is_gone_after_it():
    show = f"{sys.executable} -c 'import os; print(os.environ[\"NESTMATE_PARTIAL\"])'"
    with shell(show) as job:
        assert job.wait(60) == 0
        place = Path(os.fsdecode(job.output(999) or b"").strip())
        assert place.exists()
    assert not place.parent.exists()
