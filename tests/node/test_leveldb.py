"""What only a real disk does to a store: kills, lost tails, flipped bits, no room.

Processes are killed and files changed for real; the damage is what a crash or a bad
disk leaves. Knows nothing of the memory twin.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from itertools import pairwise

import plyvel
import pytest

from nestmate.errors import BusyError, HomeError, StoreError
from nestmate.store import leveldb
from nestmate.store.database import Database
from nestmate.store.head import HEAD_FILE, read_head
from nestmate.store.leveldb import open_leveldb
from nestmate.store.salvage import salvage

KILLS = 10
WRITER = """
import sys
from itertools import count
from pathlib import Path
from nestmate.store.leveldb import open_leveldb
store = open_leveldb(Path(sys.argv[1]))
for number in count(int(sys.argv[2])):
    pairs = [(b"k/%08d/%d" % (number, part), b"v" * 100) for part in range(3)]
    store.write(pairs, durable=True)
    print(number, flush=True)
"""
HOLDER = """
import sys
from pathlib import Path
from nestmate.store.leveldb import open_leveldb
store = open_leveldb(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def python(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def value_of(number):
    return hashlib.sha256(b"%d" % number).digest() * 4


def filled(folder, count=200):
    """A store of that many batches, closed; all of them still stand in the log."""
    with closing(open_leveldb(folder)) as store:
        for number in range(count):
            store.write([(b"k/%04d" % number, value_of(number))], durable=False)
    return folder


def only(folder, pattern):
    (path,) = (path for path in folder.glob(pattern) if path.stat().st_size)
    return path


def flip_bit(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def contents(folder, database="db-*"):
    """Every file whose bytes matter to LevelDB, and our head."""
    names = [
        f"{database}/{name}" for name in ("*.log", "*.ldb", "MANIFEST*", "CURRENT")
    ]
    names += [HEAD_FILE] if database == "db-*" else []
    paths = sorted(path for name in names for path in folder.glob(name))
    return [(path, path.read_bytes()) for path in paths]


# --- killed processes ---


def test_no_acknowledged_batch_is_lost_or_torn_when_the_process_is_killed(folder, seed):
    chance = random.Random(seed)
    after = 0
    for _ in range(KILLS):
        with python(WRITER, folder, after) as writer:
            wanted = after + chance.randrange(5, 200)
            acked = next(n for n in map(int, writer.stdout) if n >= wanted)
            writer.send_signal(signal.SIGKILL)
            acked = max([acked, *(int(n) for n in writer.stdout if n.endswith("\n"))])
        store = open_leveldb(folder)
        batches = store.report.batches
        keys = [key for key, _ in store.scan(b"k/")]
        store.close()
        assert acked < batches <= acked + 2
        assert keys == [b"k/%08d/%d" % (n, p) for n in range(batches) for p in range(3)]
        assert store.report.lost_batches == 0
        after = batches


def test_another_process_is_refused_and_told_who_holds_the_store(folder):
    with python(HOLDER, folder) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"Process {holder.pid} ") as refusal:
            open_leveldb(folder)
        assert "nestmate down" in refusal.value.hint
        holder.stdin.close()
    open_leveldb(folder).close()


def test_a_refused_opening_does_not_let_other_processes_in(folder):
    store = open_leveldb(folder)
    with pytest.raises(BusyError):
        open_leveldb(folder)
    with python(HOLDER, folder) as other:
        assert other.stdout.read() == ""
    assert other.returncode == 1
    store.close()


def test_a_killed_holder_keeps_nobody_out(folder):
    with python(HOLDER, folder) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    open_leveldb(folder).close()


# --- the head ---


def test_the_head_follows_durable_writes_at_most_once_a_second(folder):
    seconds = [0.0]
    store = open_leveldb(folder, clock=lambda: seconds[0])
    heads = []
    for number in range(40):
        seconds[0] += 0.125
        store.write([(b"k", b"%d" % number)], durable=True)
        heads.append(read_head(folder).batches)
    steps = [now - before for before, now in pairwise(heads) if now != before]
    assert steps == [8, 8, 8, 8, 8]
    store.vouch()
    assert read_head(folder).batches == 40
    store.close()


def test_the_head_vouches_only_for_what_is_durable(folder):
    store = open_leveldb(folder)
    store.write([(b"k", b"1")], durable=True)
    store.write([(b"k", b"2")], durable=False)
    store.vouch()
    assert read_head(folder).batches == 1
    store.close()
    assert read_head(folder).batches == 2


def test_a_log_cut_to_nothing_is_a_loss_of_everything_in_it(folder):
    os.truncate(only(filled(folder), "db-1/*.log"), 0)
    store = open_leveldb(folder)
    assert store.report.lost_batches == 200
    assert list(store.scan(b"")) == []
    store.close()


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_a_store_without_its_head_is_refused_and_can_be_recovered(folder, damage):
    head = filled(folder) / HEAD_FILE
    match damage:
        case "missing":
            head.unlink()
        case "cut":
            os.truncate(head, 40)
        case "flipped":
            flip_bit(head, 20)
    before = contents(folder)
    with pytest.raises(HomeError, match="head file is missing or damaged"):
        open_leveldb(folder)
    assert contents(folder) == before
    store = open_leveldb(folder, recover=True)
    assert len(list(store.scan(b"k/"))) == 200
    store.close()


def test_an_older_database_under_a_newer_head_is_a_lost_tail(folder, tmp_path):
    filled(folder)
    (folder / "db-1").rename(tmp_path / "newer")
    filled(tmp_path / "other", 10)
    (tmp_path / "other" / "db-1").rename(folder / "db-1")
    store = open_leveldb(folder)
    assert (store.report.batches, store.report.lost_batches) == (10, 190)
    store.close()


def test_a_foreign_database_of_the_same_length_is_refused(folder, tmp_path):
    filled(folder, 1)
    other = open_leveldb(tmp_path / "other")
    other.write([(b"foreign", b"v")], durable=True)
    other.close()
    (folder / "db-1").rename(tmp_path / "own")
    (tmp_path / "other" / "db-1").rename(folder / "db-1")
    with pytest.raises(HomeError, match="another history"):
        open_leveldb(folder)


# --- damage ---


def test_a_flipped_bit_in_the_log_is_refused_and_nothing_is_touched(folder):
    log = only(filled(folder), "db-1/*.log")
    flip_bit(log, log.stat().st_size // 2)
    before = contents(folder)
    with pytest.raises(HomeError, match="damaged") as refusal:
        open_leveldb(folder)
    assert "left untouched" in str(refusal.value)
    assert "--recover" in refusal.value.hint
    assert contents(folder) == before


def test_recovery_keeps_what_can_be_proved_and_the_damaged_files(folder):
    log = only(filled(folder), "db-1/*.log")
    flip_bit(log, log.read_bytes().index(value_of(100)))
    before = contents(folder, "db-1")
    store = open_leveldb(folder, recover=True)
    assert store.report.repaired
    pairs = dict(store.scan(b"k/"))
    assert set(range(200)) - {int(key[2:]) for key in pairs} == {100}
    assert all(value == value_of(int(key[2:])) for key, value in pairs.items())
    assert contents(folder, "db-1") == before
    store.write([(b"k", b"v")], durable=True)
    store.close()
    again = open_leveldb(folder)
    assert not again.report.repaired
    assert again.get(b"k") == b"v"
    again.close()


def test_recovery_believes_only_what_its_caller_proves(folder):
    (filled(folder) / "db-1" / "CURRENT").unlink()
    odd = lambda key, value: int(key[2:]) % 2 == 1  # noqa: E731 - one line says it
    store = open_leveldb(folder, recover=True, verify=odd)
    assert len(list(store.scan(b"k/"))) == 100
    store.close()


def test_a_flipped_bit_in_a_table_is_found_when_it_is_read(folder):
    filled(folder, 1_000)
    open_leveldb(folder).close()  # writes what was in the log into a table
    table = only(folder, "db-1/*.ldb")
    flip_bit(table, table.stat().st_size // 2)
    store = open_leveldb(folder)
    with pytest.raises(StoreError, match="checksum"):
        list(store.scan(b"k/"))
    assert len(list(store.scan(b"k/0000"))) == 1
    store.close()


def test_a_database_without_a_table_is_refused_and_lets_nothing_be_proved(folder):
    filled(folder)
    open_leveldb(folder).close()
    only(folder, "db-1/*.ldb").unlink()
    for recover in (False, True):
        with pytest.raises(HomeError):
            open_leveldb(folder, recover=recover)
    assert sorted(path.name for path in folder.glob("db-*")) == ["db-1"]


def test_a_value_that_changed_behind_a_right_block_checksum_is_not_believed(folder):
    filled(folder, 3)
    database = plyvel.DB(str(folder / "db-1"))
    database.put(b"k/0001", database.get(b"k/0002"))
    database.close()
    store = open_leveldb(folder)
    with pytest.raises(StoreError, match="checksum"):
        store.get(b"k/0001")
    store.close()


@pytest.mark.parametrize("bad", [{5}, {0}, {99}, {3, 4, 50}, {20, 60, 61, 90}])
def test_salvage_reads_around_every_bad_block(bad):
    pairs = [(b"%02d" % number, b"v") for number in range(100)]

    def read(low, high, *, reverse):
        for key, value in reversed(pairs) if reverse else pairs:
            if low <= key and (high is None or key < high):
                if int(key) in bad:
                    raise StoreError("a bad block")
                yield key, value

    saved = list(salvage(read))
    assert len(saved) == len(set(saved))
    assert {int(key) for key, _ in saved} == set(range(100)) - bad


# --- no room ---


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk; the limit on files is tested")
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def write_until_refused(store):
    """How many batches were acknowledged before the disk was full."""
    for number in range(100_000):
        try:
            store.write([(b"k/%06d" % number, os.urandom(1_000))], durable=True)
        except StoreError:
            return number
    return 0


def test_a_disk_that_fills_up_costs_no_acknowledged_batch(small_disk, monkeypatch):
    monkeypatch.setattr(leveldb, "MEND_SECONDS", 0.0)
    store = open_leveldb(small_disk / "store")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(5 << 20))
    acked = write_until_refused(store)
    with pytest.raises(StoreError, match="No space left"):
        store.write([(b"k", b"v")], durable=True)
    assert len(list(store.scan(b"k/"))) == acked > 0
    ballast.unlink()
    store.write([(b"k/last", b"v")], durable=True)
    assert len(list(store.scan(b"k/"))) == acked + 1
    store.close()
    again = open_leveldb(small_disk / "store")
    assert (again.report.batches, again.report.lost_batches) == (acked + 1, 0)
    again.close()


def refuse_after_writing(monkeypatch):
    """The disk takes what is written and then says it did not."""
    write = Database.write

    def refuse(database, pairs, *, durable):
        write(database, pairs, durable=durable)
        raise StoreError("the disk refused the sync")

    monkeypatch.setattr(Database, "write", refuse)
    monkeypatch.setattr(Database, "get", lambda database, key: b"1")  # as of before


def test_a_refused_batch_that_reached_the_log_all_the_same_is_taken_back(
    folder, monkeypatch
):
    monkeypatch.setattr(leveldb, "MEND_SECONDS", 0.0)
    store = open_leveldb(folder)
    store.write([(b"a", b"1"), (b"b", b"1")], durable=True)
    with monkeypatch.context() as refusing:
        refuse_after_writing(refusing)
        with pytest.raises(StoreError):
            store.write([(b"a", b"2"), (b"b", None)], durable=True)
    store.write([(b"c", b"3")], durable=True)
    assert list(store.scan(b"")) == [(b"a", b"1"), (b"b", b"1"), (b"c", b"3")]
    store.close()


def test_a_disk_that_loses_batches_under_a_running_node_is_not_written_on(
    folder, monkeypatch
):
    monkeypatch.setattr(leveldb, "MEND_SECONDS", 0.0)
    store = open_leveldb(folder)
    store.write([(b"a", b"1")], durable=True)
    with monkeypatch.context() as refusing:
        refuse_after_writing(refusing)
        with pytest.raises(StoreError):
            store.write([(b"a", b"2")], durable=True)
    os.truncate(only(folder, "db-1/*.log"), 0)
    for _ in range(2):
        with pytest.raises(StoreError, match="held 1 batches and now 0"):
            store.write([(b"a", b"2")], durable=True)
    store.close()
