"""Hand-offs without anybody in the middle, by the very commands the how-to shows.

Three real nodes and the scripts of ``docs/how-to/hand-off-work.md``. In each hand-off
another node is killed, at the worst moment: while its step is at work, or right after
what it wrote was acknowledged. Knows nothing of how any of it is done.
"""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from nestmate.testnet.processes import Process

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "hand-off-work.md"
PARTS = {
    "dan": ("drafts", "deployed"),
    "eve": ("articles", "qa", "triage"),
}
STEPS = (
    ("dan", "research", "sh", "draft.sh"),
    ("eve", "drafts", "sh", "edit.sh"),
    ("eve", "builds", "sh", "qa.sh"),
    ("dan", "qa", "sh", "deploy.sh"),
    ("eve", "tickets", "python", "triage.py"),
)
# A step that says it is at work and goes on once it may.
HELD = 'echo x >>"$0"; until test -e "$1"; do sleep 0.02; done; shift; exec "$@"'
END_SECONDS_MAX = 30


def kill(nest):
    """End a node without warning, and come back when it is gone."""
    process = Process.of(nest.pid)
    assert process.tell(signal.SIGKILL)
    assert process.wait_gone(END_SECONDS_MAX)


class Studio:
    """Three agents, what each of them does, and a place for their scripts."""

    def __init__(self, nests, place):
        self.place = place
        found = re.findall(
            r"^\$ cat >(\S+) <<'END'\n(.*?)^> END\n",
            PAGE.read_text(),
            re.MULTILINE | re.DOTALL,
        )
        for name, script in found:
            lines = [line[2:] for line in script.splitlines()]
            (place / name).write_text("\n".join(lines) + "\n")
        self.rosa, self.dan, self.eve = map(
            self.open, map(nests, ("rosa", "dan", "eve"))
        )

    def open(self, nest):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        nest.environ |= {"PATH": path}
        nest.make().up()
        return nest

    def gather(self):
        rosa = self.rosa.client
        rosa.space.create("studio")
        for nest in (self.dan, self.eve):
            nest.client.join(rosa.invite().invite)
            paths = PARTS[nest.root.name]
            line = rosa.space.invite("studio", "read,write", paths=paths).invite
            assert nest.client.space.join(line, timeout=60).standing == "member"
        rosa.event.cursor.set("away", space="studio")

    def begin(self):
        """Everybody does its steps, each of which waits for its word to go on."""
        for who, prefix, *command in STEPS:
            held = (self.place / f"{prefix}.at", self.place / f"{prefix}.go")
            words = ("sh", "-c", HELD, *map(os.fspath, held), *command)
            on = ("on", "studio", prefix, "--cursor", prefix, "--since", "0", "--")
            with (self.place / f"{prefix}.log").open("wb") as log:
                yield getattr(self, who).popen(
                    *on, *words, cwd=self.place, stdout=log, stderr=log
                )

    def let(self, *prefixes):
        for prefix in prefixes:
            (self.place / f"{prefix}.go").touch()

    def at_work(self, prefix):
        return (self.place / f"{prefix}.at").exists()

    def below(self, nest, prefix):
        """What there is below a path at a node, by path."""
        documents = nest.client.ls("studio", prefix).documents
        return {each.path: each.value for each in documents}


@pytest.fixture(scope="module")
def gathered(nests, tmp_path_factory):
    studio = Studio(nests, tmp_path_factory.mktemp("studio"))
    studio.gather()
    running = list(studio.begin())
    yield studio
    for each in running:
        each.terminate()
    for each in running:
        each.wait(END_SECONDS_MAX)


@pytest.fixture
def studio(gathered, until):
    logs = [gathered.place / f"{prefix}.log" for _, prefix, *_ in STEPS]
    until(lambda: all(b"waiting" in log.read_bytes() for log in logs))
    return gathered


def put(studio, path, value):
    return studio.rosa.client.put("studio", path, value).version


def test_research_becomes_an_article_though_whoever_drafts_is_killed_at_it(
    studio, until
):
    research = put(studio, "research/bees", "They dance")
    until(lambda: studio.at_work("research"))
    kill(studio.dan)
    studio.let("research", "drafts")
    log = studio.place / "research.log"
    until(lambda: b"away" in log.read_bytes())
    studio.dan.up()
    until(lambda: studio.below(studio.rosa, "articles"))
    assert list(studio.below(studio.rosa, "drafts")) == [f"drafts/bees/{research}"]
    (article,) = studio.below(studio.rosa, "articles").values()
    assert article == "On bees\n\nThey dance."


def test_only_what_passed_is_deployed_though_whoever_tests_is_killed_at_it(
    studio, until
):
    todo = put(studio, "builds/site", "A TODO")
    until(lambda: studio.at_work("builds"))
    kill(studio.eve)
    good = put(studio, "builds/site", "A page")
    studio.let("builds", "qa")
    studio.eve.up()
    until(lambda: studio.below(studio.rosa, "deployed"))
    verdicts = {f"qa/site/{todo}": False, f"qa/site/{good}": True}
    assert studio.below(studio.rosa, "qa") == verdicts
    assert studio.below(studio.rosa, "deployed") == {f"deployed/site/{good}": "live"}
    assert [each.name for each in studio.place.glob("live-*")] == [f"live-{good}"]


def test_a_ticket_is_triaged_though_its_author_is_killed_once_it_is_written(
    studio, until
):
    ticket = put(studio, "tickets/1", {"text": "I paid twice"})
    kill(studio.rosa)
    studio.let("tickets")
    studio.rosa.up()
    until(lambda: studio.below(studio.rosa, "triage"))
    triaged = studio.below(studio.rosa, "triage")[f"triage/1/{ticket}"]
    assert triaged == {"queue": "billing", "from": studio.rosa.client.id().address}
    (call,) = studio.rosa.client.signal.ls(skill="billing").signals
    assert call.issuer == studio.eve.client.id().address


def written(studio):
    """The paths of everything that was written, each as often as it was."""
    history = studio.rosa.client.history
    paths = studio.below(studio.rosa, "")
    return sorted(w.path for path in paths for w in history("studio", path).writes)


def test_every_step_is_found_at_every_node_with_who_has_seen_it(studio, until):
    def found(nest, seen=""):
        events = nest.client.event.find("space.changed", space="studio").events
        return sorted(e.details["path"] for e in events if not seen or seen in e.seen)

    assert len(written(studio)) == 10
    for nest in (studio.rosa, studio.dan, studio.eve):
        until(lambda nest=nest: found(nest) == written(studio))
    for who, prefix, *_ in STEPS:
        done = [path for path in written(studio) if path.split("/")[0] == prefix]
        nest = getattr(studio, who)
        until(lambda nest=nest, by=prefix, done=done: found(nest, by) == done)


def test_a_reader_that_was_away_for_all_of_it_replays_it_and_misses_nothing(studio):
    show = ("sh", "-c", 'echo "$NESTMATE_PATH"')
    on = ("on", "studio", "--cursor", "away", "--once", "--", *show)
    assert sorted(studio.rosa.run(*on).out.split()) == written(studio)
    assert studio.rosa.run(*on).out == ""
