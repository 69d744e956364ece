"""A story with real nodes: one calls everything urgent, and is served as it can pay.

Two honest nodes have urgent and slow work; a third shouts for all of its. Nobody works
until everything was heard, so that the worker's order alone decides. Knows nothing of
how credit is kept.
"""

import contextlib
from collections.abc import Iterator

import pytest

from nestmate.testnet.processes import Process

pytestmark = pytest.mark.slow

SHOUTS = 15
SLOW, ALERT, FLASH = 0.05, 0.35, 0.6
SLOW_BELOW = 0.25
END_SECONDS_MAX = 30


@contextlib.contextmanager
def working(nest, skill: str, *command: str) -> Iterator[Process]:
    log = (nest.root / "log" / "work.log").open("wb")
    process = nest.popen("work", skill, "--", *command, stdout=log, stderr=log)
    try:
        yield Process.of(process.pid)
    finally:
        process.terminate()
        process.wait(END_SECONDS_MAX)
        log.close()


def gather(host, *guests) -> None:
    for nest in (host, *guests):
        nest.make().up()
    for guest in guests:
        guest.ask("join", host.ask("invite")["invite"])
    host.ask("skill", "add", "echo")


def deposit(nest, *urgencies: float) -> list[str]:
    made = [nest.client.signal.deposit("echo", urgency=u, body="x") for u in urgencies]
    return [each.task for each in made]


def heard(nest, tasks) -> dict:
    """The signals a node lists, by task, once all of these are there."""
    listed = {each.task: each for each in nest.client.signal.ls(limit=500).signals}
    return listed if set(tasks) <= set(listed) else {}


def claimed(nest) -> list[str]:
    """The tasks a node was given, in order."""
    events = nest.client.event.wait(since=0, timeout=0, limit=500).events
    return [event.ref for event in events if event.type == "claim.granted"]


def test_whoever_cries_wolf_is_served_as_its_credit_allows(nests, until):
    hand, loud, ann, bob = map(nests, ("hand7", "loud7", "ann7", "bob7"))
    gather(hand, loud, ann, bob)
    slow = deposit(ann, SLOW, SLOW, ALERT)[:2]
    shouts = deposit(loud, *[1.0] * SHOUTS)
    flash = deposit(ann, FLASH) + deposit(bob, FLASH)
    everything = [*slow, *shouts, *flash]
    until(lambda: heard(hand, everything))
    signals = heard(hand, everything)
    paid = [signals[task].urgency_paid for task in shouts]
    assert min(paid) < SLOW_BELOW
    assert max(paid) < 1.0
    assert [signals[task].urgency_paid for task in flash] == [FLASH, FLASH]
    assert min(signals[task].credit for task in shouts) < 1
    look_at_it(hand, loud, shouts)
    with working(hand, "echo", "cat"):
        until(lambda: set(everything) <= set(claimed(hand)))
    order = claimed(hand)
    last = max(map(order.index, flash))
    assert sum(order.index(task) > last for task in shouts) >= 2 * SHOUTS // 3


def look_at_it(hand, loud, shouts) -> None:
    """What people see: a shout that counts little, an author without credit."""
    me = loud.client.id().address
    shown = hand.run("top", "--once", "--rows", "50").out
    (author,) = [line.split() for line in shown.splitlines() if line.endswith(me)]
    assert float(author[0]) < 1 < float(author[1])
    assert float(author[2]) > float(author[3])
    listed = hand.run("signal", "ls").out.splitlines()
    assert listed[0].split()[:4] == ["STRENGTH", "URGENCY", "COUNTS", "CREDIT"]
    rows = [line.split() for line in listed if line.split()[-1] in shouts]
    assert len(rows) == len(shouts)
    assert all(row[1] == "1.00" and float(row[2]) < 1 for row in rows)
    view = hand.ask("top", "--once")
    assert set(view) == {"status", "signals", "authors", "claims", "peers", "spaces"}
    assert view["authors"][0]["address"] == me
