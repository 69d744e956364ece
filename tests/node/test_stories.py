"""The stories a node is built for, told by real processes.

Two friends find each other again, a chain outlives its first link, a task outlives the
node that worked on it, and what makes no sense is refused in words. What people do is
done through the command line; what came of it is waited for and asked by the Python
client. Knows nothing of how any of it is done.
"""

import contextlib
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nestmate.errors import NodeError
from nestmate.testnet.processes import Process

pytestmark = pytest.mark.slow

END_SECONDS_MAX = 30
SKEW_SECONDS_MAX = 0.3


def friends(host, *guests) -> None:
    """Everybody up, and the guests joined to their host by one line each."""
    for nest in (host, *guests):
        if not nest.root.exists():
            nest.make().up()
    for guest in guests:
        guest.ask("join", host.ask("invite")["invite"])


def kill(nest) -> None:
    """End a node without warning, and come back when it is gone."""
    process = Process.of(nest.pid)
    assert process.tell(signal.SIGKILL)
    assert process.wait_gone(END_SECONDS_MAX)


@contextlib.contextmanager
def working(
    nest, skill: str, *command: str, options: tuple[str, ...] = ()
) -> Iterator[Process]:
    """A worker at a node, for as long as this lasts at most."""
    log = (nest.root / "log" / "work.log").open("wb")
    process = nest.popen(
        "work", skill, *options, "--", *command, stdout=log, stderr=log
    )
    try:
        yield Process.of(process.pid)
    finally:
        process.terminate()
        process.wait(END_SECONDS_MAX)
        log.close()


def finds(nest, skill: str) -> set[str]:
    results = nest.client.skill.find(skill, timeout=2).results
    return {each.address for each in results}


def address(nest) -> str:
    return nest.client.id().address


def reaches(nest, other: str) -> bool:
    try:
        return nest.client.ping(other, timeout=2).address == other
    except NodeError:
        return False


def shown(nest, task: str):
    return nest.client.signal.show(task)


def told(nest, task: str) -> list[str]:
    """What the feed of a node said of a task, in order."""
    page = nest.client.event.wait(since=0, timeout=0)
    return [event.type for event in page.events if event.ref == task]


def sensed(nest, task: str) -> bool:
    return task in {each.task for each in nest.client.signal.ls().signals}


def known_to(ada, *workers) -> bool:
    """Whether the workers' skill is known, so that they hear of tasks straight."""
    return {address(each) for each in workers} <= finds(ada, "dig")


def outlive(issuer, workers, task: str, until) -> None:
    """Two do a task in capitals while its issuer is dead, which then hears of it."""
    until(lambda: all(sensed(each, task) for each in workers))
    upper = (shown(issuer, task).skill, "tr", "a-z", "A-Z")
    kill(issuer)
    with contextlib.ExitStack() as hands:
        for each in workers:
            hands.enter_context(working(each, *upper))
        until(lambda: any(shown(each, task).result for each in workers))
        issuer.up()
        until(lambda: shown(issuer, task).status == "done")


