"""Both twins of the store, put through the one suite and compared with each other.

The LevelDB twin lies on the real disk; its crash is a copy of the folder taken while
it is open, its full disk is the kernel's limit on the size of files. Knows nothing of
what only LevelDB can suffer: see ``test_leveldb.py``.
"""

import os
import resource
import shutil
import tempfile
from contextlib import closing, contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nestmate.store.leveldb import open_leveldb, restore_leveldb
from nestmate.store.memory import MemoryDisk


def load(name):
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


StoreContract = load("store_contract").StoreContract


class LevelDisk:
    """A folder that stores are opened in, and its images after crashes."""

    pid = f"Process {os.getpid()} "

    def __init__(self, root):
        self.root = root
        self.folder = root / "store-0"
        self.opened = []
        self.seconds = 0.0

    def open(self):
        store = open_leveldb(self.folder, clock=self.clock)
        self.opened.append(store)
        return store

    def clock(self):
        self.seconds += 2.0  # every look at the clock is long after the last one
        return self.seconds

    def crash(self, lose_batches=0):
        image = self.root / f"store-{len(self.opened)}"
        shutil.copytree(self.folder, image)
        self.folder = image
        if lose_batches:
            (log,) = image.glob("db-*/*.log")
            batch_bytes = log.stat().st_size // self.written()
            os.truncate(log, log.stat().st_size - lose_batches * batch_bytes)

    def written(self):
        store = self.opened[-1]
        return store._count.batches - store.report.batches

    def restore(self, snapshot):
        return restore_leveldb(self.folder, snapshot)

    @contextmanager
    def full(self):
        log_bytes = max(log.stat().st_size for log in self.folder.glob("db-*/*.log"))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (log_bytes + 100, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    def close(self):
        for store in self.opened:
            store.close()


class MemoryDiskOfThisProcess(MemoryDisk):
    pid = f"Process {os.getpid()} "


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def disk(self):
        return MemoryDiskOfThisProcess()

    @pytest.fixture
    def other_disk(self):
        return MemoryDiskOfThisProcess()


class TestLevelStore(StoreContract):
    @pytest.fixture
    def disk(self, tmp_path):
        with closing(LevelDisk(tmp_path / "disk")) as disk:
            yield disk

    @pytest.fixture
    def other_disk(self, tmp_path):
        with closing(LevelDisk(tmp_path / "other")) as disk:
            yield disk


keys = some.binary(min_size=1, max_size=3).filter(lambda key: key[0])
batches = some.lists(some.tuples(keys, some.none() | some.binary(max_size=9)))
steps = some.lists(batches | some.just("reopen") | some.tuples(keys, some.booleans()))


@given(steps=steps)
def test_both_twins_answer_alike_whatever_is_asked_of_them(steps):
    with tempfile.TemporaryDirectory() as root, closing(LevelDisk(Path(root))) as level:
        disks = (MemoryDisk(), level)
        stores = [disk.open() for disk in disks]
        for step in steps:
            match step:
                case "reopen":
                    [store.close() for store in stores]
                    stores = [disk.open() for disk in disks]
                case list(batch):
                    [store.write(batch, durable=False) for store in stores]
                case start, reverse:
                    one, other = (
                        list(store.scan(start[:1], start=start, reverse=reverse))
                        for store in stores
                    )
                    assert one == other
        assert len({tuple(store.scan(b"")) for store in stores}) == 1
