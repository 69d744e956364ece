"""A real node whose disk is full: it reads on, says so, refuses, and goes on by itself.

The full disk is the kernel's limit on the size of files, set on the running process.
"""

import resource
import threading
from pathlib import Path

import pytest

from nestmate.errors import DiskFullError

pytestmark = pytest.mark.slow

FLOOD = 150
GROWTH_BYTES_MAX = 32 * 1024 * 1024
VALUE = "x" * 2_000


@pytest.fixture
def full():
    """Lets no file of a node grow beyond what its log has now, until it ends."""
    limits: dict[int, tuple[int, int]] = {}

    def fill(nest):
        pid = nest.pid
        (log,) = nest.home.store.glob("db-*/*.log")
        limits[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        most = (log.stat().st_size + 100, limits[pid][1])
        resource.prlimit(pid, resource.RLIMIT_FSIZE, most)

    def free():
        for pid, before in limits.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        limits.clear()

    fill.free = free
    yield fill
    free()


def memory_bytes(nest):
    status = Path(f"/proc/{nest.pid}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.fixture
def garden(ada, bob, until):
    """A space of ada's that bob writes in."""
    ada.client.space.create("garden")
    bob.client.space.join(ada.client.space.invite("garden", "read,write").invite)
    ada.client.put("garden", "beds/1", "beans")
    until(lambda: bob.client.ls("garden").documents)
    return ada, bob


def told(nest):
    found = nest.client.event.find(kinds=("disk.*",)).events
    return [event.type for event in found]


def fill_while_somebody_watches(full, nest):
    """The first write that is refused, and what a waiting reader saw at once."""
    since, seen = nest.client.event.wait(timeout=0).seq, []

    def watch():
        page = nest.client.event.wait(since=since, kinds=("disk.*",), timeout=60)
        seen.extend(event.type for event in page.events)

    watcher = threading.Thread(target=watch)
    watcher.start()
    full(nest)
    with pytest.raises(DiskFullError, match="in memory only") as refused:
        nest.client.put("garden", "beds/2", VALUE)
    assert "Free some space" in refused.value.hint
    watcher.join(60)
    return seen


def says_that_it_is_full(nest):
    status = nest.client.status()
    findings = {each.code: each for each in nest.client.doctor().findings}
    assert (status.state, "Free some space" in status.next) == ("read-only", True)
    assert findings["disk-full"].severity == "error"
    assert told(nest) == ["disk.full"]


def state(nest):
    return nest.client.space.show("garden").state


def test_a_full_node_reads_on_refuses_and_catches_up_without_a_restart(
    garden, full, until
):
    ada, bob = garden
    pid, before = bob.pid, memory_bytes(bob)
    assert fill_while_somebody_watches(full, bob) == ["disk.full"]
    for n in range(FLOOD):
        ada.client.put("garden", f"flood/{n}", VALUE)
    said = bob.run("--json", "put", "garden", "beds/3", "peas")
    assert (said.code, said.problem["code"]) == (1, "disk-full")
    assert bob.client.get("garden", "beds/1").value == "beans"
    assert not bob.client.ls("garden", "flood").documents
    assert memory_bytes(bob) - before < GROWTH_BYTES_MAX
    says_that_it_is_full(bob)
    full.free()
    until(lambda: bob.client.status().state == "running")
    until(lambda: state(ada) == state(bob))
    assert ada.client.get("garden", "beds/2").value == VALUE  # it was kept after all
    assert len(bob.client.ls("garden", "flood", limit=FLOOD).documents) == FLOOD
    assert (told(bob), bob.pid) == (["disk.full", "disk.room"], pid)