def untouched(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, with its mode and what is in it."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file): (file.stat().st_mode, file.read_bytes()) for file in files}


def test_a_friend_that_moved_to_another_port_is_reached_by_its_address(nests, until):
    ada, bob = nests("ada1"), nests("bob1")
    friends(ada, bob)
    ada.ask("skill", "add", "echo")
    until(lambda: address(ada) in finds(bob, "echo"))
    found = bob.ask("skill", "find", "echo")["results"]
    assert [each["address"] for each in found] == [address(ada)]
    before = ada.ask("status")["addrs"]
    kill(ada)
    after = ada.up("--listen", "/ip4/127.0.0.1/tcp/0")["addrs"]
    assert set(before).isdisjoint(after)
    until(lambda: reaches(bob, address(ada)))
    assert bob.ask("whois", address(ada))["addrs"] == after


def test_a_chain_of_friends_outlives_its_first_link(nests, until):
    ada, bob, cyd, dan = map(nests, ("ada2", "bob2", "cyd2", "dan2"))
    friends(ada, bob)
    friends(bob, cyd)
    ada.ask("down")
    with working(bob, "word-count", "wc", "-w"):
        body = ("--body", '"three small words"')
        task = cyd.ask("signal", "deposit", "word-count", *body)["task"]
        until(lambda: shown(cyd, task).status == "done")
    assert shown(cyd, task).result == 3
    assert shown(cyd, task).holder == address(bob)
    friends(cyd, dan)
    until(lambda: address(bob) in finds(dan, "word-count"))
    until(lambda: reaches(dan, address(bob)))


def test_a_task_outlives_the_node_that_worked_on_it(nests, until):
    ada, bob, cyd = map(nests, ("ada3", "bob3", "cyd3"))
    friends(ada, bob, cyd)
    with working(bob, "shout", "sleep", "60") as hand:
        order = ("--lease", "2s", "--urgency", "0.9", "--body", '"help"')
        task = ada.ask("signal", "deposit", "shout", *order)["task"]
        until(lambda: shown(ada, task).holder == address(bob))
        kill(bob)
        hand.tell(signal.SIGKILL)
    with working(cyd, "shout", "tr", "a-z", "A-Z"):
        until(lambda: shown(ada, task).status == "done")
    assert (shown(ada, task).result, shown(ada, task).holder) == ("HELP", address(cyd))
    bob.up()
    assert bob.run("claim", "done", task, "--result", '"late"').code != 0
    lapsed = told(ada, task).count("task.reopened")  # again, where a holder stalls
    lost, kept = ["task.granted", "task.reopened"], ["task.granted", "task.done"]
    assert told(ada, task) == lost * lapsed + kept
    assert (shown(ada, task).result, lapsed >= 1) == ("HELP", True)
    assert shown(ada, task).generation == 1 + lapsed


def test_a_task_outlives_its_issuer_and_its_result_waits_for_it(nests, until):
    ada, bob, cyd = map(nests, ("ada10", "bob10", "cyd10"))
    friends(ada, bob, cyd)
    for nest in (bob, cyd):
        nest.ask("skill", "add", "dig")
    until(lambda: known_to(ada, bob, cyd) and reaches(bob, address(cyd)))
    order = ("--urgency", "0.9", "--ttl", "1h", "--body", '"help"')
    task = ada.ask("signal", "deposit", "dig", *order)["task"]
    outlive(ada, (bob, cyd), task, until)
    assert shown(ada, task).result == "HELP"
    assert told(ada, task).count("task.done") == 1
    assert (told(bob, task) + told(cyd, task)).count("claim.granted") == 1


def test_delegates_give_a_task_away_once_while_its_issuer_is_gone(nests, until):
    ada, bob, cyd = map(nests, ("ada10", "bob10", "cyd10"))
    friends(ada, bob, cyd)
    until(lambda: reaches(bob, address(cyd)))
    once = ("--exclusive", "--delegate", address(bob), "--delegate", address(cyd))
    order = ("--urgency", "0.9", "--ttl", "1h", "--body", '"pay"', *once)
    task = ada.ask("signal", "deposit", "till", *order)["task"]
    outlive(ada, (bob, cyd), task, until)
    assert (shown(ada, task).result, shown(ada, task).generation) == ("PAY", 1)
    assert (told(bob, task) + told(cyd, task)).count("claim.granted") == 1
    holder = shown(ada, task).holder
    assert {each.holder for each in shown(ada, task).delegates} <= {holder, None}


def test_a_slow_worker_says_how_long_it_holds_back_and_keeps_its_word(nests, until):
    ada, bob, cyd = map(nests, ("ada9", "bob9", "cyd9"))
    friends(ada, bob, cyd)
    order = ("--size", "5s", "--lease", "1m")
    slow = ("--speed", "0.4")  # 12.2 s of work: 7.3 s more than an ordinary agent
    with working(bob, "dig", "cat", options=slow), working(cyd, "dig", "sleep", "99"):
        until(lambda: known_to(ada, bob, cyd))
        taken = ada.ask("signal", "deposit", "dig", *order)["task"]
        until(lambda: shown(ada, taken).holder == address(cyd))
        task = ada.ask("signal", "deposit", "dig", *order)["task"]
        until(lambda: sensed(bob, task))
        said = bob.ask("claim", "explain", task)
        assert (said["prospect"], said["estimate"]["speed"]) == ("held", 0.4)
        assert said["why"].startswith("Would be claimed in ")
        until(lambda: shown(ada, task).status == "done")
    came = shown(ada, task).attempts[0]
    assert (came.agent, came.granted) == (address(bob), True)
    age = shown(ada, task).age_seconds - came.seconds_ago
    assert age > said["estimate"]["hold"] - SKEW_SECONDS_MAX


def test_a_restarted_node_finds_its_friends_without_the_one_who_invited_it(
    nests, until
):
    ada, bob, cyd, dan = map(nests, ("ada4", "bob4", "cyd4", "dan4"))
    friends(ada, bob, dan)
    friends(bob, cyd)
    until(lambda: reaches(bob, address(dan)))
    ada.ask("down")
    kill(bob)
    bob.up()
    until(lambda: reaches(bob, address(cyd)))
    until(lambda: reaches(bob, address(dan)))
    contacts = bob.ask("contact", "ls")["contacts"]
    assert {each["address"] for each in contacts} >= {address(cyd)}


def test_a_second_node_on_one_home_is_told_who_holds_it(nests):
    ada = nests("ada5").make()
    ada.up()
    pid = ada.pid
    second = ada.run("up")
    assert second.code == 1
    assert str(pid) in second.err
    assert ada.ask("status")["state"] == "running"
    assert ada.pid == pid


def test_an_invite_that_is_used_up_or_expired_is_refused_in_words(nests, until):
    ada, bob, cyd = map(nests, ("ada6", "bob6", "cyd6"))
    for nest in (ada, bob, cyd):
        nest.make().up()
    once = ada.ask("invite")["invite"]
    bob.ask("join", once)
    used = cyd.run("join", once)
    assert (used.code, "used up" in used.err) == (4, True), used
    brief = ada.ask("invite", "--expires", "1s")
    ends = datetime.fromisoformat(brief["expires"])
    until(lambda: datetime.now(UTC) > ends)
    late = cyd.run("join", brief["invite"])
    assert (late.code, "expired" in late.err) == (4, True), late
    assert cyd.ask("contact", "ls")["contacts"] == []


@pytest.mark.parametrize("spoiled", ["missing", "open", "foreign"])
def test_a_home_that_cannot_be_trusted_is_refused_and_left_untouched(nests, spoiled):
    nest = nests(f"home-{spoiled}").make()
    key = nest.root / "identity" / "device.key"
    match spoiled:
        case "missing":
            key.unlink()
        case "open":
            key.chmod(0o644)
        case "foreign":
            nest.home.marker.rename(nest.root / "somebody-elses.json")
    before = untouched(nest.root)
    for words in (("up",), ("up", "--detach")):
        said = nest.run(*words)
        assert said.code in {2, 4}, said
        assert said.err.split()[:1] not in ([], ["Traceback"]), said
    after = untouched(nest.root)
    assert {name: after.get(name) for name in before} == before
    new = {Path(name).relative_to(nest.root).parts[0] for name in after.keys() - before}
    assert new <= {"log", "store"}  # why it did not start, and an empty lock
    assert not (nest.root / "store" / "head").exists()
