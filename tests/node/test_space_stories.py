"""Spaces on real nodes: written apart, revoked while away, killed in the midst.

Nothing here is simulated: real processes, real libp2p, real LevelDB. More kills than a
few are asked for with NESTMATE_KILLS. Knows nothing of how any of it is done.
"""

import contextlib
import os
import signal
import threading

import pytest

from nestmate.errors import NodeError, NotFoundError
from nestmate.testnet.processes import Process

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("NESTMATE_KILLS", "3"))
END_SECONDS_MAX = 30


def kill(nest):
    """End a node without warning, and come back when it is gone."""
    process = Process.of(nest.pid)
    assert process.tell(signal.SIGKILL)
    assert process.wait_gone(END_SECONDS_MAX)


@pytest.fixture
def garden(ada, bob, until):
    """A space of ada's that bob may write in."""
    if not ada.client.space.ls().spaces:
        ada.client.space.create("garden")
        invite = ada.client.space.invite("garden", "read,write").invite
        bob.client.space.join(invite)
    until(lambda: bob.client.space.show("garden").standing == "member")
    return ada, bob


def state(nest):
    return nest.client.space.show("garden").state


def agree(*nests):
    return len({state(nest) for nest in nests}) == 1


def write_apart(ada, bob, path, ours, theirs):
    """Both write while the other is down, ada first."""
    bob.ask("down")
    ada.client.put("garden", path, ours)
    ada.ask("down")
    bob.up()
    bob.client.put("garden", path, theirs)
    ada.up()


def test_what_two_write_apart_stands_side_by_side_until_one_put_settles_it(
    garden, until
):
    ada, bob = garden
    write_apart(ada, bob, "beds/1", "beans", "peas")
    until(lambda: agree(ada, bob) and ada.client.get("garden", "beds/1").conflict)
    seen = [nest.client.get("garden", "beds/1") for nest in garden]
    assert [each.conflict for each in seen] == [True, True]
    assert seen[0].value == seen[1].value
    assert "conflicts" in {each.code for each in ada.client.doctor().findings}
    values = [{each.value for each in one.alternatives} for one in seen]
    assert values == [{"beans", "peas"}] * 2
    ada.client.put("garden", "beds/1", "both", expect=seen[0].version)
    until(lambda: bob.client.get("garden", "beds/1").value == "both")
    assert not bob.client.get("garden", "beds/1").conflict
    assert agree(ada, bob)


def test_who_was_away_reads_all_events_it_missed_from_its_cursor(garden, until):
    ada, bob = garden
    bob.client.event.cursor.set("reader", kinds=("space.changed",))
    for n in range(5):
        ada.client.put("garden", f"news/{n}", n)
    until(lambda: bob.client.ls("garden", "news").documents[4:])
    bob.ask("down")
    bob.up()
    page = bob.client.event.wait(cursor="reader", kinds=("space.changed",))
    paths = [event.details["path"] for event in page.events]
    assert paths == [f"news/{n}" for n in range(5)]


def test_a_document_that_does_not_fit_its_schema_is_refused_with_the_place(garden):
    ada, _ = garden
    ada.ask("schema", "set", "garden", "trees", '{"required": ["height"]}')
    said = ada.run("--json", "put", "garden", "trees/1", '{"leaves": 3}')
    assert said.code == 2
    assert "$" in said.problem["detail"]
    with pytest.raises(NotFoundError):
        ada.client.get("garden", "trees/1")


def revoke_while_away(ada, bob, late):
    """Ada takes bob's grant back while he is down; he writes before he hears of it."""
    theirs = bob.client.id().address
    bob.ask("down")
    ada.client.space.revoke("garden", theirs)
    ada.ask("down")
    bob.up()
    bob.client.put("garden", *late)
    ada.up()


def test_a_member_revoked_while_away_writes_nothing_that_counts(garden, until):
    ada, bob = garden
    ada.client.put("garden", "beds/2", "known")
    until(lambda: agree(ada, bob))
    revoke_while_away(ada, bob, ("beds/2", "too late"))
    until(lambda: agree(ada, bob))
    for nest in garden:
        assert nest.client.get("garden", "beds/2").value == "known"
    lost = bob.client.space.void("garden").writes
    assert [(w.path, w.value, w.fate) for w in lost] == [("beds/2", "too late", "void")]
    with pytest.raises(NodeError):
        bob.client.put("garden", "beds/3", "still here")
    found = {each.code: each.text for each in bob.client.doctor().findings}
    assert "garden" in found["void-writes"]


class Scribe:
    """Writes on and on into a diary, and notes what was acknowledged."""

    def __init__(self, nest):
        self.nest = nest
        self.number = 0
        self.acked = []

    def write_until_killed(self, pages):
        """At least so many more pages, and then the node is killed in the midst."""
        writer = threading.Thread(target=self.scribble)
        enough = self.enough = threading.Event()
        self.goal = len(self.acked) + pages
        writer.start()
        assert enough.wait(END_SECONDS_MAX)
        kill(self.nest)
        writer.join(END_SECONDS_MAX)
        self.nest.up()

    def scribble(self):
        with contextlib.suppress(NodeError):
            while True:
                self.number += 1
                self.nest.client.put("diary", f"pages/{self.number}", self.number)
                self.acked.append(self.number)
                if len(self.acked) >= self.goal:
                    self.enough.set()

    def read(self):
        """All pages there are."""
        there, after, more = {}, "", True
        while more:
            page = self.nest.client.ls("diary", "pages", after=after, limit=1000)
            there |= {each.path: each.value for each in page.documents}
            after, more = page.documents[-1].path, page.more
        return there


def test_no_write_that_was_acknowledged_is_lost_when_a_node_is_killed(ada):
    ada.client.space.create("diary")
    scribe = Scribe(ada)
    for round_ in range(KILLS):
        scribe.write_until_killed(5 + round_ % 17)
    there = scribe.read()
    assert [n for n in scribe.acked if there.get(f"pages/{n}") != n] == []
    torn = ada.client.space.show("diary").ops != len(there) + 1
    assert not torn, f"{len(scribe.acked)} writes acknowledged in {KILLS} kills"
